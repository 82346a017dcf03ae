//===- LowerOnlineAttentionRows.cpp - Few queries against a block of keys -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A few rows of queries, [N, D], against one block of keys, [M, D], 8 or 16
// keys at a time. Rows are read as they lie, in their own type, each once for
// all queries:
//   scores   channels along the lanes, then a tree of shuffles
//   softmax  up to 4 queries in one vector, each with some of the keys; what is
//            there already is always scaled to the maximum: a branch that
//            waits for memory is worse
//   values   channels along the lanes, weights broadcast
// The state after so many keys does not depend on how keys were cut to blocks,
// so a cache in pages gives the same bits as a contiguous one.
//
// Keys and values in bf16 are read by pairs of vectors. Where an instruction
// multiplies pairs, and the queries are in bf16 too, they are its operands as
// they are: a part of a row of keys, repeated, meets as many queries as there
// are parts in a vector, and rows of two values are woven together. Elsewhere
// they are expanded by a shift and a mask, even elements apart from odd ones.
// Sums are in the order that results meanwhile.
//
// Memory sets the pace, and what keeps it busy decides the form:
//   - Loops take one row a turn, in the order of memory. Then each load moves
//     on by one row a turn, which is what prefetchers in hardware follow;
//     several rows unrolled in one turn are read at half the speed.
//   - Keys and values take turns so often that both streams stay open, every
//     4 KB or so. With blocks of some hundred keys memory rests whenever one of
//     them ends, and a fifth of the speed is lost; so it is with 8 KB, where
//     four queries take about as long to compute as their row to read.
//
//===----------------------------------------------------------------------===//

#include "VectorBlock.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
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
  if (lanes < 8 || op.getMask() || op.getBand() || op.getLimit() ||
      !hasDims(op.getQueryMap(), {N, D}) || !hasDims(op.getKeyMap(), {M, D}) ||
      !hasDims(op.getValueMap(), {M, E}) ||
      !hasDims(op.getAccumulatorMap(), {N, E}))
    return false;
  auto accumulator = cast<ShapedType>(op.getAccumulator().getType());
  auto query = cast<ShapedType>(op.getQuery().getType());
  for (ShapedType type : {query, accumulator})
    if (!type.hasStaticShape() || type.getDimSize(1) % lanes)
      return false;
  for (Value rows : {op.getQuery(), op.getKey(), op.getValue()})
    if (getElementTypeOrSelf(rows).isF64())
      return false;
  if (op.getBias() && !getElementTypeOrSelf(op.getBias()).isF32())
    return false;
  return !ShapedType::isDynamic(op.getMostKeys());
}

namespace {
class RowLowering : VectorBlock {
public:
  RowLowering(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes,
              bool pairs)
      : VectorBlock(builder, op, lanes) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    queries = query.getDimSize(0);
    headSize = query.getDimSize(1);
    vectors =
        cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1) / lanes;
    // 16 lanes come with 32 registers, 8 lanes with 16: up to 24 sums or 12.
    // A pass reads whole rows, if it can, and all passes are alike. But four
    // queries take half rows where these are expanded first, only once so.
    bool f32 = getElementTypeOrSelf(op.getValue()).isF32();
    bool fourQueries = lanes >= 16 && queries % 4 == 0 && !f32;
    valueVectors = (lanes >= 16 || queries == 1) && !fourQueries ? 8 : 4;
    int64_t most = fourQueries ? 4 : lanes >= 16 || queries > 1 ? 3 : 1;
    valueQueries = llvm::divideCeil(queries, llvm::divideCeil(queries, most));

    multipliesPairs = pairs && query.getElementType().isBF16() &&
                      readsPairs(op.getKey()) && readsPairs(op.getValue());
    // Sums of pairs are added within 4 lanes at least.
    joined = multipliesPairs ? std::min(scoreQueries, lanes / 4) : scoreQueries;
    while (queries % joined)
      joined /= 2;
    part = lanes / joined;
    keyTile = joined > 1 && getElementTypeOrSelf(op.getKey()).isF32() ? 8 : 16;
    sharing = multipliesPairs ? joined : 1;
  }

  void run();

