//===- LowerOnlineAttentionRows.cpp - Few queries against a block of keys -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A few rows of queries, [N, D], against one block of keys, [M, D]. Rows are
// read as they lie, in their own type, each once for all queries:
//   scores   8 keys at a time; channels along the lanes, then a tree of
//   shuffles softmax  keys along the lanes values   channels along the lanes,
//   weights broadcast
//
//===----------------------------------------------------------------------===//

#include "VectorMath.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"
#include <limits>

using namespace mlir;
using namespace mlir::repo;

static constexpr double log2e = 1.4426950408889634;
static constexpr double infinity = std::numeric_limits<double>::infinity();

bool mlir::repo::isRowBlock(OnlineAttentionOp op, int64_t lanes) {
  enum { N, M, D, E };
  auto hasDims = [&](AffineMap map, ArrayRef<unsigned> dims) {
    return map ==
           AffineMap::getMultiDimMapWithTargets(4, dims, op.getContext());
  };
  if (lanes < 8 || op.getBias() || op.getMask() || op.getBand() ||
      op.getLimit() || !hasDims(op.getQueryMap(), {N, D}) ||
      !hasDims(op.getKeyMap(), {M, D}) || !hasDims(op.getValueMap(), {M, E}) ||
      !hasDims(op.getAccumulatorMap(), {N, E}))
    return false;
  auto accumulator = cast<ShapedType>(op.getAccumulator().getType());
  auto query = cast<ShapedType>(op.getQuery().getType());
  for (ShapedType type : {query, accumulator})
    if (!type.hasStaticShape() || !type.getElementType().isF32() ||
        type.getDimSize(1) % lanes)
      return false;
  for (Value rows : {op.getKey(), op.getValue()})
    if (getElementTypeOrSelf(rows).isF64())
      return false;
  return !ShapedType::isDynamic(op.getMostKeys());
}

namespace {
class RowLowering {
public:
  RowLowering(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes)
      : v(builder, op.getLoc(), lanes), b(builder), loc(op.getLoc()), op(op),
        lanes(lanes) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    queries = query.getDimSize(0);
    headSize = query.getDimSize(1);
    channels = cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1);
    // 16 lanes come with 32 registers, 8 lanes with 16: 24 sums or up to 12.
    bool few = queries <= (lanes >= 16 ? 3 : 1);
    queryTile = lanes >= 16 ? (few ? 3 : 6) : (few ? 1 : 3);
    keyTile = few ? 8 : 4;
    channelTile = few ? 8 : 4;
  }

  void run();

private:
  using Vectors = SmallVector<Value>;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value plus(Value base, int64_t offset) {
    return offset
               ? arith::AddIOp::create(b, loc, base, index(offset)).getResult()
               : base;
  }
  Value wholeTiles(Value count, int64_t tile) {
    return arith::MulIOp::create(
        b, loc, arith::DivUIOp::create(b, loc, count, index(tile)),
        index(tile));
  }
  /// A vector of f32 from elements of any type.
  Value load(Value buffer, ValueRange indices) {
    Type element = getElementTypeOrSelf(buffer);
    Value x = vector::LoadOp::create(b, loc, VectorType::get({lanes}, element),
                                     buffer, indices);
    if (!element.isF32())
      x = arith::ExtFOp::create(b, loc,
                                VectorType::get({lanes}, b.getF32Type()), x);
    return x;
  }
  void store(Value x, Value buffer, ValueRange indices) {
    vector::StoreOp::create(b, loc, x, buffer, indices);
  }
  /// A loop that carries vectors.
  Vectors loop(Value from, Value to, int64_t step, ValueRange init,
               function_ref<Vectors(Value, ValueRange)> body);

  /// Vectors of parts of sums, those of a sum side by side, to half as many.
  Value addHalves(Value x, Value y, int64_t sumsOfEach);
  /// One vector whose lanes are the sums over each of `rows`.
  Value sumEach(Vectors rows);
  void scoreTile(Value key, int64_t rows, int64_t firstQuery, int64_t count);
  void scores();
  void softmax(int64_t query);
  void values(int64_t firstQuery, int64_t count, int64_t firstChannel,
              int64_t vectors);

  VectorMath v;
  OpBuilder &b;
  Location loc;
  OnlineAttentionOp op;
  int64_t lanes, queries, headSize, channels;
  int64_t queryTile, keyTile, channelTile; // of registers, in vectors
  Value keys;                              // M
  Value panel; // scores, then weights, [N, M] and the rest of a vector
  Vectors alphas;
};
} // namespace

