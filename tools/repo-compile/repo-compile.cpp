//===- repo-compile.cpp - The ahead-of-time compiler ----------------------===//
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
#include "CompileFile.h"

using namespace mlir::repo;

int main(int argc, char **argv) {
  FileRequest request;
  request.cpu = "native";
  std::string target = "cpu", chip, stopAfter, emit;
  repo_tools::Flags flags(
      "repo-compile",
      "usage: repo-compile FILE.mlir -o OUT [flags]\n"
      "Compiles IR ahead of time; `-o -` writes to the standard output.\n");
  flags.add("o", request.output,
            "output file; a header is written beside a library");
  flags.add("target", target, "cpu (default) or cuda", {"cpu", "cuda"});
  flags.add("cpu", request.cpu,
            "native (default) or a CPU name of LLVM, such as x86-64-v3");
  flags.add("features", request.features,
            "changes of the CPU's features, such as +amx-bf16");
  flags.add("chip", chip, "GPU architecture, such as sm_90a");
  flags.add("emit", emit, "mlir, llvm, asm, obj, so (default), ptx or cubin",
            {"mlir", "llvm", "asm", "obj", "so", "ptx", "cubin"});
  flags.add("stop-after", stopAfter,
            "print the IR after graph, schedule, tile, vector or llvm",
            {"graph", "schedule", "tile", "vector", "llvm"});
  flags.add("pipeline", request.options.pipeline, "cpu (default) or reference",
            {"cpu", "reference"});
  flags.add("save-temps", request.options.saveTemps,
            "folder for the IR after every stage");
  flags.add("sanitize", request.options.sanitize, "address, thread or both",
            {"address", "thread", "address,thread", "thread,address"});
  flags.add("report", request.report, "print what was decided, and why");
  if (int status = flags.parse(argc, argv); status >= 0)
    return status;
  if (flags.positional.size() != 1)
    return flags.fail("expected one input file, got " +
                      std::to_string(flags.positional.size()) + "; see --help");
  if (request.output.empty())
    return flags.fail("expected -o and an output path; see --help");
  if (target == "cuda" || emit == "ptx" || emit == "cubin") {
    llvm::errs()
        << "repo-compile: expected --target=cpu: this build has no GPU path\n";
    return 1;
  }
  request.input = flags.positional[0];
  request.emit = !emit.empty() ? emit : stopAfter.empty() ? "so" : "mlir";
  if (!stopAfter.empty())
    request.options.stopAfter = stopAfter;
  return compileFile(request);
}
