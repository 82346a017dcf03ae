//===- Driver.h - Files in, files out ---------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What repo-compile and the C API do: read a file of IR or a model directory,
// compile, write. A file is written whole or not at all.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DRIVER_DRIVER_H
#define REPO_DRIVER_DRIVER_H

#include "mlir/IR/Diagnostics.h"
#include "repo/Target/Compile.h"
#include <functional>

namespace mlir {
namespace repo {

struct DriverRequest {
  /// A file of IR ("-": standard input), or a model directory.
  std::string input;
  /// A file ("-": standard output), or the folder of a compiled model.
  std::string output;
  std::string cpu = "native", features;
  /// mlir, llvm, asm, obj or so; for a chip mlir, llvm, ptx or cubin.
  std::string emit = "so";
  /// Arithmetic of a model, f32 or bf16, and elements of its caches (empty: the
  /// same).
  std::string dtype = "f32", cacheDtype;
  bool report = false;
  /// Code for the matrix unit, whose instructions become calls.
  bool emulateMatrixUnit = false;
  /// pipeline, stopAfter, saveTemps and sanitize; the rest follows from the
  /// above.
  CompileOptions options;
  /// The text to compile instead of reading `input`, which then only names it.
  std::optional<std::string> source;
};

/// Takes one line of text per error or remark.
using MessageSink = std::function<void(StringRef)>;

/// Turns the diagnostics of a context into lines, while it lives. After the
/// first error nothing more is said: the rest follows from it.
class MessageCollector {
public:
  MessageCollector(MLIRContext &context, MessageSink sink);
  /// Reports an error, unless there was one; fails.
  LogicalResult fail(const Twine &message);

private:
  LogicalResult report(Diagnostic &diagnostic);

  MessageSink sink;
  bool failed = false;
  ScopedDiagnosticHandler handler;
};

/// Adds every dialect, extension and translation the compiler needs.
void registerEverything(DialectRegistry &registry);

/// Compiles one module: OUT, and a header beside a library or object.
LogicalResult compileFile(const DriverRequest &request, MessageSink message);

/// Compiles a model directory to OUT/{model.so, model.h, manifest.json}, and
/// kernels.cubin for GPUs; or, where `emit` is not "so", to the one file OUT.
LogicalResult compileModelDirectory(const DriverRequest &request,
                                    MessageSink message);

} // namespace repo
} // namespace mlir

#endif // REPO_DRIVER_DRIVER_H
