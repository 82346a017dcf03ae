//===- DecomposeRotate.cpp - Rotation in terms of linalg -----------------===//
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

/// The frequencies of a rule, computed in double precision.
static NamedTensor getFrequencies(NamedBuilder &b, RopeAttr rope,
                                  unsigned pair) {
  SmallVector<Attribute> omega;
  for (double frequency : rope.getFrequencies())
    omega.push_back(b.builder.getFloatAttr(b.compute, frequency));
  auto type = RankedTensorType::get({int64_t(omega.size())}, b.compute);
  Value value = arith::ConstantOp::create(b.builder, b.loc,
                                          DenseElementsAttr::get(type, omega));
  return b.name(value, {pair});
}

namespace {
/// Every `stride`th channel of a tensor, from `first` on.
struct Channels {
  int64_t first, count, stride;
};

/// The channels of a head: the two of every pair, and those left alone.
struct HeadChannels {
  HeadChannels(RopeAttr rope, int64_t headSize) {
    int64_t numPairs = rope.getDim() / 2;
    bool interleaved = rope.getLayout() == PairLayout::interleaved;
    first = {0, numPairs, interleaved ? 2 : 1};
    second = {interleaved ? 1 : numPairs, numPairs, first.stride};
    rest = {rope.getDim(), headSize - rope.getDim(), 1};
  }
  Channels first, second, rest;
};
} // namespace

static void getSlice(NamedBuilder &b, const NamedTensor &tensor,
                     unsigned channel, Channels channels,
                     SmallVector<OpFoldResult> &offsets,
                     SmallVector<OpFoldResult> &sizes,
                     SmallVector<OpFoldResult> &strides) {
  for (auto [position, dim] : llvm::enumerate(tensor.dims)) {
    bool sliced = dim == channel;
    offsets.push_back(b.builder.getIndexAttr(sliced ? channels.first : 0));
    sizes.push_back(
        sliced
            ? OpFoldResult(b.builder.getIndexAttr(channels.count))
            : tensor::getMixedSize(b.builder, b.loc, tensor.value, position));
    strides.push_back(b.builder.getIndexAttr(sliced ? channels.stride : 1));
  }
}

static Value extract(NamedBuilder &b, const NamedTensor &tensor,
                     unsigned channel, Channels channels) {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  getSlice(b, tensor, channel, channels, offsets, sizes, strides);
  return tensor::ExtractSliceOp::create(b.builder, b.loc, tensor.value, offsets,
                                        sizes, strides);
}

static void insert(NamedBuilder &b, NamedTensor &tensor, unsigned channel,
                   Channels channels, Value slice) {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  getSlice(b, tensor, channel, channels, offsets, sizes, strides);
  tensor.value = tensor::InsertSliceOp::create(
      b.builder, b.loc, slice, tensor.value, offsets, sizes, strides);
}

NamedTensor mlir::repo::rotateChannels(NamedBuilder &b, NamedTensor input,
                                       NamedTensor positions, NamedTensor omega,
                                       RopeAttr rope, unsigned channel,
                                       unsigned pair,
                                       ArrayRef<unsigned> resultDims,
                                       Type elementType) {
  int64_t numPairs = rope.getDim() / 2;
  int64_t headSize = *getConstantIntValue(b.size(channel));
  b.setSize(pair, b.builder.getIndexAttr(numPairs));
  // Slices of tensors that are statically empty do not verify.
  if (b.isEmpty(resultDims))
    return b.empty(resultDims, elementType);
  if (!omega)
    omega = getFrequencies(b, rope, pair);

  auto [first, second, rest] = HeadChannels(rope, headSize);
  auto withPairs = [&](ArrayRef<unsigned> dims) {
    SmallVector<unsigned> result(dims);
    llvm::replace(result, channel, pair);
    return result;
  };
  NamedTensor x1 = {extract(b, input, channel, first), withPairs(input.dims)};
  NamedTensor x2 = {extract(b, input, channel, second), withPairs(input.dims)};
  NamedTensor half = b.empty(withPairs(resultDims), elementType);
  double magnitude = rope.getMagnitude();
  SmallVector<NamedTensor> y = b.generic(
      {x1, x2, positions, omega}, {half, half},
      [&](ScalarBuilder &s, ValueRange in, ValueRange) {
        Value angle = s.mul(in[2], in[3]);
        Value cos = math::CosOp::create(s.builder, s.loc, angle);
        Value sin = math::SinOp::create(s.builder, s.loc, angle);
        return SmallVector<Value>{
            s.scale(s.sub(s.mul(in[0], cos), s.mul(in[1], sin)), magnitude),
            s.scale(s.add(s.mul(in[1], cos), s.mul(in[0], sin)), magnitude)};
      });

  NamedTensor result = b.empty(resultDims, elementType);
  insert(b, result, channel, first, y[0].value);
  insert(b, result, channel, second, y[1].value);
  if (rest.count == 0)
    return result;
  NamedTensor kept = {extract(b, input, channel, rest), input.dims};
  NamedTensor slot = {extract(b, result, channel, rest), result.dims};
  kept =
      b.map(kept, slot, [](ScalarBuilder &, ValueRange in) { return in[0]; });
  insert(b, result, channel, rest, kept.value);
  return result;
}

