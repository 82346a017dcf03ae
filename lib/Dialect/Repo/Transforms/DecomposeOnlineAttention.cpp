//===- DecomposeOnlineAttention.cpp - One online softmax step ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The step of the online softmax as structured ops that bufferize in place: the
// running maximum is read and written by one op, which also yields alpha, so
// that the old maximum is dead once the new one exists; the block maximum is
// reduced into a tensor of its own first; the probabilities overwrite the
// scores.
//
//===----------------------------------------------------------------------===//

#include "DecomposePattern.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace mlir::repo;

static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {
class OnlineAttentionDecomposer {
public:
  OnlineAttentionDecomposer(OpBuilder &builder, OnlineAttentionOp op)
      : op(op), b(builder, op.getLoc(), op.getComputeType()) {}

  SmallVector<Value> run();

private:
  enum Dim : unsigned { N, M, D, E };

  NamedTensor named(Value value, AffineMap map) {
    return b.name(value,
                  llvm::map_to_vector(map.getResults(), [](AffineExpr e) {
                    return unsigned(cast<AffineDimExpr>(e).getPosition());
                  }));
  }
  bool hasBand() {
    auto [left, right] = op.getBandBounds();
    return left >= 0 || right >= 0;
  }
  /// Whether a key may be invisible to a query.
  bool isMasked() { return op.getMask() || op.getLimit() || hasBand(); }
  /// Whether a logit may be -inf although its operands are finite.
  bool mayHideRow() { return isMasked() || op.getBias(); }

  Value compare(ScalarBuilder &s, arith::CmpIPredicate predicate, Value a,
                Value c) {
    return arith::CmpIOp::create(s.builder, s.loc, predicate, a, c);
  }
  NamedTensor logits();
  NamedTensor visibleValues();

  OnlineAttentionOp op;
  NamedBuilder b;
};
} // namespace

/// The logits in base 2, -inf where a key is not visible.
NamedTensor OnlineAttentionDecomposer::logits() {
  NamedTensor query = named(op.getQuery(), op.getQueryMap());
  NamedTensor key = named(op.getKey(), op.getKeyMap());
  NamedTensor scores = b.contract(query, key, b.fill({N, M}, 0.0));

  SmallVector<NamedTensor> ins;
  if (op.getBias())
    ins.push_back(b.name(op.getBias(), {N, M}));
  if (op.getMask())
    ins.push_back(b.name(op.getMask(), {N, M}));
  std::pair<int64_t, int64_t> band = op.getBandBounds();
  return b.generic(
      ins, scores, [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
        double scale = op.getScale().convertToDouble();
        bool linear = !op.getSoftcap() && !op.getBias();
        Value x =
            s.scale(out[0], linear ? scale * llvm::numbers::log2e : scale);
        if (op.getSoftcap()) {
          double cap = op.getSoftcap()->convertToDouble();
          Value ratio = s.div(x, s.number(cap));
          x = s.scale(math::TanhOp::create(s.builder, s.loc, ratio), cap);
        }
        if (op.getBias())
          x = s.add(x, in.front());
        if (!linear)
          x = s.scale(x, llvm::numbers::log2e);
        Value seen = op.getMask() ? in.back() : Value();
        if (op.getLimit())
          seen = s.both(seen, compare(s, arith::CmpIPredicate::slt, s.index(M),
                                      op.getLimit()));
        if (hasBand()) {
          Value place = arith::AddIOp::create(s.builder, s.loc, s.index(N),
                                              op.getOffset());
          Value distance =
              arith::SubIOp::create(s.builder, s.loc, s.index(M), place);
          if (band.second >= 0)
            seen = s.both(seen, compare(s, arith::CmpIPredicate::sle, distance,
                                        s.integer(band.second)));
          if (band.first >= 0)
            seen = s.both(seen, compare(s, arith::CmpIPredicate::sge, distance,
                                        s.integer(-band.first)));
        }
        if (seen)
          x = s.select(seen, x, s.number(-infinity));
        return SmallVector<Value>{x};
      })[0];
}

