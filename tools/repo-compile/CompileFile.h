//===- CompileFile.h - Compile one file of IR -------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TOOLS_REPO_COMPILE_COMPILEFILE_H
#define REPO_TOOLS_REPO_COMPILE_COMPILEFILE_H

#include "repo/Target/Compile.h"

namespace mlir::repo {

/// What the command line asks for.
struct FileRequest {
  std::string input, output, cpu, features, emit;
  bool report = false;
  CompileOptions options;
};

/// Compiles a file of IR and writes the output, and a header beside a library.
/// Returns the exit status; errors are one line on stderr, and leave no file.
int compileFile(const FileRequest &request);

} // namespace mlir::repo

#endif // REPO_TOOLS_REPO_COMPILE_COMPILEFILE_H
