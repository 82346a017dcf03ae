//===- TileSchedule.cpp - A kernel of tile ops ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileSchedule.h"
#include "../KernelLaunch.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

gpu::LaunchOp TileSchedule::startLaunch(StringRef kind, ArrayRef<Value> grid,
                                        int64_t threads) {
  Value bytes = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  launch = repo::startLaunch(b, loc, kind, grid, threads, bytes);
  thread = launch.getThreadIds().x;
  return launch;
}

void TileSchedule::finishLaunch() {
  gpu::TerminatorOp::create(b, loc);
  auto bytes =
      launch.getDynamicSharedMemorySize().getDefiningOp<arith::ConstantOp>();
  bytes.setValueAttr(b.getI32IntegerAttr(sharedBytes));
  b.setInsertionPointAfter(launch);
}

MemRefType TileSchedule::bufferType(int64_t stages, int64_t rows,
                                    int64_t columns) {
  return MemRefType::get(
      {stages, columns / panelColumns, rows, panelColumns}, element,
      AffineMap(),
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup));
}

Value TileSchedule::allocate(MemRefType type) {
  int64_t offset = sharedBytes;
  sharedBytes += type.getDimSize(0) * getStageBytes(type);
  return SharedBufferOp::create(b, loc, type, offset);
}

Value TileSchedule::allocateBarriers(int64_t stages, int64_t arrivals) {
  int64_t offset = sharedBytes;
  sharedBytes += 8 * stages;
  return BarriersOp::create(
      b, loc, BarriersType::get(b.getContext(), stages, arrivals), offset);
}

void TileSchedule::fenceProxy() {
  NVVM::FenceProxyOp::create(
      b, loc,
      NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(b.getContext(),
                                 NVVM::SharedSpace::shared_cta));
}

void TileSchedule::synchronizeWarp() {
  Value all = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(b, loc, all);
}
