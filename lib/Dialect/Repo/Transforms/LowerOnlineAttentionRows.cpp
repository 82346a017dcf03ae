//===- LowerOnlineAttentionRows.cpp - Few queries against a block of keys -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A few rows of queries, [N, D], against one block of keys, [M, D], 16 keys at
// a time. Rows are read as they lie, in their own type, each once for all
// queries:
//   scores   channels along the lanes, then a tree of shuffles
//   softmax  keys along the lanes; what is there already is always scaled to
//            the maximum: a branch that waits for memory is worse
//   values   channels along the lanes, weights broadcast
// The state after every 16 keys does not depend on how keys were cut to blocks,
// so a cache in pages gives the same bits as a contiguous one.
// Pairs of vectors of bf16 are expanded by a shift and a mask, even elements
// apart from odd ones; queries and sums are in that order meanwhile.
//
// Memory sets the pace, and what keeps it busy decides the form:
//   - Loops take one row a turn, in the order of memory. Then each load moves
//     on by one row a turn, which is what prefetchers in hardware follow;
//     several rows unrolled in one turn are read at half the speed.
//   - Keys and values take turns so often that both streams stay open. With
//     blocks of some hundred keys memory rests whenever one of them ends, and
//     a fifth of the speed is lost.
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
    if (!type.hasStaticShape() || !type.getElementType().isF32() ||
        type.getDimSize(1) % lanes)
      return false;
  for (Value rows : {op.getKey(), op.getValue()})
    if (getElementTypeOrSelf(rows).isF64())
      return false;
  if (op.getBias() && !getElementTypeOrSelf(op.getBias()).isF32())
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
    vectors =
        cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1) / lanes;
    // 16 lanes come with 32 registers, 8 lanes with 16: up to 24 sums or 12.
    // A pass reads whole rows, if it can, and all passes are alike.
    valueVectors = lanes >= 16 || queries == 1 ? 8 : 4;
    int64_t most = lanes >= 16 || queries > 1 ? 3 : 1;
    valueQueries = llvm::divideCeil(queries, llvm::divideCeil(queries, most));
  }

  void run();

private:
  /// Keys at a time, a multiple of the lanes.
  static constexpr int64_t keyTile = 16;
  /// Queries whose products with a key are summed at a time.
  static constexpr int64_t scoreQueries = 4;

  /// Whether rows are read by pairs of vectors, even elements apart from odd.
  bool readsPairs(Value rows);
  /// Vectors of a row from the vector `from` on; pairs of them if `readsPairs`.
  Vectors loadRow(Value rows, Value row, int64_t from, int64_t count);
  /// Rows of queries with neighbouring vectors turned to the even and the odd
  /// elements of both (`pairs`), or back.
  void reorder(Value from, Value to, int64_t columns, bool pairs);
  void eachQuery(function_ref<void(Value)> body) {
    loop(index(0), index(queries), 1, body);
  }

  /// Products of queries and one key, summed down to one vector each.
  void products(Value key, Value row, int64_t firstQuery, int64_t count);
  /// One vector whose lanes are the sums over each of `rows`, `lanes` of them.
  Value sumEach(Vectors rows);
  /// Scores of a query and keys [first, first + keyTile), from row `inTile` of
  /// `partial`, -inf past `count` keys. A bias has room for whole tiles.
  Vectors scores(Value inTile, Value query, Value first, Value count);
  /// Weights of a query from its scores, against the running maximum.
  void softmax(Value query, Vectors scores);
  /// Adds the weighted values of `count` keys from `first` on.
  void values(Value first, Value count, int64_t firstQuery, int64_t rows,
              int64_t firstVector, int64_t columns);
  /// Sums stay in memory between passes: carried in registers, of which there
  /// are too few, they would be spilled within the passes.
  void keepSumsInMemory();

  int64_t queries, headSize;
  int64_t vectors;                    // of a row of values
  int64_t valueQueries, valueVectors; // a pass over values
  Value keys;                         // M
  Value ordered; // queries, in the order of the elements of keys
  Value partial; // sums of products, [scoreQueries, keyTile, lanes]
  Value weights; // of the keys at hand, [N, keyTile]
  Value alphas;  // what the state is scaled by, [N, lanes]
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
                                          int64_t count) {
  Vectors result;
  if (!readsPairs(rows)) {
    for (int64_t i = 0; i < count; ++i)
      result.push_back(load(rows, {row, index((from + i) * lanes)}));
    return result;
  }
  VectorType floats = this->floats(lanes),
             ints = VectorType::get({lanes}, b.getI32Type());
  auto pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  for (int64_t i = 0; i < count; i += 2) {
    Value x = vector::LoadOp::create(
        b, loc, pairs, rows, ValueRange{row, index((from + i) * lanes)});
    x = vector::BitCastOp::create(b, loc, ints, x);
    Value even = arith::ShLIOp::create(b, loc, x, v.integer(16));
    Value odd = arith::AndIOp::create(b, loc, x, v.integer(~0xffff));
    for (Value half : {even, odd})
      result.push_back(arith::BitcastOp::create(b, loc, floats, half));
  }
  return result;
}

void RowLowering::reorder(Value from, Value to, int64_t columns, bool pairs) {
  SmallVector<int64_t> low, high;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    int64_t half = lane / 2 + lane % 2 * lanes;
    low.push_back(pairs ? 2 * lane : half);
    high.push_back(pairs ? 2 * lane + 1 : lanes / 2 + half);
  }
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

