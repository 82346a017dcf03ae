//===- LowerOnlineAttention.cpp - Blocks of attention to vectors ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One block of queries, [D, N], against one block of keys, [M, D]. Three steps
// over a panel of scores [M, N] in memory:
//   scores   register tiles of keys x queries; queries along the lanes
//   softmax  vertical: maximum, exp2 and sum per lane
//   values   register tiles of queries x channels; channels along the lanes
//
//===----------------------------------------------------------------------===//

#include "VectorBlock.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_LOWERONLINEATTENTION
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

bool mlir::repo::isVectorBlock(OnlineAttentionOp op, int64_t lanes) {
  enum { N, M, D, E };
  auto hasDims = [&](AffineMap map, ArrayRef<unsigned> dims) {
    return map ==
           AffineMap::getMultiDimMapWithTargets(4, dims, op.getContext());
  };
  if (!hasDims(op.getQueryMap(), {D, N}) || !hasDims(op.getKeyMap(), {M, D}) ||
      !hasDims(op.getValueMap(), {M, E}) ||
      !hasDims(op.getAccumulatorMap(), {N, E}))
    return false;
  for (Value value :
       {Value(op.getQuery()), Value(op.getKey()), Value(op.getValue()),
        Value(op.getAccumulator()), Value(op.getBias())}) {
    if (!value)
      continue;
    if (!getElementTypeOrSelf(value.getType()).isF32())
      return false;
  }
  auto query = cast<ShapedType>(op.getQuery().getType());
  int64_t channels = cast<ShapedType>(op.getValue().getType()).getDimSize(1);
  return !op.getMask() && query.hasStaticShape() &&
         query.getDimSize(1) % lanes == 0 && !ShapedType::isDynamic(channels) &&
         !ShapedType::isDynamic(op.getMostKeys());
}

namespace {
class BlockLowering : VectorBlock {
public:
  BlockLowering(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes)
      : VectorBlock(builder, op, lanes) {
    enum { rows, columns };
    auto query = cast<MemRefType>(op.getQuery().getType());
    auto value = cast<MemRefType>(op.getValue().getType());
    headSize = query.getDimSize(0);
    queries = query.getDimSize(1);
    mostKeys = op.getMostKeys();
    channels = value.getDimSize(1);
    // 16 lanes come with 32 registers, 8 lanes with 16: 12 sums, 3 vectors of
    // queries and a key are all of them.
    keyTile = lanes >= 16 ? 8 : 4;
    queryTile = lanes >= 16 ? 12 : 6;
    while (queries % queryTile)
      --queryTile;
    masked = op.getBand() || op.getLimit() || op.getBias();
  }

  void run();

private:
  using VectorBlock::loop;
  Vectors loop(int64_t to, int64_t step, ValueRange init,
               function_ref<Vectors(Value, ValueRange)> body) {
    return loop(index(0), index(to), step, init, body);
  }

  Vectors scores();
  /// Scores of keys [from, to), which no query left of vector `first` sees.
  Vectors scoreKeys(Value from, Value to, int64_t first, ValueRange running);
  /// The scores of `rows` keys from `key` on, and the maxima with them.
  Vectors scoreTile(Value key, int64_t rows, int64_t first, ValueRange running);
  /// The scores of key `key` in the lanes `column`, -inf where it is not
  /// visible.
  Value mask(Value score, Value key, int64_t column);
  Vectors softmax(ValueRange maxima);
  /// The keys that queries [first, first + queryTile) can see: past them the
  /// weights are 0.
  std::pair<Value, Value> visibleKeys(Value firstQuery);
  void values();
  void valueTile(Value firstQuery, Value firstChannel, int64_t vectors,
                 int64_t width);

  int64_t headSize, queries, mostKeys, channels, keyTile, queryTile;
  bool masked;
  Value keys;   // M
  Value panel;  // scores, then weights, [M, N]
  Value alphas; // what the state is scaled by, [N]
};
} // namespace

Value BlockLowering::mask(Value score, Value key, int64_t column) {
  Value visible;
  auto both = [&](Value condition) {
    visible =
        visible ? arith::AndIOp::create(b, loc, visible, condition).getResult()
                : condition;
  };
  auto splat = [&](Value value) { return v.splatInt(toI32(value)); };
  using Predicate = arith::CmpIPredicate;
  auto compare = [&](Predicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  };
  if (op.getLimit())
    both(compare(Predicate::slt, splat(key), splat(op.getLimit())));
  auto [left, right] = op.getBandBounds();
  if (op.getBand()) {
    // m - (n + offset), which lies within [-left, right].
    Value start = minus(key, op.getOffset());
    Value distance =
        arith::SubIOp::create(b, loc, splat(start), v.iota(column * lanes));
    constexpr int64_t unbounded = int64_t(1) << 30;
    if (right >= 0 && right < unbounded)
      both(compare(Predicate::sle, distance, v.integer(right)));
    if (left >= 0 && left < unbounded)
      both(compare(Predicate::sge, distance, v.integer(-left)));
  }
  if (!visible)
    return score;
  Value hidden = v.number(-infinity);
  return arith::SelectOp::create(b, loc, visible, score, hidden);
}

