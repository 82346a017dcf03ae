//===- KernelLaunch.h - Launches with names ---------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_KERNELLAUNCH_H
#define REPO_LIB_CONVERSION_KERNELLAUNCH_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace mlir::repo {

/// A launch of blocks of `threads` threads, in a grid of up to three sizes; the
/// builder goes on in its body, which has no terminator yet. The kernel will be
/// outlined to the module `kernels` as FUNCTION_kindN, with the first N that is
/// free.
gpu::LaunchOp startLaunch(OpBuilder &b, Location loc, StringRef kind,
                          ArrayRef<Value> grid, int64_t threads,
                          Value sharedBytes = Value());

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_KERNELLAUNCH_H
