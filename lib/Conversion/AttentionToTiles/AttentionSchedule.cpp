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

void AttentionSchedule::startQueryBlocks(int64_t threads) {
  Value batches = getValueOrCreateConstantIndexOp(
      b, loc, op.getDimSize(b, loc, AttentionOp::B));
  int64_t queryBlock = strategy.getQueryBlock();
  Value blocks = ceilDiv(tiles.queries, queryBlock);
  gpu::LaunchOp launch = startLaunch(
      "attention", {index(op.getNumQueryHeads()), batches, blocks}, threads);
  // The heads of a block of queries run side by side; under a causal mask the
  // blocks with the most keys come first.
  Value block = launch.getBlockIds().z;
  if (op.getBand().second >= 0)
    block = sub(sub(launch.getGridSize().z, index(1)), block);
  firstQuery = mul(block, queryBlock);
  batch = launch.getBlockIds().y;
  head = launch.getBlockIds().x;
  tiles.enterBlock(batch, head, firstQuery);
  range = tiles.getKeyTiles(queryBlock, strategy.getKeyBlock());
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
  Value first = mul(tile, strategy.getKeyBlock());
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
