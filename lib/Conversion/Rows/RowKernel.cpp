//===- RowKernel.cpp - The threads of a block share a row -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowKernel.h"
#include "../KernelLaunch.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

static bool isOneElement(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  return type.hasStaticShape() && type.getNumElements() == 1;
}

bool rows::isScalar(Value buffer) {
  return buffer.getDefiningOp<memref::AllocOp>() && isOneElement(buffer);
}

RowKernel::RowKernel(scf::ForallOp loop, int64_t maxThreads)
    : loop(loop), planner(loop, maxThreads), b(loop), loc(loop.getLoc()),
      threads(maxThreads) {
  if (!planner.isFlat())
    threads = std::min<int64_t>(threads,
                                llvm::alignTo(planner.getMaxUnits(), warpSize));
}

//===----------------------------------------------------------------------===//
// Launch
//===----------------------------------------------------------------------===//

void RowKernel::startLaunch() {
  Value blocks;
  for (OpFoldResult bound : loop.getMixedUpperBound()) {
    sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, bound));
    blocks = blocks ? make<arith::MulIOp>(blocks, sizes.back()) : sizes.back();
  }
  int64_t units = planner.getMaxUnits();
  if (planner.isFlat()) {
    Value count = make<arith::MulIOp>(
        blocks, arith::ConstantIndexOp::create(b, loc, units));
    blocks = make<arith::CeilDivUIOp>(
        count, arith::ConstantIndexOp::create(b, loc, threads));
  }
  launch = repo::startLaunch(b, loc, "rows", blocks, threads);
  for (auto alloc : loop.getBody()->getOps<memref::AllocOp>())
    if (!isScalar(alloc))
      mapping.map(alloc.getResult(),
                  launch.addWorkgroupAttribution(alloc.getType(), loc));
  thread = launch.getThreadIds().x;
}

void RowKernel::mapRows(Value row) {
  SmallVector<Value> rows = loop.getInductionVars();
  for (size_t i = rows.size(); i-- > 0;) {
    Value number = row;
    if (i > 0) {
      number = make<arith::RemUIOp>(row, sizes[i]);
      row = make<arith::DivUIOp>(row, sizes[i]);
    }
    mapping.map(rows[i], number);
  }
}

LogicalResult RowKernel::build() {
  startLaunch();
  Value row = launch.getBlockIds().x;
  OpBuilder::InsertionGuard guard(b);
  if (planner.isFlat()) {
    int64_t units = planner.getMaxUnits();
    Value number =
        make<arith::AddIOp>(make<arith::MulIOp>(row, index(threads)), thread);
    Value count = index(units);
    for (Value size : sizes)
      count = make<arith::MulIOp>(count, size);
    Value inside =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, number, count);
    auto guarded = scf::IfOp::create(b, loc, inside);
    gpu::TerminatorOp::create(b, loc);
    b.setInsertionPoint(guarded.thenYield());
    flatUnit = make<arith::RemUIOp>(number, index(units));
    row = make<arith::DivUIOp>(number, index(units));
  } else {
    b.setInsertionPoint(gpu::TerminatorOp::create(b, loc));
  }
  mapRows(row);
  Value aligned = checkAlignment();
  if (!aligned)
    return writeBody(/*wide=*/true);
  auto choice = scf::IfOp::create(b, loc, aligned, /*withElseRegion=*/true);
  b.setInsertionPoint(choice.thenYield());
  if (failed(writeBody(/*wide=*/true)))
    return failure();
  b.setInsertionPoint(choice.elseYield());
  return writeBody(/*wide=*/false);
}

