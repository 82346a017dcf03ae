//===- repo-run.cpp - Run compiled libraries ------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exit status: 0 success; 1 an error, explained in one line on stderr; 2 wrong
// usage.
//
//===----------------------------------------------------------------------===//

#include "../common/Flags.h"
#include "RunEntry.h"
#include "RunModel.h"
#include <cstdlib>
#include <fstream>
#include <sstream>

/// Parses `1,2,3`, or such a list in the file of `@FILE`, where white space
/// separates too; false where a part is no 32-bit integer.
/// The tokens in a file, as --tokens takes them.
static bool readTokens(const std::string &path, std::string &text) {
  std::ifstream file(path);
  std::stringstream content;
  if (!(content << file.rdbuf()))
    return false;
  text.clear();
  for (std::string part; content >> part;)
    text += (text.empty() || text.back() == ',' || part[0] == ',' ? "" : ",") +
            part;
  return true;
}

static bool parseTokens(const std::string &text, std::vector<int32_t> &tokens) {
  std::istringstream parts(text);
  std::string part;
  while (std::getline(parts, part, ',')) {
    char *end;
    long token = std::strtol(part.c_str(), &end, 10);
    if (part.empty() || *end || token < INT32_MIN || token > INT32_MAX)
      return false;
    tokens.push_back(static_cast<int32_t>(token));
  }
  return !tokens.empty();
}

int main(int argc, char **argv) {
  EntryRequest entry;
  ModelRequest model;
  std::string tokens, generate, batch, temperature, topK, topP, seed, context,
      device;
  bool json = false;
  repo_tools::Flags flags(
      "repo-run",
      "usage: repo-run LIB.so --list\n"
      "       repo-run LIB.so --entry=NAME --inputs=in.safetensors [flags]\n"
      "       repo-run --model=OUTDIR --weights=DIR --tokens=1,2,3 [flags]\n"
      "Runs an entry of a compiled library on the tensors of a file, or a "
      "compiled model.\n");
  flags.add("list", entry.list, "list the entries and their tensors");
  flags.add("entry", entry.entry, "the entry to run");
  flags.add("inputs", entry.inputs, "safetensors file with the inputs");
  flags.add("outputs", entry.outputs,
            "safetensors file to write the outputs to");
  flags.add("expect", entry.expect,
            "safetensors file to compare the outputs with");
  flags.add("rtol", entry.rtol, "tolerance relative to the expected value");
  flags.add("atol", entry.atol, "absolute tolerance");
  flags.add("time", entry.time, "time this many runs");
  flags.add("threads", entry.threads, "number of threads");
  flags.add("json", json, "print results as JSON");
  flags.add("model", model.model, "folder of a compiled model");
  flags.add("weights", model.weights, "folder of its checkpoint");
  flags.add("device", device, "CUDA device of a model for GPUs: 0, 1, ...");
  flags.add("pack", model.pack,
            "pack the weights into a file in the model's folder, which later "
            "runs map");
  flags.add("context", context,
            "tokens the cache holds, taken at once; default: it grows");
  flags.add("paged", model.paged, "a cache in pages, of --context tokens");
  flags.add("tokens", tokens, "the prompt, as token numbers, or @FILE");
  flags.add("generate", generate, "generate this many tokens");
  flags.add("batch", batch, "generate for this many copies of the prompt");
  flags.add("temperature", temperature,
            "sample; 0, the default: the most likely token each time");
  flags.add("top-k", topK, "sample among the k most likely only");
  flags.add("top-p", topP, "sample among the most likely that sum to p only");
  flags.add("seed", seed, "of sampling; sequence i of a batch: seed + i");
  flags.add("ignore-eos", model.ignoreEnd,
            "go on after a token that ends the text");
  flags.add("logits", model.logits,
            "write the logits of the prompt to this safetensors file");
  flags.add(
      "positions", model.positions,
      "write the positions of every layer and head to this safetensors file");
  if (int status = flags.parse(argc, argv); status >= 0)
    return status;
  for (auto &[name, value] :
       {std::pair<const char *, std::string *>("rtol", &entry.rtol),
        {"atol", &entry.atol},
        {"temperature", &temperature},
        {"top-p", &topP}}) {
    if (value->empty())
      continue;
    char *end;
    double number = std::strtod(value->c_str(), &end);
    if (*end || !(number >= 0) || number > 1e9)
      return flags.fail("expected --" + std::string(name) +
                        " to be a number that is not negative, got `" + *value +
                        "`");
  }
  if (std::strtod(topP.c_str(), nullptr) > 1)
    return flags.fail("expected --top-p to be from 0 to 1, got `" + topP + "`");
  struct Integer {
    const char *name;
    std::string *value;
    long long least;
  };
  for (auto &[name, value, least] : {Integer{"time", &entry.time, 0},
                                     {"threads", &entry.threads, 0},
                                     {"generate", &generate, 0},
                                     {"batch", &batch, 1},
                                     {"context", &context, 1},
                                     {"device", &device, 0},
                                     {"top-k", &topK, 1},
                                     {"seed", &seed, 0}}) {
    if (value->empty())
      continue;
    char *end;
    long long number = std::strtoll(value->c_str(), &end, 10);
    if (*end || number < least || number > 1000000000)
      return flags.fail("expected --" + std::string(name) +
                        " to be an integer of at least " +
                        std::to_string(least) + ", got `" + *value + "`");
  }

  if (!model.model.empty()) {
    if (!flags.positional.empty())
      return flags.fail("expected --model or a library, got both; see --help");
    if (model.weights.empty())
      return flags.fail("expected --weights beside --model; see --help");
    if (std::string path = tokens; path.rfind('@', 0) == 0)
      if (path.erase(0, 1); !readTokens(path, tokens)) {
        std::fprintf(stderr, "repo-run: %s: cannot read tokens\n",
                     path.c_str());
        return 1;
      }
    if (!(model.pack && tokens.empty()) && !parseTokens(tokens, model.tokens))
      return flags.fail(
          "expected --tokens to be numbers separated by commas, got `" +
          tokens + "`");
    model.generate = std::atoll(generate.c_str());
    model.context = std::atoll(context.c_str());
    model.device = std::atoll(device.c_str());
    if (model.paged && !model.context)
      return flags.fail("expected --context beside --paged; see --help");
    model.batch = batch.empty() ? 1 : std::atoll(batch.c_str());
    model.temperature = std::strtof(temperature.c_str(), nullptr);
    model.topK = std::atoi(topK.c_str());
    model.topP = std::strtof(topP.c_str(), nullptr);
    model.seed = std::strtoull(seed.c_str(), nullptr, 10);
    if (!model.generate && model.logits.empty() && model.positions.empty() &&
        !model.pack)
      return flags.fail(
          "expected --generate, --logits, --positions or --pack; see --help");
    model.threads = entry.threads;
    model.json = json;
    return runModel(model);
  }
  if (flags.positional.size() != 1)
    return flags.fail("expected one library, got " +
                      std::to_string(flags.positional.size()) + "; see --help");
  entry.library = flags.positional[0];
  entry.json = json;
  if (!entry.list && entry.entry.empty())
    return flags.fail("expected --list or --entry; see --help");
  if (!entry.list && entry.inputs.empty())
    return flags.fail("expected --inputs beside --entry; see --help");
  return runEntry(entry);
}
