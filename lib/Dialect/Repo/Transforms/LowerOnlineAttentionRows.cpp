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
//     4 KB or so, 8 KB where a single query takes no time. With blocks of some
//     hundred keys memory rests whenever one of them ends, and a fifth of the
//     speed is lost.
//   - A pass over values takes whole rows. Of half rows the first pass touches
//     the other half too: a stream with gaps is read at half the speed.
//   - Nothing is stored that can be summed first: a store of 64 bytes costs as
//     much as two multiplications, which go on beside shuffles and sums. So the
//     joined queries of a key are summed to one vector in registers.
//
//===----------------------------------------------------------------------===//

#include "RowLowering.h"
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

RowLowering::RowLowering(OpBuilder &builder, OnlineAttentionOp op,
                         int64_t lanes, bool pairs)
    : VectorBlock(builder, op, lanes) {
  auto query = cast<MemRefType>(op.getQuery().getType());
  queries = query.getDimSize(0);
  headSize = query.getDimSize(1);
  vectors =
      cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1) / lanes;
  multipliesPairs = pairs && query.getElementType().isBF16() &&
                    readsPairs(op.getKey()) && readsPairs(op.getValue());
  // 16 lanes come with 32 registers, 8 lanes with 16: up to 24 sums or 12.
  // A pass reads whole rows, if it can, and all passes are alike. But four
  // queries take half rows where these are expanded first, only once so.
  bool f32 = getElementTypeOrSelf(op.getValue()).isF32();
  bool fourQueries =
      lanes >= 16 && queries % 4 == 0 && !f32 && !multipliesPairs;
  valueVectors = (lanes >= 16 || queries == 1) && !fourQueries ? 8 : 4;
  int64_t most = fourQueries ? 4 : lanes >= 16 || queries > 1 ? 3 : 1;
  valueQueries = llvm::divideCeil(queries, llvm::divideCeil(queries, most));

  // Sums of pairs are added within 4 lanes at least.
  joined = multipliesPairs ? std::min(scoreQueries, lanes / 4) : scoreQueries;
  while (queries % joined)
    joined /= 2;
  part = lanes / joined;
  keyTile = joined > 1 && f32 ? 8 : 16;
  sharing = multipliesPairs ? joined : 1;
}

void RowLowering::run() {
  b.setInsertionPoint(op);
  prefetchNeighbours();
  keys = memref::DimOp::create(b, loc, op.getKey(), 0);
  int64_t groups = queries / joined;
  partial = alloc({std::min(scoreQueries, queries) / joined, keyTile, lanes});
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
        Value firstQuery = arith::MulIOp::create(b, loc, at, index(joined));
        softmax(plus(at, query / joined),
                scores(at, plus(firstQuery, query), first, count));
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
