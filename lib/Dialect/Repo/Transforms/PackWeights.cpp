//===- PackWeights.cpp - Weights in panels of columns ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PackedConstants.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

namespace {
/// A contraction that can read packed weights.
struct Candidate {
  Value x, weight;
  AffineMap xMap, weightMap, outMap;
  /// The loops of columns and products.
  unsigned column, product;
  int64_t numColumns, numProducts;
};
} // namespace

static std::optional<unsigned> getPosition(AffineMap map, unsigned dim) {
  return map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
}

static std::optional<Candidate> match(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2 || op.getNumReductionLoops() != 1)
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!llvm::all_of(maps,
                    [](AffineMap map) { return map.isProjectedPermutation(); }))
    return std::nullopt;
  for (unsigned which : {1u, 0u}) {
    Candidate c;
    c.weight = op.getDpsInputs()[which];
    c.x = op.getDpsInputs()[1 - which];
    c.weightMap = maps[which];
    c.xMap = maps[1 - which];
    c.outMap = maps[2];
    auto type = cast<RankedTensorType>(c.weight.getType());
    if (!isPackedConstant(c.weight) || type.getRank() != 2 ||
        !type.hasStaticShape() || !isa<FloatType>(type.getElementType()) ||
        !isa<FloatType>(getElementTypeOrSelf(c.x)))
      continue;
    SmallVector<unsigned> reductions;
    op.getReductionDims(reductions);
    c.product = reductions[0];
    std::optional<unsigned> at = getPosition(c.weightMap, c.product);
    if (!at || !getPosition(c.xMap, c.product))
      continue;
    unsigned other = 1 - *at;
    c.column = c.weightMap.getDimPosition(other);
    // The lanes of a vector are columns: they lie side by side in the output.
    if (getPosition(c.xMap, c.column) ||
        getPosition(c.outMap, c.column) != c.outMap.getNumResults() - 1)
      continue;
    c.numProducts = type.getDimSize(*at);
    c.numColumns = type.getDimSize(other);
    return c;
  }
  return std::nullopt;
}

/// Splits dimension `dim` of a tensor by `inner`.
static Value split(OpBuilder &b, Location loc, Value value, unsigned dim,
                   int64_t inner) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, value);
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] /= inner;
  shape.insert(shape.begin() + dim + 1, inner);
  sizes[dim] = b.getIndexAttr(shape[dim]);
  sizes.insert(sizes.begin() + dim + 1, b.getIndexAttr(inner));
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0, at = 0; i < type.getRank(); ++i) {
    groups.emplace_back();
    groups.back().push_back(at++);
    if (i == dim)
      groups.back().push_back(at++);
  }
  return tensor::ExpandShapeOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()), value,
      groups, sizes);
}

/// The inverse of `split`, cut to `size`.
static Value join(OpBuilder &b, Location loc, Value value, unsigned dim,
                  int64_t size) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    if (i != dim + 1)
      groups.emplace_back();
    groups.back().push_back(i);
  }
  Value joined = tensor::CollapseShapeOp::create(b, loc, value, groups);
  auto joinedType = cast<RankedTensorType>(joined.getType());
  if (joinedType.getDimSize(dim) == size)
    return joined;
  SmallVector<OpFoldResult> offsets(joinedType.getRank(), b.getIndexAttr(0)),
      strides(joinedType.getRank(), b.getIndexAttr(1)),
      sizes = tensor::getMixedSizes(b, loc, joined);
  sizes[dim] = b.getIndexAttr(size);
  return tensor::ExtractSliceOp::create(b, loc, joined, offsets, sizes,
                                        strides);
}

/// The weights in panels: [p, i, l], or [p, i / r, l, r]. Weights side by side
/// that fill their panels are packed one by one.
static Value pack(OpBuilder &b, Location loc, const Candidate &c,
                  int64_t columns, int64_t interleave) {
  auto type = cast<RankedTensorType>(c.weight.getType());
  if (auto concat = c.weight.getDefiningOp<tensor::ConcatOp>();
      concat && concat.getDim() == *getPosition(c.weightMap, c.column) &&
      llvm::all_of(concat.getInputs(), [&](Value input) {
        return cast<RankedTensorType>(input.getType())
                       .getDimSize(concat.getDim()) %
                   columns ==
               0;
      })) {
    SmallVector<Value> panels;
    for (Value input : concat.getInputs()) {
      Candidate part = c;
      part.weight = input;
      part.numColumns =
          cast<RankedTensorType>(input.getType()).getDimSize(concat.getDim());
      panels.push_back(pack(b, loc, part, columns, interleave));
    }
    return tensor::ConcatOp::create(b, loc, 0, panels);
  }
  int64_t columnDim = *getPosition(c.weightMap, c.column);
  SmallVector<int64_t> positions = {columnDim}, permutation;
  SmallVector<OpFoldResult> tiles = {b.getIndexAttr(columns)};
  SmallVector<int64_t> shape = {llvm::divideCeilSigned(c.numColumns, columns),
                                c.numProducts / interleave, columns};
  if (interleave > 1) {
    positions.push_back(1 - columnDim);
    tiles.push_back(b.getIndexAttr(interleave));
    shape.push_back(interleave);
  }
  if (columnDim == 1)
    permutation = {1, 0};
  Value empty = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
  std::optional<Value> padding;
  if (c.numColumns % columns)
    padding =
        arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
  return linalg::PackOp::create(b, loc, c.weight, empty, positions, tiles,
                                padding, permutation)
      .getResult();
}

