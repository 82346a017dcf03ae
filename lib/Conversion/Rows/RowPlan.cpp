//===- RowPlan.cpp - How threads share the elements of a row --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowPlan.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

static int64_t getBytes(Type element) {
  return element.isIndex()
             ? 8
             : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
}

/// Elements of a unit: 16 bytes of the smallest ones.
static int64_t chooseWidth(ArrayRef<linalg::LinalgOp> ops) {
  int64_t smallest = 4;
  for (linalg::LinalgOp op : ops)
    for (Value operand : op->getOperands())
      if (auto type = dyn_cast<MemRefType>(operand.getType()))
        smallest = std::min(smallest, getBytes(type.getElementType()));
  return accessBytes / std::max<int64_t>(smallest, 2);
}

Planner::Planner(scf::ForallOp loop, int64_t maxThreads) : loop(loop) {
  for (Operation &op : *loop.getBody())
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
      ops.push_back(linalgOp);
  int64_t width = chooseWidth(ops);
  for (linalg::LinalgOp op : ops) {
    plans[op] = makePlan(op, width);
    maxUnits = std::max(maxUnits, plans[op].units * plans[op].results);
    if (!op.getNumReductionLoops())
      continue;
    Value init = op.getDpsInits()[0], root = getRoot(init);
    for (Operation *before = op->getPrevNode(); before;
         before = before->getPrevNode()) {
      auto fill = dyn_cast<linalg::FillOp>(before);
      if (fill && fill.getOutputs()[0] == init)
        starts[op] = fill;
      if (getEffects(before).touches(root))
        break;
    }
  }
  flat = findFlat();
  if (!flat)
    narrow(std::min<int64_t>(maxThreads, llvm::alignTo(maxUnits, 32)));
}

/// Units of half the size where half of the threads would have none, unless
/// they find what they read in their registers.
void Planner::narrow(int64_t threads) {
  auto shares = [&](linalg::LinalgOp op, OpOperand &operand) {
    Access access = getAccess(operand, plans[op]);
    return llvm::any_of(ops, [&](linalg::LinalgOp other) {
      return other != op &&
             llvm::any_of(other->getOpOperands(), [&](OpOperand &its) {
               return isa<MemRefType>(its.get().getType()) &&
                      access == getAccess(its, plans[other]);
             });
    });
  };
  for (linalg::LinalgOp op : ops) {
    Plan &plan = plans[op];
    while (!op.getNumReductionLoops() && plan.width > 1 &&
           plan.units * 2 <= threads && plan.units > 1 &&
           llvm::none_of(op->getOpOperands(), [&](OpOperand &operand) {
             return isa<MemRefType>(operand.get().getType()) &&
                    shares(op, operand);
           })) {
      plan.width /= 2;
      plan.units *= 2;
      plan.counts.back() *= 2;
    }
  }
}

