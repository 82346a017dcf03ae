//===- RowLoop.cpp - A group of ops as a loop over rows -------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowGroup.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include <map>

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

namespace mlir::repo::rows {
class RowLoop {
public:
  explicit RowLoop(Group &group)
      : group(group), b(group.ops.back()->getContext()),
        loc(group.ops.back()->getLoc()) {}

  void build();

private:
  bool isLocal(Value buffer) const {
    Value root = getRoot(buffer);
    return localOf.count(root) || targetOf.count(root);
  }
  /// Where a row is only written and copied to part of another, it is written
  /// there, without a copy.
  void skipCopies(const llvm::SetVector<Value> &locals);
  void allocate(Value root);
  /// What a view of a local buffer shows of the row.
  Value getLocalView(Value view);
  /// The row of `buffer` for the loops of an operand.
  Value getRow(Value buffer, AffineMap map, ArrayRef<unsigned> loops);
  void copyStructured(linalg::LinalgOp op);
  void copyLoop(scf::ForallOp loop);

  Group &group;
  OpBuilder b;
  Location loc;
  SmallVector<Value> indices;
  llvm::DenseMap<Value, Value> localOf, localViews;
  /// By local buffer the view that takes its place.
  llvm::DenseMap<Value, Value> targetOf;
  llvm::SmallPtrSet<Operation *, 2> skipped;
  /// Rows of a buffer by the row index of each dimension, or -1.
  std::map<std::pair<void *, SmallVector<int64_t>>, Value> rows;
};
} // namespace mlir::repo::rows

void RowLoop::build() {
  b.setInsertionPointAfter(group.ops.back());
  SmallVector<OpFoldResult> sizes;
  for (auto [buffer, dim] : group.sizes)
    sizes.push_back(memref::getMixedSize(b, loc, buffer, dim));
  // The last index is that of neighbours.
  static constexpr gpu::MappingId ids[] = {
      gpu::MappingId::DimX, gpu::MappingId::DimY, gpu::MappingId::DimZ};
  SmallVector<Attribute> mapping;
  for (unsigned i = group.rank; i-- > 0;)
    mapping.push_back(gpu::GPUBlockMappingAttr::get(b.getContext(), ids[i]));
  auto loop = scf::ForallOp::create(b, loc, sizes, ValueRange(),
                                    b.getArrayAttr(mapping));
  b.setInsertionPointToStart(loop.getBody());
  indices = loop.getInductionVars();
  SmallVector<Value> found = group.findLocals();
  llvm::SetVector<Value> locals(found.begin(), found.end());
  skipCopies(locals);
  for (Value root : locals)
    if (!targetOf.count(root))
      allocate(root);
  for (Operation *op : group.ops) {
    if (skipped.contains(op))
      continue;
    if (auto inner = dyn_cast<scf::ForallOp>(op))
      copyLoop(inner);
    else
      copyStructured(cast<linalg::LinalgOp>(op));
  }
  for (Operation *op : llvm::reverse(group.ops))
    op->erase();
}

void RowLoop::skipCopies(const llvm::SetVector<Value> &locals) {
  for (Operation *op : group.ops) {
    auto copy = dyn_cast<linalg::CopyOp>(op);
    if (!copy)
      continue;
    Value source = copy.getInputs()[0], target = copy.getOutputs()[0];
    Value root = getRoot(target);
    if (!locals.contains(source) || !locals.contains(root) || source == root ||
        targetOf.count(root) ||
        getElementTypeOrSelf(source) != getElementTypeOrSelf(target))
      continue;
    // All that touches the source writes it once, before.
    auto users = llvm::make_filter_range(group.ops, [&](Operation *other) {
      return getEffects(other).touches(source);
    });
    SmallVector<Operation *> touching(users.begin(), users.end());
    if (touching.size() != 2 || touching[1] != op ||
        !isa<linalg::LinalgOp>(touching[0]) ||
        getEffects(touching[0]).reads.contains(source.getAsOpaquePointer()) ||
        getEffects(touching[0]).reads.contains(root.getAsOpaquePointer()))
      continue;
    auto *writer = llvm::find(group.ops, touching[0]),
         *here = llvm::find(group.ops, op);
    if (llvm::any_of(llvm::make_range(writer + 1, here), [&](Operation *other) {
          return getEffects(other).touches(root);
        }))
      continue;
    targetOf[source] = target;
    skipped.insert(op);
  }
}

void RowLoop::allocate(Value root) {
  auto type = cast<MemRefType>(root.getType());
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t dim : group.rowsOf[root])
    shape[dim] = 1;
  auto space =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  localOf[root] = memref::AllocOp::create(
      b, loc,
      MemRefType::get(shape, type.getElementType(), AffineMap(), space));
}

