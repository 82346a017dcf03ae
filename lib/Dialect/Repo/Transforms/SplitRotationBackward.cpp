//===- SplitRotationBackward.cpp - Rotations of gradients apart -----------===//
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

using namespace mlir;
using namespace mlir::repo;

/// A copy with another element type, or the value itself.
static Value convert(OpBuilder &builder, Location loc, Value value, Type type) {
  Type from = getElementTypeOrSelf(value);
  if (from == type)
    return value;
  Value target = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, value), type);
  int64_t rank = cast<ShapedType>(target.getType()).getRank();
  SmallVector<AffineMap> maps(2, builder.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> parallel(rank,
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, target.getType(), value, target, maps, parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               bool wider =
                   from.getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth();
               Value x =
                   wider ? arith::ExtFOp::create(nested, loc, type, args[0])
                               .getResult()
                         : arith::TruncFOp::create(nested, loc, type, args[0])
                               .getResult();
               linalg::YieldOp::create(nested, loc, x);
             })
      .getResult(0);
}

/// Whether positions are of the heads of what they turn, or of all of them.
static bool isPlain(Value positions, int64_t heads) {
  if (!positions)
    return true;
  int64_t size = cast<ShapedType>(positions.getType()).getDimSize(1);
  return size == 1 || size == heads;
}

int64_t mlir::repo::splitRotation(RewriterBase &rewriter,
                                  AttentionBackwardOp op) {
  using Dim = AttentionBackwardOp::Dim;
  Type compute = op.getComputeType();
  bool groupsTurn = op.getOmega() && op.getGroupSize() > 1 &&
                    cast<ShapedType>(op.getOmega().getType()).getRank() == 2;
  if (op->getNumResults() == 0 || !compute.isF32() || groupsTurn ||
      !isPlain(op.getQueryPositions(), op.getNumQueryHeads()) ||
      !isPlain(op.getKeyPositions(), op.getNumKeyValueHeads()))
    return 0;
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();

  struct Turned {
    Value input, positions;
    AffineMapAttr layout;
    unsigned gradient;
  };
  int64_t count = 0;
  auto turn = [&](Value input, Value positions, AffineMap map, Dim tokens,
                  unsigned gradient) -> Turned {
    if (!positions)
      return {convert(rewriter, loc, input, compute), {}, {}, 0};
    ++count;
    auto layout = getRotateLayout(map, {Dim::B, Dim::H, tokens, Dim::D});
    auto type = RankedTensorType::get(
        cast<ShapedType>(input.getType()).getShape(), compute);
    Value turned = RotateOp::create(rewriter, loc, type, input, positions,
                                    op.getOmega(), op.getRopeAttr(), layout);
    return {turned, positions, layout, gradient};
  };
  Turned query = turn(op.getQuery(), op.getQueryPositions(), op.getQueryMap(),
                      Dim::N, op.getQueryPositionsGradient());
  Turned key = turn(op.getKey(), op.getKeyPositions(), op.getKeyMap(), Dim::M,
                    op.getKeyPositionsGradient());

  // What is rotated back or rounded is summed elsewhere.
  SmallVector<Value> outputs;
  bool turns[] = {bool(query.positions), bool(key.positions), false};
  for (auto [number, turned] : llvm::enumerate(turns)) {
    Value destination = op.getOutputs()[number];
    if (turned || getElementTypeOrSelf(destination) != compute)
      destination = tensor::EmptyOp::create(
          rewriter, loc, tensor::getMixedSizes(rewriter, loc, destination),
          compute);
    outputs.push_back(destination);
  }
  auto wide = [&](Value value) {
    return convert(rewriter, loc, value, compute);
  };
  auto inner = AttentionBackwardOp::create(
      rewriter, loc, TypeRange(ValueRange(outputs)), query.input, key.input,
      wide(op.getValue()), wide(op.getOutput()), op.getLse(),
      wide(op.getUpstream()), /*query_positions=*/Value(),
      /*key_positions=*/Value(), /*omega=*/Value(), op.getBias(), op.getMask(),
      op.getLengths(), op.getOffset(), outputs, /*rope=*/RopeAttr(),
      op.getCausalAttr(), op.getWindowAttr(), op.getScaleAttr(),
      op.getSoftcapAttr(), op.getLayoutsAttr());

  SmallVector<Value> results(op->getNumResults());
  auto typeOf = [&](unsigned number) {
    return cast<RankedTensorType>(op.getResult(number).getType());
  };
  const Turned sides[] = {query, key};
  for (auto [number, turned] : llvm::enumerate(sides)) {
    if (!turned.positions)
      continue;
    auto type = RankedTensorType::get(
        cast<ShapedType>(outputs[number].getType()).getShape(),
        typeOf(number).getElementType());
    auto back = RotateBackwardOp::create(
        rewriter, loc, TypeRange{type, turned.positions.getType()},
        turned.input, turned.positions, op.getOmega(), inner.getResult(number),
        op.getRopeAttr(), turned.layout);
    results[number] = back.getDInput();
    results[turned.gradient] = back.getDPositions();
  }
  for (unsigned number = 0; number < results.size(); ++number) {
    if (!results[number])
      results[number] = convert(rewriter, loc, inner.getResult(number),
                                typeOf(number).getElementType());
    if (results[number].getType() != typeOf(number))
      results[number] = tensor::CastOp::create(rewriter, loc, typeOf(number),
                                               results[number]);
  }
  rewriter.replaceOp(op, results);
  return count;
}
