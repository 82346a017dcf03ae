//===- DecomposePositions.cpp - Positions in terms of linalg -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DecomposePattern.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
enum Dim : unsigned { B, H, N, D, K };
} // namespace

static FloatType getElementType(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value));
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeAssignPositions(OpBuilder &builder, AssignPositionsOp op) {
  if (op->getNumResults() == 0)
    return failure();
  NamedBuilder b(builder, op.getLoc(), getElementType(op.getPositions()));
  NamedTensor hidden = b.name(op.getHidden(), {B, N, D});
  NamedTensor gate =
      b.contract(hidden, b.name(op.getGate(), {K, D}), b.fill({B, N, K}, 0));
  NamedTensor content =
      b.contract(hidden, b.name(op.getContent(), {K, D}), b.fill({B, N, K}, 0));
  NamedTensor gated =
      b.map({gate, content}, b.empty({B, N, K}, b.compute),
            [](ScalarBuilder &s, ValueRange in) {
              Value minus = arith::NegFOp::create(s.builder, s.loc, in[0]);
              Value exp = math::ExpOp::create(s.builder, s.loc, minus);
              Value silu = s.div(in[0], s.add(s.number(1), exp));
              return s.mul(silu, in[1]);
            });
  NamedTensor heads = b.name(op.getHeads(), {H, K});
  return SmallVector<Value>{
      b.contract(heads, gated, b.fill({B, H, N}, 0)).value};
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeLinearPositions(OpBuilder &builder, LinearPositionsOp op) {
  NamedBuilder b(builder, op.getLoc(), getElementType(op.getPositions()));
  NamedTensor hidden = b.name(op.getHidden(), {B, N, D});
  NamedTensor heads = b.name(op.getHeads(), {H, D});
  return SmallVector<Value>{
      b.contract(heads, hidden, b.fill({B, H, N}, 0)).value};
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeIndexPositions(OpBuilder &builder, IndexPositionsOp op) {
  FloatType type = getElementType(op.getPositions());
  NamedBuilder b(builder, op.getLoc(), type);
  ReifiedRankedShapedTypeDims shapes;
  if (failed(op.reifyResultShapes(builder, shapes)))
    return failure();
  for (auto [dim, size] : llvm::enumerate(shapes[0]))
    b.setSize(dim, size);
  Value offset = op.getOffset();
  SmallVector<NamedTensor> ins;
  if (offset && isa<RankedTensorType>(offset.getType()))
    ins.push_back(b.name(offset, {B}));
  return SmallVector<Value>{
      b.map(ins, b.empty({B, H, N}, type),
            [&](ScalarBuilder &s, ValueRange in) -> Value {
              Value index = s.index(N);
              Value start = offset;
              if (!in.empty())
                start = arith::IndexCastOp::create(
                    s.builder, s.loc, s.builder.getIndexType(), in[0]);
              if (start)
                index = arith::AddIOp::create(s.builder, s.loc, index, start);
              index = arith::IndexCastOp::create(s.builder, s.loc,
                                                 s.builder.getI64Type(), index);
              return arith::SIToFPOp::create(s.builder, s.loc, s.type, index);
            })
          .value};
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeBlendPositions(OpBuilder &builder, BlendPositionsOp op) {
  FloatType type = getElementType(op.getResult());
  NamedBuilder b(builder, op.getLoc(), type);
  NamedTensor positions = b.name(op.getPositions(), {B, H, N});
  SmallVector<unsigned> dims = {B, H, N};
  for (auto [dim, expr] :
       llvm::zip_equal(dims, op.getIndexingMapsArray()[1].getResults()))
    if (!isa<AffineDimExpr>(expr))
      dim = NamedBuilder::broadcast;
  NamedTensor index = b.name(op.getIndex(), dims);
  double weight = op.getWeight().convertToDouble();
  return SmallVector<Value>{b.map({positions, index}, b.empty({B, H, N}, type),
                                  [&](ScalarBuilder &s, ValueRange in) {
                                    return s.add(s.scale(in[0], 1.0 - weight),
                                                 s.scale(in[1], weight));
                                  })
                                .value};
}

void mlir::repo::populateDecomposeOtherPositionsPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<LinearPositionsOp, decomposeLinearPositions>,
               DecomposePattern<IndexPositionsOp, decomposeIndexPositions>,
               DecomposePattern<BlendPositionsOp, decomposeBlendPositions>>(
      patterns.getContext());
}

void mlir::repo::populateDecomposePositionsPatterns(
    RewritePatternSet &patterns) {
  populateDecomposeOtherPositionsPatterns(patterns);
  patterns.add<DecomposePattern<AssignPositionsOp, decomposeAssignPositions>>(
      patterns.getContext());
}
