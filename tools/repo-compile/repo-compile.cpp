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
#include "repo/Driver/Driver.h"
#include "repo/Pipelines/Pipelines.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir::repo;

int main(int argc, char **argv) {
  DriverRequest request;
  std::string target = "cpu", chip, stopAfter, emit, model, dtype, skip,
              emulate;
  repo_tools::Flags flags("repo-compile",
                          "usage: repo-compile FILE.mlir -o OUT [flags]\n"
                          "       repo-compile --model=DIR -o OUTDIR [flags]\n"
                          "Compiles IR, or a model in a Hugging Face "
                          "directory, ahead of time. `-o -` writes\n"
                          "to the standard output.\n");
  flags.add("o", request.output,
            "output file (a header is written beside a library) or folder");
  flags.add("model", model, "folder with config.json and the weights");
  flags.add("dtype", dtype,
            "arithmetic of a model: f32 (default on a CPU), weights as they "
            "are; or bf16 matrices (default on a GPU)",
            {"f32", "bf16"});
  flags.add("cache-dtype", request.cacheDtype,
            "elements of a model's caches: f32 or bf16; default: as --dtype",
            {"f32", "bf16"});
  flags.add("target", target, "cpu (default) or cuda", {"cpu", "cuda"});
  flags.add("cpu", request.cpu,
            "native (default) or a CPU name of LLVM, such as x86-64-v3");
  flags.add("features", request.features,
            "changes of the CPU's features, such as +amx-bf16");
  flags.add(
      "chip", chip,
      "GPU architecture: sm_80 (default) or a later one, such as sm_90a; a "
      "library takes several, separated by commas");
  flags.addOptional("emulate", emulate, "kernels",
                    "make a library that runs the kernels of a GPU on the CPU, "
                    "in repo-run; tiles: as sequential loops over their tiles; "
                    "amx: tile instructions as calls, on any CPU",
                    {"kernels", "tiles", "amx"});
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
  flags.add("skip", skip,
            "optional passes to leave out, such as repo-parallelize: slower, "
            "never wrong");
  flags.add("timing", request.options.timing,
            "print where the time of compiling went, pass by pass");
  flags.add("report", request.report, "print what was decided, and why");
  if (int status = flags.parse(argc, argv); status >= 0)
    return status;
  if (flags.positional.size() != (model.empty() ? 1 : 0))
    return flags.fail("expected one input file or --model, got " +
                      std::to_string(flags.positional.size()) +
                      " files; see --help");
  if (request.output.empty())
    return flags.fail("expected -o and an output path; see --help");
  for (llvm::StringRef name : llvm::split(skip, ',')) {
    if (name.empty())
      continue;
    if (!llvm::is_contained(getOptionalCPUPasses(), name))
      return flags.fail("expected --skip to name optional passes (" +
                        llvm::join(getOptionalCPUPasses(), ", ") + "), got `" +
                        name.str() + "`");
    request.options.skip.push_back(name.str());
  }
  auto fail = [](llvm::StringRef line) {
    llvm::errs() << "repo-compile: " << line << "\n";
  };
  request.options.emulate = emulate == "kernels";
  request.options.sequential = emulate == "tiles";
  bool onCPU = request.options.emulate || request.options.sequential;
  request.emulateMatrixUnit = emulate == "amx";
  if (request.emulateMatrixUnit && target != "cpu")
    return flags.fail("expected --target=cpu with --emulate=amx");
  bool device = emit == "ptx" || emit == "cubin";
  if (target == "cpu" && (device || !chip.empty() || onCPU))
    return flags.fail("expected --target=cuda with --chip, --emulate, "
                      "--emit=ptx or --emit=cubin");
  if (target == "cuda") {
    if (onCPU && device) {
      fail("expected --emit=mlir, llvm, asm, obj or so with --emulate");
      return 1;
    }
    if (!onCPU && emit == "asm") {
      fail("expected --emit=mlir, llvm, ptx, cubin, obj or so with "
           "--target=cuda");
      return 1;
    }
    llvm::SmallVector<llvm::StringRef> chips;
    llvm::StringRef(chip).split(chips, ',', -1, /*KeepEmpty=*/false);
    request.options.chip = chips.empty() ? "sm_80" : chips.front().str();
    for (llvm::StringRef more : llvm::drop_begin(chips, chips.empty() ? 0 : 1))
      request.options.moreChips.push_back(more.str());
    if (!request.options.moreChips.empty() &&
        (device || emit == "mlir" || emit == "llvm" || onCPU ||
         !stopAfter.empty())) {
      fail("expected one chip, as only a library holds code for several");
      return 1;
    }
  }
  if (request.options.sequential && !model.empty())
    return flags.fail("expected a file of IR with --emulate=tiles");
  if (model.empty() && (!dtype.empty() || !request.cacheDtype.empty()))
    return flags.fail("expected --dtype and --cache-dtype beside --model");
  if (!dtype.empty() || target == "cuda")
    request.dtype = dtype.empty() ? "bf16" : dtype;
  request.input = model.empty() ? flags.positional[0] : model;
  request.emit = !emit.empty() ? emit : stopAfter.empty() ? "so" : "mlir";
  if (!stopAfter.empty())
    request.options.stopAfter = stopAfter;
  return failed(model.empty() ? compileFile(request, fail)
                              : compileModelDirectory(request, fail));
}