/// The destination in panels. Zeros (or another fill) are written anew where
/// their destination is nobody's, else a view of it is taken.
static Value packDestination(OpBuilder &b, Location loc, Value init,
                             unsigned dim, int64_t columns) {
  auto type = cast<RankedTensorType>(init.getType());
  auto fill = init.getDefiningOp<linalg::FillOp>();
  bool whole = type.getDimSize(dim) % columns == 0;
  if (!fill)
    return whole ? split(b, loc, init, dim, columns) : Value();
  Value target = fill.getDpsInits()[0];
  if (whole && !target.getDefiningOp<tensor::EmptyOp>()) {
    target = split(b, loc, target, dim, columns);
  } else {
    auto empty = target.getDefiningOp<tensor::EmptyOp>();
    SmallVector<OpFoldResult> sizes =
        empty ? empty.getMixedSizes() : tensor::getMixedSizes(b, loc, target);
    sizes[dim] =
        b.getIndexAttr(llvm::divideCeil(type.getDimSize(dim), columns));
    sizes.insert(sizes.begin() + dim + 1, b.getIndexAttr(columns));
    target = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
  }
  return linalg::FillOp::create(b, loc, fill.getDpsInputs()[0], target)
      .getResult(0);
}

static bool packContraction(OpBuilder &b, linalg::LinalgOp op,
                            const Candidate &c, int64_t columns,
                            int64_t interleave) {
  Location loc = op.getLoc();
  b.setInsertionPoint(op);
  Value init = op.getDpsInits()[0];
  unsigned outDim = *getPosition(c.outMap, c.column);
  Value target = packDestination(b, loc, init, outDim, columns);
  if (!target)
    return false;
  if (c.numProducts % interleave)
    interleave = 1;

  // The loops: those of the op, the panel in place of the column, then the
  // column of the panel and the interleaved product.
  MLIRContext *context = op.getContext();
  unsigned loops = op.getNumLoops(), lane = loops, inner = loops + 1;
  unsigned newLoops = loops + (interleave > 1 ? 2 : 1);
  auto map = [&](AffineMap old, bool reordered) {
    SmallVector<AffineExpr> exprs;
    auto add = [&](unsigned dim) {
      exprs.push_back(getAffineDimExpr(dim, context));
    };
    if (reordered) {
      add(c.column);
      add(c.product);
      add(lane);
      if (interleave > 1)
        add(inner);
    } else {
      for (unsigned i = 0; i < old.getNumResults(); ++i) {
        unsigned dim = old.getDimPosition(i);
        add(dim);
        if (dim == c.column)
          add(lane);
        if (dim == c.product && interleave > 1)
          add(inner);
      }
    }
    return AffineMap::get(newLoops, 0, exprs, context);
  };
  Value x = c.x;
  if (interleave > 1)
    x = split(b, loc, x, *getPosition(c.xMap, c.product), interleave);
  Value weights = pack(b, loc, c, columns, interleave);
  ArrayAttr maps = b.getAffineMapArrayAttr(
      {map(c.xMap, false), map(c.weightMap, true), map(c.outMap, false)});
  Value result =
      linalg::ContractOp::create(b, loc, target.getType(),
                                 ValueRange{x, weights}, target, maps)
          ->getResult(0);
  result = join(b, loc, result, outDim, c.numColumns);
  // Who brought the destination expects the result in it.
  auto fill = init.getDefiningOp<linalg::FillOp>();
  if (fill && c.numColumns % columns &&
      !fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
    result = linalg::CopyOp::create(b, loc, result, fill.getDpsInits()[0])
                 ->getResult(0);
  op->getResult(0).replaceAllUsesWith(result);
  op->erase();
  if (fill && fill->use_empty())
    fill->erase();
  if (Operation *concat = c.weight.getDefiningOp();
      concat && isOpTriviallyDead(concat))
    concat->erase();
  return true;
}

/// Whether both sides are bf16, so that instructions for bf16 round nothing
/// that was not.
static bool isInBF16(const Candidate &c) {
  return getElementTypeOrSelf(c.x).isBF16() &&
         getElementTypeOrSelf(c.weight).isBF16();
}

namespace {
struct PackWeights : repo::impl::PackWeightsBase<PackWeights> {
  using PackWeightsBase::PackWeightsBase;
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    OpBuilder builder(&getContext());
    for (linalg::LinalgOp op : ops)
      if (std::optional<Candidate> candidate = match(op)) {
        bool tiles = matrixUnit && isInBF16(*candidate) &&
                     candidate->numProducts % 32 == 0;
        bool doubled = tiles || (pairs && isInBF16(*candidate));
        numPacked += packContraction(builder, op, *candidate,
                                     tiles ? 16 : int64_t(columns),
                                     doubled ? 2 : int64_t(interleave));
      }
  }
};
} // namespace
