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
//   scores   channels along the lanes, then a tree of shuffles
//   softmax  keys along the lanes
//   values   channels along the lanes, weights broadcast
//
// Pairs of vectors of bf16 are expanded by a shift and a mask, even elements
// apart from odd ones; queries and sums are kept in that order meanwhile.
//
// Memory sets the pace. Its rows are read by loops of one row a turn, in the
// order of memory: each load of such a loop then moves on by one row a turn,
// which is what prefetchers in hardware follow. Several rows unrolled in one
// turn are read at half the speed.
//
//===----------------------------------------------------------------------===//

#include "VectorBlock.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::repo;

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
class RowLowering : VectorBlock {
public:
  RowLowering(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes)
      : VectorBlock(builder, op, lanes) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    queries = query.getDimSize(0);
    headSize = query.getDimSize(1);
    channels = cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1);
    // 16 lanes come with 32 registers, 8 lanes with 16: 24 sums or up to 12.
    bool few = queries <= (lanes >= 16 ? 3 : 1);
    queryTile = lanes >= 16 ? (few ? 3 : 6) : (few ? 1 : 3);
    channelTile = few ? 8 : 4;
  }

  void run();

private:
  /// Keys whose products are summed by one tree of shuffles after another.
  static constexpr int64_t scoreTile = 32;
  static constexpr int64_t cacheLine = 64;

  static int64_t getElementBytes(Value buffer) {
    return getElementTypeOrSelf(buffer).getIntOrFloatBitWidth() / 8;
  }

  /// One vector whose lanes are the sums over each of `rows`, `lanes` of them.
  Value sumEach(Vectors rows);
  /// Whether rows are read by pairs of vectors, even elements apart from odd.
  bool readsPairs(Value rows);
  /// Vectors of a row from element `from` on; pairs of them if `readsPairs`.
  Vectors loadRow(Value rows, Value row, int64_t from, int64_t vectors);
  /// Neighbouring vectors to the even and the odd elements of both, and back.
  void toPairs(MutableArrayRef<Value> vectors);
  void fromPairs(MutableArrayRef<Value> vectors);
  void orderQueries();
  /// Products of queries and one key, summed down to one vector each.
  void products(Value key, Value row, int64_t firstQuery, int64_t count);
  void scores();
  void softmax(int64_t query);
  void values(int64_t firstQuery, int64_t count, int64_t firstChannel,
              int64_t vectors);
  void values();
  /// Asks for the channels of a key's value from `firstChannel` on, into the
  /// second-level cache.
  void prefetchValue(Value key, int64_t firstChannel);
  /// Asks for the first values, so that memory does not pause for the softmax.
  void prefetchValues();

  int64_t queries, headSize, channels;
  int64_t queryTile, channelTile; // of registers, the latter in vectors
  Value keys;                     // M
  Value ordered; // queries, in the order of the elements of keys
  Value panel;   // scores, then weights, [N, M] and the rest of a vector
  Value partial; // sums of products, [queryTile, scoreTile, lanes]
};
} // namespace

Value RowLowering::sumEach(Vectors rows) {
  // Neighbours become one vector with half as many terms of each sum: two
  // rounds within parts of 128 bits, then part by part. Every shuffle is one
  // instruction, and the sums end in the order of the rows.
  constexpr int64_t part = 4;
  for (int64_t round = 0; rows.size() > 1; ++round) {
    SmallVector<int64_t> low, high;
    auto take = [&](int64_t lowest, int64_t highest, int64_t operand) {
      low.push_back(operand * lanes + lowest);
      high.push_back(operand * lanes + highest);
    };
    if (round == 0)
      for (int64_t at = 0; at < lanes; at += part)
        for (int64_t lane : {at, at + 1})
          for (int64_t operand : {0, 1})
            take(lane, lane + 2, operand);
    else if (round == 1)
      for (int64_t at = 0; at < lanes; at += part)
        for (int64_t operand : {0, 1})
          for (int64_t lane : {at, at + 1})
            take(lane, lane + 2, operand);
    else
      for (int64_t operand : {0, 1})
        for (int64_t at = 0; at < lanes; at += 2 * part)
          for (int64_t lane = at; lane < at + part; ++lane)
            take(lane, lane + part, operand);
    Vectors next;
    for (size_t i = 0; i < rows.size(); i += 2)
      next.push_back(
          v.add(vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], low),
                vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], high)));
    rows = next;
  }
  return rows[0];
}

bool RowLowering::readsPairs(Value rows) {
  return getElementTypeOrSelf(rows).isBF16() &&
         cast<ShapedType>(rows.getType()).getDimSize(1) % (2 * lanes) == 0;
}