private:
  /// Queries whose products with a key are summed at a time.
  static constexpr int64_t scoreQueries = 4;
  using Order = SmallVector<int64_t>;

  /// Whether rows are read by pairs of vectors.
  bool readsPairs(Value rows);
  /// Two vectors of bf16, as they lie.
  Value loadPair(Value rows, Value row, int64_t vector);
  /// Vectors of a row from the vector `from` on; pairs of them if `readsPairs`.
  Vectors loadRow(Value rows, Value row, int64_t from, int64_t count);
  /// The same of two rows of bf16, element by element side by side.
  Vectors loadTwoRows(Value rows, Value first, Value second, int64_t from,
                      int64_t count);
  /// Which of the elements of two neighbouring vectors are in the lanes of what
  /// `loadRow`, or `loadTwoRows`, makes of them.
  Order orderOfPairs();
  /// Rows with their pairs of vectors brought into an order.
  void reorder(Value from, Value to, int64_t columns, const Order &order);
  void eachQuery(function_ref<void(Value)> body) {
    loop(index(0), index(queries), 1, body);
  }

  /// The queries as the products read them, [N / sharing, sharing * D].
  void orderQueries();
  /// The vectors of a row of `ordered`.
  Vectors queryVectors(int64_t row);
  /// The vectors of a key that meet those of the queries.
  Vectors keyVectors(Value key);
  Value multiplyAdd(Value x, Value y, Value sum);
  /// Products of a key and rows of `ordered`, summed down to a vector each.
  void products(Value key, Value row, ArrayRef<Vectors> rows);
  /// One vector whose lanes are the sums over the parts, `width` lanes wide, of
  /// each of `rows`.
  Value sumEach(Vectors rows, int64_t width);
  /// Scores of the queries that share vectors, of keys [first, first +
  /// keyTile): a vector has `part` keys of each. -inf past `count` keys.
  /// `inTile` is the place of the first query in `partial`. A bias has room for
  /// whole tiles.
  Vectors scores(Value inTile, Value firstQuery, Value first, Value count);
  /// A vector of parts of neighbouring rows of the bias.
  Value biasOf(Value firstQuery, Value firstKey);
  /// Combines lanes until all those of a part hold the result of the part.
  Value combineParts(Value x, function_ref<Value(Value, Value)> combine);
  /// Weights of the queries of a group from their scores, against the running
  /// maximum.
  void softmax(Value group, Vectors scores);
  /// Where the weight of a query and a key lies in its row of `weights`.
  Value weightPlace(int64_t query, Value key);
  /// Adds the weighted values of `count` keys from `first` on.
  void values(Value first, Value count, int64_t firstQuery, int64_t rows,
              int64_t firstVector, int64_t columns);
  /// Those of a key, or of two in pairs.
  void addValues(Vectors &sums, Value first, Value key, Value count,
                 int64_t firstQuery, int64_t firstVector, int64_t columns);
  /// Sums stay in memory between passes: carried in registers, of which there
  /// are too few, they would be spilled within the passes.
  void keepSumsInMemory();

  int64_t queries, headSize;
  int64_t vectors;                    // of a row of values
  int64_t valueQueries, valueVectors; // a pass over values
  bool multipliesPairs;               // of bf16, without expanding them
  int64_t joined;                     // queries that share vectors of scores
  int64_t part;                       // lanes of each
  int64_t keyTile;                    // keys at a time, a multiple of these
  int64_t sharing;                    // queries that share vectors of products
  Value keys;                         // M
  Value ordered;                      // queries, as the products read them
  Value partial; // sums of products, [scoreQueries / sharing, keyTile, lanes]
  // Of each group of joined queries:
  Value maxima, sums; // the state, [N / joined, lanes]
  Value alphas;       // what it is scaled by
  Value weights;      // of the keys at hand, [N / joined, joined * keyTile]
};
} // namespace