Plan Planner::makePlan(linalg::LinalgOp op, int64_t width) const {
  Plan plan;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  bool reduces = op.getNumReductionLoops() > 0;
  OpOperand *widest = &op.getDpsInitsMutable()[0];
  if (reduces)
    for (OpOperand *input : op.getDpsInputOperands())
      if (op.getRank(input) > op.getRank(widest) || op.isDpsInit(widest))
        widest = input;
  auto reductionLoop = [&](unsigned loop) {
    return kinds[loop] == utils::IteratorType::reduction;
  };
  auto addLoop = [&](unsigned loop) {
    if (ranges[loop] == 1)
      return;
    if (ShapedType::isDynamic(ranges[loop])) {
      plan.outer.push_back(loop);
    } else if (reduces && !reductionLoop(loop)) {
      plan.resultLoops.push_back(loop);
      plan.resultCounts.push_back(ranges[loop]);
      plan.results *= ranges[loop];
    } else {
      plan.loops.push_back(loop);
      plan.counts.push_back(ranges[loop]);
      plan.units *= ranges[loop];
    }
  };
  SmallVector<unsigned> order;
  for (AffineExpr expr : op.getMatchingIndexingMap(widest).getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      order.push_back(dim.getPosition());
  for (unsigned loop = 0; loop < ranges.size(); ++loop)
    if (!llvm::is_contained(order, loop))
      addLoop(loop);
  for (unsigned loop : order)
    addLoop(loop);
  if (plan.loops.empty())
    return plan;
  while (width > 1 && plan.counts.back() % width)
    width /= 2;
  plan.width = width;
  if (getStretch(*widest, plan) != Stretch::neighbours)
    plan.width = 1;
  plan.counts.back() /= plan.width;
  plan.units /= plan.width;
  return plan;
}

/// Whether pieces of `bytes` of the last dimension of a view lie at multiples
/// of it, if they do in its root and all strides not known here are multiples.
static bool keepsAlignment(Value view, int64_t bytes) {
  auto type = cast<MemRefType>(view.getType());
  int64_t elementBytes = getBytes(type.getElementType());
  auto [strides, offset] = type.getStridesAndOffset();
  if (strides.empty() || strides.back() != 1)
    return false;
  for (auto [dim, stride] : llvm::enumerate(ArrayRef(strides).drop_back()))
    if (!ShapedType::isDynamic(stride) && type.getDimSize(dim) != 1 &&
        stride * elementBytes % bytes)
      return false;
  auto op = view.getDefiningOp<ViewLikeOpInterface>();
  if (!op) {
    // Strides of sizes known later are multiples of the last size.
    return !type.getLayout().isIdentity() ||
           (!type.isDynamicDim(type.getRank() - 1) &&
            (type.getRank() == 1 ||
             type.getShape().back() * elementBytes % bytes == 0));
  }
  if (auto subview = dyn_cast<memref::SubViewOp>(op.getOperation())) {
    auto first = getConstantIntValue(subview.getMixedOffsets().back());
    if (!first || *first * elementBytes % bytes ||
        subview.getDroppedDims().any())
      return false;
  } else if (!isa<memref::ExpandShapeOp, memref::CollapseShapeOp,
                  memref::CastOp>(op)) {
    return false;
  }
  return keepsAlignment(op.getViewSource(), bytes);
}

Stretch Planner::getStretch(OpOperand &operand, const Plan &plan) const {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  if (!type || plan.loops.empty())
    return Stretch::same;
  auto op = cast<linalg::LinalgOp>(operand.getOwner());
  AffineMap map = op.getMatchingIndexingMap(&operand);
  unsigned inner = plan.loops.back();
  if (!map.isFunctionOfDim(inner))
    return Stretch::same;
  unsigned places = llvm::count_if(map.getResults(), [&](AffineExpr expr) {
    return expr.isFunctionOfDim(inner);
  });
  int64_t bytes =
      std::min(accessBytes, plan.width * getBytes(type.getElementType()));
  return places == 1 && isa<AffineDimExpr>(map.getResults().back()) &&
                 map.getResults().back().isFunctionOfDim(inner) &&
                 keepsAlignment(operand.get(), bytes)
             ? Stretch::neighbours
             : Stretch::apart;
}

Access Planner::getAccess(OpOperand &operand, const Plan &plan) const {
  Access access;
  access.buffer = operand.get().getAsOpaquePointer();
  access.counts = plan.counts;
  access.width = plan.width;
  auto op = cast<linalg::LinalgOp>(operand.getOwner());
  // Where lanes of warps or loops around share the work, no two are equal.
  if (!plan.outer.empty() || plan.results > 1)
    return access;
  MLIRContext *context = op->getContext();
  SmallVector<AffineExpr> dims(op.getNumLoops(),
                               getAffineConstantExpr(0, context));
  for (auto [i, loop] : llvm::enumerate(plan.loops))
    dims[loop] = getAffineDimExpr(i, context);
  access.map = op.getMatchingIndexingMap(&operand).replaceDimsAndSymbols(
      dims, {}, plan.loops.size(), 0);
  return access;
}

bool Planner::findFlat() const {
  llvm::DenseMap<Value, SmallVector<std::pair<Access, bool>>> accesses;
  for (Operation &op : *scf::ForallOp(loop).getBody()) {
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    if (!linalgOp) {
      if (isa<memref::LoadOp, scf::IfOp>(op))
        return false;
      continue;
    }
    const Plan &plan = get(linalgOp), &first = get(ops[0]);
    if (linalgOp.getNumReductionLoops() || !plan.outer.empty() ||
        plan.counts != first.counts || plan.width != first.width)
      return false;
    for (OpOperand &operand : op.getOpOperands())
      if (isa<MemRefType>(operand.get().getType()))
        accesses[getRoot(operand.get())].push_back(
            {getAccess(operand, plan), linalgOp.isDpsInit(&operand)});
  }
  for (auto &[root, list] : accesses) {
    bool isWritten =
        llvm::any_of(list, [](const auto &access) { return access.second; });
    for (const auto &access : list)
      if (isWritten && !(access.first == list[0].first))
        return false;
  }
  return !ops.empty();
}