RowLowering::Vectors RowLowering::loadRow(Value rows, Value row, int64_t from,
                                          int64_t vectors) {
  Vectors result;
  if (!readsPairs(rows)) {
    for (int64_t i = 0; i < vectors; ++i)
      result.push_back(load(rows, {row, index(from + i * lanes)}));
    return result;
  }
  VectorType floats = this->floats(lanes),
             ints = VectorType::get({lanes}, b.getI32Type());
  auto pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  for (int64_t i = 0; i < vectors; i += 2) {
    Value x = vector::LoadOp::create(b, loc, pairs, rows,
                                     ValueRange{row, index(from + i * lanes)});
    x = vector::BitCastOp::create(b, loc, ints, x);
    Value even = arith::ShLIOp::create(b, loc, x, v.integer(16));
    Value odd = arith::AndIOp::create(b, loc, x, v.integer(~0xffff));
    for (Value half : {even, odd})
      result.push_back(arith::BitcastOp::create(b, loc, floats, half));
  }
  return result;
}

void RowLowering::toPairs(MutableArrayRef<Value> vectors) {
  SmallVector<int64_t> even, odd;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    even.push_back(2 * lane);
    odd.push_back(2 * lane + 1);
  }
  for (size_t i = 0; i < vectors.size(); i += 2) {
    Value x = vectors[i], y = vectors[i + 1];
    vectors[i] = vector::ShuffleOp::create(b, loc, x, y, even);
    vectors[i + 1] = vector::ShuffleOp::create(b, loc, x, y, odd);
  }
}

void RowLowering::fromPairs(MutableArrayRef<Value> vectors) {
  SmallVector<int64_t> low, high;
  for (int64_t lane = 0; lane < lanes / 2; ++lane) {
    low.append({lane, lanes + lane});
    high.append({lanes / 2 + lane, lanes + lanes / 2 + lane});
  }
  for (size_t i = 0; i < vectors.size(); i += 2) {
    Value x = vectors[i], y = vectors[i + 1];
    vectors[i] = vector::ShuffleOp::create(b, loc, x, y, low);
    vectors[i + 1] = vector::ShuffleOp::create(b, loc, x, y, high);
  }
}

void RowLowering::orderQueries() {
  ordered = op.getQuery();
  if (!readsPairs(op.getKey()))
    return;
  ordered = alloc({queries, headSize});
  loop(index(0), index(queries), 1, [&](Value query) {
    for (int64_t d = 0; d < headSize; d += 2 * lanes) {
      SmallVector<Value> low = {query, index(d)},
                         high = {query, index(d + lanes)};
      Vectors pair = {load(op.getQuery(), low), load(op.getQuery(), high)};
      toPairs(pair);
      store(pair[0], ordered, low);
      store(pair[1], ordered, high);
    }
  });
}

void RowLowering::products(Value key, Value row, int64_t firstQuery,
                           int64_t count) {
  Vectors sums(count, v.number(0.0));
  Vectors ks = loadRow(op.getKey(), key, 0, headSize / lanes);
  for (auto [i, k] : llvm::enumerate(ks))
    for (int64_t j = 0; j < count; ++j) {
      Value q = load(ordered, {index(firstQuery + j), index(i * lanes)});
      sums[j] = v.fma(k, q, sums[j]);
    }
  for (int64_t j = 0; j < count; ++j)
    store(sums[j], partial, {index(j), row, index(0)});
}

void RowLowering::scores() {
  loop(index(0), keys, scoreTile, [&](Value first) {
    Value count = min(minus(keys, first), index(scoreTile));
    for (int64_t query = 0; query < queries; query += queryTile) {
      int64_t tile = std::min(queryTile, queries - query);
      loop(index(0), count, 1,
           [&](Value row) { products(plus(first, row), row, query, tile); });
      // Past the last key these are sums of nothing, replaced below.
      loop(index(0), count, lanes, [&](Value row) {
        for (int64_t j = 0; j < tile; ++j) {
          Vectors sums;
          for (int64_t i = 0; i < lanes; ++i)
            sums.push_back(load(partial, {index(j), plus(row, i), index(0)}));
          store(sumEach(sums), panel, {index(query + j), plus(first, row)});
        }
      });
    }
  });
  // The last vector of a row of scores may have lanes without a key.
  Value last = wholeTiles(keys, lanes);
  Value exists =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v.iota(0),
                            v.splatInt(toI32(minus(keys, last))));
  for (int64_t query = 0; query < queries; ++query) {
    SmallVector<Value> place = {index(query), last};
    store(arith::SelectOp::create(b, loc, exists, load(panel, place),
                                  v.number(-infinity)),
          panel, place);
  }
}