Value RowLowering::sumEach(Vectors rows, int64_t width) {
  // Neighbours become one vector with half as many terms of each sum: two
  // rounds within quarters of 128 bits, then quarter by quarter. Every shuffle
  // is one instruction, and the sums of a part end in the order of the rows.
  constexpr int64_t quarter = 4;
  for (int64_t round = 0; rows.size() > 1; ++round) {
    SmallVector<int64_t> low, high;
    auto take = [&](int64_t lowest, int64_t highest, int64_t operand) {
      low.push_back(operand * lanes + lowest);
      high.push_back(operand * lanes + highest);
    };
    if (round == 0)
      for (int64_t at = 0; at < lanes; at += quarter)
        for (int64_t lane : {at, at + 1})
          for (int64_t operand : {0, 1})
            take(lane, lane + 2, operand);
    else if (round == 1)
      for (int64_t at = 0; at < lanes; at += quarter)
        for (int64_t operand : {0, 1})
          for (int64_t lane : {at, at + 1})
            take(lane, lane + 2, operand);
    else
      for (int64_t start = 0; start < lanes; start += width)
        for (int64_t operand : {0, 1})
          for (int64_t at = start; at < start + width; at += 2 * quarter)
            for (int64_t lane = at; lane < at + quarter; ++lane)
              take(lane, lane + quarter, operand);
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

Value RowLowering::loadPair(Value rows, Value row, int64_t vector) {
  auto pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  return vector::LoadOp::create(b, loc, pairs, rows,
                                ValueRange{row, index(vector * lanes)});
}

RowLowering::Vectors RowLowering::loadRow(Value rows, Value row, int64_t from,
                                          int64_t count) {
  Vectors result;
  if (!readsPairs(rows)) {
    for (int64_t i = 0; i < count; ++i)
      result.push_back(load(rows, {row, index((from + i) * lanes)}));
    return result;
  }
  VectorType floats = this->floats(lanes),
             ints = VectorType::get({lanes}, b.getI32Type());
  for (int64_t i = 0; i < count; i += 2) {
    Value x =
        vector::BitCastOp::create(b, loc, ints, loadPair(rows, row, from + i));
    Value even = arith::ShLIOp::create(b, loc, x, v.integer(16));
    Value odd = arith::AndIOp::create(b, loc, x, v.integer(~0xffff));
    for (Value half : {even, odd})
      result.push_back(arith::BitcastOp::create(b, loc, floats, half));
  }
  return result;
}

RowLowering::Vectors RowLowering::loadTwoRows(Value rows, Value first,
                                              Value second, int64_t from,
                                              int64_t count) {
  // Low or high elements within 128 bits: one instruction.
  constexpr int64_t half = 4;
  SmallVector<int64_t> low, high;
  for (int64_t at = 0; at < 2 * lanes; at += 2 * half)
    for (int64_t i = at; i < at + half; ++i)
      for (int64_t row : {0, 1}) {
        low.push_back(row * 2 * lanes + i);
        high.push_back(row * 2 * lanes + i + half);
      }
  auto words = VectorType::get({2 * lanes}, b.getI16Type()),
       pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  Vectors result;
  for (int64_t i = 0; i < count; i += 2) {
    Value x = arith::BitcastOp::create(b, loc, words,
                                       loadPair(rows, first, from + i)),
          y = arith::BitcastOp::create(b, loc, words,
                                       loadPair(rows, second, from + i));
    for (ArrayRef<int64_t> mask : {low, high})
      result.push_back(arith::BitcastOp::create(
          b, loc, pairs, vector::ShuffleOp::create(b, loc, x, y, mask)));
  }
  return result;
}

RowLowering::Order RowLowering::orderOfPairs() {
  Order order;
  for (int64_t half : {0, 1})
    for (int64_t lane = 0; lane < lanes; ++lane)
      order.push_back(multipliesPairs ? lane / 4 * 8 + half * 4 + lane % 4
                                      : 2 * lane + half);
  return order;
}

void RowLowering::reorder(Value from, Value to, int64_t columns,
                          const Order &order) {
  auto low = ArrayRef(order).take_front(lanes),
       high = ArrayRef(order).drop_front(lanes);
  eachQuery([&](Value query) {
    for (int64_t i = 0; i < columns; i += 2) {
      SmallVector<Value> first = {query, index(i * lanes)},
                         second = {query, index((i + 1) * lanes)};
      Value x = load(from, first), y = load(from, second);
      store(vector::ShuffleOp::create(b, loc, x, y, low), to, first);
      store(vector::ShuffleOp::create(b, loc, x, y, high), to, second);
    }
  });
}

void RowLowering::orderQueries() {
  ordered = op.getQuery();
  if (!readsPairs(op.getKey()))
    return;
  if (!multipliesPairs) {
    ordered = alloc({queries, headSize});
    reorder(op.getQuery(), ordered, headSize / lanes, orderOfPairs());
    return;
  }
  if (sharing == 1)
    return;
  // Parts of the queries that share a vector.
  ordered = memref::AllocOp::create(
      b, loc,
      MemRefType::get({queries / sharing, sharing * headSize}, b.getBF16Type()),
      b.getI64IntegerAttr(64));
  auto type = VectorType::get({2 * part}, b.getBF16Type());
  loop(index(0), index(queries / sharing), 1, [&](Value group) {
    Value first = arith::MulIOp::create(b, loc, group, index(sharing));
    for (int64_t at = 0; at < headSize; at += 2 * part)
      for (int64_t i = 0; i < sharing; ++i)
        store(vector::LoadOp::create(b, loc, type, op.getQuery(),
                                     ValueRange{plus(first, i), index(at)}),
              ordered, {group, index(at * sharing + i * 2 * part)});
  });
}

RowLowering::Vectors RowLowering::queryVectors(int64_t row) {
  Vectors result;
  if (multipliesPairs)
    for (int64_t i = 0; i < sharing * headSize / lanes; i += 2)
      result.push_back(loadPair(ordered, index(row), i));
  else
    for (int64_t i = 0; i < headSize; i += lanes)
      result.push_back(load(ordered, {index(row), index(i)}));
  return result;
}

RowLowering::Vectors RowLowering::keyVectors(Value key) {
  if (!multipliesPairs)
    return loadRow(op.getKey(), key, 0, headSize / lanes);
  SmallVector<int64_t> repeated;
  for (int64_t lane = 0; lane < lanes; ++lane)
    repeated.push_back(lane % part);
  auto type = VectorType::get({2 * part}, b.getBF16Type());
  Vectors result;
  for (int64_t at = 0; at < headSize; at += 2 * part) {
    Value x = vector::LoadOp::create(b, loc, type, op.getKey(),
                                     ValueRange{key, index(at)});
    if (sharing > 1) {
      x = vector::BitCastOp::create(b, loc, floats(part), x);
      x = vector::ShuffleOp::create(b, loc, x, x, repeated);
      x = vector::BitCastOp::create(
          b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), x);
    }
    result.push_back(x);
  }
  return result;
}

Value RowLowering::multiplyAdd(Value x, Value y, Value sum) {
  if (!multipliesPairs)
    return v.fma(x, y, sum);
  return LLVM::CallIntrinsicOp::create(
             b, loc, sum.getType(),
             b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps." +
                             std::to_string(32 * lanes)),
             ValueRange{sum, x, y})
      .getResult(0);
}

