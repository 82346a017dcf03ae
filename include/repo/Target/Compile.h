//===- Compile.h - From a module to a library -------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ahead-of-time compiler behind repo-compile, the C API and Python: runs a
// pipeline in process and ends at any level, down to a shared library.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TARGET_COMPILE_H
#define REPO_TARGET_COMPILE_H

#include "mlir/IR/BuiltinOps.h"
#include "repo/Target/TargetDescription.h"

namespace mlir {
namespace repo {

enum class EmitKind { mlir, llvm, assembly, object, library, ptx, cubin };

struct CompileOptions {
  TargetDescription target;
  /// A GPU, such as sm_90a, or empty for a CPU.
  std::string chip;
  /// A library has code for these too.
  std::vector<std::string> moreChips;
  /// Kernels for the chip run on the CPU, by the emulator of the program that
  /// loads the library.
  bool emulate = false;
  /// Kernels for the chip run on the CPU as sequential loops over their tiles.
  bool sequential = false;
  /// Plain products of a GPU by cuBLASLt instead of kernels of our own.
  bool gemms = false;
  /// Entries of the CPU path are called with packed weights alone, as those of
  /// models are.
  bool packedOnly = false;
  /// "cpu" or "reference".
  std::string pipeline = "cpu";
  /// Where `EmitKind::mlir` stops: graph, schedule, tile, vector or llvm.
  std::string stopAfter = "llvm";
  EmitKind emit = EmitKind::library;
  /// A folder for the state after every stage, or empty.
  std::string saveTemps;
  /// "address", "thread" or both, separated by a comma; needs the sanitizer's
  /// runtime in the program that loads the library.
  std::string sanitize;
  /// Say by remarks what was decided, and why.
  bool report = false;
  /// Print on stderr where the time of compiling went, pass by pass.
  bool timing = false;
  /// Optional passes of the CPU path to leave out, by their flags.
  std::vector<std::string> skip;
};

struct CompileResult {
  /// Text or bytes of what `emit` asked for.
  std::string output;
  /// The C header that declares the entries.
  std::string header;
  /// The cubins in a library for GPUs, by chip.
  std::vector<std::pair<std::string, std::string>> cubins;
};

/// Compiles `module` in place. Failures are diagnostics of the context.
LogicalResult compileModule(ModuleOp module, const CompileOptions &options,
                            CompileResult &result);

/// Registers what translation to LLVM IR needs.
void registerCompilerDialects(DialectRegistry &registry);

/// The C header of a library with this manifest: C99, on its own.
std::string emitHeader(StringRef manifest);

} // namespace repo
} // namespace mlir

#endif // REPO_TARGET_COMPILE_H
