//===- HalfConversions.h - Conversions to 16-bit floats ---------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Code generation calls functions of the compiler's runtime library
// (`__truncsfbf2` and the like) for conversions the target has no instruction
// for. Whether a host has them depends on its libgcc, so a library brings its
// own.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_HALFCONVERSIONS_H
#define REPO_LIB_TARGET_HALFCONVERSIONS_H

#include "mlir/Support/LLVM.h"

namespace llvm {
class Module;
} // namespace llvm

namespace mlir {
namespace repo {

/// Adds hidden definitions of the conversions to a module that uses 16-bit
/// floats. The linker drops those that nobody calls. To be called after
/// optimization.
LogicalResult addHalfConversions(llvm::Module &module);

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_TARGET_HALFCONVERSIONS_H