void RowLowering::products(Value key, Value row, ArrayRef<Vectors> rows) {
  Vectors ks = keyVectors(key);
  for (auto [j, qs] : llvm::enumerate(rows)) {
    // Few rows: two chains of sums each, for the latency.
    Vectors sums(rows.size() == 1 ? 2 : 1, v.number(0.0));
    for (auto [i, q, k] : llvm::enumerate(qs, ks)) {
      Value &sum = sums[i % sums.size()];
      sum = multiplyAdd(k, q, sum);
    }
    Value sum = sums.size() == 1 ? sums[0] : v.add(sums[0], sums[1]);
    store(sum, partial, {index(j), row, index(0)});
  }
}

Value RowLowering::biasOf(Value firstQuery, Value firstKey) {
  if (joined == 1)
    return load(op.getBias(), {firstQuery, firstKey});
  Value bias = v.number(0.0);
  for (int64_t i = 0; i < joined; ++i)
    bias = vector::InsertStridedSliceOp::create(
        b, loc, load(op.getBias(), {plus(firstQuery, i), firstKey}, part), bias,
        /*offsets=*/ArrayRef<int64_t>{i * part},
        /*strides=*/ArrayRef<int64_t>{1});
  return bias;
}

RowLowering::Vectors RowLowering::scores(Value inTile, Value firstQuery,
                                         Value first, Value count) {
  Vectors result;
  double scale = op.getScale().convertToDouble();
  // The bias comes between the scale and the base of the exponential.
  double factor = op.getBias() ? 1.0 : log2e;
  SmallVector<int32_t> keyOfLane;
  for (int64_t lane = 0; lane < lanes; ++lane)
    keyOfLane.push_back(lane % part);
  Value left = v.splatInt(toI32(count));
  for (int64_t at = 0; at < keyTile; at += part) {
    Vectors rows;
    for (int64_t i = 0; i < joined / sharing; ++i)
      for (int64_t key = at; key < at + part; ++key)
        rows.push_back(load(partial, {plus(inTile, i), index(key), index(0)}));
    Value s = sumEach(rows, lanes / sharing);
    if (op.getSoftcap()) {
      double cap = op.getSoftcap()->convertToDouble();
      s = v.mul(s, v.number(scale / cap));
      s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap * factor));
    } else {
      s = v.mul(s, v.number(scale * factor));
    }
    if (op.getBias())
      s = v.mul(v.add(s, biasOf(firstQuery, plus(first, at))), v.number(log2e));
    Value key = arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(VectorType::get({lanes}, b.getI32Type()),
                               ArrayRef<int32_t>(keyOfLane)));
    Value exists =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, key, left);
    result.push_back(
        arith::SelectOp::create(b, loc, exists, s, v.number(-infinity)));
    for (int32_t &key : keyOfLane)
      key += part;
  }
  return result;
}

