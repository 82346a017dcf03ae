//===- FuseRows.cpp - Passes over the same rows become one ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ops on buffers are taken in order. One that reads what a group of ops wrote,
// row by row, joins the group if all in between may stay where it is. So a
// group is a run of ops in the block, and becomes one loop over rows at the
// end.
//
//===----------------------------------------------------------------------===//

#include "RowGroup.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Conversion/Passes.h"
#include <list>

namespace mlir::repo {
#define GEN_PASS_DEF_FUSEROWS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

namespace {
class RowFuser {
public:
  explicit RowFuser(Block &block) : block(block) {}
  /// Returns how many loops over rows were made; says of each what it holds.
  unsigned run(bool report);

private:
  void add(Operation *op);
  bool join(Group &group, ArrayRef<Operation *> ops);
  void mergeInto(std::list<Group>::iterator group);
  /// The ops that belong together with `op`: zeros its sums begin with.
  SmallVector<Operation *> withStart(Operation *op);

  Block &block;
  /// In the order in which they stand in the block.
  std::list<Group> groups;
  /// Where loops over rows read theirs.
  llvm::DenseMap<Value, RowDims> wanted;
};
} // namespace

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

static Effects getAllEffects(ArrayRef<Operation *> ops) {
  Effects effects;
  for (Operation *op : ops)
    effects.add(rows::getEffects(op));
  return effects;
}

/// Whether nothing from `from` up to `to` minds being passed by `moved`.
static bool canPass(const Effects &moved, Operation *from, Operation *to) {
  for (Operation *op = from; op != to; op = op->getNextNode())
    if (moved.conflictsWith(rows::getEffects(op)))
      return false;
  return true;
}

/// Collects in order what stands from `from` on and `op` needs, if that may
/// move: it touches no elements.
static bool collectNeeded(Operation *op, Operation *from,
                          SetVector<Operation *> &needed) {
  bool movable = true;
  op->walk([&](Operation *nested) {
    for (Value operand : nested->getOperands()) {
      Operation *source = operand.getDefiningOp();
      if (!source || source->getBlock() != from->getBlock() ||
          source->isBeforeInBlock(from) || needed.contains(source))
        continue;
      Effects effects = rows::getEffects(source);
      movable &= !effects.unknown && effects.reads.empty() &&
                 effects.writes.empty() && collectNeeded(source, from, needed);
      needed.insert(source);
    }
  });
  return movable;
}

/// Moves `ops`, which follow, behind `last`, or the ops of `group` to them.
static bool bringTogether(ArrayRef<Operation *> group,
                          ArrayRef<Operation *> ops) {
  Operation *last = group.back(), *first = ops.front();
  Operation *next = last->getNextNode();
  if (canPass(getAllEffects(group), next, first)) {
    for (Operation *op : group)
      op->moveBefore(first);
    return true;
  }
  if (!canPass(getAllEffects(ops), next, first))
    return false;
  SetVector<Operation *> needed;
  for (Operation *op : ops)
    if (!collectNeeded(op, next, needed))
      return false;
  Operation *place = last;
  for (Operation *op : needed) {
    op->moveAfter(place);
    place = op;
  }
  for (Operation *op : ops) {
    op->moveAfter(place);
    place = op;
  }
  return true;
}

SmallVector<Operation *> RowFuser::withStart(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !linalgOp.getNumReductionLoops() ||
      linalgOp.getNumDpsInits() != 1)
    return {op};
  Value init = linalgOp.getDpsInits()[0], root = getRoot(init);
  for (Operation *before = op->getPrevNode(); before;
       before = before->getPrevNode()) {
    auto fill = dyn_cast<linalg::FillOp>(before);
    if (fill && fill.getOutputs()[0] == init) {
      fill->moveBefore(op);
      return {fill, op};
    }
    if (rows::getEffects(before).touches(root))
      break;
  }
  return {op};
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

bool RowFuser::join(Group &group, ArrayRef<Operation *> ops) {
  Group joined = group;
  // What the last of the ops reads says which of its loops run over rows.
  for (Operation *op : llvm::reverse(ops))
    if (!joined.take(op))
      return false;
  if (joined.getRowBytes() > Group::maxRowBytes ||
      !bringTogether(group.ops, ops))
    return false;
  joined.ops = group.ops;
  joined.ops.append(ops.begin(), ops.end());
  group = std::move(joined);
  return true;
}

void RowFuser::mergeInto(std::list<Group>::iterator group) {
  for (auto other = groups.begin(); other != group;) {
    Group merged = *group;
    if (other->isReadBy(*group) && merged.take(*other) &&
        merged.getRowBytes() <= Group::maxRowBytes &&
        canPass(getAllEffects(other->ops), other->ops.back()->getNextNode(),
                group->ops.front())) {
      for (Operation *op : other->ops)
        op->moveBefore(group->ops.front());
      merged.ops = other->ops;
      merged.ops.append(group->ops);
      *group = std::move(merged);
      other = groups.erase(other);
      continue;
    }
    ++other;
  }
}

void RowFuser::add(Operation *op) {
  SmallVector<Operation *> ops = withStart(op);
  Effects effects = getAllEffects(ops);
  for (auto group = groups.end(); group != groups.begin();) {
    --group;
    if (!group->isReadBy(effects) || !join(*group, ops))
      continue;
    // It stands where the ops were, or where it was: in order again.
    groups.splice(llvm::find_if(groups,
                                [&](const Group &other) {
                                  return &other != &*group &&
                                         group->ops.back()->isBeforeInBlock(
                                             other.ops.front());
                                }),
                  groups, group);
    return mergeInto(group);
  }
  if (std::optional<Group> group = Group::start(op, wanted)) {
    for (Operation *other : ops)
      if (other != op && !group->take(other))
        return;
    group->ops = std::move(ops);
    groups.push_back(std::move(*group));
  }
}

unsigned RowFuser::run(bool report) {
  SmallVector<Operation *> ops;
  for (Operation &op : block)
    if (isa<scf::ForallOp>(op) ||
        (isa<linalg::LinalgOp>(op) && !isa<linalg::FillOp>(op)))
      ops.push_back(&op);
  for (Operation *op : ops)
    if (auto loop = dyn_cast<scf::ForallOp>(op))
      findWantedRows(loop, wanted);
  for (Operation *op : ops)
    add(op);
  unsigned made = 0;
  for (Group &group : groups)
    if (group.isWorthALoop()) {
      if (report && group.ops.size() > 1)
        group.ops.back()->emitRemark()
            << group.ops.size() << " ops on the same rows in one kernel";
      group.makeLoop();
      ++made;
    }
  return made;
}

namespace {
struct FuseRows : repo::impl::FuseRowsBase<FuseRows> {
  using FuseRowsBase::FuseRowsBase;
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        numLoops += RowFuser(function.getBody().front()).run(report);
  }
};
} // namespace
