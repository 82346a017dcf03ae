//===- AttentionSchedule.h - A kernel of one attention op -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the schedules of attention share: the launch, shared memory, copies of
// keys and values by threads.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H
#define REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H

#include "AttentionTiles.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::repo {

class AttentionSchedule {
public:
  AttentionSchedule(OpBuilder &builder, AttentionOp op)
      : b(builder), loc(op.getLoc()), op(op), tiles(builder, op),
        strategy(op.getKernelStrategyAttr()) {}

protected:
  /// A launch of blocks of `threads` threads, by the name FUNCTION_kindN; goes
  /// on in its body. The kernel takes its shared memory by `allocate`, and says
  /// how much with `finishLaunch`, which goes on behind it.
  gpu::LaunchOp startLaunch(llvm::StringRef kind, Value x, Value y, Value z,
                            int64_t threads);
  /// One block for each head, batch and block of queries.
  void startQueryBlocks(int64_t threads);
  void finishLaunch();

  /// Shared buffers and barriers of the block.
  MemRefType bufferType(int64_t stages, int64_t rows, int64_t columns);
  Value allocate(MemRefType type);
  Value allocateBarriers(int64_t stages, int64_t arrivals);
  /// Stages for tiles of keys and values.
  void allocateTiles(int64_t stages);
  /// Starts to copy a tile of keys and values, if it is before `end`, by
  /// `threads` threads, or by every warp for itself, as one group of copies.
  /// Who counts groups needs one for a tile that is not there, too.
  void copyTile(Value tile, Value end, Value stage, int64_t threads, bool warp,
                bool isCounted);
  /// What the thread wrote to shared memory becomes visible to wgmma, which
  /// reads it past the caches of ordinary accesses.
  void fenceProxy();
  /// The lanes of a warp see what each has done.
  void synchronizeWarp();

  OpBuilder &b;
  Location loc;
  AttentionOp op;
  AttentionTiles tiles;
  KernelStrategyAttr strategy;
  Value batch, head, firstQuery, thread;
  KeyTiles range;
  Value keyBuffer, valueBuffer;

private:
  gpu::LaunchOp launch;
  int64_t sharedBytes = 0;
};

/// A name that no launch of the function around an op has: FUNCTION_kindN.
std::string findKernelName(Operation *op, llvm::StringRef kind);

/// Schedules by `build` the ops on buffers whose strategy `takes`; returns how
/// many.
unsigned
scheduleAttention(ModuleOp module,
                  llvm::function_ref<bool(KernelStrategyAttr)> takes,
                  llvm::function_ref<void(OpBuilder &, AttentionOp)> build);

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONSCHEDULE_H
