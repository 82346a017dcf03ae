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
#include <sstream>

/// Parses `1,2,3`; false where a part is no 32-bit integer.
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
  std::string tokens, generate;
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
  flags.add("tokens", tokens, "the prompt, as token numbers");
  flags.add("generate", generate,
            "generate this many tokens, the most likely each time");
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
        {"time", &entry.time},
        {"threads", &entry.threads},
        {"generate", &generate}}) {
    if (value->empty())
      continue;
    char *end;
    double number = std::strtod(value->c_str(), &end);
    if (*end || !(number >= 0) || number > 1e9)
      return flags.fail("expected --" + std::string(name) +
                        " to be a number that is not negative, got `" + *value +
                        "`");
  }

  if (!model.model.empty()) {
    if (!flags.positional.empty())
      return flags.fail("expected --model or a library, got both; see --help");
    if (model.weights.empty())
      return flags.fail("expected --weights beside --model; see --help");
    if (!parseTokens(tokens, model.tokens))
      return flags.fail(
          "expected --tokens to be numbers separated by commas, got `" +
          tokens + "`");
    model.generate = generate.empty() ? 0 : std::atoll(generate.c_str());
    if (!model.generate && model.logits.empty() && model.positions.empty())
      return flags.fail(
          "expected --generate, --logits or --positions; see --help");
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