RowLowering::Vectors
RowLowering::loop(Value from, Value to, int64_t step, ValueRange init,
                  function_ref<Vectors(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index(step), init,
      [&](OpBuilder &, Location loc, Value position, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(position.getParentBlock());
        scf::YieldOp::create(b, loc, body(position, carried));
      });
  return Vectors(loop.getResults());
}

Value RowLowering::addHalves(Value x, Value y, int64_t sumsOfEach) {
  int64_t width = lanes / sumsOfEach;
  SmallVector<int64_t> low, high;
  for (int64_t operand : {0, 1})
    for (int64_t sum = 0; sum < sumsOfEach; ++sum)
      for (int64_t lane = 0; lane < width / 2; ++lane) {
        low.push_back(operand * lanes + sum * width + lane);
        high.push_back(low.back() + width / 2);
      }
  return v.add(vector::ShuffleOp::create(b, loc, x, y, low),
               vector::ShuffleOp::create(b, loc, x, y, high));
}

Value RowLowering::sumEach(Vectors rows) {
  int64_t sums = 1;
  for (; rows.size() > 1; sums *= 2) {
    Vectors next;
    for (size_t i = 0; i < rows.size(); i += 2)
      next.push_back(addHalves(rows[i], rows[i + 1], sums));
    rows = next;
  }
  // Now `sums` sums in lanes / sums parts each.
  Value x = rows[0];
  for (int64_t width = lanes / sums; width > 1; width /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t sum = 0; sum < sums; ++sum)
      for (int64_t lane = 0; lane < width / 2; ++lane) {
        low.push_back(sum * width + lane);
        high.push_back(low.back() + width / 2);
      }
    Value left = vector::ShuffleOp::create(b, loc, x, x, low);
    Value right = vector::ShuffleOp::create(b, loc, x, x, high);
    x = arith::AddFOp::create(b, loc, left, right);
  }
  return x;
}

void RowLowering::scoreTile(Value key, int64_t rows, int64_t firstQuery,
                            int64_t count) {
  // Row after row, in the order of memory: that is what fetches ahead of
  // demand in hardware, and one core cannot keep as many misses open itself.
  Vectors zeros(rows * count, v.number(0.0));
  int64_t unrolled = std::min<int64_t>(headSize, 8 * lanes);
  while (headSize % unrolled)
    unrolled -= lanes;
  Vectors tile =
      loop(index(0), index(headSize), unrolled, zeros,
           [&](Value first, ValueRange sums) {
             Vectors next(sums);
             for (int64_t i = 0; i < rows; ++i)
               for (int64_t at = 0; at < unrolled; at += lanes) {
                 Value d = plus(first, at);
                 Value k = load(op.getKey(), {plus(key, i), d});
                 for (int64_t j = 0; j < count; ++j) {
                   Value q = load(op.getQuery(), {index(firstQuery + j), d});
                   Value &sum = next[j * rows + i];
                   sum = v.fma(k, q, sum);
                 }
               }
             return next;
           });
  for (int64_t j = 0; j < count; ++j) {
    Value query = index(firstQuery + j);
    ArrayRef<Value> sums = ArrayRef(tile).slice(j * rows, rows);
    store(sumEach(Vectors(sums)), panel, {query, key});
  }
}

void RowLowering::scores() {
  // The last vector of a row of scores may have lanes without a key.
  for (int64_t query = 0; query < queries; ++query)
    store(v.number(-infinity), panel, {index(query), wholeTiles(keys, lanes)});
  Value whole = wholeTiles(keys, keyTile);
  auto eachTile = [&](Value key, int64_t rows) {
    for (int64_t query = 0; query < queries; query += queryTile)
      scoreTile(key, rows, query, std::min(queryTile, queries - query));
    return Vectors();
  };
  loop(index(0), whole, keyTile, {},
       [&](Value key, ValueRange) { return eachTile(key, keyTile); });
  loop(whole, keys, 1, {},
       [&](Value key, ValueRange) { return eachTile(key, 1); });
}

