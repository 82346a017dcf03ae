//===- RowGroup.cpp - Ops that work row by row ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowGroup.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

static bool isBuffer(Value value) { return isa<MemRefType>(value.getType()); }

/// The dimension of a buffer that each of `loops` runs over by itself, in an
/// operand with indexing map `map`; none if one of them does not, or does more.
static std::optional<RowDims> findRows(AffineMap map,
                                       ArrayRef<unsigned> loops) {
  RowDims dims(loops.size(), -1);
  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
    for (auto [row, loop] : llvm::enumerate(loops)) {
      if (!expr.isFunctionOfDim(loop))
        continue;
      if (!isa<AffineDimExpr>(expr) || dims[row] >= 0)
        return std::nullopt;
      dims[row] = dim;
    }
  if (llvm::is_contained(dims, -1))
    return std::nullopt;
  return dims;
}

/// Whether row loops stand alone where they stand.
static bool standAlone(AffineMap map, ArrayRef<unsigned> loops) {
  return llvm::all_of(map.getResults(), [&](AffineExpr expr) {
    return isa<AffineDimExpr>(expr) || llvm::none_of(loops, [&](unsigned loop) {
             return expr.isFunctionOfDim(loop);
           });
  });
}

/// The loops of `op` that run over rows: those of its widest input up to the
/// last of unknown size, or else those around some thousand elements.
static SmallVector<unsigned> chooseRows(linalg::LinalgOp op) {
  constexpr int64_t maxStaticRow = 8192;
  OpOperand *widest = &op.getDpsInitsMutable()[0];
  int64_t rank = -1;
  for (OpOperand *input : op.getDpsInputOperands())
    if (auto type = dyn_cast<MemRefType>(input->get().getType()))
      if (type.getRank() > rank) {
        rank = type.getRank();
        widest = input;
      }
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  SmallVector<unsigned> loops;
  size_t known = 0;
  int64_t elements = 1;
  for (AffineExpr expr : op.getMatchingIndexingMap(widest).getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      if (kinds[dim.getPosition()] == utils::IteratorType::parallel)
        loops.push_back(dim.getPosition());
  for (size_t i = 0; i < loops.size(); ++i)
    if (ShapedType::isDynamic(ranges[loops[i]]))
      known = i + 1;
  if (known == 0) {
    known = loops.size();
    while (op.getNumReductionLoops() == 0 && known > 0 &&
           elements * ranges[loops[known - 1]] <= maxStaticRow)
      elements *= ranges[loops[--known]];
  }
  loops.truncate(known);
  llvm::erase_if(loops, [&](unsigned loop) { return ranges[loop] == 1; });
  return loops;
}

//===----------------------------------------------------------------------===//
// Taking ops
//===----------------------------------------------------------------------===//

/// The loops of `op` over the wanted rows of what it writes, if any.
static SmallVector<unsigned>
findWantedLoops(linalg::LinalgOp op,
                const llvm::DenseMap<Value, RowDims> &wanted) {
  for (OpOperand &init : op.getDpsInitsMutable()) {
    auto known = wanted.find(getRoot(init.get()));
    if (known == wanted.end())
      continue;
    std::optional<RowDims> dims = getViewRows(init.get(), known->second);
    SmallVector<unsigned> loops;
    for (int64_t dim : dims.value_or(RowDims()))
      if (auto loop = dyn_cast<AffineDimExpr>(
              op.getMatchingIndexingMap(&init).getResult(dim)))
        loops.push_back(loop.getPosition());
    if (loops.size() == known->second.size())
      return loops;
  }
  return {};
}

std::optional<Group>
Group::start(Operation *op, const llvm::DenseMap<Value, RowDims> &wanted) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !linalgOp.hasPureBufferSemantics() ||
      linalgOp.getNumDpsInits() == 0)
    return std::nullopt;
  SmallVector<unsigned> loops = findWantedLoops(linalgOp, wanted);
  if (loops.empty())
    loops = chooseRows(linalgOp);
  if (loops.empty() || loops.size() > 3)
    return std::nullopt;
  Group group;
  group.rank = loops.size();
  group.rowLoops[op] = loops;
  for (unsigned loop : loops)
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = linalgOp.getMatchingIndexingMap(&operand);
      auto *found = llvm::find(map.getResults(),
                               getAffineDimExpr(loop, op->getContext()));
      if (found == map.getResults().end())
        continue;
      group.sizes.push_back(
          {operand.get(), std::distance(map.getResults().begin(), found)});
      break;
    }
  if (group.sizes.size() != group.rank || !group.take(op))
    return std::nullopt;
  group.ops = {op};
  return group;
}