BlockLowering::Vectors BlockLowering::scoreTile(Value key, int64_t keyRows,
                                                int64_t first,
                                                ValueRange running) {
  int64_t columns = queries / lanes, seeing = columns - first;
  bool softcap = op.getSoftcap().has_value();
  double scale = op.getScale().convertToDouble();
  Vectors zeros(keyRows * seeing, v.number(0.0));
  // The rows of the next tile: hardware does not follow several rows at once.
  if (keyRows > 1)
    for (int64_t i = keyRows; i < 2 * keyRows; ++i)
      prefetch(op.getKey(), plus(key, i), index(0), headSize);
  Vectors tile = loop(headSize, 1, zeros, [&](Value d, ValueRange sums) {
    Vectors rows, next(sums);
    for (int64_t j = first; j < columns; ++j)
      rows.push_back(load(op.getQuery(), {d, index(j * lanes)}, lanes));
    for (int64_t i = 0; i < keyRows; ++i) {
      Value element = broadcastElement(op.getKey(), {plus(key, i), d}, lanes);
      for (int64_t j = 0; j < seeing; ++j) {
        Value &sum = next[i * seeing + j];
        sum = v.fma(element, rows[j], sum);
      }
    }
    return next;
  });
  Vectors next(running);
  for (int64_t i = 0; i < keyRows; ++i) {
    Value row = plus(key, i);
    for (int64_t j = 0; j < first; ++j)
      store(v.number(-infinity), panel, {row, index(j * lanes)});
    for (int64_t j = first; j < columns; ++j) {
      Value s = tile[i * seeing + j - first];
      if (softcap) {
        double cap = op.getSoftcap()->convertToDouble();
        s = v.mul(s, v.number(scale / cap));
        s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap));
      }
      if (op.getBias()) {
        // The bias is [N, M]: a column of it per vector.
        if (!softcap)
          s = v.mul(s, v.number(scale));
        Value bias = v.number(0.0);
        for (int64_t lane = 0; lane < lanes; ++lane) {
          Value element = memref::LoadOp::create(
              b, loc, op.getBias(), ValueRange{index(j * lanes + lane), row});
          bias = vector::InsertOp::create(b, loc, element, bias, lane);
        }
        s = v.mul(v.add(s, bias), v.number(log2e));
      } else {
        s = v.mul(s, v.number(softcap ? log2e : scale * log2e));
      }
      s = mask(s, row, j);
      store(s, panel, {row, index(j * lanes)});
      next[j] = v.max(next[j], s);
    }
  }
  return next;
}

BlockLowering::Vectors BlockLowering::scoreKeys(Value from, Value to,
                                                int64_t first,
                                                ValueRange running) {
  // Eight sums at least, so that multiply-adds need not wait for each other:
  // of more rows where few vectors see the keys.
  int64_t rows = keyTile;
  while (rows * (queries / lanes - first) < 8)
    rows *= 2;
  // Whole register tiles, then key by key.
  Value whole = plus(from, wholeTiles(minus(to, from), rows));
  Vectors maxima =
      loop(from, whole, rows, running, [&](Value key, ValueRange running) {
        return scoreTile(key, rows, first, running);
      });
  return loop(whole, to, 1, maxima, [&](Value key, ValueRange running) {
    return scoreTile(key, 1, first, running);
  });
}

BlockLowering::Vectors BlockLowering::scores() {
  int64_t columns = queries / lanes;
  Vectors maxima;
  for (int64_t j = 0; j < columns; ++j)
    maxima.push_back(load(op.getMaximum(), index(j * lanes), lanes));
  Value from = index(0);
  auto [left, right] = op.getBandBounds();
  constexpr int64_t unbounded = int64_t(1) << 30;
  if (op.getBand() && right >= 0 && right < unbounded) {
    // Where the band ends, ever fewer vectors of queries see a key: whole
    // register tiles of what they do not see are left out.
    Value last = plus(op.getOffset(), right);
    for (int64_t j = 0; j + 1 < columns; ++j) {
      Value seen = max(from, plus(last, (j + 1) * lanes));
      Value end = wholeTiles(plus(seen, keyTile - 1), keyTile);
      Value to = max(from, min(keys, end));
      maxima = scoreKeys(from, to, j, maxima);
      from = to;
    }
    return scoreKeys(from, keys, columns - 1, maxima);
  }
  return scoreKeys(from, keys, 0, maxima);
}