void RowLowering::softmax(int64_t query) {
  Value row = index(query);
  bool softcap = op.getSoftcap().has_value();
  double scale = op.getScale().convertToDouble();
  auto reduce = [&](vector::CombiningKind kind, Value x) -> Value {
    return vector::ReductionOp::create(b, loc, kind, x,
                                       arith::FastMathFlags::reassoc);
  };
  auto splat = [&](Value x) -> Value {
    return vector::BroadcastOp::create(
        b, loc, VectorType::get({lanes}, b.getF32Type()), x);
  };
  Value top = loop(
      index(0), keys, lanes, v.number(-infinity),
      [&](Value key, ValueRange running) -> Vectors {
        Value s = load(panel, {row, key});
        if (softcap) {
          double cap = op.getSoftcap()->convertToDouble();
          s = v.mul(s, v.number(scale / cap));
          s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap * log2e));
          // tanh has made -inf finite again.
          Value lane =
              arith::AddIOp::create(b, loc,
                                    v.splatInt(arith::IndexCastOp::create(
                                        b, loc, b.getI32Type(), key)),
                                    v.iota(0));
          Value exists =
              arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane,
                                    v.splatInt(arith::IndexCastOp::create(
                                        b, loc, b.getI32Type(), keys)));
          s = arith::SelectOp::create(b, loc, exists, s, v.number(-infinity));
        } else {
          s = v.mul(s, v.number(scale * log2e));
        }
        store(s, panel, {row, key});
        return {v.max(s, running[0])};
      })[0];
  top = reduce(vector::CombiningKind::MAXNUMF, top);
  Value old = memref::LoadOp::create(b, loc, op.getMaximum(), row);
  Value larger =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, top, old);
  top = arith::SelectOp::create(b, loc, larger, top, old);
  memref::StoreOp::create(b, loc, top, op.getMaximum(), row);
  // While no key was seen the maximum is -inf; 0 stands for it.
  Value minus = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(-infinity));
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
  Value none =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, top, minus);
  Value base = splat(arith::SelectOp::create(b, loc, none, zero, top));
  alphas.push_back(v.exp2(v.sub(splat(old), base)));
  Value sum =
      loop(index(0), keys, lanes, v.number(0.0),
           [&](Value key, ValueRange running) -> Vectors {
             Value s = load(panel, {row, key});
             Value p = v.exp2(v.sub(s, base));
             Value hidden = arith::CmpFOp::create(
                 b, loc, arith::CmpFPredicate::OEQ, s, v.number(-infinity));
             p = arith::SelectOp::create(b, loc, hidden, v.number(0.0), p);
             store(p, panel, {row, key});
             return {v.add(running[0], p)};
           })[0];
  sum = reduce(vector::CombiningKind::ADD, sum);
  Value alpha = vector::ExtractOp::create(b, loc, alphas.back(), 0);
  Value before = memref::LoadOp::create(b, loc, op.getSum(), row);
  sum = arith::AddFOp::create(
      b, loc, arith::MulFOp::create(b, loc, before, alpha), sum);
  memref::StoreOp::create(b, loc, sum, op.getSum(), row);
}

void RowLowering::values(int64_t firstQuery, int64_t count,
                         int64_t firstChannel, int64_t vectors) {
  auto column = [&](int64_t j) { return index(firstChannel + j * lanes); };
  Vectors zeros(count * vectors, v.number(0.0));
  Vectors tile =
      loop(index(0), keys, 1, zeros, [&](Value key, ValueRange sums) {
        Vectors next(sums), weights;
        for (int64_t i = 0; i < count; ++i)
          weights.push_back(vector::BroadcastOp::create(
              b, loc, VectorType::get({lanes}, b.getF32Type()),
              memref::LoadOp::create(b, loc, panel,
                                     ValueRange{index(firstQuery + i), key})));
        for (int64_t j = 0; j < vectors; ++j) {
          Value x = load(op.getValue(), {key, column(j)});
          for (int64_t i = 0; i < count; ++i) {
            Value &sum = next[i * vectors + j];
            sum = v.fma(weights[i], x, sum);
          }
        }
        return next;
      });
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      SmallVector<Value> place = {index(firstQuery + i), column(j)};
      Value old = load(op.getAccumulator(), place);
      store(v.fma(old, alphas[firstQuery + i], tile[i * vectors + j]),
            op.getAccumulator(), place);
    }
}

void RowLowering::run() {
  b.setInsertionPoint(op);
  keys = memref::DimOp::create(b, loc, op.getKey(), 0);
  int64_t width = llvm::alignTo(op.getMostKeys(), lanes) + lanes;
  panel = memref::AllocOp::create(
      b, loc, MemRefType::get({queries, width}, b.getF32Type()),
      b.getI64IntegerAttr(64));
  scores();
  for (int64_t query = 0; query < queries; ++query)
    softmax(query);
  for (int64_t channel = 0; channel < channels;
       channel += channelTile * lanes) {
    int64_t vectors = std::min(channelTile, (channels - channel) / lanes);
    for (int64_t query = 0; query < queries; query += queryTile)
      values(query, std::min(queryTile, queries - query), channel, vectors);
  }
  op.erase();
}

void mlir::repo::lowerRowBlock(OnlineAttentionOp op, int64_t lanes) {
  OpBuilder builder(op);
  RowLowering(builder, op, lanes).run();
}
