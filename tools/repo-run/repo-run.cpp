//===- repo-run.cpp - Run compiled libraries ------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exit status: 0 success; 1 an error, explained in one line on stderr; 2 wrong usage.
//
//===----------------------------------------------------------------------===//

#include "../common/Flags.h"
#include "RunEntry.h"

int main(int argc, char **argv) {
  EntryRequest request;
  repo_tools::Flags flags(
      "repo-run",
      "usage: repo-run LIB.so --list\n"
      "       repo-run LIB.so --entry=NAME --inputs=in.safetensors [flags]\n"
      "Runs an entry of a compiled library on the tensors of a file.\n");
  flags.add("list", request.list, "list the entries and their tensors");
  flags.add("entry", request.entry, "the entry to run");
  flags.add("inputs", request.inputs, "safetensors file with the inputs");
  flags.add("outputs", request.outputs, "safetensors file to write the outputs to");
  flags.add("expect", request.expect, "safetensors file to compare the outputs with");
  flags.add("rtol", request.rtol, "tolerance relative to the expected value");
  flags.add("atol", request.atol, "absolute tolerance");
  flags.add("time", request.time, "time this many runs");
  flags.add("threads", request.threads, "number of threads");
  flags.add("json", request.json, "print results as JSON");
  if (int status = flags.parse(argc, argv); status >= 0)
    return status;
  if (flags.positional.size() != 1)
    return flags.fail("expected one library, got " +
                      std::to_string(flags.positional.size()) + "; see --help");
  request.library = flags.positional[0];
  if (!request.list && request.entry.empty())
    return flags.fail("expected --list or --entry; see --help");
  if (!request.list && request.inputs.empty())
    return flags.fail("expected --inputs beside --entry; see --help");
  for (auto &[name, value] : {std::pair<const char *, std::string *>("rtol", &request.rtol),
                              {"atol", &request.atol},
                              {"time", &request.time},
                              {"threads", &request.threads}}) {
    if (value->empty())
      continue;
    char *end;
    double number = std::strtod(value->c_str(), &end);
    if (*end || !(number >= 0) || number > 1e9)
      return flags.fail("expected --" + std::string(name) +
                        " to be a number that is not negative, got `" + *value + "`");
  }
  return runEntry(request);
}
