//===- TileSchedule.h - A kernel of tile ops --------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What all schedules of tiles share: the launch, and the shared memory of its
// blocks, which is handed out place by place.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_TILESCHEDULE_TILESCHEDULE_H
#define REPO_LIB_CONVERSION_TILESCHEDULE_TILESCHEDULE_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "repo/Support/IndexBuilder.h"

namespace mlir::repo {

class TileSchedule : public IndexBuilder {
protected:
  /// Shared buffers are of elements of type `element`.
  TileSchedule(OpBuilder &builder, Location loc, Type element)
      : IndexBuilder(builder, loc), element(element) {}

  /// A launch as by repo::startLaunch. The kernel takes its shared memory by
  /// `allocate`, and says how much with `finishLaunch`, which goes on behind
  /// it.
  gpu::LaunchOp startLaunch(StringRef kind, ArrayRef<Value> grid,
                            int64_t threads);
  void finishLaunch();

  /// Shared buffers and barriers of the block.
  MemRefType bufferType(int64_t stages, int64_t rows, int64_t columns);
  Value allocate(MemRefType type);
  Value allocateBarriers(int64_t stages, int64_t arrivals);

  /// What the thread wrote to shared memory becomes visible to wgmma, which
  /// reads it past the caches of ordinary accesses.
  void fenceProxy();
  /// The lanes of a warp see what each has done.
  void synchronizeWarp();

  /// Of the block.
  Value thread;

private:
  Type element;
  gpu::LaunchOp launch;
  int64_t sharedBytes = 0;
};

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_TILESCHEDULE_TILESCHEDULE_H