bool Group::take(Operation *op) {
  if (auto loop = dyn_cast<scf::ForallOp>(op))
    return takeLoop(loop);
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && takeStructured(linalgOp);
}

bool Group::take(const Group &other) {
  if (rank != other.rank)
    return false;
  for (auto &[root, dims] : other.rowsOf) {
    auto known = rowsOf.find(root);
    if (known == rowsOf.end() || known->second == dims) {
      rowsOf[root] = dims;
      continue;
    }
    if (isWritten(root) || other.isWritten(root))
      return false;
    others.insert(root.getAsOpaquePointer());
  }
  others.insert(other.others.begin(), other.others.end());
  for (auto &[op, loops] : other.rowLoops)
    rowLoops[op] = loops;
  effects.add(other.effects);
  // What is written is written and read by rows, or not touched by others.
  return llvm::none_of(effects.writes, [&](void *root) {
    return others.contains(root) &&
           (isKnown(Value::getFromOpaquePointer(root)));
  });
}

bool Group::takeStructured(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics())
    return false;
  SmallVector<unsigned> loops = rowLoops.lookup(op);
  for (OpOperand &operand : op->getOpOperands()) {
    if (!loops.empty())
      break;
    if (!isBuffer(operand.get()) || !isKnown(getRoot(operand.get())))
      continue;
    auto dims = getViewRows(operand.get(), rowsOf[getRoot(operand.get())]);
    if (!dims)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (int64_t dim : *dims) {
      auto expr = dyn_cast<AffineDimExpr>(map.getResult(dim));
      if (!expr)
        return false;
      loops.push_back(expr.getPosition());
    }
  }
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  if (loops.size() != rank || llvm::any_of(loops, [&](unsigned loop) {
        return llvm::count(loops, loop) > 1 ||
               kinds[loop] != utils::IteratorType::parallel;
      }))
    return false;
  if (!canShareRow(op, loops))
    return false;

  Effects added = getEffects(op);
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!isBuffer(operand.get()))
      continue;
    if (!standAlone(map, loops))
      return false;
    Value root = getRoot(operand.get());
    std::optional<RowDims> dims = findRows(map, loops);
    if (dims)
      dims = getRootRows(operand.get(), *dims);
    auto known = rowsOf.find(root);
    if (dims && (known == rowsOf.end() || known->second == *dims)) {
      rowsOf[root] = *dims;
      continue;
    }
    others.insert(root.getAsOpaquePointer());
  }
  effects.add(added);
  rowLoops[op] = loops;
  return llvm::none_of(effects.writes, [&](void *root) {
    Value buffer = Value::getFromOpaquePointer(root);
    bool isTouched = added.reads.contains(root) || added.writes.contains(root);
    return isTouched && (!isKnown(buffer) || others.contains(root));
  });
}

/// Whether a size is zero or one.
static bool isAtMostOne(OpFoldResult size) {
  if (std::optional<int64_t> number = getConstantIntValue(size))
    return *number >= 0 && *number <= 1;
  auto select = cast<Value>(size).getDefiningOp<arith::SelectOp>();
  return select && isAtMostOne(select.getTrueValue()) &&
         isAtMostOne(select.getFalseValue());
}

/// The dimensions of the root of `buffer` of which `op` takes the row at
/// `rows`, if it is a view that does.
static std::optional<RowDims> findRows(Operation *op, Value buffer,
                                       ArrayRef<Value> rows) {
  auto view = dyn_cast<memref::SubViewOp>(op);
  if (!view)
    return std::nullopt;
  SmallVector<OpFoldResult> offsets = view.getMixedOffsets(),
                            sizes = view.getMixedSizes();
  RowDims dims;
  for (Value row : rows) {
    auto *found = llvm::find(offsets, OpFoldResult(row));
    if (found == offsets.end() || !isAtMostOne(sizes[found - offsets.begin()]))
      return std::nullopt;
    dims.push_back(found - offsets.begin());
  }
  return getRootRows(buffer, dims);
}

void rows::findWantedRows(scf::ForallOp loop,
                          llvm::DenseMap<Value, RowDims> &wanted) {
  SmallVector<Value> rows = loop.getInductionVars();
  loop.walk([&](memref::SubViewOp view) {
    if (auto dims = findRows(view, view.getSource(), rows))
      wanted[getRoot(view.getSource())] = *dims;
  });
}

