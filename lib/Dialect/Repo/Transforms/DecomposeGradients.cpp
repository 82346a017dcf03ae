//===- DecomposeGradients.cpp - Gradients in terms of linalg -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The definitions of the vector-Jacobian products, the formulas of the ops'
// documentation step by step; that of attention with whole matrices of scores
// in memory.
//
//===----------------------------------------------------------------------===//

#include "AttentionFormulas.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::repo;

/// Rounds a tensor of the compute type to its result type.
static Value rounded(NamedBuilder &b, NamedTensor tensor, Value result) {
  Type type = getElementTypeOrSelf(result);
  if (tensor.getElementType() == type)
    return tensor.value;
  return b
      .map(tensor, b.empty(tensor.dims, type),
           [](ScalarBuilder &, ValueRange in) { return in[0]; })
      .value;
}

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>>
mlir::repo::decomposeAssignPositionsBackward(OpBuilder &builder,
                                             AssignPositionsBackwardOp op) {
  enum Dim : unsigned { B, H, N, D, K };
  NamedBuilder b(builder, op.getLoc(),
                 cast<FloatType>(getElementTypeOrSelf(op.getUpstream())));
  NamedTensor hidden = b.name(op.getHidden(), {B, N, D});
  NamedTensor gate = b.name(op.getGate(), {K, D});
  NamedTensor content = b.name(op.getContent(), {K, D});
  NamedTensor heads = b.name(op.getHeads(), {H, K});
  NamedTensor dz = b.name(op.getUpstream(), {B, H, N});
  NamedTensor g = b.contract(hidden, gate, b.fill({B, N, K}, 0));
  NamedTensor c = b.contract(hidden, content, b.fill({B, N, K}, 0));
  NamedTensor dr = b.contract(dz, heads, b.fill({B, N, K}, 0));

  NamedTensor slot = b.empty({B, N, K}, b.compute);
  SmallVector<NamedTensor> inner =
      b.generic({g, c, dr}, {slot, slot, slot},
                [](ScalarBuilder &s, ValueRange in, ValueRange) {
                  Value one = s.number(1);
                  Value minus = arith::NegFOp::create(s.builder, s.loc, in[0]);
                  Value exp = math::ExpOp::create(s.builder, s.loc, minus);
                  Value sigmoid = s.div(one, s.add(one, exp));
                  Value silu = s.mul(in[0], sigmoid);
                  // silu' = s (1 + g (1 - s))
                  Value slope = s.mul(
                      sigmoid, s.add(one, s.mul(in[0], s.sub(one, sigmoid))));
                  return SmallVector<Value>{s.mul(silu, in[1]),
                                            s.mul(s.mul(in[2], in[1]), slope),
                                            s.mul(in[2], silu)};
                });
  NamedTensor r = inner[0], dg = inner[1], dc = inner[2];

  SmallVector<Value> results;
  // Any value of its type stands for a result that nobody reads.
  auto finish = [&](Value result, Value like,
                    function_ref<NamedTensor()> build) {
    results.push_back(result.use_empty() ? like : rounded(b, build(), result));
  };
  finish(op.getDHidden(), op.getHidden(), [&] {
    NamedTensor first = b.contract(dg, gate, b.fill({B, N, D}, 0));
    return b.contract(dc, content, first);
  });
  finish(op.getDGate(), op.getGate(),
         [&] { return b.contract(dg, hidden, b.fill({K, D}, 0)); });
  finish(op.getDContent(), op.getContent(),
         [&] { return b.contract(dc, hidden, b.fill({K, D}, 0)); });
  finish(op.getDHeads(), op.getHeads(),
         [&] { return b.contract(dz, r, b.fill({H, K}, 0)); });
  return results;
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>>
mlir::repo::decomposeRotateBackward(OpBuilder &builder, RotateBackwardOp op) {
  NamedBuilder b(builder, op.getLoc(),
                 cast<FloatType>(getElementTypeOrSelf(op.getPositions())));
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  NamedTensor output = b.name(op.getOutput(), maps[0]);
  NamedTensor positions = b.name(op.getPositions(), maps[1]);
  NamedTensor upstream = b.name(op.getUpstream(), maps[0]);
  NamedTensor omega;
  if (op.getOmega())
    omega = b.name(op.getOmega(), maps[2]);
  bool reads = !op.getDPositions().use_empty();
  auto [input, angle] = rotateChannelsBackward(
      b, output, upstream, positions, omega, op.getRope(), RotateBackwardOp::D,
      RotateBackwardOp::F, upstream.dims,
      op.getDInput().getType().getElementType(), reads);
  if (!reads)
    return SmallVector<Value>{input.value, op.getPositions()};
  // A position that all heads share has a dimension of 1 for them.
  Value dz = angle.value;
  auto type = op.getDPositions().getType();
  if (angle.dims.size() != 3)
    dz = tensor::ExpandShapeOp::create(
        builder, op.getLoc(), type, dz,
        ArrayRef<ReassociationIndices>{{0, 1}, {2}},
        tensor::getMixedSizes(builder, op.getLoc(), op.getPositions()));
  return SmallVector<Value>{input.value, dz};
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
class AttentionBackwardDecomposer : AttentionFormulas<AttentionBackwardOp> {
public:
  using AttentionFormulas::AttentionFormulas;
  SmallVector<Value> run();

private:
  /// Adds `sum of weight * factor` over the dimensions that `dims` lack; what
  /// has a weight of 0 contributes nothing, whatever it is.
  NamedTensor weightedSum(NamedTensor weight, NamedTensor factor,
                          ArrayRef<unsigned> dims);
  /// Writes `tensor`, whose heads may be split, to destination `index`.
  void write(unsigned index, NamedTensor tensor, ArrayRef<unsigned> dims);
  /// The epilogue of queries or keys: writes the gradients of the operand and
  /// of its positions, whose destinations have these numbers.
  void rotateBack(NamedTensor rotated, NamedTensor gradient, NamedTensor input,
                  Value positions, Dim tokens, unsigned operandIndex,
                  unsigned positionsIndex);

  SmallVector<Value> results;
};
} // namespace

NamedTensor AttentionBackwardDecomposer::weightedSum(NamedTensor weight,
                                                     NamedTensor factor,
                                                     ArrayRef<unsigned> dims) {
  return b
      .generic({weight, factor}, b.fill(dims, 0),
               [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                 Value zero = s.number(0);
                 Value term = s.select(s.isEqual(in[0], zero), zero,
                                       s.mul(in[0], in[1]));
                 return SmallVector<Value>{s.add(out[0], term)};
               })
      .front();
}

void AttentionBackwardDecomposer::write(unsigned index, NamedTensor tensor,
                                        ArrayRef<unsigned> dims) {
  if (tensor.has(G))
    tensor = mergeHeads(tensor);
  results[index] =
      b.map(tensor, {op.getOutputs()[index], llvm::to_vector(dims)},
            [](ScalarBuilder &, ValueRange in) { return in[0]; })
          .value;
}

void AttentionBackwardDecomposer::rotateBack(NamedTensor rotated,
                                             NamedTensor gradient,
                                             NamedTensor input, Value positions,
                                             Dim tokens, unsigned operandIndex,
                                             unsigned positionsIndex) {
  bool queries = tokens == N;
  Dim heads = queries ? queryHeads() : H;
  SmallVector<unsigned> dims =
      getDims(queries ? op.getQueryMap() : op.getKeyMap(), heads);
  if (!positions)
    return write(operandIndex, gradient, dims);
  NamedTensor z = namedPositions(positions, tokens);
  auto [dInput, dz] =
      rotateChannelsBackward(b, rotated, gradient, z, namedOmega(),
                             *op.getRope(), D, F, input.dims, b.compute);
  write(operandIndex, dInput, dims);

  SmallVector<unsigned> zDims = {B, z.has(G) ? Q : H, tokens};
  if (dz.has(G))
    dz = mergeHeads(dz);
  if (!z.has(H)) // one position for all heads
    zDims[1] = NamedBuilder::broadcast;
  NamedTensor destination = b.name(op.getOutputs()[positionsIndex], zDims);
  Value sum = b.map(dz, destination, [](ScalarBuilder &, ValueRange in) {
                 return in[0];
               }).value;
  if (destination.dims.size() != 3)
    sum = tensor::ExpandShapeOp::create(
        b.builder, b.loc, op.getOutputs()[positionsIndex].getType(), sum,
        ArrayRef<ReassociationIndices>{{0, 1}, {2}},
        tensor::getMixedSizes(b.builder, b.loc,
                              op.getOutputs()[positionsIndex]));
  results[positionsIndex] = sum;
}

SmallVector<Value> AttentionBackwardDecomposer::run() {
  results.resize(op.getNumGradients());
  NamedTensor query = splitHeads(
      b.name(op.getQuery(), getDims(op.getQueryMap(), queryHeads())));
  NamedTensor key = b.name(op.getKey(), getDims(op.getKeyMap(), H));
  NamedTensor value = b.name(op.getValue(), getDims(op.getValueMap(), H));
  SmallVector<unsigned> outputDims = getDims(op.getOutputMap(), queryHeads());
  NamedTensor output = splitHeads(b.name(op.getOutput(), outputDims));
  NamedTensor upstream = splitHeads(b.name(op.getUpstream(), outputDims));
  NamedTensor lse = splitHeads(b.name(op.getLse(), {B, queryHeads(), N}));
  NamedTensor turnedQuery = rotated(query, op.getQueryPositions(), N);
  NamedTensor turnedKey = rotated(key, op.getKeyPositions(), M);

  NamedTensor x = scores(turnedQuery, turnedKey);
  // exp(s - lse), 0 where s is -inf: also where lse is.
  NamedTensor p =
      b.generic({lse}, logits(x),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  Value none = s.number(-infinity);
                  Value exp = math::ExpOp::create(s.builder, s.loc,
                                                  s.sub(out[0], in[0]));
                  return SmallVector<Value>{
                      s.select(s.isEqual(out[0], none), s.number(0), exp)};
                })
          .front();
  NamedTensor delta = b.contract(upstream, output, b.fill(perHead({N}), 0));
  NamedTensor dp = b.contract(upstream, value, b.fill(perHead({N, M}), 0));
  SmallVector<NamedTensor> ins = {p, delta};
  if (op.getSoftcap())
    ins.push_back(x);
  NamedTensor ds =
      b.generic(ins, dp, [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
         Value zero = s.number(0);
         Value d = s.mul(in[0], s.sub(out[0], in[1]));
         if (op.getSoftcap()) {
           Value ratio = cappedRatio(s, s.scale(in[2], op.getScaleValue()));
           d = s.mul(d, s.sub(s.number(1), s.mul(ratio, ratio)));
         }
         d = s.scale(d, op.getScaleValue());
         return SmallVector<Value>{s.select(s.isEqual(in[0], zero), zero, d)};
       }).front();

  write(2, weightedSum(p, upstream, value.dims), getDims(op.getValueMap(), H));
  // Unrotated operands keep the order of their layout, rotated ones do not.
  rotateBack(turnedQuery, weightedSum(ds, turnedKey, turnedQuery.dims), query,
             op.getQueryPositions(), N, 0, op.getQueryPositionsGradient());
  rotateBack(turnedKey, weightedSum(ds, turnedQuery, turnedKey.dims), key,
             op.getKeyPositions(), M, 1, op.getKeyPositionsGradient());
  return results;
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeAttentionBackward(OpBuilder &builder,
                                       AttentionBackwardOp op) {
  if (op->getNumResults() == 0)
    return failure();
  return AttentionBackwardDecomposer(builder, op).run();
}

void mlir::repo::populateDecomposeGradientPatterns(
    RewritePatternSet &patterns) {
  patterns
      .add<DecomposePattern<AssignPositionsBackwardOp,
                            decomposeAssignPositionsBackward>,
           DecomposePattern<RotateBackwardOp, decomposeRotateBackward>,
           DecomposePattern<AttentionBackwardOp, decomposeAttentionBackward>>(
          patterns.getContext());
}
