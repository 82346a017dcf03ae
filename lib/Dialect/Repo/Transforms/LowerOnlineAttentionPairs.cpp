//===- LowerOnlineAttentionPairs.cpp - Blocks of attention by pairs -------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The blocks that repo-lower-online-attention-amx takes, by vectors whose lanes
// multiply pairs of bf16. Of a group of 32 queries:
//   scores   register tiles of queries x panels of 16 keys: a vector of pairs
//            of a panel meets a pair of channels of a query, in every lane
//   softmax  as on the matrix unit: rows, keys along the lanes
//   values   register tiles of queries x panels of 16 channels
// Nothing is woven: the processor finds the softmax's instructions beside the
// products of the next tile by itself.
//
//===----------------------------------------------------------------------===//

#include "TileSoftmax.h"
#include "VectorBlock.h"
#include "VectorPairs.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_LOWERONLINEATTENTIONPAIRS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Queries of a group, and columns of a panel.
static constexpr int64_t groupSize = 32, panelWidth = 16;

namespace {
class PairBlockLowering : VectorBlock {
public:
  PairBlockLowering(OpBuilder &builder, OnlineAttentionOp op)
      : VectorBlock(builder, op, /*lanes=*/16),
        softmax(builder, op, {/*avx512=*/true, /*avx512bf16=*/true}) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    queries = query.getDimSize(0);
    headSize = query.getDimSize(1);
    keys = cast<MemRefType>(op.getKey().getType()).getDimSize(0) * panelWidth;
    channels = cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1);
  }

  void run();

private:
  /// A register tile: 16 sums, at most 8 vectors of panels and pairs.
  struct Tile {
    int64_t rows, panels;
  };

  Value broadcastPair(Value buffer, ValueRange at) {
    return repo::broadcastPair(b, loc, buffer, at, lanes);
  }
  /// The pairs of 16 columns of a panel.
  Value loadPairs(Value panels, Value panel, Value pair) {
    return vector::LoadOp::create(
        b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), panels,
        ValueRange{panel, pair, index(0), index(0)});
  }
  /// Adds the products of pair `pair` of panels [panel, + tile.panels) and of
  /// the rows that `left` gives.
  Vectors multiply(Tile tile, Value panels, Value panel, Value pair,
                   function_ref<Value(int64_t)> left, ValueRange sums);
  bool isCut() { return op.getBand() || op.getLimit(); }
  /// The keys of this block that some query of the group sees: [0, end) in
  /// whole pairs of panels.
  Value visibleEnd(int64_t group);
  void scores(int64_t group, Value end);
  void weights(int64_t group);
  void rescale(int64_t group);
  void values(int64_t group, Value end);
  void valueTiles(int64_t group, Value end, Value panel, Tile tile);
  void attend(int64_t group);

  TileSoftmax softmax;
  int64_t queries, headSize, keys, channels;
};
} // namespace

PairBlockLowering::Vectors
PairBlockLowering::multiply(Tile tile, Value panels, Value panel, Value pair,
                            function_ref<Value(int64_t)> left,
                            ValueRange sums) {
  Vectors columns, next(sums);
  for (int64_t j = 0; j < tile.panels; ++j)
    columns.push_back(loadPairs(panels, plus(panel, j), pair));
  for (int64_t i = 0; i < tile.rows; ++i) {
    Value row = left(i);
    for (int64_t j = 0; j < tile.panels; ++j) {
      Value &sum = next[i * tile.panels + j];
      sum = addPairProducts(b, loc, sum, columns[j], row);
    }
  }
  return next;
}

Value PairBlockLowering::visibleEnd(int64_t group) {
  Value end = index(keys);
  if (!isCut())
    return end;
  if (op.getLimit())
    end = min(end, op.getLimit());
  auto [left, right] = op.getBandBounds();
  constexpr int64_t unbounded = int64_t(1) << 30;
  if (op.getBand() && right >= 0 && right < unbounded)
    end = min(end, plus(op.getOffset(), (group + 1) * groupSize + right));
  end = max(end, index(0));
  return mul(arith::CeilDivSIOp::create(b, loc, end, index(2 * panelWidth)),
             2 * panelWidth);
}