LogicalResult RowKernel::writeBody(bool isWide) {
  wide = isWide;
  scalars.clear();
  known.clear();
  accesses.clear();
  coordinatesOf.clear();
  unitNumbers.clear();
  unitNumbers[0] = thread;
  for (int64_t i = 1; i * threads < planner.getMaxUnits() && i < maxUnrolled;
       ++i)
    unitNumbers[i] = make<arith::AddIOp>(thread, index(i * threads));
  for (Operation &op : *loop.getBody())
    if (failed(write(&op)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

LogicalResult RowKernel::write(Operation *op) {
  loc = op->getLoc();
  if (isa<memref::AllocOp>(op) || op->hasTrait<OpTrait::IsTerminator>() ||
      planner.isStart(op))
    return success();
  if (auto view = dyn_cast<ViewLikeOpInterface>(op))
    if (isScalar(getRoot(view.getViewSource())))
      return success();
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp) {
    Effects effects = getEffects(op);
    if (effects.unknown || !effects.writes.empty())
      return op->emitOpError("expected a structured op, or one that writes no "
                             "memory, in a loop over rows");
    for (auto &[root, list] : accesses)
      if (effects.touches(root) && llvm::any_of(list, [](const auto &access) {
            return access.second;
          })) {
        barrier();
        break;
      }
    b.clone(*op, mapping);
    return success();
  }
  if (linalgOp.getNumReductionLoops() && !getCombiner(linalgOp))
    return op->emitOpError("expected a reduction by one op that has a neutral "
                           "element");
  const Plan &plan = planner.get(linalgOp);
  synchronize(linalgOp);
  if (linalgOp.getNumReductionLoops())
    plan.results == 1 ? writeReduction(linalgOp) : writeReductions(linalgOp);
  else
    writeElementwise(linalgOp);
  for (Value init : linalgOp.getDpsInits())
    forget(getRoot(init));
  known.insert(written.begin(), written.end());
  written.clear();
  return success();
}

SmallVector<Value> RowKernel::run(linalg::LinalgOp op,
                                  ArrayRef<Value> arguments,
                                  ArrayRef<Value> coordinates) {
  IRMapping values = mapping;
  values.map(op.getBlock()->getArguments(), arguments);
  for (Operation &nested : op.getBlock()->without_terminator()) {
    if (auto number = dyn_cast<linalg::IndexOp>(nested)) {
      values.map(number.getResult(), coordinates[number.getDim()]);
      continue;
    }
    b.clone(nested, values);
  }
  return llvm::map_to_vector(
      op.getBlock()->getTerminator()->getOperands(),
      [&](Value value) { return values.lookupOrDefault(value); });
}

void RowKernel::forUnits(int64_t units, function_ref<void(Value)> body) {
  if (flatUnit)
    return body(flatUnit);
  if (units % threads == 0 && units / threads <= maxUnrolled) {
    for (int64_t i = 0; i < units / threads; ++i)
      body(unitNumbers[i]);
    return;
  }
  auto each = scf::ForOp::create(b, loc, thread, index(units), index(threads));
  inside(each.getBody(), [&] { body(each.getInductionVar()); });
}

void RowKernel::inside(Block *block, function_ref<void()> body) {
  OpBuilder::InsertionGuard guard(b);
  // A loop with results has no terminator yet.
  if (block->mightHaveTerminator())
    b.setInsertionPoint(block->getTerminator());
  else
    b.setInsertionPointToEnd(block);
  auto knownOutside = known;
  auto coordinatesOutside = coordinatesOf;
  body();
  known = std::move(knownOutside);
  coordinatesOf = std::move(coordinatesOutside);
  written.clear();
}

void RowKernel::writeElementwise(linalg::LinalgOp op) {
  const Plan &plan = planner.get(op);
  // Values that all threads compute.
  if (op.getNumDpsInits() == 1 && isScalar(getRoot(op.getDpsInits()[0]))) {
    SmallVector<Value> arguments, coordinates(op.getNumLoops(), index(0));
    for (OpOperand &operand : op->getOpOperands())
      arguments.push_back(
          operand.get() == op.getDpsInits()[0] &&
                  !op.payloadUsesValueFromOperand(&operand)
              ? arith::ConstantOp::create(
                    b, loc, b.getZeroAttr(getElementTypeOrSelf(operand.get())))
                    .getResult()
              : load(operand, coordinates, plan)[0]);
    scalars[getRoot(op.getDpsInits()[0])] = run(op, arguments, coordinates)[0];
    return;
  }
  if (plan.outer.empty())
    return forUnits(plan.units, [&](Value unit) { writeUnit(op, unit); });
  OpBuilder::InsertionGuard guard(b);
  auto knownOutside = known;
  for (unsigned number : plan.outer) {
    Value size = getSize(op, number);
    auto each = scf::ForOp::create(b, loc, index(0), size, index(1));
    outerIndices[number] = each.getInductionVar();
    b.setInsertionPointToStart(each.getBody());
  }
  auto coordinatesOutside = coordinatesOf;
  forUnits(plan.units, [&](Value unit) { writeUnit(op, unit); });
  known = std::move(knownOutside);
  coordinatesOf = std::move(coordinatesOutside);
  written.clear();
  outerIndices.clear();
}

/// The size of a loop, from the first buffer that has it.
Value RowKernel::getSize(linalg::LinalgOp op, unsigned number) {
  for (OpOperand &operand : op->getOpOperands())
    for (auto [dim, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (expr == getAffineDimExpr(number, b.getContext()))
        return memref::DimOp::create(b, loc, map(operand.get()), dim);
  llvm_unreachable("every loop runs over a dimension of an operand");
}

void RowKernel::writeUnit(linalg::LinalgOp op, Value unit) {
  const Plan &plan = planner.get(op);
  SmallVector<Value> coordinates = getCoordinates(op, plan, unit);
  SmallVector<Lanes> inputs;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!op.isDpsInit(&operand) || op.payloadUsesValueFromOperand(&operand)) {
      inputs.push_back(load(operand, coordinates, plan));
      continue;
    }
    Value zero = arith::ConstantOp::create(
        b, loc, b.getZeroAttr(getElementTypeOrSelf(operand.get())));
    inputs.push_back(Lanes(plan.width, zero));
  }
  SmallVector<Lanes> results(op.getNumDpsInits());
  for (int64_t lane = 0; lane < plan.width; ++lane) {
    SmallVector<Value> arguments;
    for (const Lanes &lanes : inputs)
      arguments.push_back(lanes[lane]);
    SmallVector<Value> values =
        run(op, arguments, atLane(plan, coordinates, lane));
    for (auto [list, value] : llvm::zip_equal(results, values))
      list.push_back(value);
  }
  for (auto [init, values] : llvm::zip_equal(op.getDpsInitsMutable(), results))
    store(init, coordinates, plan, values);
}
