//===- EmulatedLibrary.h - Kernels as a library of the host -----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TARGET_EMULATEDLIBRARY_H
#define REPO_TARGET_EMULATEDLIBRARY_H

#include "repo/Target/TargetDescription.h"
#include <string>

namespace mlir::repo {

struct EmulatedLibraryOptions {
  TargetDescription target;
  /// Makes one mistake in the synchronisation of the kernels: a number below
  /// that of `listKernelMutations`, or -1.
  int mutation = -1;
};

/// From the text of kernels in LLVM IR for NVPTX, as `repo-compile
/// --emit=llvm` prints it, to a shared library that exports `repo_kernels`, an
/// image for the emulator.
LogicalResult compileEmulatedLibrary(StringRef text,
                                     const EmulatedLibraryOptions &options,
                                     std::string &library, std::string &error);

/// The mistakes that can be made in kernels, a line each.
LogicalResult listKernelMutations(StringRef text, std::string &lines,
                                  std::string &error);

} // namespace mlir::repo

#endif // REPO_TARGET_EMULATEDLIBRARY_H