void PairBlockLowering::scores(int64_t group, Value end) {
  // Where a block is cut, by pairs of panels, so that little is computed past
  // the cut.
  bool byFour = !isCut() && keys % (4 * panelWidth) == 0;
  Tile tile = byFour ? Tile{4, 4} : Tile{8, 2};
  loop(index(0), end, tile.panels * panelWidth, [&](Value key) {
    Value panel = arith::DivUIOp::create(b, loc, key, index(panelWidth));
    loop(index(0), index(groupSize), tile.rows, [&](Value row) {
      Value query = plus(row, group * groupSize);
      Vectors zeros(tile.rows * tile.panels, v.number(0.0));
      Vectors sums =
          loop(index(0), index(headSize / 2), 1, zeros,
               [&](Value pair, ValueRange sums) {
                 auto left = [&](int64_t i) {
                   return broadcastPair(op.getQuery(),
                                        {plus(query, i), mul(pair, 2)});
                 };
                 return multiply(tile, op.getKey(), panel, pair, left, sums);
               });
      Value half = arith::DivUIOp::create(b, loc, row, index(16));
      Value line = arith::RemUIOp::create(b, loc, row, index(16));
      for (int64_t i = 0; i < tile.rows; ++i)
        for (int64_t j = 0; j < tile.panels; ++j)
          store(sums[i * tile.panels + j], softmax.getScores(group),
                {plus(panel, j), half, plus(line, i), index(0)});
    });
  });
}

void PairBlockLowering::weights(int64_t group) {
  loop(index(0), index(groupSize), 4, [&](Value row) {
    CodeSteps steps;
    softmax.rows(steps, group, [=] { return row; });
    for (auto &step : steps)
      step();
  });
  loop(index(0), index(groupSize), 4,
       [&](Value row) { softmax.addSums(group, row); });
}

void PairBlockLowering::rescale(int64_t group) {
  Value grown = softmax.hasGrown(group);
  auto choice = scf::IfOp::create(b, loc, grown, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  loop(index(0), index(groupSize), 1,
       [&](Value row) { softmax.rescaleRow(group, row); });
}

void PairBlockLowering::valueTiles(int64_t group, Value end, Value panel,
                                   Tile tile) {
  loop(index(0), index(groupSize), tile.rows, [&](Value row) {
    auto place = [&](int64_t i, int64_t j) {
      return SmallVector<Value>{plus(row, group * groupSize + i),
                                mul(plus(panel, j), panelWidth)};
    };
    Vectors sums;
    for (int64_t i = 0; i < tile.rows; ++i)
      for (int64_t j = 0; j < tile.panels; ++j)
        sums.push_back(load(op.getAccumulator(), place(i, j)));
    Value half = arith::DivUIOp::create(b, loc, row, index(16));
    Value line = arith::RemUIOp::create(b, loc, row, index(16));
    // A row of weights is 32 keys in a piece.
    sums = loop(index(0), end, 32, sums, [&](Value key, ValueRange sums) {
      Value part = arith::DivUIOp::create(b, loc, key, index(32));
      Value first = arith::DivUIOp::create(b, loc, key, index(2));
      return loop(
          index(0), index(16), 1, sums, [&](Value pair, ValueRange sums) {
            auto left = [&](int64_t i) {
              return broadcastPair(softmax.getWeights(group),
                                   {part, half, plus(line, i), mul(pair, 2)});
            };
            return multiply(tile, op.getValue(), panel, plus(first, pair), left,
                            sums);
          });
    });
    for (int64_t i = 0; i < tile.rows; ++i)
      for (int64_t j = 0; j < tile.panels; ++j)
        store(sums[i * tile.panels + j], op.getAccumulator(), place(i, j));
  });
}

void PairBlockLowering::values(int64_t group, Value end) {
  int64_t panels = channels / panelWidth, done = panels / 4 * 4;
  if (done)
    loop(index(0), index(done), 4,
         [&](Value panel) { valueTiles(group, end, panel, {4, 4}); });
  // What is left: 1 to 3 panels.
  for (int64_t width : {2, 1})
    if (panels - done >= width) {
      valueTiles(group, end, index(done), {8, width});
      done += width;
    }
}

void PairBlockLowering::attend(int64_t group) {
  Value end = visibleEnd(group);
  scores(group, end);
  weights(group);
  rescale(group);
  values(group, end);
}

void PairBlockLowering::run() {
  b.setInsertionPoint(op);
  softmax.allocate(/*numPanels=*/1);
  for (int64_t group = 0; group < queries / groupSize; ++group)
    attend(group);
  op.erase();
}

namespace {
struct LowerOnlineAttentionPairs
    : repo::impl::LowerOnlineAttentionPairsBase<LowerOnlineAttentionPairs> {
  void runOnOperation() override {
    SmallVector<OnlineAttentionOp> ops;
    getOperation().walk([&](OnlineAttentionOp op) {
      if (op->getNumResults() == 0 && isTileBlock(op))
        ops.push_back(op);
    });
    for (OnlineAttentionOp op : ops) {
      OpBuilder builder(op);
      PairBlockLowering(builder, op).run();
      ++numLowered;
    }
  }
};
} // namespace
