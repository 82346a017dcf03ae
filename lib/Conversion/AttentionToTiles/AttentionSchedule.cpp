//===- AttentionSchedule.cpp - A kernel of one attention op ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

std::string mlir::repo::findKernelName(Operation *op, StringRef kind) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  unsigned number = 0;
  std::string prefix = (function.getName() + "_" + kind).str();
  function.walk([&](gpu::LaunchOp launch) {
    auto name = launch.getFunctionAttr();
    number += name && name.getValue().starts_with(prefix);
  });
  return prefix + std::to_string(number);
}

gpu::LaunchOp AttentionSchedule::startLaunch(StringRef kind, Value x, Value y,
                                             Value z, int64_t threads) {
  Value one = tiles.index(1);
  Value bytes = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  std::string name = findKernelName(op, kind);
  launch = gpu::LaunchOp::create(b, loc, x, y, z, tiles.index(threads), one,
                                 one, bytes);
  launch.setModuleAttr(FlatSymbolRefAttr::get(op.getContext(), "kernels"));
  launch.setFunctionAttr(FlatSymbolRefAttr::get(op.getContext(), name));
  b.setInsertionPointToStart(&launch.getBody().front());
  thread = launch.getThreadIds().x;
  return launch;
}

void AttentionSchedule::startQueryBlocks(int64_t threads) {
  Value batches = getValueOrCreateConstantIndexOp(
      b, loc, op.getDimSize(b, loc, AttentionOp::B));
  int64_t queryBlock = strategy.getQueryBlock();
  Value blocks = tiles.ceilDiv(tiles.queries, queryBlock);
  startLaunch("attention", tiles.index(op.getNumQueryHeads()), batches, blocks,
              threads);
  // The heads of a block of queries run side by side; under a causal mask the
  // blocks with the most keys come first.
  Value block = launch.getBlockIds().z;
  if (op.getBand().second >= 0)
    block = tiles.sub(tiles.sub(launch.getGridSize().z, tiles.index(1)), block);
  firstQuery = tiles.mul(block, queryBlock);
  batch = launch.getBlockIds().y;
  head = launch.getBlockIds().x;
  tiles.enterBlock(batch, head, firstQuery);
  range = tiles.getKeyTiles(queryBlock, strategy.getKeyBlock());
}

void AttentionSchedule::finishLaunch() {
  gpu::TerminatorOp::create(b, loc);
  auto bytes =
      launch.getDynamicSharedMemorySize().getDefiningOp<arith::ConstantOp>();
  bytes.setValueAttr(b.getI32IntegerAttr(sharedBytes));
  b.setInsertionPointAfter(launch);
}

MemRefType AttentionSchedule::bufferType(int64_t stages, int64_t rows,
                                         int64_t columns) {
  return MemRefType::get({stages, columns / panelColumns, rows, panelColumns},
                         tiles.element, AffineMap(),
                         gpu::AddressSpaceAttr::get(
                             op.getContext(), gpu::AddressSpace::Workgroup));
}

Value AttentionSchedule::allocate(MemRefType type) {
  int64_t offset = sharedBytes;
  sharedBytes += type.getDimSize(0) * getStageBytes(type);
  return SharedBufferOp::create(b, loc, type, offset);
}

Value AttentionSchedule::allocateBarriers(int64_t stages, int64_t arrivals) {
  int64_t offset = sharedBytes;
  sharedBytes += 8 * stages;
  return BarriersOp::create(
      b, loc, BarriersType::get(op.getContext(), stages, arrivals), offset);
}

void AttentionSchedule::allocateTiles(int64_t stages) {
  int64_t rows = strategy.getKeyBlock();
  keyBuffer = allocate(bufferType(stages, rows, tiles.headSize));
  valueBuffer = allocate(bufferType(stages, rows, tiles.valueSize));
}

void AttentionSchedule::copyTile(Value tile, Value end, Value stage,
                                 int64_t threads, bool warp, bool isCounted) {
  Value exists =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, tile, end);
  auto branch = scf::IfOp::create(b, loc, exists);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenYield());
  Value first = tiles.mul(tile, strategy.getKeyBlock());
  // Rows that no query of the block sees are zeros: what lies there, even NaN,
  // meets no result.
  TileRows keys = tiles.getKeyRows(first, range),
           values = tiles.getValueRows(first, range);
  CopyAsyncOp::create(b, loc, keys.matrix, keys.row, keys.from, keys.to,
                      keyBuffer, stage, threads, warp);
  CopyAsyncOp::create(b, loc, values.matrix, values.row, values.from, values.to,
                      valueBuffer, stage, threads, warp, values.where);
  if (isCounted)
    b.setInsertionPointAfter(branch);
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
}

void AttentionSchedule::fenceProxy() {
  NVVM::FenceProxyOp::create(
      b, loc,
      NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(b.getContext(),
                                 NVVM::SharedSpace::shared_cta));
}

void AttentionSchedule::synchronizeWarp() {
  Value all = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  NVVM::SyncWarpOp::create(b, loc, all);
}

unsigned mlir::repo::scheduleAttention(
    ModuleOp module, function_ref<bool(KernelStrategyAttr)> takes,
    function_ref<void(OpBuilder &, AttentionOp)> build) {
  SmallVector<AttentionOp> ops;
  module.walk([&](AttentionOp op) {
    KernelStrategyAttr strategy = op.getKernelStrategyAttr();
    if (strategy && op->getNumResults() == 0 && takes(strategy))
      ops.push_back(op);
  });
  for (AttentionOp op : ops) {
    OpBuilder builder(op);
    build(builder, op);
    SmallVector<Operation *> views = {op.getKey().getDefiningOp(),
                                      op.getValue().getDefiningOp()};
    op.erase();
    eraseUnusedViews(views);
  }
  return ops.size();
}