RowLowering::Vectors RowLowering::scores(Value inTile, Value query, Value first,
                                         Value count) {
  Vectors result;
  double scale = op.getScale().convertToDouble();
  // The bias comes between the scale and the base of the exponential.
  double factor = op.getBias() ? 1.0 : log2e;
  for (int64_t at = 0; at < keyTile; at += lanes) {
    Vectors rows;
    for (int64_t i = at; i < at + lanes; ++i)
      rows.push_back(load(partial, {inTile, index(i), index(0)}));
    Value s = sumEach(rows);
    if (op.getSoftcap()) {
      double cap = op.getSoftcap()->convertToDouble();
      s = v.mul(s, v.number(scale / cap));
      s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap * factor));
    } else {
      s = v.mul(s, v.number(scale * factor));
    }
    if (op.getBias()) {
      Value bias = load(op.getBias(), {query, plus(first, at)});
      s = v.mul(v.add(s, bias), v.number(log2e));
    }
    Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                         v.iota(at), v.splatInt(toI32(count)));
    result.push_back(
        arith::SelectOp::create(b, loc, exists, s, v.number(-infinity)));
  }
  return result;
}

void RowLowering::softmax(Value query, Vectors scores) {
  Value top = scores[0];
  for (Value s : ArrayRef(scores).drop_front())
    top = v.max(top, s);
  for (int64_t width = lanes / 2; width > 0; width /= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back((lane + width) % lanes);
    top = v.max(top, vector::ShuffleOp::create(b, loc, top, top, other));
  }
  top = vector::ExtractOp::create(b, loc, top, 0);
  Value old = memref::LoadOp::create(b, loc, op.getMaximum(), query);
  Value larger =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, top, old);
  top = arith::SelectOp::create(b, loc, larger, top, old);
  memref::StoreOp::create(b, loc, top, op.getMaximum(), query);
  // While no key was seen the maximum is -inf; 0 stands for it.
  auto constant = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, top,
                                     constant(-infinity));
  Value base =
      broadcast(arith::SelectOp::create(b, loc, none, constant(0), top), lanes);
  Value alpha = v.exp2(v.sub(broadcast(old, lanes), base));
  store(alpha, alphas, {query, index(0)});
  Value sum = v.number(0.0);
  for (auto [i, s] : llvm::enumerate(scores)) {
    Value p = v.exp2(v.sub(s, base));
    Value hidden = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, s,
                                         v.number(-infinity));
    p = arith::SelectOp::create(b, loc, hidden, v.number(0.0), p);
    store(p, weights, {query, index(i * lanes)});
    sum = v.add(sum, p);
  }
  Value added = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD,
                                            sum, arith::FastMathFlags::reassoc);
  Value before = memref::LoadOp::create(b, loc, op.getSum(), query);
  Value factor = vector::ExtractOp::create(b, loc, alpha, 0);
  added = arith::AddFOp::create(
      b, loc, arith::MulFOp::create(b, loc, before, factor), added);
  memref::StoreOp::create(b, loc, added, op.getSum(), query);
}

void RowLowering::values(Value first, Value count, int64_t firstQuery,
                         int64_t rows, int64_t firstVector, int64_t columns) {
  auto place = [&](int64_t i) {
    return SmallVector<Value>{index(firstQuery + i / columns),
                              index((firstVector + i % columns) * lanes)};
  };
  Vectors sums;
  for (int64_t i = 0; i < rows * columns; ++i) {
    Value alpha = load(alphas, {index(firstQuery + i / columns), index(0)});
    sums.push_back(v.mul(load(op.getAccumulator(), place(i)), alpha));
  }
  sums = loop(index(0), count, 1, sums, [&](Value key, ValueRange carried) {
    Vectors next(carried);
    Vectors row =
        loadRow(op.getValue(), plus(first, key), firstVector, columns);
    for (int64_t i = 0; i < rows; ++i) {
      Value weight =
          broadcastElement(weights, {index(firstQuery + i), key}, lanes);
      for (int64_t j = 0; j < columns; ++j) {
        Value &sum = next[i * columns + j];
        sum = v.fma(weight, row[j], sum);
      }
    }
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
  partial = alloc({std::min(scoreQueries, queries), keyTile, lanes});
  weights = alloc({queries, keyTile});
  alphas = alloc({queries, lanes});
  ordered = op.getQuery();
  if (readsPairs(op.getKey())) {
    ordered = alloc({queries, headSize});
    reorder(op.getQuery(), ordered, headSize / lanes, /*pairs=*/true);
  }
  Value accumulator = op.getAccumulator();
  bool paired = readsPairs(op.getValue());
  if (paired)
    reorder(accumulator, accumulator, vectors, /*pairs=*/true);
  auto each = [&](int64_t count, int64_t tile,
                  function_ref<void(int64_t, int64_t)> body) {
    for (int64_t first = 0; first < count; first += tile)
      body(first, std::min(tile, count - first));
  };
  loop(index(0), keys, keyTile, [&](Value first) {
    Value count = min(minus(keys, first), index(keyTile));
    each(queries, scoreQueries, [&](int64_t query, int64_t rows) {
      loop(index(0), count, 1,
           [&](Value row) { products(plus(first, row), row, query, rows); });
      // Past the last key these are sums of nothing, and hidden.
      loop(index(0), index(rows), 1, [&](Value row) {
        Value ofAll = plus(row, index(query));
        softmax(ofAll, scores(row, ofAll, first, count));
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
  if (paired)
    reorder(accumulator, accumulator, vectors, /*pairs=*/false);
  op.erase();
}

void mlir::repo::lowerRowBlock(OnlineAttentionOp op, int64_t lanes) {
  OpBuilder builder(op);
  RowLowering(builder, op, lanes).run();
}