BlockLowering::Vectors BlockLowering::softmax(ValueRange maxima) {
  int64_t columns = queries / lanes;
  Value none = v.number(-infinity);
  Vectors tops, sums;
  for (int64_t j = 0; j < columns; ++j) {
    Value position = index(j * lanes);
    Value old = load(op.getMaximum(), position, lanes);
    // While no key was seen the maximum is -inf; 0 stands for it.
    Value top = maxima[j];
    if (masked) {
      Value empty =
          arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, top, none);
      top = arith::SelectOp::create(b, loc, empty, v.number(0.0), top);
    }
    Value alpha = v.exp2(v.sub(old, top));
    store(alpha, alphas, position);
    store(maxima[j], op.getMaximum(), position);
    tops.push_back(top);
    sums.push_back(v.mul(load(op.getSum(), position, lanes), alpha));
  }
  return loop(index(0), keys, 1, sums, [&](Value key, ValueRange running) {
    Vectors next;
    for (int64_t j = 0; j < columns; ++j) {
      Value position = index(j * lanes);
      Value s = load(panel, {key, position}, lanes);
      Value p = v.exp2(v.sub(s, tops[j]));
      if (masked && !v.hasExactZero()) {
        Value hidden =
            arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, s, none);
        p = arith::SelectOp::create(b, loc, hidden, v.number(0.0), p);
      }
      store(p, panel, {key, position});
      next.push_back(v.add(running[j], p));
    }
    return next;
  });
}

std::pair<Value, Value> BlockLowering::visibleKeys(Value firstQuery) {
  Value from = index(0), to = keys;
  auto [left, right] = op.getBandBounds();
  constexpr int64_t unbounded = int64_t(1) << 30;
  if (!op.getBand())
    return {from, to};
  Value first = plus(firstQuery, op.getOffset());
  if (right >= 0 && right < unbounded)
    to = max(from, min(to, plus(first, queryTile + right)));
  if (left >= 0 && left < unbounded)
    from = max(from, min(to, plus(first, -left)));
  return {from, to};
}

void BlockLowering::valueTile(Value firstQuery, Value firstChannel,
                              int64_t vectors, int64_t width) {
  auto zero = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(VectorType::get({width}, b.getF32Type()), 0.0f));
  auto column = [&](int64_t j) { return plus(firstChannel, j * width); };
  Vectors zeros(queryTile * vectors, zero);
  auto [from, to] = visibleKeys(firstQuery);
  Vectors tile = loop(from, to, 1, zeros, [&](Value key, ValueRange sums) {
    Vectors rows, next(sums);
    // The next channels of the row: nor does it steps from row to row.
    if (width == lanes)
      prefetch(op.getValue(), key, column(vectors), vectors * width);
    for (int64_t j = 0; j < vectors; ++j)
      rows.push_back(load(op.getValue(), {key, column(j)}, width));
    for (int64_t i = 0; i < queryTile; ++i) {
      Value weight = broadcastElement(panel, {key, plus(firstQuery, i)}, width);
      for (int64_t j = 0; j < vectors; ++j) {
        Value &sum = next[i * vectors + j];
        sum = v.fma(weight, rows[j], sum);
      }
    }
    return next;
  });
  for (int64_t i = 0; i < queryTile; ++i) {
    Value query = plus(firstQuery, i);
    Value alpha = broadcastElement(alphas, query, width);
    for (int64_t j = 0; j < vectors; ++j) {
      Value old = load(op.getAccumulator(), {query, column(j)}, width);
      store(v.fma(old, alpha, tile[i * vectors + j]), op.getAccumulator(),
            {query, column(j)});
    }
  }
}

void BlockLowering::values() {
  int64_t pair = 2 * lanes, paired = channels / pair * pair;
  auto eachQueryTile = [&](function_ref<void(Value)> body) {
    loop(queries, queryTile, ValueRange(), [&](Value query, ValueRange) {
      body(query);
      return Vectors();
    });
  };
  if (paired)
    loop(paired, pair, ValueRange(), [&](Value channel, ValueRange) {
      eachQueryTile([&](Value query) { valueTile(query, channel, 2, lanes); });
      return Vectors();
    });
  // What is left of the channels, in ever narrower vectors.
  int64_t done = paired;
  for (int64_t width = lanes; width >= 1; width /= 2) {
    if (channels - done < width)
      continue;
    Value channel = index(done);
    eachQueryTile([&](Value query) { valueTile(query, channel, 1, width); });
    done += width;
    width *= 2; // The same width may fit again.
  }
}

void BlockLowering::run() {
  b.setInsertionPoint(op);
  keys = memref::DimOp::create(b, loc, op.getKey(), 0);
  panel = alloc({mostKeys, queries});
  alphas = alloc({queries});
  Vectors sums = softmax(scores());
  for (int64_t j = 0; j < queries / lanes; ++j)
    store(sums[j], op.getSum(), index(j * lanes));
  values();
  op.erase();
}

namespace {
struct LowerOnlineAttention
    : repo::impl::LowerOnlineAttentionBase<LowerOnlineAttention> {
  using LowerOnlineAttentionBase::LowerOnlineAttentionBase;
  void runOnOperation() override {
    SmallVector<OnlineAttentionOp> ops;
    getOperation().walk([&](OnlineAttentionOp op) {
      if (op->getNumResults() == 0 &&
          (isVectorBlock(op, lanes) || isRowBlock(op, lanes)))
        ops.push_back(op);
    });
    for (OnlineAttentionOp op : ops) {
      if (isRowBlock(op, lanes)) {
        lowerRowBlock(op, lanes, pairs);
        continue;
      }
      OpBuilder builder(op);
      BlockLowering(builder, op, lanes).run();
    }
  }
};
} // namespace
