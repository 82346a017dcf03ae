//===- KernelModel.h - Cycles of a tile of attention ------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What each unit of a multiprocessor has to do for one tile of keys, or one
// step of position assignment, by its peak rate. docs/gpu-model.md says where
// the rates are from. No kernel was measured against it yet: the first run on a
// device confirms or refutes it.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_KERNELMODEL_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_KERNELMODEL_H

#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {

/// Cycles of a multiprocessor per block of threads and tile of keys.
struct TileCycles {
  /// Matrix unit, instructions issued, special functions, reads of shared
  /// memory, copies from the second-level cache.
  int64_t tensor, issue, special, shared, cache;
};

/// For heads of `headSize` channels in queries and keys, `valueSize` in values,
/// of 2 bytes.
TileCycles estimateTile(KernelStrategyAttr strategy, int64_t headSize,
                        int64_t valueSize, StringRef chip);

/// Cycles of a block of threads for a step of 64 channels of position
/// assignment; special functions come once, behind the last step.
TileCycles estimatePositionStep(PositionStrategyAttr strategy,
                                llvm::StringRef chip);

/// Bytes of shared memory of a block of position assignment.
int64_t getPositionSharedBytes(PositionStrategyAttr strategy, int64_t heads);

/// Cycles from the first block to the last where `tokens` tokens have their
/// positions assigned from `channels` channels by `columns` columns, as many
/// blocks at a time as there are multiprocessors.
int64_t estimatePositions(PositionStrategyAttr strategy, int64_t tokens,
                          int64_t channels, int64_t columns,
                          llvm::StringRef chip);

/// Shared memory that a block may take on a chip.
int64_t getSharedBytes(llvm::StringRef chip);

} // namespace mlir::repo

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_KERNELMODEL_H
