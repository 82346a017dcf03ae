//===- SpecializedProducer.cpp - The warp that feeds the copy engine ------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SpecializedSchedule.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

/// The copy engine fills the stage of a use.
void SpecializedSchedule::fill(const Ring &ring, Value use, Value row) {
  waitEmpty(ring, use);
  Value zero = index(0);
  CopyTensorOp::create(b, loc, ring.map,
                       ValueRange{batch, tiles.getKeyHead(), zero, row, zero},
                       ring.buffer, stageOf(use), ring.full);
}

/// The copy engine knows where a tensor ends, but not which rows of it no query
/// of the block sees, where even NaN may lie. A tile with such rows is copied
/// by the warp, with zeros in their place.
void SpecializedSchedule::fillEdge(Value use, Value row) {
  std::pair<Ring *, TileRows> copies[] = {
      {&keys, tiles.getKeyRows(row, range)},
      {&values, tiles.getValueRows(row, range)}};
  for (auto &[ring, rows] : copies) {
    waitEmpty(*ring, use);
    CopyAsyncOp::create(b, loc, rows.matrix, rows.row, rows.from, rows.to,
                        ring->buffer, stageOf(use), /*threads=*/32,
                        /*warp=*/false, rows.where);
  }
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, 0);
  fenceProxy();
  synchronizeWarp();
  for (auto &[ring, rows] : copies)
    ArriveOp::create(b, loc, ring->full, stageOf(use));
}

void SpecializedSchedule::produce() {
  // One warp: what the others would do it does as fast.
  Value first = compare(arith::CmpIPredicate::ult, thread, index(32));
  auto branch = scf::IfOp::create(b, loc, first);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenYield());
  Value zero = index(0), one = index(1);
  for (int64_t i = 0; i != consumers(); ++i) {
    Value row = add(firstQuery, index(i * strategy.getRows()));
    CopyTensorOp::create(b, loc, queryMap,
                         ValueRange{batch, head, zero, row, zero}, queries,
                         index(i), queriesFull);
  }
  auto loop = scf::ForOp::create(b, loc, zero, count, one);
  b.setInsertionPointToStart(loop.getBody());
  Value use = loop.getInductionVar(), row = keyOf(use);
  int64_t keyBlock = strategy.getKeyBlock();
  // Behind the last key lies no row, or one that must not be read.
  Value end = arith::SelectOp::create(
      b, loc, compare(arith::CmpIPredicate::eq, range.lastKey, tiles.keys),
      add(range.lastKey, keyBlock - 1), range.lastKey);
  Value inside = arith::AndIOp::create(
      b, loc, compare(arith::CmpIPredicate::sge, row, range.firstKey),
      compare(arith::CmpIPredicate::sle, add(row, keyBlock), end));
  if (op.getMask())
    inside =
        arith::AndIOp::create(b, loc, inside, tiles.isTileSeen(tileOf(use)));
  auto choice = scf::IfOp::create(b, loc, TypeRange(), inside,
                                  /*withElseRegion=*/true);
  b.setInsertionPointToStart(choice.thenBlock());
  fill(keys, use, row);
  fill(values, use, row);
  b.setInsertionPointToStart(choice.elseBlock());
  fillEdge(use, row);
}
