//===- RowAccess.cpp - What ops do to rows of buffers ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowAccess.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

Value rows::getRoot(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

//===----------------------------------------------------------------------===//
// Effects
//===----------------------------------------------------------------------===//

void Effects::add(const Effects &other) {
  reads.insert(other.reads.begin(), other.reads.end());
  writes.insert(other.writes.begin(), other.writes.end());
  unknown |= other.unknown;
}

bool Effects::touches(Value root) const {
  void *key = root.getAsOpaquePointer();
  return unknown || reads.contains(key) || writes.contains(key);
}

bool Effects::conflictsWith(const Effects &other) const {
  auto meet = [](const auto &a, const auto &b) {
    return llvm::any_of(a, [&](void *root) { return b.contains(root); });
  };
  auto isEmpty = [](const Effects &effects) {
    return !effects.unknown && effects.reads.empty() && effects.writes.empty();
  };
  if (unknown || other.unknown)
    return !isEmpty(*this) && !isEmpty(other);
  return meet(writes, other.reads) || meet(writes, other.writes) ||
         meet(reads, other.writes);
}

/// Adds what `op` does by itself, without its regions.
static void addEffects(Operation *op, Effects &effects) {
  auto add = [&](Value buffer, auto &set) {
    if (isa<MemRefType>(buffer.getType()))
      set.insert(getRoot(buffer).getAsOpaquePointer());
  };
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op)) {
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    for (OpOperand &operand : op->getOpOperands()) {
      bool isInit = destination.isDpsInit(&operand);
      if (isInit)
        add(operand.get(), effects.writes);
      if (!isInit || !linalgOp ||
          linalgOp.payloadUsesValueFromOperand(&operand))
        add(operand.get(), effects.reads);
    }
    return;
  }
  if (isa<memref::AllocOp, memref::AllocaOp, memref::DimOp>(op) ||
      isMemoryEffectFree(op) ||
      op->hasTrait<OpTrait::HasRecursiveMemoryEffects>())
    return;
  if (auto load = dyn_cast<memref::LoadOp>(op))
    return add(load.getMemRef(), effects.reads);
  if (auto store = dyn_cast<memref::StoreOp>(op))
    return add(store.getMemRef(), effects.writes);
  if (auto product = dyn_cast<GemmOp>(op)) {
    add(product.getA(), effects.reads);
    add(product.getB(), effects.reads);
    add(product.getC(), effects.reads);
    return add(product.getC(), effects.writes);
  }
  effects.unknown = true;
}

Effects rows::getEffects(Operation *op) {
  Effects effects;
  // Regions of structured ops compute elements; what they load is walked too.
  op->walk([&](Operation *nested) { addEffects(nested, effects); });
  return effects;
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

/// Whether a view of `op` shows dimension `dim` of its source whole.
static bool showsWhole(memref::SubViewOp op, int64_t dim) {
  if (getConstantIntValue(op.getMixedOffsets()[dim]) != 0 ||
      getConstantIntValue(op.getMixedStrides()[dim]) != 1)
    return false;
  FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
      {op.getMixedSizes()[dim]}, {op.getSource(), dim});
  return succeeded(equal) && *equal;
}

/// By dimension of the source of a view the one of the view that shows it
/// whole, or -1.
static std::optional<SmallVector<int64_t>> getDimsOfView(Operation *op) {
  SmallVector<int64_t> dims;
  if (auto subview = dyn_cast<memref::SubViewOp>(op)) {
    llvm::SmallBitVector dropped = subview.getDroppedDims();
    int64_t next = 0;
    for (unsigned dim = 0; dim < dropped.size(); ++dim) {
      dims.push_back(!dropped[dim] && showsWhole(subview, dim) ? next : -1);
      next += !dropped[dim];
    }
    return dims;
  }
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(op)) {
    for (const ReassociationIndices &group : expand.getReassociationIndices())
      dims.push_back(group.size() == 1 ? group[0] : -1);
    return dims;
  }
  if (auto collapse = dyn_cast<memref::CollapseShapeOp>(op)) {
    dims.assign(collapse.getSrcType().getRank(), -1);
    for (auto [i, group] : llvm::enumerate(collapse.getReassociationIndices()))
      if (group.size() == 1)
        dims[group[0]] = i;
    return dims;
  }
  if (isa<memref::CastOp>(op))
    return llvm::to_vector(llvm::seq<int64_t>(
        cast<MemRefType>(op->getResult(0).getType()).getRank()));
  return std::nullopt;
}

std::optional<RowDims> rows::getViewRows(Value view, const RowDims &root) {
  auto op = view.getDefiningOp<ViewLikeOpInterface>();
  if (!op)
    return root;
  std::optional<RowDims> dims = getViewRows(op.getViewSource(), root);
  auto shown = getDimsOfView(op);
  if (!dims || !shown)
    return std::nullopt;
  for (int64_t &dim : *dims) {
    dim = (*shown)[dim];
    if (dim < 0)
      return std::nullopt;
  }
  return dims;
}

std::optional<RowDims> rows::getRootRows(Value view, const RowDims &dims) {
  auto op = view.getDefiningOp<ViewLikeOpInterface>();
  if (!op)
    return dims;
  auto shown = getDimsOfView(op);
  if (!shown)
    return std::nullopt;
  RowDims source;
  for (int64_t dim : dims) {
    auto *found = llvm::find(*shown, dim);
    if (found == shown->end())
      return std::nullopt;
    source.push_back(found - shown->begin());
  }
  return getRootRows(op.getViewSource(), source);
}

//===----------------------------------------------------------------------===//
// Structured ops
//===----------------------------------------------------------------------===//

Operation *rows::getCombiner(linalg::LinalgOp op) {
  SmallVector<Operation *> combiners;
  if (op.getNumDpsInits() != 1 ||
      !matchReduction(op.getRegionOutputArgs(), 0, combiners) ||
      combiners.size() != 1 || !arith::getNeutralElement(combiners[0]))
    return nullptr;
  return combiners[0];
}

bool rows::canShareRow(linalg::LinalgOp op, ArrayRef<unsigned> rowLoops) {
  // More than this is a product of matrices.
  constexpr int64_t maxElements = 1 << 16;
  if (!op.hasPureBufferSemantics())
    return false;
  int64_t elements = 1;
  for (auto [loop, size] : llvm::enumerate(op.getStaticLoopRanges())) {
    if (llvm::is_contained(rowLoops, loop))
      continue;
    if (ShapedType::isDynamic(size) || size == 0)
      return false;
    elements *= size;
  }
  if (elements > maxElements)
    return false;
  for (Operation &nested : *op.getBlock())
    if (nested.getNumRegions() || !isMemoryEffectFree(&nested))
      return false;
  // Elements of whole bytes: less lies otherwise in vectors.
  for (Value operand : op->getOperands())
    if (Type type = getElementTypeOrSelf(operand);
        !type.isIntOrFloat() || type.getIntOrFloatBitWidth() % 8)
      return false;
  // Sums meet by shuffles of 32 bits.
  if (op.getNumReductionLoops())
    return getCombiner(op) &&
           getElementTypeOrSelf(op.getDpsInits()[0]).getIntOrFloatBitWidth() ==
               32;
  return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &init) {
    return op.getMatchingIndexingMap(&init).isPermutation();
  });
}