bool Group::takeLoop(scf::ForallOp loop) {
  if (loop.getNumResults() || loop.getMapping() || !loop.isNormalized() ||
      loop.getRank() != rank)
    return false;
  for (auto [bound, size] : llvm::zip_equal(loop.getMixedUpperBound(), sizes)) {
    FailureOr<bool> equal =
        ValueBoundsConstraintSet::areEqual({bound}, {size.first, size.second});
    if (failed(equal) || !*equal)
      return false;
  }
  Effects added = getEffects(loop);
  if (added.unknown || llvm::any_of(added.writes, [&](void *root) {
        return effects.touches(Value::getFromOpaquePointer(root));
      }))
    return false;
  SmallVector<Value> rows = loop.getInductionVars();
  WalkResult result = loop.walk([&](Operation *op) {
    if (op == loop || isa<scf::IfOp, scf::YieldOp>(op) ||
        op->hasTrait<OpTrait::IsTerminator>())
      return WalkResult::advance();
    if (auto copy = dyn_cast<linalg::LinalgOp>(op))
      return copy.getNumReductionLoops() || copy->getBlock() != loop.getBody()
                 ? WalkResult::interrupt()
                 : WalkResult::skip();
    if (!isMemoryEffectFree(op) && !isa<memref::LoadOp>(op))
      return WalkResult::interrupt();
    for (Value operand : op->getOperands()) {
      if (!isBuffer(operand) || isa<memref::DimOp>(op))
        continue;
      Value root = getRoot(operand);
      if (added.writes.contains(root.getAsOpaquePointer()))
        continue;
      std::optional<RowDims> dims = findRows(op, operand, rows);
      auto known = rowsOf.find(root);
      if (dims && (known == rowsOf.end() || known->second == *dims)) {
        rowsOf[root] = *dims;
        continue;
      }
      // Of what the group wrote, its own row alone.
      if (isWritten(root))
        return WalkResult::interrupt();
      others.insert(root.getAsOpaquePointer());
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return false;
  others.insert(added.writes.begin(), added.writes.end());
  effects.add(added);
  return true;
}

//===----------------------------------------------------------------------===//
// What a group is worth
//===----------------------------------------------------------------------===//

bool Group::isReadBy(const Effects &other) const {
  return llvm::any_of(effects.writes,
                      [&](void *root) { return other.reads.contains(root); });
}

/// Bytes of a row of a buffer; none where they are not known.
static std::optional<int64_t> getRowSize(MemRefType type, const RowDims &rows) {
  int64_t elements = 1;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    if (llvm::is_contained(rows, dim))
      continue;
    if (ShapedType::isDynamic(size))
      return std::nullopt;
    elements *= size;
  }
  return elements * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

int64_t Group::getRowBytes() const {
  int64_t bytes = 0;
  for (auto &[root, dims] : rowsOf)
    if (isWritten(root) && root.getDefiningOp<memref::AllocOp>())
      bytes += getRowSize(cast<MemRefType>(root.getType()), dims).value_or(0);
  return bytes;
}

bool Group::isWorthALoop() const {
  constexpr int64_t fewest = 16;
  return llvm::any_of(ops, [&](Operation *op) {
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    if (!linalgOp)
      return false;
    int64_t elements = 1;
    for (auto [loop, size] : llvm::enumerate(linalgOp.getStaticLoopRanges()))
      if (!llvm::is_contained(rowLoops.lookup(op), loop))
        elements *= size;
    return elements >= fewest;
  });
}

/// Whether only ops of the group use `buffer` and its views.
static bool isUsedBy(ArrayRef<Operation *> ops, Value buffer) {
  return llvm::all_of(buffer.getUsers(), [&](Operation *user) {
    if (isa<memref::DimOp>(user) ||
        llvm::any_of(ops, [&](Operation *op) { return op->isAncestor(user); }))
      return true;
    return isa<ViewLikeOpInterface>(user) && user->getNumResults() == 1 &&
           isUsedBy(ops, user->getResult(0));
  });
}

SmallVector<Value> Group::findLocals() const {
  SmallVector<Value> locals;
  for (auto &[root, dims] : rowsOf) {
    auto type = cast<MemRefType>(root.getType());
    if (root.getDefiningOp<memref::AllocOp>() && isWritten(root) &&
        type.getLayout().isIdentity() && getRowSize(type, dims) &&
        isUsedBy(ops, root))
      locals.push_back(root);
  }
  return locals;
}