Value RowLowering::combineParts(Value x,
                                function_ref<Value(Value, Value)> combine) {
  for (int64_t width = part / 2; width > 0; width /= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back(lane / part * part + (lane + width) % part);
    x = combine(x, vector::ShuffleOp::create(b, loc, x, x, other));
  }
  return x;
}

void RowLowering::softmax(Value group, Vectors scores) {
  SmallVector<Value> start = {group, index(0)};
  Value top = scores[0];
  for (Value s : ArrayRef(scores).drop_front())
    top = v.max(top, s);
  top = combineParts(top, [&](Value x, Value y) { return v.max(x, y); });
  Value old = load(maxima, start);
  top = v.max(top, old);
  store(top, maxima, start);
  // While no key was seen the maximum is -inf; 0 stands for it.
  auto isHidden = [&](Value x) -> Value {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, x,
                                 v.number(-infinity));
  };
  Value base =
      arith::SelectOp::create(b, loc, isHidden(top), v.number(0.0), top);
  Value alpha = v.exp2(v.sub(old, base));
  store(alpha, alphas, start);
  Value sum;
  for (auto [i, s] : llvm::enumerate(scores)) {
    Value p = v.exp2(v.sub(s, base));
    if (!v.hasExactZero())
      p = arith::SelectOp::create(b, loc, isHidden(s), v.number(0.0), p);
    sum = i ? v.add(sum, p) : p;
    if (multipliesPairs)
      p = arith::TruncFOp::create(b, loc,
                                  VectorType::get({lanes}, b.getBF16Type()), p);
    store(p, weights, {group, index(i * lanes)});
  }
  sum = combineParts(sum, [&](Value x, Value y) { return v.add(x, y); });
  store(v.fma(load(sums, start), alpha, sum), sums, start);
}