/// The values, zero in rows that no query of the block sees: these may hold
/// anything, and 0 times infinity is not 0.
NamedTensor OnlineAttentionDecomposer::visibleValues() {
  NamedTensor value = named(op.getValue(), op.getValueMap());
  if (!isMasked())
    return value;

  SmallVector<NamedTensor> ins = {value};
  if (op.getMask()) {
    // Key m is visible to some query.
    Type boolean = b.builder.getI1Type();
    Value no = arith::ConstantOp::create(b.builder, b.loc,
                                         b.builder.getBoolAttr(false));
    NamedTensor seen = b.empty({M}, boolean);
    seen = b.map({}, seen, [&](ScalarBuilder &, ValueRange) { return no; });
    ins.push_back(
        b.generic({b.name(op.getMask(), {N, M})}, seen,
                  [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                    return SmallVector<Value>{
                        arith::OrIOp::create(s.builder, s.loc, in[0], out[0])};
                  })[0]);
  }
  std::pair<int64_t, int64_t> band = op.getBandBounds();
  Value queries = b.sizeValue(N);
  return b.map(
      ins, b.empty(value.dims, value.getElementType()),
      [&](ScalarBuilder &s, ValueRange in) {
        Value seen = op.getMask() ? in[1] : Value();
        if (op.getLimit())
          seen = s.both(seen, compare(s, arith::CmpIPredicate::slt, s.index(M),
                                      op.getLimit()));
        if (hasBand()) {
          // The band of query 0 reaches from offset - left; that of the last
          // query to offset + N - 1 + right.
          Value distance = arith::SubIOp::create(s.builder, s.loc, s.index(M),
                                                 op.getOffset());
          if (band.second >= 0)
            seen =
                s.both(seen, compare(s, arith::CmpIPredicate::slt,
                                     arith::SubIOp::create(s.builder, s.loc,
                                                           distance, queries),
                                     s.integer(band.second)));
          if (band.first >= 0)
            seen = s.both(seen, compare(s, arith::CmpIPredicate::sge, distance,
                                        s.integer(-band.first)));
        }
        return s.select(seen, in[0], s.number(0));
      });
}

SmallVector<Value> OnlineAttentionDecomposer::run() {
  NamedTensor acc = named(op.getAccumulator(), op.getAccumulatorMap());
  NamedTensor max = b.name(op.getMaximum(), {N});
  NamedTensor sum = b.name(op.getSum(), {N});

  NamedTensor s = logits();
  NamedTensor blockMax =
      b.generic({s}, b.fill({N}, -infinity),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  return SmallVector<Value>{s.max(in[0], out[0])};
                })[0];
  // (max', alpha). While max' is -inf there is nothing to rescale.
  SmallVector<NamedTensor> state = b.generic(
      {blockMax}, {max, b.empty({N}, b.compute)},
      [](ScalarBuilder &s, ValueRange in, ValueRange out) {
        Value next = s.max(in[0], out[0]);
        Value alpha =
            math::Exp2Op::create(s.builder, s.loc, s.sub(out[0], next));
        Value none = s.isEqual(next, s.number(-infinity));
        return SmallVector<Value>{next, s.select(none, s.number(1), alpha)};
      });
  NamedTensor next = state[0], alpha = state[1];
  NamedTensor p = b.generic(
      {next}, s, [&](ScalarBuilder &s, ValueRange in, ValueRange out) {
        Value base = in[0];
        // -inf - -inf is not a number; any finite base gives 0.
        if (mayHideRow())
          base =
              s.select(s.isEqual(base, s.number(-infinity)), s.number(0), base);
        return SmallVector<Value>{
            math::Exp2Op::create(s.builder, s.loc, s.sub(out[0], base))};
      })[0];

  auto rescale = [](ScalarBuilder &s, ValueRange in, ValueRange out) {
    return SmallVector<Value>{s.mul(in[0], out[0])};
  };
  sum = b.generic({alpha}, sum, rescale)[0];
  sum =
      b.generic({p}, sum, [](ScalarBuilder &s, ValueRange in, ValueRange out) {
        return SmallVector<Value>{s.add(out[0], in[0])};
      })[0];
  acc = b.generic({alpha}, acc, rescale)[0];
  acc = b.contract(p, visibleValues(), acc);
  return {acc.value, next.value, sum.value};
}

