//===- RowReductions.cpp - Sums of the elements of a row ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowKernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

Value RowKernel::combine(Operation *combiner, Value a, Value c) {
  IRMapping values;
  values.map(combiner->getOperand(0), a);
  values.map(combiner->getOperand(1), c);
  return b.clone(*combiner, values)->getResult(0);
}

Value RowKernel::combineWarp(Operation *combiner, Value value) {
  for (int32_t distance = warpSize / 2; distance > 0; distance /= 2) {
    auto other = gpu::ShuffleOp::create(b, loc, value, distance, warpSize,
                                        gpu::ShuffleMode::XOR);
    value = combine(combiner, value, other.getShuffleResult());
  }
  return value;
}

Value RowKernel::combineBlock(Operation *combiner, Value value) {
  value = combineWarp(combiner, value);
  int64_t warps = threads / warpSize;
  if (warps == 1)
    return value;
  auto space =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  Value parts = launch.addWorkgroupAttribution(
      MemRefType::get({warps}, value.getType(), AffineMap(), space), loc);
  Value lane = make<arith::RemUIOp>(thread, index(warpSize));
  Value warp = make<arith::DivUIOp>(thread, index(warpSize));
  onlyIf(lane, index(0),
         [&] { memref::StoreOp::create(b, loc, value, parts, warp); });
  barrier();
  // In order of the warps, so that all threads have the same bits.
  Value total;
  for (int64_t i = 0; i < warps; ++i) {
    Value part = memref::LoadOp::create(b, loc, parts, index(i));
    total = total ? combine(combiner, total, part) : part;
  }
  return total;
}

void RowKernel::onlyIf(Value number, Value wanted, function_ref<void()> body) {
  Value condition =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, number, wanted);
  auto guarded = scf::IfOp::create(b, loc, condition);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(guarded.thenYield());
  body();
}

Value RowKernel::addUnit(linalg::LinalgOp op, Value unit, Value sum) {
  const Plan &plan = planner.get(op);
  SmallVector<Value> coordinates = getCoordinates(op, plan, unit);
  SmallVector<Lanes> inputs;
  for (OpOperand *operand : op.getDpsInputOperands())
    inputs.push_back(load(*operand, coordinates, plan));
  for (int64_t lane = 0; lane < plan.width; ++lane) {
    SmallVector<Value> arguments;
    for (const Lanes &lanes : inputs)
      arguments.push_back(lanes[lane]);
    arguments.push_back(sum);
    sum = run(op, arguments, atLane(plan, coordinates, lane))[0];
  }
  return sum;
}

Value RowKernel::sumUnits(linalg::LinalgOp op, Value first, int64_t step,
                          Value sum) {
  int64_t units = planner.get(op).units;
  if (units % step == 0 && units / step <= maxUnrolled) {
    for (int64_t i = 0; i < units / step; ++i)
      sum =
          addUnit(op,
                  first == thread ? unitNumbers[i]
                                  : make<arith::AddIOp>(first, index(i * step)),
                  sum);
    return sum;
  }
  auto each = scf::ForOp::create(b, loc, first, index(units), index(step), sum);
  inside(each.getBody(), [&] {
    scf::YieldOp::create(
        b, loc, addUnit(op, each.getInductionVar(), each.getRegionIterArg(0)));
  });
  return each.getResult(0);
}

void RowKernel::writeReduction(linalg::LinalgOp op) {
  Operation *combiner = getCombiner(op);
  OpOperand &init = op.getDpsInitsMutable()[0];
  Value neutral =
      arith::ConstantOp::create(b, loc, *arith::getNeutralElement(combiner));
  Value sum = combineBlock(combiner, sumUnits(op, thread, threads, neutral));
  SmallVector<Value> coordinates(op.getNumLoops(), index(0));
  if (isScalar(getRoot(init.get()))) {
    scalars[getRoot(init.get())] = addStart(op, sum, coordinates);
    return;
  }
  // What is there before is read by the thread that then writes.
  onlyIf(thread, index(0), [&] {
    memref::StoreOp::create(b, loc, addStart(op, sum, coordinates),
                            map(init.get()), getIndices(init, coordinates));
  });
}

Value RowKernel::addStart(linalg::LinalgOp op, Value sum,
                          ArrayRef<Value> coordinates) {
  Operation *combiner = getCombiner(op);
  OpOperand &init = op.getDpsInitsMutable()[0];
  if (linalg::FillOp fill = planner.getStart(op)) {
    Value start = fill.getInputs()[0];
    Attribute number;
    return matchPattern(start, m_Constant(&number)) &&
                   number == Attribute(*arith::getNeutralElement(combiner))
               ? sum
               : combine(combiner, map(start), sum);
  }
  Value start = scalars.lookup(getRoot(init.get()));
  if (!start)
    start = memref::LoadOp::create(b, loc, map(init.get()),
                                   getIndices(init, coordinates));
  return combine(combiner, start, sum);
}

void RowKernel::writeReductions(linalg::LinalgOp op) {
  const Plan &plan = planner.get(op);
  Operation *combiner = getCombiner(op);
  OpOperand &init = op.getDpsInitsMutable()[0];
  Value neutral =
      arith::ConstantOp::create(b, loc, *arith::getNeutralElement(combiner));
  Value lane = make<arith::RemUIOp>(thread, index(warpSize));
  Value warp = make<arith::DivUIOp>(thread, index(warpSize));
  auto each = scf::ForOp::create(b, loc, warp, index(plan.results),
                                 index(threads / warpSize));
  inside(each.getBody(), [&] {
    SmallVector<Value> numbers =
        delinearize(each.getInductionVar(), plan.resultCounts);
    for (auto [number, value] : llvm::zip_equal(plan.resultLoops, numbers))
      outerIndices[number] = value;
    Value sum = combineWarp(combiner, sumUnits(op, lane, warpSize, neutral));
    onlyIf(lane, index(0), [&] {
      SmallVector<Value> coordinates(op.getNumLoops(), index(0));
      for (auto [number, value] : outerIndices)
        coordinates[number] = value;
      memref::StoreOp::create(b, loc, addStart(op, sum, coordinates),
                              map(init.get()), getIndices(init, coordinates));
    });
    outerIndices.clear();
  });
}