Value RowLowering::weightPlace(int64_t query, Value key) {
  if (joined == 1)
    return key;
  // key / part * lanes + query % joined * part + key % part
  Value before = arith::DivUIOp::create(b, loc, key, index(part));
  before = arith::MulIOp::create(b, loc, before, index(lanes - part));
  return plus(plus(key, before), query % joined * part);
}

void RowLowering::addValues(Vectors &sums, Value first, Value key, Value count,
                            int64_t firstQuery, int64_t firstVector,
                            int64_t columns) {
  Vectors row;
  if (multipliesPairs) {
    // Past the last key the weight is 0, and so it may be any row.
    Value second = min(plus(key, 1), minus(count, index(1)));
    row = loadTwoRows(op.getValue(), plus(first, key), plus(first, second),
                      firstVector, columns);
  } else {
    row = loadRow(op.getValue(), plus(first, key), firstVector, columns);
  }
  for (size_t i = 0; i < sums.size(); i += columns) {
    int64_t query = firstQuery + i / columns;
    SmallVector<Value> place = {index(query / joined), weightPlace(query, key)};
    Value weight;
    if (multipliesPairs) {
      weight = vector::LoadOp::create(
          b, loc, VectorType::get({2}, b.getBF16Type()), weights, place);
      weight = vector::BitCastOp::create(
          b, loc, VectorType::get({1}, b.getI32Type()), weight);
      weight = vector::BroadcastOp::create(
          b, loc, VectorType::get({lanes}, b.getI32Type()), weight);
      weight = vector::BitCastOp::create(
          b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), weight);
    } else {
      weight = broadcastElement(weights, place, lanes);
    }
    for (int64_t j = 0; j < columns; ++j)
      sums[i + j] = multiplyAdd(weight, row[j], sums[i + j]);
  }
}

void RowLowering::values(Value first, Value count, int64_t firstQuery,
                         int64_t rows, int64_t firstVector, int64_t columns) {
  auto place = [&](int64_t i) {
    return SmallVector<Value>{index(firstQuery + i / columns),
                              index((firstVector + i % columns) * lanes)};
  };
  Vectors sums;
  for (int64_t i = 0; i < rows * columns; ++i) {
    int64_t query = firstQuery + i / columns;
    Value alpha = broadcastElement(
        alphas, {index(query / joined), index(query % joined * part)}, lanes);
    sums.push_back(v.mul(load(op.getAccumulator(), place(i)), alpha));
  }
  sums = loop(index(0), count, multipliesPairs ? 2 : 1, sums,
              [&](Value key, ValueRange carried) {
                Vectors next(carried);
                addValues(next, first, key, count, firstQuery, firstVector,
                          columns);
                return next;
              });
  for (int64_t i = 0; i < rows * columns; ++i)
    store(sums[i], op.getAccumulator(), place(i));
}

void RowLowering::keepSumsInMemory() {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(
      b, loc, op.getAccumulator());
  address = arith::IndexCastOp::create(b, loc, b.getI64Type(), address);
  // No instruction, but for the compiler something that may write there.
  LLVM::InlineAsmOp::create(b, loc, TypeRange(), address, /*asm_string=*/"",
                            /*constraints=*/"r,~{memory}",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None,
                            LLVM::AsmDialectAttr(),
                            /*operand_attrs=*/ArrayAttr());
}

