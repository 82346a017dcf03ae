//===- AttentionSchedule.h - A kernel of one attention op -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the schedules of attention in blocks of queries share: the launch and
// shared memory.
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
  /// A launch of blocks of `threads` threads, one for each head, batch and
  /// block of queries; goes on in its body. The kernel takes its shared memory
  /// by `allocate`, and says how much with `finishLaunch`.
  void startLaunch(int64_t threads);
  void finishLaunch();

  /// Shared buffers and barriers of the block.
  MemRefType bufferType(int64_t stages, int64_t rows, int64_t columns);
  Value allocate(MemRefType type);
  Value allocateBarriers(int64_t stages, int64_t arrivals);
  /// What the thread wrote to shared memory becomes visible to wgmma, which
  /// reads it past the caches of ordinary accesses.
  void fenceProxy();

  OpBuilder &b;
  Location loc;
  AttentionOp op;
  AttentionTiles tiles;
  KernelStrategyAttr strategy;
  Value batch, head, firstQuery, thread;

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
