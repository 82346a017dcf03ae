//===- LowerOnlineAttentionAMX.cpp - Blocks of attention on tiles ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One block of queries, rows of bf16, against one block of keys and values in
// panels. 32 queries are a group, two groups a pair. Of a pair:
//   scores   of a group, to a panel of 16 by 16 tiles in memory
//   softmax  of a group: rows of the panel, keys along the lanes; the weights,
//            rounded to bf16, take the place of the scores
//   values   of both groups: four tiles of sums read a tile of values once
// The scores of one group are computed while the softmax of the group before
// runs on the vector units.
//
//===----------------------------------------------------------------------===//

#include "MatrixTiles.h"
#include "TileSoftmax.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"
#include "repo/Support/LoopBuilder.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_LOWERONLINEATTENTIONAMX
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

bool mlir::repo::isTileBlock(OnlineAttentionOp op) {
  enum { N, M, D, E };
  auto rows = [&](unsigned dim) {
    return AffineMap::getMultiDimMapWithTargets(4, {N, dim}, op.getContext());
  };
  if (!op.hasKeyPanels() || !op.hasValuePanels() ||
      op.getQueryMap() != rows(D) || op.getAccumulatorMap() != rows(E) ||
      op.getMask())
    return false;
  for (auto [value, isShort] : {std::pair(Value(op.getQuery()), true),
                                {Value(op.getKey()), true},
                                {Value(op.getValue()), true},
                                {Value(op.getAccumulator()), false},
                                {Value(op.getBias()), false}}) {
    if (!value)
      continue;
    auto type = cast<ShapedType>(value.getType());
    if (!type.hasStaticShape() || (isShort ? !type.getElementType().isBF16()
                                           : !type.getElementType().isF32()))
      return false;
  }
  ArrayRef<int64_t> query =
                        cast<ShapedType>(op.getQuery().getType()).getShape(),
                    key = cast<ShapedType>(op.getKey().getType()).getShape();
  int64_t keys = key[0] * 16;
  return query[0] % 32 == 0 && query[1] % 32 == 0 && keys >= 32 &&
         keys <= 256 && llvm::isPowerOf2_64(keys);
}

namespace {
class TileBlockLowering : LoopBuilder {
public:
  TileBlockLowering(OpBuilder &builder, OnlineAttentionOp op,
                    TileSoftmax::Target target)
      : LoopBuilder(builder, op.getLoc()), op(op), tiles(builder, loc),
        softmax(builder, op, target) {
    auto query = cast<MemRefType>(op.getQuery().getType());
    queries = query.getDimSize(0);
    headSize = query.getDimSize(1);
    keys = cast<MemRefType>(op.getKey().getType()).getDimSize(0) * 16;
    numParts = std::min<int64_t>(keys / 16, 8);
    channels = cast<MemRefType>(op.getAccumulator().getType()).getDimSize(1);
  }

  void run();

private:
  CodeSteps scores(int64_t group, Value part);
  CodeSteps weights(int64_t group, Value part);
  void rescale(int64_t group);
  void values(int64_t firstGroup, int64_t numGroups);

  OnlineAttentionOp op;
  MatrixTiles tiles;
  TileSoftmax softmax;
  PendingStores pending;
  int64_t queries, headSize, keys, channels;
  /// Parts of the scores and of the softmax of a group that go together.
  int64_t numParts;
};
} // namespace

/// A part of the scores of a group: chains of products, each into the tiles of
/// 32 queries by 16 keys.
CodeSteps TileBlockLowering::scores(int64_t group, Value part) {
  CodeSteps steps;
  int64_t chains = keys / 16 / numParts;
  for (int64_t chain = 0; chain < chains; ++chain) {
    auto sums = std::make_shared<std::array<Value, 2>>();
    auto column = std::make_shared<Value>();
    auto right = std::make_shared<Value>();
    int64_t numProducts = headSize / 32;
    steps.push_back([=] {
      *column = add(mul(part, chains), chain);
      for (Value &sum : *sums)
        sum = tiles.zero();
    });
    for (int64_t k = 0; k < numProducts; ++k)
      for (int64_t q = 0; q < 2; ++q)
        steps.push_back([=] {
          if (q == 0)
            *right = tiles.loadRight(
                op.getKey(), {*column, index(16 * k), index(0), index(0)});
          Value left = tiles.loadLeft(
              op.getQuery(), {index(32 * group + 16 * q), index(32 * k)});
          Value &sum = (*sums)[q];
          sum = tiles.multiply(left, *right, sum);
          if (q == 1 && k == std::min<int64_t>(1, numProducts - 1))
            pending.flush();
        });
    steps.push_back([=] {
      for (int64_t q = 0; q < 2; ++q)
        pending.add([=, sum = (*sums)[q]] {
          tiles.store(sum, softmax.getScores(group),
                      {*column, index(q), index(0), index(0)});
        });
    });
  }
  return steps;
}