void RowLowering::run() {
  b.setInsertionPoint(op);
  keys = memref::DimOp::create(b, loc, op.getKey(), 0);
  int64_t groups = queries / joined;
  partial = alloc({std::min(scoreQueries, queries) / sharing, keyTile, lanes});
  maxima = alloc({groups, lanes});
  sums = alloc({groups, lanes});
  alphas = alloc({groups, lanes});
  weights = memref::AllocOp::create(
      b, loc,
      MemRefType::get({groups, joined * keyTile},
                      multipliesPairs ? b.getBF16Type() : b.getF32Type()),
      b.getI64IntegerAttr(64));
  orderQueries();
  Value accumulator = op.getAccumulator();
  bool paired = readsPairs(op.getValue());
  Order order = orderOfPairs();
  if (paired)
    reorder(accumulator, accumulator, vectors, order);
  // The state, of every query in all lanes of its part.
  auto eachState = [&](function_ref<void(Value, Value, Value)> body) {
    eachQuery([&](Value query) {
      Value group = arith::DivUIOp::create(b, loc, query, index(joined));
      Value lane = arith::RemUIOp::create(b, loc, query, index(joined));
      body(query, group, arith::MulIOp::create(b, loc, lane, index(part)));
    });
  };
  std::pair<Value, Value> states[] = {{op.getMaximum(), maxima},
                                      {op.getSum(), sums}};
  eachState([&](Value query, Value group, Value lane) {
    for (auto [scalars, parts] : states)
      store(broadcastElement(scalars, query, part), parts, {group, lane});
  });

  auto each = [&](int64_t count, int64_t tile,
                  function_ref<void(int64_t, int64_t)> body) {
    for (int64_t first = 0; first < count; first += tile)
      body(first, std::min(tile, count - first));
  };
  loop(index(0), keys, keyTile, [&](Value first) {
    Value count = min(minus(keys, first), index(keyTile));
    each(queries, scoreQueries, [&](int64_t query, int64_t rows) {
      SmallVector<Vectors> queryRows;
      auto loadQueries = [&] {
        for (int64_t row = 0; row < rows; row += sharing)
          queryRows.push_back(queryVectors((query + row) / sharing));
      };
      // In registers, where half of them are enough.
      bool fit = rows * headSize <= lanes * lanes * (multipliesPairs ? 2 : 1);
      if (fit)
        loadQueries();
      loop(index(0), count, 1, [&](Value row) {
        if (!fit) {
          queryRows.clear();
          loadQueries();
        }
        products(plus(first, row), row, queryRows);
      });
      // Past the last key these are sums of nothing, and hidden.
      loop(index(0), index(rows / joined), 1, [&](Value at) {
        Value inTile =
            arith::MulIOp::create(b, loc, at, index(joined / sharing));
        Value firstQuery = arith::MulIOp::create(b, loc, at, index(joined));
        softmax(plus(at, query / joined),
                scores(inTile, plus(firstQuery, query), first, count));
      });
    });
    bool severalPasses = queries > valueQueries || vectors > valueVectors;
    each(vectors, valueVectors, [&](int64_t vector, int64_t columns) {
      each(queries, valueQueries, [&](int64_t query, int64_t rows) {
        if (severalPasses)
          keepSumsInMemory();
        values(first, count, query, rows, vector, columns);
      });
    });
  });

  eachState([&](Value query, Value group, Value lane) {
    for (auto [scalars, parts] : states)
      memref::StoreOp::create(
          b, loc,
          memref::LoadOp::create(b, loc, parts, ValueRange{group, lane}),
          scalars, query);
  });
  if (paired) {
    Order back(order.size());
    for (auto [place, element] : llvm::enumerate(order))
      back[element] = place;
    reorder(accumulator, accumulator, vectors, back);
  }
  op.erase();
}

void mlir::repo::lowerRowBlock(OnlineAttentionOp op, int64_t lanes,
                               bool pairs) {
  OpBuilder builder(op);
  RowLowering(builder, op, lanes, pairs).run();
}