/// What lies in panels, as a matrix [products, columns] or [columns, products].
static Value unpack(OpBuilder &builder, Location loc, Value panels,
                    bool columnsFirst) {
  auto type = cast<RankedTensorType>(panels.getType());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, panels);
  AffineExpr c = builder.getAffineDimExpr(columnsFirst ? 0 : 1),
             p = builder.getAffineDimExpr(columnsFirst ? 1 : 0);
  AffineExpr s = builder.getAffineSymbolExpr(0);
  OpFoldResult columns =
      affine::makeComposedFoldedAffineApply(builder, loc, s * 16, {sizes[0]});
  OpFoldResult products =
      affine::makeComposedFoldedAffineApply(builder, loc, s * 2, {sizes[1]});
  Value empty = tensor::EmptyOp::create(
      builder, loc,
      columnsFirst ? ArrayRef{columns, products} : ArrayRef{products, columns},
      type.getElementType());
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  // A map with floordiv is no map of a structured op: gather.
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), ValueRange(), empty,
             builder.getMultiDimIdentityMap(2), parallel,
             [&](OpBuilder &nested, Location loc, ValueRange) {
               Value loops[] = {linalg::IndexOp::create(nested, loc, 0),
                                linalg::IndexOp::create(nested, loc, 1)};
               SmallVector<Value> indices;
               for (AffineExpr expr :
                    {c.floorDiv(16), p.floorDiv(2), c % 16, p % 2})
                 indices.push_back(affine::AffineApplyOp::create(
                     nested, loc, AffineMap::get(2, 0, expr), loops));
               Value element =
                   tensor::ExtractOp::create(nested, loc, panels, indices);
               linalg::YieldOp::create(nested, loc, element);
             })
      .getResult(0);
}

/// A copy of `op` whose keys and values do not lie in panels.
static OnlineAttentionOp unpackOperands(OpBuilder &builder,
                                        OnlineAttentionOp op) {
  enum { N, M, D, E };
  auto clone = cast<OnlineAttentionOp>(builder.clone(*op));
  builder.setInsertionPoint(clone);
  auto map = [&](unsigned row, unsigned column) {
    return AffineMap::getMultiDimMapWithTargets(4, {row, column},
                                                op.getContext());
  };
  AffineMap key = op.getKeyMap(), value = op.getValueMap();
  if (op.hasKeyPanels()) {
    clone.getKeyMutable().assign(
        unpack(builder, op.getLoc(), op.getKey(), /*columnsFirst=*/true));
    key = map(M, D);
  }
  if (op.hasValuePanels()) {
    clone.getValueMutable().assign(
        unpack(builder, op.getLoc(), op.getValue(), /*columnsFirst=*/false));
    value = map(M, E);
  }
  clone.setLayoutsAttr(builder.getAffineMapArrayAttr(
      {op.getQueryMap(), key, value, op.getAccumulatorMap()}));
  return clone;
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeOnlineAttention(OpBuilder &builder, OnlineAttentionOp op) {
  if (op->getNumResults() == 0)
    return failure();
  if (op.hasKeyPanels() || op.hasValuePanels()) {
    OnlineAttentionOp plain = unpackOperands(builder, op);
    SmallVector<Value> values = OnlineAttentionDecomposer(builder, plain).run();
    plain.erase();
    return values;
  }
  return OnlineAttentionDecomposer(builder, op).run();
}

void mlir::repo::populateDecomposeOnlineAttentionPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<OnlineAttentionOp, decomposeOnlineAttention>>(
      patterns.getContext());
}