void RowLowering::softmax(int64_t query) {
  Value row = index(query);
  bool softcap = op.getSoftcap().has_value();
  double scale = op.getScale().convertToDouble();
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
              arith::AddIOp::create(b, loc, v.splatInt(toI32(key)), v.iota(0));
          Value exists = arith::CmpIOp::create(
              b, loc, arith::CmpIPredicate::slt, lane, v.splatInt(toI32(keys)));
          s = arith::SelectOp::create(b, loc, exists, s, v.number(-infinity));
        } else {
          s = v.mul(s, v.number(scale * log2e));
        }
        store(s, panel, {row, key});
        return {v.max(s, running[0])};
      })[0];
  for (int64_t width = lanes / 2; width > 0; width /= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back((lane + width) % lanes);
    top = v.max(top, vector::ShuffleOp::create(b, loc, top, top, other));
  }
  top = vector::ExtractOp::create(b, loc, top, 0);
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
  Value base =
      broadcast(arith::SelectOp::create(b, loc, none, zero, top), lanes);
  Value alphas = v.exp2(v.sub(broadcast(old, lanes), base));
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
  sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sum,
                                    arith::FastMathFlags::reassoc);
  Value alpha = vector::ExtractOp::create(b, loc, alphas, 0);
  Value before = memref::LoadOp::create(b, loc, op.getSum(), row);
  sum = arith::AddFOp::create(
      b, loc, arith::MulFOp::create(b, loc, before, alpha), sum);
  memref::StoreOp::create(b, loc, sum, op.getSum(), row);
  for (int64_t channel = 0; channel < channels; channel += lanes) {
    SmallVector<Value> place = {row, index(channel)};
    store(v.mul(load(op.getAccumulator(), place), alphas), op.getAccumulator(),
          place);
  }
}

void RowLowering::values(int64_t firstQuery, int64_t count,
                         int64_t firstChannel, int64_t vectors) {
  auto column = [&](int64_t j) { return index(firstChannel + j * lanes); };
  auto place = [&](int64_t i) {
    return SmallVector<Value>{index(firstQuery + i / vectors),
                              column(i % vectors)};
  };
  bool pairs = readsPairs(op.getValue());
  Vectors sums;
  for (int64_t i = 0; i < count * vectors; ++i)
    sums.push_back(load(op.getAccumulator(), place(i)));
  if (pairs)
    toPairs(sums);
  sums = loop(index(0), keys, 1, sums, [&](Value key, ValueRange carried) {
    Vectors next(carried), weights;
    // The passes that follow find the rest of the rows in the second-level
    // cache.
    if (firstChannel == 0 && firstQuery == 0)
      prefetchValue(key, vectors * lanes);
    for (int64_t i = 0; i < count; ++i)
      weights.push_back(
          broadcastElement(panel, {index(firstQuery + i), key}, lanes));
    Vectors row = loadRow(op.getValue(), key, firstChannel, vectors);
    for (int64_t j = 0; j < vectors; ++j)
      for (int64_t i = 0; i < count; ++i) {
        Value &sum = next[i * vectors + j];
        sum = v.fma(weights[i], row[j], sum);
      }
    return next;
  });
  if (pairs)
    fromPairs(sums);
  for (int64_t i = 0; i < count * vectors; ++i)
    store(sums[i], op.getAccumulator(), place(i));
}

void RowLowering::prefetchValue(Value key, int64_t firstChannel) {
  int64_t step = cacheLine / getElementBytes(op.getValue());
  for (int64_t at = firstChannel; at < channels; at += step)
    memref::PrefetchOp::create(b, loc, op.getValue(),
                               ValueRange{key, index(at)}, /*isWrite=*/false,
                               /*localityHint=*/2, /*isDataCache=*/true);
}

void RowLowering::prefetchValues() {
  constexpr int64_t bytes = 4096;
  int64_t rows =
      std::max<int64_t>(1, bytes / (channels * getElementBytes(op.getValue())));
  loop(index(0), min(keys, index(rows)), 1,
       [&](Value key) { prefetchValue(key, 0); });
}

void RowLowering::values() {
  int64_t vectors = channels / lanes;
  for (int64_t first = 0; first < vectors; first += channelTile)
    for (int64_t query = 0; query < queries; query += queryTile)
      values(query, std::min(queryTile, queries - query), first * lanes,
             std::min(channelTile, vectors - first));
}

void RowLowering::run() {
  b.setInsertionPoint(op);
  keys = memref::DimOp::create(b, loc, op.getKey(), 0);
  int64_t width = llvm::alignTo(op.getMostKeys(), lanes) + lanes;
  panel = alloc({queries, width});
  partial = alloc({std::min(queryTile, queries), scoreTile, lanes});
  orderQueries();
  scores();
  prefetchValues();
  for (int64_t query = 0; query < queries; ++query)
    softmax(query);
  values();
  op.erase();
}

void mlir::repo::lowerRowBlock(OnlineAttentionOp op, int64_t lanes) {
  OpBuilder builder(op);
  RowLowering(builder, op, lanes).run();
}
