//===- Ptxas.cpp - PTX to cubin -------------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// ptxas succeeds on kernels that spill or whose matrix instructions it had to
// serialise, and only says so. Such kernels are errors here.
//
//===----------------------------------------------------------------------===//

#include "NVPTX.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

using namespace mlir;

/// What REPO_PTXAS names; otherwise the one of the PATH, or of a toolkit where
/// toolkits lie.
static FailureOr<std::string> findAssembler(ModuleOp module) {
  if (std::optional<std::string> named =
          llvm::sys::Process::GetEnv("REPO_PTXAS")) {
    if (llvm::sys::fs::can_execute(*named))
      return *named;
    return module.emitError("cannot run `ptxas`: REPO_PTXAS names `")
           << *named << "`, expected a program";
  }
  if (auto path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  if (auto path =
          llvm::sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *path;
  return module.emitError(
      "cannot find `ptxas`: expected it on the PATH, in /usr/local/cuda/bin or "
      "named by REPO_PTXAS (a CUDA toolkit has it, and the package "
      "nvidia-cuda-nvcc of PyPI)");
}

static std::string readFile(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : "";
}

/// Threads of a block and bytes of dynamic shared memory, where a launch of the
/// kernel says both as numbers.
static std::optional<std::pair<int64_t, int64_t>> findLaunch(ModuleOp module,
                                                             StringRef kernel) {
  std::optional<std::pair<int64_t, int64_t>> found;
  module.walk([&](gpu::LaunchFuncOp launch) {
    if (launch.getKernelName() != kernel)
      return;
    gpu::KernelDim3 block = launch.getBlockSizeOperandValues();
    APInt x, y, z, bytes(32, 0);
    Value dynamic = launch.getDynamicSharedMemorySize();
    if (matchPattern(block.x, m_ConstantInt(&x)) &&
        matchPattern(block.y, m_ConstantInt(&y)) &&
        matchPattern(block.z, m_ConstantInt(&z)) &&
        (!dynamic || matchPattern(dynamic, m_ConstantInt(&bytes))))
      found = {x.getSExtValue() * y.getSExtValue() * z.getSExtValue(),
               bytes.getSExtValue()};
  });
  return found;
}

/// Blocks that a multiprocessor holds at once (CUDA C++ programming guide,
/// "Technical specifications per compute capability"). Registers are given to
/// warps in units of 256; a block takes 1 KB of shared memory beside its own.
static int64_t getOccupancy(StringRef chip, int64_t threads, int64_t registers,
                            int64_t sharedBytes) {
  bool small = chip.starts_with("sm_86") || chip.starts_with("sm_89") ||
               chip.starts_with("sm_12");
  bool large = chip.starts_with("sm_9") || chip.starts_with("sm_10");
  int64_t maxThreads = small ? 1536 : 2048, maxBlocks = small ? 24 : 32;
  int64_t maxShared = (small ? 100 : large ? 228 : 164) << 10;
  int64_t warps = llvm::divideCeil(uint64_t(threads), 32);
  int64_t perWarp = llvm::alignTo(uint64_t(registers) * 32, 256);
  return std::min({maxBlocks, maxThreads / threads, 65536 / perWarp / warps,
                   maxShared / (sharedBytes + 1024)});
}

/// Judges what ptxas -v said; a kernel's lines follow its name.
static LogicalResult readDiagnostics(ModuleOp module, StringRef text,
                                     StringRef chip, bool report) {
  llvm::Regex name("Compiling entry function '([^']+)'"),
      spills("stack frame, ([0-9]+) bytes spill stores, ([0-9]+) bytes spill "
             "loads"),
      registers("Used ([0-9]+) registers"), shared("([0-9]+) bytes smem"),
      serialized("C75[0-9][0-9]");
  std::string kernel;
  unsigned stores = 0, loads = 0;
  for (StringRef line : llvm::split(text, '\n')) {
    SmallVector<StringRef> match;
    if (serialized.match(line))
      return module.emitError("ptxas: ") << line.trim().str();
    if (name.match(line, &match)) {
      kernel = match[1].str();
    } else if (spills.match(line, &match)) {
      (void)match[1].getAsInteger(10, stores);
      (void)match[2].getAsInteger(10, loads);
      if (stores + loads)
        return module.emitError("kernel `")
               << kernel << "` spills " << stores << " bytes";
    } else if (registers.match(line, &match)) {
      std::string count = match[1].str();
      std::string bytes = shared.match(line, &match) ? match[1].str() : "0";
      if (!report)
        continue;
      InFlightDiagnostic remark = module.emitRemark("kernel `");
      remark << kernel << "`: " << count << " registers, " << bytes
             << " bytes of shared memory, " << stores << " bytes of spills";
      if (auto launch = findLaunch(module, kernel)) {
        int64_t dynamic = launch->second;
        if (dynamic)
          remark << ", " << dynamic << " bytes of dynamic shared memory";
        remark << ", "
               << getOccupancy(chip, launch->first, std::stoll(count),
                               std::stoll(bytes) + dynamic)
               << " blocks of " << launch->first
               << " threads on a multiprocessor";
      }
    }
  }
  return success();
}

LogicalResult mlir::repo::assemblePTX(ModuleOp module, StringRef ptx,
                                      StringRef chip, bool report,
                                      std::string &cubin) {
  llvm::Regex external("\\.extern \\.func[^;]*");
  SmallVector<StringRef> match;
  if (external.match(ptx, &match))
    return module.emitError("kernels call a function that nobody defines: ")
           << match[0].str();
  FailureOr<std::string> assembler = findAssembler(module);
  if (failed(assembler))
    return failure();
  SmallString<128> input, output, log;
  int descriptor;
  if (llvm::sys::fs::createTemporaryFile("repo", "ptx", descriptor, input))
    return module.emitError("cannot make a temporary file");
  llvm::FileRemover removeInput(input);
  {
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
    stream << ptx;
    stream.flush();
    if (std::error_code code = stream.error()) {
      stream.clear_error();
      return module.emitError("cannot write `")
             << input << "`: " << code.message();
    }
  }
  if (llvm::sys::fs::createTemporaryFile("repo", "cubin", output))
    return module.emitError("cannot make a temporary file");
  llvm::FileRemover removeOutput(output);
  if (llvm::sys::fs::createTemporaryFile("repo", "log", log))
    return module.emitError("cannot make a temporary file");
  llvm::FileRemover removeLog(log);

  StringRef arguments[] = {*assembler,   "-v", "--warn-on-spills",
                           "--gpu-name", chip, "-o",
                           output,       input};
  std::optional<StringRef> redirects[] = {StringRef(), log.str(), log.str()};
  std::string error;
  int status = llvm::sys::ExecuteAndWait(*assembler, arguments, std::nullopt,
                                         redirects, 0, 0, &error);
  std::string text = readFile(log);
  if (status != 0) {
    StringRef line = StringRef(text).trim();
    for (StringRef candidate : llvm::split(text, '\n'))
      if (candidate.contains("error") || candidate.contains("fatal")) {
        line = candidate;
        break;
      }
    return module.emitError("ptxas failed: ")
           << (line.empty() ? StringRef(error) : line).str();
  }
  if (failed(readDiagnostics(module, text, chip, report)))
    return failure();
  cubin = readFile(output);
  return success();
}