Value RowLoop::getLocalView(Value view) {
  auto op = view.getDefiningOp<ViewLikeOpInterface>();
  if (Value target = targetOf.lookup(view))
    return getLocalView(target);
  if (!op)
    return localOf.lookup(view);
  if (Value known = localViews.lookup(view))
    return known;
  Value source = getLocalView(op.getViewSource());
  Value made = source;
  RowDims dims = *getViewRows(op.getViewSource(), group.rowsOf[getRoot(view)]);
  if (auto subview = dyn_cast<memref::SubViewOp>(op.getOperation())) {
    SmallVector<OpFoldResult> sizes = subview.getMixedSizes();
    for (int64_t dim : dims)
      sizes[dim] = b.getIndexAttr(1);
    auto type = memref::SubViewOp::inferResultType(
        cast<MemRefType>(source.getType()), subview.getMixedOffsets(), sizes,
        subview.getMixedStrides());
    made = memref::SubViewOp::create(b, loc, type, source,
                                     subview.getMixedOffsets(), sizes,
                                     subview.getMixedStrides());
  } else if (auto expand = dyn_cast<memref::ExpandShapeOp>(op.getOperation())) {
    SmallVector<int64_t> shape(expand.getResultType().getShape());
    auto groups = expand.getReassociationIndices();
    for (int64_t dim : dims)
      shape[groups[dim][0]] = 1;
    made = memref::ExpandShapeOp::create(b, loc, shape, source, groups);
  } else if (auto collapse =
                 dyn_cast<memref::CollapseShapeOp>(op.getOperation())) {
    made = memref::CollapseShapeOp::create(b, loc, source,
                                           collapse.getReassociationIndices());
  }
  return localViews[view] = made;
}

Value RowLoop::getRow(Value buffer, AffineMap map, ArrayRef<unsigned> loops) {
  SmallVector<int64_t> rowOf(map.getNumResults(), -1);
  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
    for (auto [row, loop] : llvm::enumerate(loops))
      if (expr.isFunctionOfDim(loop))
        rowOf[dim] = row;
  if (llvm::all_of(rowOf, [](int64_t row) { return row < 0; }))
    return buffer;
  Value &row = rows[{buffer.getAsOpaquePointer(), rowOf}];
  if (row)
    return row;
  SmallVector<OpFoldResult> offsets(rowOf.size(), b.getIndexAttr(0)),
      sizes = memref::getMixedSizes(b, loc, buffer),
      strides(rowOf.size(), b.getIndexAttr(1));
  for (auto [dim, index] : llvm::enumerate(rowOf))
    if (index >= 0) {
      offsets[dim] = indices[index];
      sizes[dim] = b.getIndexAttr(1);
    }
  return row =
             memref::SubViewOp::create(b, loc, buffer, offsets, sizes, strides);
}

void RowLoop::copyStructured(linalg::LinalgOp op) {
  ArrayRef<unsigned> loops = group.rowLoops[op];
  SmallVector<Value> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    if (isa<MemRefType>(value.getType()))
      value = isLocal(value)
                  ? getLocalView(value)
                  : getRow(value, op.getMatchingIndexingMap(&operand), loops);
    operands.push_back(value);
  }
  Operation *copy = b.clone(*op.getOperation());
  copy->setOperands(operands);
  SmallVector<linalg::IndexOp> numbers;
  copy->walk([&](linalg::IndexOp number) { numbers.push_back(number); });
  for (linalg::IndexOp number : numbers)
    if (auto *loop = llvm::find(loops, unsigned(number.getDim()));
        loop != loops.end()) {
      number.replaceAllUsesWith(indices[loop - loops.begin()]);
      number.erase();
    }
}

void RowLoop::copyLoop(scf::ForallOp loop) {
  IRMapping mapping;
  mapping.map(loop.getInductionVars(), indices);
  for (Operation &op : loop.getBody()->without_terminator()) {
    auto view = dyn_cast<memref::SubViewOp>(op);
    if (!view || !isLocal(view.getSource())) {
      b.clone(op, mapping);
      continue;
    }
    Value source = getLocalView(view.getSource());
    RowDims dims =
        *getViewRows(view.getSource(), group.rowsOf[getRoot(view.getSource())]);
    auto mapped = [&](ArrayRef<OpFoldResult> values) {
      return llvm::map_to_vector(values, [&](OpFoldResult value) {
        if (auto dynamic = dyn_cast<Value>(value))
          return OpFoldResult(mapping.lookupOrDefault(dynamic));
        return value;
      });
    };
    SmallVector<OpFoldResult> offsets = mapped(view.getMixedOffsets()),
                              sizes = mapped(view.getMixedSizes()),
                              strides = mapped(view.getMixedStrides());
    for (int64_t dim : dims)
      offsets[dim] = b.getIndexAttr(0);
    MemRefType type = memref::SubViewOp::inferRankReducedResultType(
        view.getType().getShape(), cast<MemRefType>(source.getType()), offsets,
        sizes, strides);
    mapping.map(view.getResult(),
                memref::SubViewOp::create(b, loc, type, source, offsets, sizes,
                                          strides));
  }
}

void Group::makeLoop() { RowLoop(*this).build(); }
