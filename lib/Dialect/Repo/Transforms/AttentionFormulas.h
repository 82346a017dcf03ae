//===- AttentionFormulas.h - Logits in terms of linalg ----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the definitions of attention and of its gradient share: rotated queries
// and keys, scores, logits, over named dimensions. Query heads are split into
// (KV head h, member g of its group), so that grouped heads need no copy of
// keys and values.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONFORMULAS_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONFORMULAS_H

#include "DecomposePattern.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <limits>

namespace mlir {
namespace repo {

/// The formulas of one op, `repo.attention` or its gradient. Dimension H counts
/// KV heads, G the query heads of one (absent where there is one), Q all query
/// heads before the split and after the merge.
template <typename OpTy> class AttentionFormulas {
public:
  AttentionFormulas(OpBuilder &builder, OpTy op)
      : op(op), b(builder, op.getLoc(), op.getComputeType()) {}

protected:
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  enum Dim : unsigned { B, H, G, Q, N, M, D, E, F };

  /// The names of the results of a map of the op, whose h is called `heads`.
  SmallVector<unsigned> getDims(AffineMap map, Dim heads);
  /// Names positions: heads 1, those of the keys or those of the queries.
  NamedTensor namedPositions(Value value, Dim tokens);
  /// Names an operand that may leave out dimensions of the scores.
  NamedTensor namedBroadcast(Value value);
  /// Null where the frequencies are those of the rope.
  NamedTensor namedOmega();
  NamedTensor splitHeads(NamedTensor tensor) {
    return groups() > 1 ? b.split(tensor, Q, H, G, groups()) : tensor;
  }
  NamedTensor mergeHeads(NamedTensor tensor) {
    return groups() > 1 ? b.merge(tensor, H, G, Q) : tensor;
  }
  int64_t groups() { return op.getGroupSize(); }
  Dim queryHeads() { return groups() > 1 ? Q : H; }
  /// B, H [, G] and `more`.
  SmallVector<unsigned> perHead(ArrayRef<unsigned> more);

  NamedTensor rotated(NamedTensor input, Value positions, Dim tokens);
  /// sum_d q k of rotated queries and keys.
  NamedTensor scores(NamedTensor query, NamedTensor key) {
    return b.contract(query, key, b.fill(perHead({N, M}), 0.0));
  }
  /// tanh(x / softcap) of a scaled score, null without softcap.
  Value cappedRatio(ScalarBuilder &s, Value x);
  /// The logits from the scores, -inf where a key is not visible.
  NamedTensor logits(NamedTensor scores);
  /// Whether key M is visible to query N, null if it always is. `in` are the
  /// elements of mask, lengths and offset, as far as they are tensors.
  Value visible(ScalarBuilder &s, Value mask, Value length, Value offset);

  OpTy op;
  NamedBuilder b;
};

template <typename OpTy>
SmallVector<unsigned>
AttentionFormulas<OpTy>::perHead(ArrayRef<unsigned> more) {
  SmallVector<unsigned> dims = {B, H};
  if (groups() > 1)
    dims.push_back(G);
  llvm::append_range(dims, more);
  return dims;
}

template <typename OpTy>
SmallVector<unsigned> AttentionFormulas<OpTy>::getDims(AffineMap map,
                                                       Dim heads) {
  const unsigned names[] = {B, heads, N, M, D, E};
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
    return names[cast<AffineDimExpr>(expr).getPosition()];
  });
}

template <typename OpTy>
NamedTensor AttentionFormulas<OpTy>::namedPositions(Value value, Dim tokens) {
  int64_t heads = cast<ShapedType>(value.getType()).getDimSize(1);
  if (heads == 1)
    return b.name(value, {B, NamedBuilder::broadcast, tokens});
  if (heads == op.getNumKeyValueHeads())
    return b.name(value, {B, H, tokens});
  return splitHeads(b.name(value, {B, Q, tokens}));
}

template <typename OpTy>
NamedTensor AttentionFormulas<OpTy>::namedBroadcast(Value value) {
  if (!value)
    return {};
  SmallVector<unsigned> dims = {B, queryHeads(), N, M};
  for (auto [dim, size] :
       llvm::zip_equal(dims, cast<ShapedType>(value.getType()).getShape()))
    if (size == 1)
      dim = NamedBuilder::broadcast;
  NamedTensor tensor = b.name(value, dims);
  return tensor.has(Q) ? splitHeads(tensor) : tensor;
}

