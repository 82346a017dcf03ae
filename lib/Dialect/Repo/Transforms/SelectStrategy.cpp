//===- SelectStrategy.cpp - Block sizes from the target -------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_SELECTSTRATEGY
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Register tiles hold a multiple of 8 keys.
static constexpr int64_t keyTile = 8;
/// Packed keys and values of the heads at hand.
static constexpr int64_t largestPack = 8 << 20;
/// Up to so many queries a head, attention is split over chunks of keys.
static constexpr int64_t fewQueries = 16, keysOfChunk = 512;
static constexpr int64_t largestKeyBlock = 256, largestEdgeBlock = 64;
/// Register tiles of queries that a block of keys meets while it is in cache.
static constexpr int64_t tilesOfBlock = 2;

/// The size of an iteration dimension in `value`, or kDynamic.
static int64_t getSize(Value value, AffineMap map, unsigned dim) {
  auto position =
      *map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

static AttentionStrategyAttr select(AttentionOp op, int64_t lanes,
                                    int64_t cacheBytes) {
  int64_t queries = getSize(op.getQuery(), op.getQueryMap(), AttentionOp::N);
  int64_t keys = getSize(op.getKey(), op.getKeyMap(), AttentionOp::M);
  int64_t channels = getSize(op.getValue(), op.getValueMap(), AttentionOp::E);
  int64_t queryTile = 3 * lanes, queryBlock = tilesOfBlock * queryTile;
  if (!ShapedType::isDynamic(queries) && queries <= queryTile)
    queryBlock = queryTile =
        std::max<int64_t>(llvm::alignTo(queries, lanes), lanes);
  // A key of a block brings its row, a row of values, and a row of scores.
  int64_t bytesPerKey = 4 * (op.getHeadSize() + queryTile +
                             (ShapedType::isDynamic(channels) ? 0 : channels));
  int64_t fitting = std::max<int64_t>(cacheBytes / 2 / bytesPerKey, keyTile);
  int64_t keyBlock =
      std::min<int64_t>(llvm::bit_floor<uint64_t>(fitting), largestKeyBlock);
  if (!ShapedType::isDynamic(keys))
    keyBlock = std::min<int64_t>(
        keyBlock, std::max<int64_t>(llvm::alignTo(keys, keyTile), keyTile));
  // Few queries: vectors along whole rows of keys and values.
  bool split = lanes >= 8 && op.getHeadSize() % lanes == 0 &&
               !ShapedType::isDynamic(channels) && channels % lanes == 0 &&
               (ShapedType::isDynamic(queries) || queries <= fewQueries);
  return AttentionStrategyAttr::get(
      op.getContext(), queryBlock, keyBlock,
      std::min(keyBlock, largestEdgeBlock), Unit::vector, largestPack,
      split ? keysOfChunk : 0, split ? fewQueries : 0,
      queryTile == queryBlock ? 0 : queryTile);
}

/// Whether `op` is bf16 but for what is rotated in f32, and has not so few
/// queries that most of a tile would be zeros.
static bool suitsPanels(AttentionOp op) {
  Value values[] = {op.getQuery(), op.getKey(), op.getValue(), op.getOutput()};
  for (Value value : values) {
    if (auto rotation = value.getDefiningOp<RotateOp>())
      value = rotation.getInput();
    if (!getElementTypeOrSelf(value).isBF16())
      return false;
  }
  int64_t queries = getSize(op.getQuery(), op.getQueryMap(), AttentionOp::N);
  return ShapedType::isDynamic(queries) || queries > 16;
}

/// Blocks for products of bf16 in panels. Few queries go the way they go
/// without them.
static AttentionStrategyAttr selectForPanels(AttentionOp op, Unit unit,
                                             AttentionStrategyAttr vectors) {
  int64_t queries = getSize(op.getQuery(), op.getQueryMap(), AttentionOp::N);
  int64_t keys = getSize(op.getKey(), op.getKeyMap(), AttentionOp::M);
  int64_t queryBlock = unit == Unit::amx ? 128 : 64, keyBlock = 128;
  if (!ShapedType::isDynamic(queries))
    queryBlock = std::min<int64_t>(queryBlock, llvm::alignTo(queries, 32));
  if (!ShapedType::isDynamic(keys))
    keyBlock =
        std::clamp<int64_t>(llvm::bit_ceil<uint64_t>(keys), 32, keyBlock);
  return AttentionStrategyAttr::get(op.getContext(), queryBlock, keyBlock,
                                    std::min(keyBlock, largestEdgeBlock), unit,
                                    largestPack, vectors.getSplit(),
                                    vectors.getSplitQueries(),
                                    /*queryTile=*/0);
}

namespace {
struct SelectStrategy : repo::impl::SelectStrategyBase<SelectStrategy> {
  using SelectStrategyBase::SelectStrategyBase;
  void runOnOperation() override {
    getOperation().walk([&](AttentionOp op) {
      bool given = op.getStrategyAttr() != nullptr;
      if (!given) {
        AttentionStrategyAttr strategy = select(op, lanes, cacheBytes);
        if ((matrixUnit || pairs) && suitsPanels(op))
          strategy = selectForPanels(op, matrixUnit ? Unit::amx : Unit::pairs,
                                     strategy);
        op.setStrategyAttr(strategy);
        ++numChosen;
      }
      if (!report)
        return;
      AttentionStrategyAttr strategy = op.getStrategyAttr();
      InFlightDiagnostic remark = op.emitRemark("attention in blocks of ")
                                  << strategy.getQueryBlock() << " queries";
      if (strategy.getQueryTile())
        remark << ", " << strategy.getQueryTile() << " at a time,";
      remark << " by " << strategy.getKeyBlock() << " keys ("
             << strategy.getEdgeBlock() << " at an edge)";
      if (strategy.getSplit())
        remark << ", chunks of " << strategy.getSplit() << " keys for up to "
               << strategy.getSplitQueries() << " queries a head";
      if (given)
        remark << ", as the op says";
      else if (strategy.getUnit() == Unit::amx)
        remark << ", for tiles of the matrix unit in bf16";
      else if (strategy.getUnit() == Unit::pairs)
        remark << ", for products of pairs of bf16";
      else
        remark << ", from " << int64_t(lanes) << " lanes and "
               << int64_t(cacheBytes) / 1024 << " KB of cache";
    });
  }
};
} // namespace
