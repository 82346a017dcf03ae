//===- SplitRotation.cpp - Rotations as ops of their own ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SplitRotation.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_SPLITROTATION
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Copies `source` to `type`, whose dimension `dim` is `repeat` times as large:
/// every slice is repeated. Extends elements.
static Value repeatAndExtend(OpBuilder &builder, Location loc, Value source,
                             Type element, int64_t dim, int64_t repeat) {
  auto type = cast<RankedTensorType>(source.getType());
  if (type.getElementType() == element && repeat == 1)
    return source;
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, source);
  SmallVector<AffineExpr> results;
  for (int64_t i = 0; i < type.getRank(); ++i)
    results.push_back(builder.getAffineDimExpr(i));
  if (repeat != 1) {
    sizes[dim] = builder.getIndexAttr(type.getDimSize(dim) * repeat);
    results[dim] = type.getDimSize(dim) == 1 ? builder.getAffineConstantExpr(0)
                                             : results[dim].floorDiv(repeat);
  }
  Value target = tensor::EmptyOp::create(builder, loc, sizes, element);
  AffineMap maps[] = {
      AffineMap::get(type.getRank(), 0, results, builder.getContext()),
      builder.getMultiDimIdentityMap(type.getRank())};
  SmallVector<utils::IteratorType> parallel(type.getRank(),
                                            utils::IteratorType::parallel);
  // A map with floordiv is no map of a structured op: gather.
  bool gather = repeat != 1 && type.getDimSize(dim) != 1;
  auto body = [&](OpBuilder &nested, Location loc, ValueRange args) {
    Value x = args[0];
    if (gather) {
      SmallVector<Value> indices;
      for (int64_t i = 0; i < type.getRank(); ++i)
        indices.push_back(linalg::IndexOp::create(nested, loc, i));
      Value factor = arith::ConstantIndexOp::create(nested, loc, repeat);
      indices[dim] = arith::DivUIOp::create(nested, loc, indices[dim], factor);
      x = tensor::ExtractOp::create(nested, loc, source, indices);
    }
    if (x.getType() != element)
      x = arith::ExtFOp::create(nested, loc, element, x);
    linalg::YieldOp::create(nested, loc, x);
  };
  ValueRange ins = gather ? ValueRange() : ValueRange(source);
  return linalg::GenericOp::create(builder, loc, target.getType(), ins, target,
                                   gather
                                       ? ArrayRef<AffineMap>(maps).drop_front()
                                       : ArrayRef<AffineMap>(maps),
                                   parallel, body)
      .getResult(0);
}

AffineMapAttr mlir::repo::getRotateLayout(AffineMap map,
                                          ArrayRef<unsigned> dims) {
  SmallVector<unsigned> order;
  for (AffineExpr expr : map.getResults())
    order.push_back(llvm::find(dims, cast<AffineDimExpr>(expr).getPosition()) -
                    dims.begin());
  auto layout =
      AffineMap::getMultiDimMapWithTargets(4, order, map.getContext());
  return layout.isIdentity() ? AffineMapAttr() : AffineMapAttr::get(layout);
}

/// Rotates `input` as an op of its own, to the compute type.
static Value rotate(OpBuilder &builder, AttentionOp op, Value input,
                    Value positions, AffineMap map, ArrayRef<unsigned> dims,
                    int64_t heads) {
  int64_t positionHeads = cast<ShapedType>(positions.getType()).getDimSize(1);
  Location loc = op.getLoc();
  Type compute = op.getComputeType();
  if (positionHeads != 1 && positionHeads != heads)
    positions = repeatAndExtend(builder, loc, positions, compute, 1,
                                heads / positionHeads);
  Value omega = op.getOmega();
  if (omega && cast<ShapedType>(omega.getType()).getRank() == 2) {
    int64_t omegaHeads = cast<ShapedType>(omega.getType()).getDimSize(0);
    omega =
        repeatAndExtend(builder, loc, omega, compute, 0, heads / omegaHeads);
  }
  auto type = cast<RankedTensorType>(input.getType());
  return RotateOp::create(
      builder, loc, RankedTensorType::get(type.getShape(), compute), input,
      positions, omega, op.getRopeAttr(), getRotateLayout(map, dims));
}

/// Returns the number of rotations split off.
static int64_t splitRotation(RewriterBase &rewriter, AttentionOp op) {
  if (op->getNumResults() == 0)
    return 0;
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  Type compute = op.getComputeType();
  Value query = op.getQuery(), key = op.getKey(), value = op.getValue();
  int64_t heads = op.getNumKeyValueHeads(), count = 0;
  Value keyPositions = op.getKeyPositions();
  if (keyPositions &&
      cast<ShapedType>(keyPositions.getType()).getDimSize(1) > heads) {
    // Keys that turn with every query head are as many as those.
    auto headDim = [&](AffineMap map) {
      return *map.getResultPosition(
          getAffineDimExpr(AttentionOp::H, op.getContext()));
    };
    key = repeatAndExtend(rewriter, loc, key, compute, headDim(op.getKeyMap()),
                          op.getGroupSize());
    value = repeatAndExtend(rewriter, loc, value, compute,
                            headDim(op.getValueMap()), op.getGroupSize());
    heads = op.getNumQueryHeads();
  }
  if (op.getQueryPositions()) {
    query =
        rotate(rewriter, op, query, op.getQueryPositions(), op.getQueryMap(),
               {AttentionOp::B, AttentionOp::H, AttentionOp::N, AttentionOp::D},
               op.getNumQueryHeads());
    ++count;
  }
  if (keyPositions) {
    key =
        rotate(rewriter, op, key, keyPositions, op.getKeyMap(),
               {AttentionOp::B, AttentionOp::H, AttentionOp::M, AttentionOp::D},
               heads);
    ++count;
  }
  if (compute.isF64()) {
    key = repeatAndExtend(rewriter, loc, key, compute, 0, 1);
    value = repeatAndExtend(rewriter, loc, value, compute, 0, 1);
  }
  rewriter.modifyOpInPlace(op, [&] {
    op.getQueryMutable().assign(query);
    op.getKeyMutable().assign(key);
    op.getValueMutable().assign(value);
    op.getQueryPositionsMutable().clear();
    op.getKeyPositionsMutable().clear();
    op.getOmegaMutable().clear();
    op.removeRopeAttr();
  });
  return count;
}

namespace {
struct SplitRotation : repo::impl::SplitRotationBase<SplitRotation> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    for (AttentionOp op : ops)
      numRotations += splitRotation(rewriter, op);
    SmallVector<AttentionBackwardOp> gradients;
    getOperation().walk(
        [&](AttentionBackwardOp op) { gradients.push_back(op); });
    for (AttentionBackwardOp op : gradients)
      numRotations += splitRotation(rewriter, op);
  }
};
} // namespace
