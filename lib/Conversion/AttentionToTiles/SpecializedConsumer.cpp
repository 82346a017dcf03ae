//===- SpecializedConsumer.cpp - The warpgroups that multiply -------------===//
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

/// Two warpgroups take turns at starting products: while one computes a softmax
/// the matrix unit has the other's. Barrier 1 + i says that it is the turn of
/// warpgroup i.
void SpecializedSchedule::synchronize(Value barrier, int64_t threads,
                                      bool wait) {
  Value id = arith::IndexCastOp::create(b, loc, b.getI32Type(), barrier);
  Value all = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(threads));
  if (wait)
    NVVM::BarrierOp::create(b, loc, TypeRange(), id, all,
                            NVVM::BarrierReductionAttr(), Value());
  else
    NVVM::BarrierArriveOp::create(b, loc, id, all);
}

void SpecializedSchedule::takeTurn(Value member) {
  if (consumers() == 2)
    synchronize(add(member, 1), 256, /*wait=*/true);
}

void SpecializedSchedule::passTurn(Value member) {
  if (consumers() == 2)
    synchronize(sub(index(2), member), 256, /*wait=*/false);
}

/// Rotates the queries of the warpgroup where they lie.
void SpecializedSchedule::turnQueries(Value member) {
  if (!op.getQueryPositions())
    return;
  Value zero = index(0);
  Value row = add(firstQuery, mul(member, strategy.getRows()));
  Value loaded = LoadSharedOp::create(b, loc, tiles.operandType(tiles.headSize),
                                      queries, member, zero);
  // A lane stores where others of its warp have read.
  synchronizeWarp();
  StoreSharedOp::create(b, loc, tiles.rotate(loaded, row), queries, member,
                        zero);
  // Products read what all threads of the warpgroup wrote: they meet before the
  // first one, at the latest to take turns.
  fenceProxy();
  if (consumers() != 2)
    synchronize(add(member, 1), 128, /*wait=*/true);
}

Value SpecializedSchedule::startScores(Value use, Value member) {
  auto type = PendingType::get(op.getContext(),
                               tiles.accumulatorType(strategy.getKeyBlock()));
  return MmaAsyncOp::create(b, loc, type, queries, member, keys.buffer,
                            stageOf(use), Value(), /*transpose_b=*/true);
}

Value SpecializedSchedule::startSums(Value use, const Carried &carried) {
  auto type =
      PendingType::get(op.getContext(), tiles.accumulatorType(tiles.valueSize));
  return MmaAsyncOp::create(b, loc, type, carried.weights, Value(),
                            values.buffer, stageOf(use),
                            carried.state.accumulator, /*transpose_b=*/false);
}

/// The first tile: scores and their softmax.
SpecializedSchedule::Carried SpecializedSchedule::begin(Value member) {
  Value use = index(0);
  waitFull(keys, use);
  takeTurn(member);
  Value pending = startScores(use, member);
  passTurn(member);
  Value products = WaitMmaOp::create(b, loc, pending, Value(), 0);
  release(keys, use);
  Carried carried = {tiles.start(tiles.valueSize), Value()};
  Value row = add(firstQuery, mul(member, strategy.getRows()));
  Value scores = tiles.finishScores(products, row, keyOf(use), TileEdge::end);
  // There is nothing to scale yet.
  Value alpha, weights = tiles.weigh(scores, carried.state, &alpha);
  carried.weights = ConvertOp::create(
      b, loc, tiles.operandType(strategy.getKeyBlock()), weights);
  return carried;
}

SpecializedSchedule::Carried SpecializedSchedule::step(Value use, Value member,
                                                       const Carried &carried,
                                                       TileEdge edge) {
  Value before = sub(use, index(1));
  Carried next = carried;
  waitFull(keys, use);
  takeTurn(member);
  Value scoresPending = startScores(use, member);
  waitFull(values, before);
  Value sumsPending = startSums(before, carried);
  passTurn(member);
  Value products = WaitMmaOp::create(b, loc, scoresPending, Value(), 1);
  release(keys, use);
  Value row = add(firstQuery, mul(member, strategy.getRows()));
  Value scores = tiles.finishScores(products, row, keyOf(use), edge);
  Value alpha, weights = tiles.weigh(scores, next.state, &alpha);
  Value sums = WaitMmaOp::create(b, loc, sumsPending, next.state.sum, 0);
  release(values, before);
  next.state.accumulator = tiles.scaleRows(sums, alpha);
  next.weights = ConvertOp::create(
      b, loc, tiles.operandType(strategy.getKeyBlock()), weights);
  return next;
}

SpecializedSchedule::Carried SpecializedSchedule::loop(Value from, Value to,
                                                       Value member,
                                                       const Carried &carried,
                                                       TileEdge edge) {
  auto loop =
      scf::ForOp::create(b, loc, from, to, index(1), carried.toVector());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Carried next = step(loop.getInductionVar(), member,
                      Carried::of(loop.getRegionIterArgs()), edge);
  scf::YieldOp::create(b, loc, next.toVector());
  return Carried::of(loop.getResults());
}

void SpecializedSchedule::consume(Value member) {
  Value zero = index(0), one = index(1);
  WaitOp::create(b, loc, queriesFull, member, zero);
  turnQueries(member);
  // The first turn is warpgroup 0's, by grace of warpgroup 1; the last one that
  // is passed is taken, so that none is left over.
  auto onlyMember = [&](int64_t i, bool wait) {
    if (consumers() != 2)
      return;
    auto branch = scf::IfOp::create(
        b, loc, compare(arith::CmpIPredicate::eq, member, index(i)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenYield());
    synchronize(one, 256, wait);
  };
  onlyMember(1, /*wait=*/false);

  // Uses: the masked tiles at the end, the full ones, those that a window cuts.
  Value fullFrom = max(one, sub(range.last, range.lastFull));
  Value fullTo = max(fullFrom, sub(count, sub(range.firstFull, range.first)));
  Carried carried = begin(member);
  if (op.getBand().second >= 0)
    carried = loop(one, fullFrom, member, carried, TileEdge::band);
  carried = loop(fullFrom, fullTo, member, carried, TileEdge::none);
  if (op.getBand().first >= 0)
    carried = loop(fullTo, count, member, carried, TileEdge::band);

  Value before = sub(count, one);
  waitFull(values, before);
  Value pending = startSums(before, carried);
  carried.state.accumulator = WaitMmaOp::create(b, loc, pending, Value(), 0);
  onlyMember(0, /*wait=*/true);
  tiles.finish(carried.state, add(firstQuery, mul(member, strategy.getRows())));
}
