//===- CompileFile.cpp - Compile one file of IR ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CompileFile.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "repo/InitAll.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace mlir::repo;

static int fail(const Twine &message) {
  llvm::errs() << "repo-compile: " << message << "\n";
  return 1;
}

/// Prints the first error as `file:line:column: error: text`, on one line.
static LogicalResult printDiagnostic(Diagnostic &diagnostic, bool &printed) {
  if (diagnostic.getSeverity() != DiagnosticSeverity::Error) {
    llvm::errs() << diagnostic << "\n";
    return success();
  }
  if (printed)
    return success();
  printed = true;
  Location loc = diagnostic.getLocation();
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    llvm::errs() << file.getFilename().getValue() << ":" << file.getLine()
                 << ":" << file.getColumn() << ": ";
  else
    llvm::errs() << "repo-compile: ";
  std::string text;
  llvm::raw_string_ostream(text) << diagnostic;
  llvm::errs() << "error: " << StringRef(text).split('\n').first << "\n";
  return success();
}

/// Writes all of `bytes` to `path`, or nothing.
static int writeFile(StringRef path, StringRef bytes) {
  if (path == "-") {
    llvm::outs() << bytes;
    return 0;
  }
  SmallString<128> temporary;
  int descriptor;
  if (std::error_code error = llvm::sys::fs::createUniqueFile(
          path + ".%%%%%%.tmp", descriptor, temporary))
    return fail("cannot write `" + path + "`: " + error.message());
  llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream << bytes;
  stream.close();
  std::error_code error = stream.error();
  stream.clear_error();
  if (!error)
    error = llvm::sys::fs::rename(temporary, path);
  if (error) {
    llvm::sys::fs::remove(temporary);
    return fail("cannot write `" + path + "`: " + error.message());
  }
  return 0;
}

int mlir::repo::compileFile(const FileRequest &request) {
  CompileOptions options = request.options;
  std::string error;
  FailureOr<TargetDescription> target =
      describeTarget(request.cpu, request.features, error);
  if (failed(target))
    return fail(error);
  options.target = *target;
  options.emit = llvm::StringSwitch<EmitKind>(request.emit)
                     .Case("mlir", EmitKind::mlir)
                     .Case("llvm", EmitKind::llvm)
                     .Case("asm", EmitKind::assembly)
                     .Case("obj", EmitKind::object)
                     .Default(EmitKind::library);

  DialectRegistry registry;
  repo::registerAllDialects(registry);
  ::mlir::registerAllDialects(registry);
  registerAllExtensions(registry);
  registerCompilerDialects(registry);
  MLIRContext context(registry);
  bool printed = false;
  context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
    return printDiagnostic(diagnostic, printed);
  });

  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(request.input);
  if (!buffer)
    return fail("cannot read `" + request.input +
                "`: " + buffer.getError().message());
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return printed ? 1 : fail("`" + request.input + "` is not valid IR");
  if (!options.saveTemps.empty())
    if (std::error_code code =
            llvm::sys::fs::create_directories(options.saveTemps))
      return fail("cannot make `" + options.saveTemps + "`: " + code.message());

  CompileResult result;
  if (failed(compileModule(*module, options, result)))
    return printed ? 1 : fail("cannot compile `" + request.input + "`");
  bool withHeader =
      options.emit == EmitKind::library || options.emit == EmitKind::object;
  if (withHeader && request.output != "-") {
    SmallString<128> header(request.output);
    llvm::sys::path::replace_extension(header, "h");
    if (int status = writeFile(header, result.header))
      return status;
    if (int status = writeFile(request.output, result.output)) {
      llvm::sys::fs::remove(header);
      return status;
    }
    return 0;
  }
  return writeFile(request.output, result.output);
}
