//===- DecomposeAttention.cpp - Attention in terms of linalg -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The definition, step by step, with the whole matrix of scores in memory.
// Query heads are split into (KV head h, member g of its group), so that
// grouped heads need no copy of keys and values.
//
//===----------------------------------------------------------------------===//

#include "DecomposePattern.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"
#include <limits>

using namespace mlir;
using namespace mlir::repo;

static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {
/// Decomposes one attention op. Dimension H counts KV heads, G the query heads
/// of one (absent where there is one), Q all query heads before the split and
/// after the merge.
class AttentionDecomposer {
public:
  AttentionDecomposer(OpBuilder &builder, AttentionOp op)
      : op(op), b(builder, op.getLoc(), op.getComputeType()) {}

  SmallVector<Value> run();

private:
  enum Dim : unsigned { B, H, G, Q, N, M, D, E, F };

  /// The names of the results of a map of the op, whose h is called `heads`.
  SmallVector<unsigned> getDims(AffineMap map, Dim heads);
  /// Names positions: heads 1, those of the keys or those of the queries.
  NamedTensor namedPositions(Value value, Dim tokens);
  /// Names an operand that may leave out dimensions of the scores.
  NamedTensor namedBroadcast(Value value);
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
  /// The logits, -inf where a key is not visible.
  NamedTensor logits(NamedTensor query, NamedTensor key);
  /// Whether key M is visible to query N, null if it always is. `in` are the
  /// elements of mask, lengths and offset, as far as they are tensors.
  Value visible(ScalarBuilder &s, Value mask, Value length, Value offset);

  AttentionOp op;
  NamedBuilder b;
};
} // namespace

SmallVector<unsigned> AttentionDecomposer::perHead(ArrayRef<unsigned> more) {
  SmallVector<unsigned> dims = {B, H};
  if (groups() > 1)
    dims.push_back(G);
  llvm::append_range(dims, more);
  return dims;
}

SmallVector<unsigned> AttentionDecomposer::getDims(AffineMap map, Dim heads) {
  const unsigned names[] = {B, heads, N, M, D, E};
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) {
    return names[cast<AffineDimExpr>(expr).getPosition()];
  });
}

NamedTensor AttentionDecomposer::namedPositions(Value value, Dim tokens) {
  int64_t heads = cast<ShapedType>(value.getType()).getDimSize(1);
  if (heads == 1)
    return b.name(value, {B, NamedBuilder::broadcast, tokens});
  if (heads == op.getNumKeyValueHeads())
    return b.name(value, {B, H, tokens});
  return splitHeads(b.name(value, {B, Q, tokens}));
}

NamedTensor AttentionDecomposer::namedBroadcast(Value value) {
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

NamedTensor AttentionDecomposer::rotated(NamedTensor input, Value positions,
                                         Dim tokens) {
  if (!positions)
    return input;
  NamedTensor z = namedPositions(positions, tokens);
  NamedTensor omega;
  if (Value value = op.getOmega())
    omega = b.name(value, cast<ShapedType>(value.getType()).getRank() == 2
                              ? ArrayRef<unsigned>({H, F})
                              : ArrayRef<unsigned>({F}));
  // Keys that turn with each query head become one row per query head.
  SmallVector<unsigned> dims = {B, H};
  if (input.has(G) || z.has(G))
    dims.push_back(G);
  dims.append({unsigned(tokens), unsigned(D)});
  return rotateChannels(b, input, z, omega, *op.getRope(), D, F, dims,
                        b.compute);
}

Value AttentionDecomposer::visible(ScalarBuilder &s, Value mask, Value length,
                                   Value offset) {
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

NamedTensor AttentionDecomposer::logits(NamedTensor query, NamedTensor key) {
  NamedTensor scores = b.contract(query, key, b.fill(perHead({N, M}), 0.0));

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
    if (op.getSoftcap()) {
      double cap = op.getSoftcap()->convertToDouble();
      Value ratio = s.div(x, s.number(cap));
      x = s.scale(math::TanhOp::create(s.builder, s.loc, ratio), cap);
    }
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

SmallVector<Value> AttentionDecomposer::run() {
  NamedTensor query = splitHeads(
      b.name(op.getQuery(), getDims(op.getQueryMap(), queryHeads())));
  NamedTensor key = b.name(op.getKey(), getDims(op.getKeyMap(), H));
  NamedTensor value = b.name(op.getValue(), getDims(op.getValueMap(), H));
  query = rotated(query, op.getQueryPositions(), N);
  key = rotated(key, op.getKeyPositions(), M);

  NamedTensor s = logits(query, key);
  NamedTensor max =
      b.generic({s}, b.fill(perHead({N}), -infinity),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  return SmallVector<Value>{s.max(in[0], out[0])};
                })
          .front();
  // exp(s - max), 0 where s is -inf: also where max is.
  NamedTensor p =
      b.generic({max}, s, [](ScalarBuilder &s, ValueRange in, ValueRange out) {
         Value none = s.number(-infinity);
         Value exp =
             math::ExpOp::create(s.builder, s.loc, s.sub(out[0], in[0]));
         return SmallVector<Value>{
             s.select(s.isEqual(out[0], none), s.number(0), exp)};
       }).front();
  NamedTensor sum =
      b.generic({p}, b.fill(perHead({N}), 0),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  return SmallVector<Value>{s.add(out[0], in[0])};
                })
          .front();
  // A value of weight 0 contributes nothing, whatever it is.
  NamedTensor acc =
      b.generic({p, value}, b.fill(perHead({N, E}), 0),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  Value zero = s.number(0);
                  Value term = s.select(s.isEqual(in[0], zero), zero,
                                        s.mul(in[0], in[1]));
                  return SmallVector<Value>{s.add(out[0], term)};
                })[0];

  // The outputs have query heads, which (h, g) enumerate in order.
  acc = mergeHeads(acc);
  sum = mergeHeads(sum);
  max = mergeHeads(max);
  SmallVector<Value> results;
  results.push_back(
      b.map({acc, sum},
            {op.getOutput(), getDims(op.getOutputMap(), queryHeads())},
            [](ScalarBuilder &s, ValueRange in) {
              Value zero = s.number(0);
              return s.select(s.isEqual(in[1], zero), zero,
                              s.div(in[0], in[1]));
            })
          .value);
  if (op.getLse())
    results.push_back(b.map({max, sum}, {op.getLse(), {B, queryHeads(), N}},
                            [](ScalarBuilder &s, ValueRange in) {
                              return s.add(in[0], math::LogOp::create(
                                                      s.builder, s.loc, in[1]));
                            })
                          .value);
  return results;
}

FailureOr<SmallVector<Value>> mlir::repo::decomposeAttention(OpBuilder &builder,
                                                             AttentionOp op) {
  if (op->getNumResults() == 0)
    return failure();
  return AttentionDecomposer(builder, op).run();
}

void mlir::repo::populateDecomposeAttentionPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<AttentionOp, decomposeAttention>>(
      patterns.getContext());
}
