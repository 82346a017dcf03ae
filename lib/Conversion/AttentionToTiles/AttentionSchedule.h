//===- AttentionSchedule.h - A kernel of one attention op -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the schedules of attention share: blocks of queries, and copies of keys
// and values by threads.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H
#define REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H

#include "../TileSchedule/TileSchedule.h"
#include "AttentionTiles.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::repo {

class AttentionSchedule : protected TileSchedule {
public:
  AttentionSchedule(OpBuilder &builder, AttentionOp op)
      : TileSchedule(builder, op.getLoc(), getElementTypeOrSelf(op.getKey())),
        op(op), tiles(builder, op), strategy(op.getKernelStrategyAttr()) {}

protected:
  /// One block for each head, batch and block of queries.
  void startQueryBlocks(int64_t threads);
  /// Stages for tiles of keys and values.
  void allocateTiles(int64_t stages);
  /// Starts to copy a tile of keys and values, if it is before `end`, by
  /// `threads` threads, or by every warp for itself, as one group of copies.
  /// Who counts groups needs one for a tile that is not there, too.
  void copyTile(Value tile, Value end, Value stage, int64_t threads, bool warp,
                bool isCounted);

  AttentionOp op;
  AttentionTiles tiles;
  KernelStrategyAttr strategy;
  Value batch, head, firstQuery;
  KeyTiles range;
  Value keyBuffer, valueBuffer;
};

/// Schedules by `build` the ops on buffers whose strategy `takes`; returns how
/// many.
unsigned
scheduleAttention(ModuleOp module,
                  llvm::function_ref<bool(KernelStrategyAttr)> takes,
                  llvm::function_ref<void(OpBuilder &, AttentionOp)> build);

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H