/// A product with a gradient of 0 is 0.
static Value weighted(ScalarBuilder &s, Value gradient, Value factor) {
  Value zero = s.number(0);
  return s.select(s.isEqual(gradient, zero), zero, s.mul(gradient, factor));
}

RotationGradients mlir::repo::rotateChannelsBackward(
    NamedBuilder &b, NamedTensor output, NamedTensor upstream,
    NamedTensor positions, NamedTensor omega, RopeAttr rope, unsigned channel,
    unsigned pair, ArrayRef<unsigned> inputDims, Type elementType,
    bool wantsPositions) {
  b.setSize(pair, b.builder.getIndexAttr(rope.getDim() / 2));
  if (b.isEmpty(upstream.dims))
    return {b.empty(inputDims, elementType), b.fill(positions.dims, 0)};
  if (!omega)
    omega = getFrequencies(b, rope, pair);
  auto [first, second, rest] =
      HeadChannels(rope, *getConstantIntValue(b.size(channel)));
  auto part = [&](const NamedTensor &tensor, Channels channels) -> NamedTensor {
    SmallVector<unsigned> dims = tensor.dims;
    llvm::replace(dims, channel, pair);
    return {extract(b, tensor, channel, channels), dims};
  };
  NamedTensor g1 = part(upstream, first), g2 = part(upstream, second);

  RotationGradients gradients;
  if (wantsPositions)
    gradients.positions =
        b.generic(
             {part(output, first), part(output, second), g1, g2, omega},
             b.fill(positions.dims, 0),
             [](ScalarBuilder &s, ValueRange in, ValueRange out) {
               Value turn =
                   s.sub(weighted(s, in[3], in[0]), weighted(s, in[2], in[1]));
               return SmallVector<Value>{s.add(out[0], s.mul(in[4], turn))};
             })
            .front();

  // Sums are accumulated in the compute type.
  bool sums = llvm::any_of(upstream.dims, [&](unsigned dim) {
    return !llvm::is_contained(inputDims, dim);
  });
  auto destination = [&](ArrayRef<unsigned> dims) {
    return sums ? b.fill(dims, 0) : b.empty(dims, elementType);
  };
  auto sum = [&](ScalarBuilder &s, Value sum, Value term) {
    return sums ? s.add(sum, term) : term;
  };
  SmallVector<unsigned> pairDims(inputDims);
  llvm::replace(pairDims, channel, pair);
  double magnitude = rope.getMagnitude();
  SmallVector<NamedTensor> dx = b.generic(
      {g1, g2, positions, omega},
      {destination(pairDims), destination(pairDims)},
      [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
        Value angle = s.mul(in[2], in[3]);
        Value cos = math::CosOp::create(s.builder, s.loc, angle);
        Value sin = math::SinOp::create(s.builder, s.loc, angle);
        Value d1 = s.add(s.mul(in[0], cos), s.mul(in[1], sin));
        Value d2 = s.sub(s.mul(in[1], cos), s.mul(in[0], sin));
        return SmallVector<Value>{sum(s, out[0], s.scale(d1, magnitude)),
                                  sum(s, out[1], s.scale(d2, magnitude))};
      });
  NamedTensor result = b.empty(inputDims, sums ? Type(b.compute) : elementType);
  insert(b, result, channel, first, dx[0].value);
  insert(b, result, channel, second, dx[1].value);
  if (rest.count != 0) {
    NamedTensor kept = {extract(b, upstream, channel, rest), upstream.dims};
    NamedTensor start = destination(inputDims);
    NamedTensor slot = {extract(b, start, channel, rest), start.dims};
    kept = b.generic(kept, slot,
                     [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
                       return SmallVector<Value>{sum(s, out[0], in[0])};
                     })
               .front();
    insert(b, result, channel, rest, kept.value);
  }
  gradients.input = result;
  return gradients;
}

FailureOr<SmallVector<Value>> mlir::repo::decomposeRotate(OpBuilder &builder,
                                                          RotateOp op) {
  enum Dim : unsigned { B, H, N, D, F };
  NamedBuilder b(
      builder, op.getLoc(),
      cast<FloatType>(getElementTypeOrSelf(op.getPositions().getType())));
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  NamedTensor input = b.name(op.getInput(), maps[0]);
  NamedTensor positions = b.name(op.getPositions(), maps[1]);
  NamedTensor omega;
  if (op.getOmega())
    omega = b.name(op.getOmega(), maps[2]);
  return SmallVector<Value>{
      rotateChannels(b, input, positions, omega, op.getRope(), D, F, input.dims,
                     op.getResult().getType().getElementType())
          .value};
}

void mlir::repo::populateDecomposeRotatePatterns(RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<RotateOp, decomposeRotate>>(
      patterns.getContext());
}