/// A part of the softmax of a group: some of its rows.
CodeSteps TileBlockLowering::weights(int64_t group, Value part) {
  int64_t rows = 32 / numParts;
  CodeSteps steps;
  for (int64_t row = 0; row < rows; row += 4)
    softmax.rows(steps, group, [=] { return add(mul(part, rows), row); });
  return steps;
}

/// Scales the sums of a group whose maximum has grown.
void TileBlockLowering::rescale(int64_t group) {
  Value grown = softmax.hasGrown(group);
  auto choice = scf::IfOp::create(b, loc, grown, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choice.thenBlock());
  loop(index(0), index(32), 1,
       [&](Value row) { softmax.rescaleRow(group, row); });
}

void TileBlockLowering::values(int64_t firstGroup, int64_t numGroups) {
  for (int64_t e = 0; e < channels / 16; ++e) {
    SmallVector<Value> sums;
    auto place = [=](int64_t tile) {
      return SmallVector<Value>{index(32 * firstGroup + 16 * tile),
                                index(16 * e)};
    };
    for (int64_t tile = 0; tile < 2 * numGroups; ++tile)
      sums.push_back(Value());
    for (int64_t part = 0; part < keys / 32; ++part) {
      Value right = tiles.loadRight(
          op.getValue(), {index(e), index(16 * part), index(0), index(0)});
      for (int64_t tile = 0; tile < 2 * numGroups; ++tile) {
        Value &sum = sums[tile];
        if (part == 0)
          sum = tiles.loadSums(op.getAccumulator(), place(tile));
        Value left =
            tiles.loadLeft(softmax.getWeights(firstGroup + tile / 2),
                           {index(part), index(tile % 2), index(0), index(0)});
        sum = tiles.multiply(left, right, sum);
        if (part == 0 && tile % 2 == 1)
          pending.flush(2);
      }
    }
    for (int64_t tile = 0; tile < 2 * numGroups; ++tile)
      pending.add([=, sum = sums[tile]] {
        tiles.store(sum, op.getAccumulator(), place(tile));
      });
  }
  pending.flush();
}

void TileBlockLowering::run() {
  b.setInsertionPoint(op);
  int64_t groups = queries / 32;
  // Two hold the weights of a pair while the scores of the next one come.
  softmax.allocate(std::min<int64_t>(groups, 3));
  auto emit = [&](function_ref<CodeSteps(Value)> first,
                  function_ref<CodeSteps(Value)> second) {
    loop(index(0), index(numParts), 1, [&](Value part) {
      weave(first(part), second(part), /*percent=*/75);
      pending.flush();
    });
  };
  auto nothing = [](Value) { return CodeSteps(); };
  emit([&](Value part) { return scores(0, part); }, nothing);
  for (int64_t group = 0; group < groups; ++group) {
    bool last = group + 1 == groups;
    emit([&](Value part) { return weights(group, part); },
         [&](Value part) {
           return last ? CodeSteps() : scores(group + 1, part);
         });
    loop(index(0), index(8), 1,
         [&](Value part) { softmax.addSums(group, mul(part, 4)); });
    rescale(group);
    if (group % 2 == 1)
      values(group - 1, 2);
    else if (last)
      values(group, 1);
  }
  op.erase();
}

namespace {
struct LowerOnlineAttentionAMX
    : repo::impl::LowerOnlineAttentionAMXBase<LowerOnlineAttentionAMX> {
  using LowerOnlineAttentionAMXBase::LowerOnlineAttentionAMXBase;
  void runOnOperation() override {
    SmallVector<OnlineAttentionOp> ops;
    getOperation().walk([&](OnlineAttentionOp op) {
      if (op->getNumResults() == 0 && isTileBlock(op))
        ops.push_back(op);
    });
    for (OnlineAttentionOp op : ops) {
      OpBuilder builder(op);
      TileBlockLowering(builder, op, {avx512, avx512bf16}).run();
      ++numLowered;
    }
  }
};
} // namespace
