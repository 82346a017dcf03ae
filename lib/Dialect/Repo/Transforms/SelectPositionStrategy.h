//===- SelectPositionStrategy.h - Positions by matrix units -----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_SELECTPOSITIONSTRATEGY_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_SELECTPOSITIONSTRATEGY_H

#include "mlir/IR/BuiltinOps.h"

namespace mlir::repo {

/// Gives every `repo.assign_positions` on tensors that the matrix units of a
/// chip can compute a kernel strategy, unless it has one, and an output.
/// Returns how many were chosen; fails where a strategy that is there does not
/// fit.
FailureOr<int64_t> selectPositionStrategies(ModuleOp module,
                                            llvm::StringRef chip, bool report);

} // namespace mlir::repo

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_SELECTPOSITIONSTRATEGY_H