template <typename OpTy> NamedTensor AttentionFormulas<OpTy>::namedOmega() {
  Value value = op.getOmega();
  if (!value)
    return {};
  bool perHead = cast<ShapedType>(value.getType()).getRank() == 2;
  return b.name(value,
                perHead ? ArrayRef<unsigned>({H, F}) : ArrayRef<unsigned>({F}));
}

template <typename OpTy>
NamedTensor AttentionFormulas<OpTy>::rotated(NamedTensor input, Value positions,
                                             Dim tokens) {
  if (!positions)
    return input;
  NamedTensor z = namedPositions(positions, tokens);
  // Keys that turn with each query head become one row per query head.
  SmallVector<unsigned> dims = {B, H};
  if (input.has(G) || z.has(G))
    dims.push_back(G);
  dims.append({unsigned(tokens), unsigned(D)});
  return rotateChannels(b, input, z, namedOmega(), *op.getRope(), D, F, dims,
                        b.compute);
}

template <typename OpTy>
Value AttentionFormulas<OpTy>::visible(ScalarBuilder &s, Value mask,
                                       Value length, Value offset) {
  OpBuilder &builder = s.builder;
  auto toIndex = [&](Value value) -> Value {
    return arith::IndexCastOp::create(builder, s.loc, builder.getIndexType(),
                                      value);
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value a,
                     Value c) -> Value {
    return arith::CmpIOp::create(builder, s.loc, predicate, a, c);
  };
  Value result = mask;
  if (length)
    result = s.both(result, compare(arith::CmpIPredicate::slt, s.index(M),
                                    toIndex(length)));
  auto [left, right] = op.getBand();
  if (left < 0 && right < 0)
    return result;

  // m - p, and not p + right, which overflows where a bound is huge.
  Value place = arith::AddIOp::create(builder, s.loc, offset, s.index(N));
  Value distance = arith::SubIOp::create(builder, s.loc, s.index(M), place);
  if (right >= 0)
    result = s.both(
        result, compare(arith::CmpIPredicate::sle, distance, s.integer(right)));
  if (left >= 0)
    result = s.both(
        result, compare(arith::CmpIPredicate::sge, distance, s.integer(-left)));
  return result;
}

template <typename OpTy>
Value AttentionFormulas<OpTy>::cappedRatio(ScalarBuilder &s, Value x) {
  if (!op.getSoftcap())
    return {};
  Value cap = s.number(op.getSoftcap()->convertToDouble());
  return math::TanhOp::create(s.builder, s.loc, s.div(x, cap));
}

template <typename OpTy>
NamedTensor AttentionFormulas<OpTy>::logits(NamedTensor scores) {
  SmallVector<NamedTensor> ins;
  auto take = [&](NamedTensor tensor) -> int {
    if (!tensor)
      return -1;
    ins.push_back(tensor);
    return ins.size() - 1;
  };
  int bias = take(namedBroadcast(op.getBias()));
  int mask = take(namedBroadcast(op.getMask()));
  int lengths = take(b.name(op.getLengths(), {B}));
  Value offset = op.getOffset();
  int offsets = -1;
  if (offset && isa<RankedTensorType>(offset.getType()))
    offsets = take(b.name(offset, {B}));
  bool hasBand = op.getCausal() || op.getWindow();
  if (!offset && hasBand)
    offset =
        arith::SubIOp::create(b.builder, b.loc, b.sizeValue(M), b.sizeValue(N));

  auto body = [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
    auto element = [&](int operand) {
      return operand < 0 ? Value() : in[operand];
    };
    Value x = s.scale(out[0], op.getScaleValue());
    if (Value ratio = cappedRatio(s, x))
      x = s.scale(ratio, op.getSoftcap()->convertToDouble());
    if (bias >= 0)
      x = s.add(x, in[bias]);
    Value start = offset;
    if (offsets >= 0 && hasBand)
      start = arith::IndexCastOp::create(s.builder, s.loc,
                                         s.builder.getIndexType(), in[offsets]);
    if (Value seen = visible(s, element(mask), element(lengths), start))
      x = s.select(seen, x, s.number(-infinity));
    return SmallVector<Value>{x};
  };
  return b.generic(ins, scores, body).front();
}

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONFORMULAS_H
