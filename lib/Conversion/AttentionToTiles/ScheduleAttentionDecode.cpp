//===- ScheduleAttentionDecode.cpp - Few queries, keys split over warps ---===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Few queries are bound by reading keys and values. Every warp takes
// `split_keys` keys of a KV head by itself, for all queries of the heads that
// share it, and meets nobody: its copies stay `stages` tiles ahead. What it
// finds, a softmax over its keys, goes to memory; a second kernel merges. How
// keys are split depends on nothing but their places, so results do not depend
// on the size of the cache.
//
//===----------------------------------------------------------------------===//

#include "AttentionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Conversion/Passes.h"
#include <cmath>
#include <limits>

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEATTENTIONDECODE
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

namespace {
/// Partial results: [batch, KV head, part, row] and with channels behind.
struct Partials {
  Value accumulator, maximum, sum;
};

class DecodeSchedule : AttentionSchedule {
public:
  using AttentionSchedule::AttentionSchedule;
  void build();

private:
  void allocatePartials();
  void buildParts();
  void buildMerge();

  void copyTile(Value tile, bool isCounted) {
    AttentionSchedule::copyTile(tile, lastTile, stageOf(tile), /*threads=*/32,
                                /*warp=*/true, isCounted);
  }
  Value loadQueries(Value firstTile);
  SoftmaxState step(Value tile, SoftmaxState state);
  void storePart(const SoftmaxState &state);
  Value stageOf(Value tile);

  Partials partials;
  Value batches, rows, blocks;
  // Of a warp.
  Value warp, part, lastTile, query;
};
} // namespace

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

void DecodeSchedule::allocatePartials() {
  Value parts = mul(blocks, strategy.getWarps());
  auto allocate = [&](SmallVector<int64_t> shape, SmallVector<Value> sizes) {
    auto type = MemRefType::get(shape, b.getF32Type());
    return memref::AllocOp::create(b, loc, type, sizes).getResult();
  };
  constexpr int64_t dynamic = ShapedType::kDynamic;
  int64_t heads = op.getNumKeyValueHeads();
  SmallVector<int64_t> shape = {dynamic, heads, dynamic, dynamic};
  partials.maximum = allocate(shape, {batches, parts, rows});
  partials.sum = allocate(shape, {batches, parts, rows});
  shape.push_back(tiles.valueSize);
  partials.accumulator = allocate(shape, {batches, parts, rows});
}

/// A warp has `stages` stages of its own, which it goes through in turn.
Value DecodeSchedule::stageOf(Value tile) {
  Value own = arith::RemUIOp::create(b, loc, tile, index(strategy.getStages()));
  return add(mul(warp, strategy.getStages()), own);
}

/// All warps have the same queries, which they load through one buffer. Their
/// first keys and values are on the way meanwhile.
Value DecodeSchedule::loadQueries(Value firstTile) {
  int64_t warps = strategy.getWarps(), stages = strategy.getStages();
  Value buffer =
      allocate(bufferType(1, strategy.getQueryBlock(), tiles.headSize));
  Value zero = index(0);
  CopyAsyncOp::create(b, loc, tiles.slicePackedQueries(), zero, zero, rows,
                      buffer, zero, warps * 32, /*warp=*/false);
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  allocateTiles(warps * stages);
  for (int64_t i = 0; i + 1 != stages; ++i)
    copyTile(add(firstTile, i), /*isCounted=*/true);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, stages - 1);
  gpu::BarrierOp::create(b, loc);
  Value loaded = LoadSharedOp::create(b, loc, tiles.operandType(tiles.headSize),
                                      buffer, zero, zero);
  return tiles.rotate(loaded, zero);
}

SoftmaxState DecodeSchedule::step(Value tile, SoftmaxState state) {
  int64_t keyBlock = strategy.getKeyBlock(), stages = strategy.getStages();
  // Waits until the warp sees what all but the last groups copied.
  NVVM::CpAsyncWaitGroupOp::create(b, loc, stages - 2);
  synchronizeWarp();
  // Behind it no lane reads the stage of the tile before this one.
  copyTile(add(tile, stages - 1), /*isCounted=*/stages > 2);
  Value stage = stageOf(tile), zero = index(0);
  FragmentType type = tiles.accumulatorType(keyBlock);
  Value products =
      tile::MmaOp::create(b, loc, type, query, keyBuffer, stage,
                          tiles.fill(type, 0), /*transpose_b=*/true);
  Value scores =
      tiles.finishScores(products, zero, mul(tile, keyBlock), TileEdge::end);
  Value weights = tiles.weigh(scores, state);
  Value operand =
      ConvertOp::create(b, loc, tiles.operandType(keyBlock), weights);
  state.accumulator = tile::MmaOp::create(
      b, loc, state.accumulator.getType(), operand, valueBuffer, stage,
      state.accumulator, /*transpose_b=*/false);
  return state;
}

void DecodeSchedule::storePart(const SoftmaxState &state) {
  auto slice = [&](Value buffer, bool hasChannels) -> Value {
    auto type = cast<MemRefType>(buffer.getType());
    SmallVector<OpFoldResult> offsets = {tiles.batch, tiles.keyHead, part,
                                         b.getIndexAttr(0)},
                              sizes(3, b.getIndexAttr(1)),
                              strides(type.getRank(), b.getIndexAttr(1));
    sizes.push_back(rows);
    SmallVector<int64_t> shape = {ShapedType::kDynamic};
    if (hasChannels) {
      offsets.push_back(b.getIndexAttr(0));
      sizes.push_back(b.getIndexAttr(tiles.valueSize));
      shape.push_back(tiles.valueSize);
    }
    MemRefType result = memref::SubViewOp::inferRankReducedResultType(
        shape, type, offsets, sizes, strides);
    return memref::SubViewOp::create(b, loc, result, buffer, offsets, sizes,
                                     strides);
  };
  Value zero = index(0);
  StoreOp::create(b, loc, state.accumulator, slice(partials.accumulator, true),
                  zero, rows);
  StoreOp::create(b, loc, state.maximum, slice(partials.maximum, false), zero,
                  rows);
  StoreOp::create(b, loc, state.sum, slice(partials.sum, false), zero, rows);
}

void DecodeSchedule::buildParts() {
  int64_t warps = strategy.getWarps(), keyBlock = strategy.getKeyBlock();
  Value one = index(1);
  gpu::LaunchOp launch = startLaunch(
      "decode", {blocks, index(op.getNumKeyValueHeads()), batches}, warps * 32);
  Value zero = index(0);
  tiles.enterBlock(launch.getBlockIds().z,
                   mul(launch.getBlockIds().y, op.getGroupSize()), zero);
  range = tiles.getKeyTiles(strategy.getQueryBlock(), keyBlock);
  warp = floorDiv(thread, 32);
  part = add(mul(launch.getBlockIds().x, warps), warp);
  int64_t tilesOfPart = strategy.getSplitKeys() / keyBlock;
  Value firstOfPart = mul(part, tilesOfPart);
  Value firstTile = max(firstOfPart, range.first);
  lastTile = min(add(firstOfPart, tilesOfPart), range.last);

  query = loadQueries(firstTile);
  SoftmaxState state = tiles.start(tiles.valueSize);
  auto loop = scf::ForOp::create(
      b, loc, firstTile, lastTile, one,
      ValueRange{state.accumulator, state.maximum, state.sum});
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange carried = loop.getRegionIterArgs();
    SoftmaxState next =
        step(loop.getInductionVar(), {carried[0], carried[1], carried[2]});
    scf::YieldOp::create(b, loc,
                         ValueRange{next.accumulator, next.maximum, next.sum});
  }
  Value hasKeys = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                        firstTile, lastTile);
  auto branch = scf::IfOp::create(b, loc, hasKeys);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPoint(branch.thenYield());
    storePart({loop.getResult(0), loop.getResult(1), loop.getResult(2)});
  }
  finishLaunch();
}

//===----------------------------------------------------------------------===//
// Merging
//===----------------------------------------------------------------------===//

/// Every channel of a query adds up what the parts found, each by its weight
/// 2^(maximum - largest maximum).
void DecodeSchedule::buildMerge() {
  Value zero = index(0), one = index(1);
  Value heads = index(op.getNumQueryHeads()), channels = index(tiles.valueSize);
  auto all = scf::ParallelOp::create(
      b, loc, ValueRange{zero, zero, zero, zero},
      ValueRange{batches, heads, tiles.queries, channels},
      ValueRange{one, one, one, one});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(all.getBody());
  SmallVector<Value> at(all.getInductionVars());
  tiles.enterBlock(at[0], at[1], zero);
  KeyTiles keys =
      tiles.getKeyTiles(strategy.getQueryBlock(), strategy.getKeyBlock());
  Value first = floorDiv(keys.firstKey, strategy.getSplitKeys()),
        last = ceilDiv(keys.lastKey, strategy.getSplitKeys());
  Value inGroup =
      arith::RemUIOp::create(b, loc, at[1], index(op.getGroupSize()));
  Value row = tiles.getPackedRow({inGroup, at[2]});
  Type f32 = b.getF32Type();
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  Value scale = number(tiles.getExponentScale()),
        minusInfinity = number(-std::numeric_limits<double>::infinity());
  auto load = [&](Value buffer, Value index) -> Value {
    SmallVector<Value> indices = {at[0], tiles.keyHead, index, row};
    if (cast<MemRefType>(buffer.getType()).getRank() == 5)
      indices.push_back(at[3]);
    return memref::LoadOp::create(b, loc, buffer, indices);
  };
  auto loop = [&](ValueRange init,
                  function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    auto each = scf::ForOp::create(b, loc, first, last, one, init);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(each.getBody());
    scf::YieldOp::create(
        b, loc, body(each.getInductionVar(), each.getRegionIterArgs()));
    return each.getResults();
  };
  Value largest = loop(minusInfinity, [&](Value index, ValueRange before) {
    return SmallVector<Value>{arith::MaxNumFOp::create(
        b, loc, before[0], load(partials.maximum, index))};
  })[0];
  // No key at all: weights are 2^(-inf - 0).
  Value isEmpty = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ,
                                        largest, minusInfinity);
  Value shift =
      arith::SelectOp::create(b, loc, isEmpty, number(0),
                              arith::MulFOp::create(b, loc, largest, scale));
  ValueRange sums = loop({number(0), number(0)}, [&](Value index,
                                                     ValueRange before) {
    Value exponent = arith::SubFOp::create(
        b, loc,
        arith::MulFOp::create(b, loc, load(partials.maximum, index), scale),
        shift);
    Value weight = math::Exp2Op::create(b, loc, exponent);
    auto add = [&](Value sum, Value buffer) -> Value {
      return math::FmaOp::create(b, loc, f32, weight, load(buffer, index), sum);
    };
    return SmallVector<Value>{add(before[0], partials.sum),
                              add(before[1], partials.accumulator)};
  });
  Value result =
      arith::SelectOp::create(b, loc, isEmpty, number(0),
                              arith::DivFOp::create(b, loc, sums[1], sums[0]));
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getOutputMap().getResults())
    switch (cast<AffineDimExpr>(expr).getPosition()) {
    case AttentionOp::B:
      indices.push_back(at[0]);
      break;
    case AttentionOp::H:
      indices.push_back(at[1]);
      break;
    case AttentionOp::N:
      indices.push_back(at[2]);
      break;
    default:
      indices.push_back(at[3]);
    }
  Type element = cast<ShapedType>(op.getOutput().getType()).getElementType();
  if (element != f32)
    result = arith::TruncFOp::create(b, loc, element, result);
  memref::StoreOp::create(b, loc, result, op.getOutput(), indices);
  if (!op.getLse())
    return;
  Value isFirst =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, at[3], zero);
  auto branch = scf::IfOp::create(b, loc, isFirst);
  b.setInsertionPoint(branch.thenYield());
  Value lse = arith::AddFOp::create(b, loc, shift,
                                    math::Log2Op::create(b, loc, sums[0]));
  lse = arith::MulFOp::create(b, loc, lse, number(1 / M_LOG2E));
  lse = arith::SelectOp::create(b, loc, isEmpty, minusInfinity, lse);
  memref::StoreOp::create(b, loc, lse, op.getLse(),
                          ValueRange{at[0], at[1], at[2]});
}

void DecodeSchedule::build() {
  b.setInsertionPoint(op);
  tiles.packRows();
  tiles.prepareHost();
  rows = index(tiles.getNumPackedRows());
  batches = getValueOrCreateConstantIndexOp(
      b, loc, op.getDimSize(b, loc, AttentionOp::B));
  blocks = ceilDiv(tiles.keys, strategy.getSplitKeys() * strategy.getWarps());
  allocatePartials();
  buildParts();
  buildMerge();
}

namespace {
struct ScheduleAttentionDecode
    : repo::impl::ScheduleAttentionDecodeBase<ScheduleAttentionDecode> {
  void runOnOperation() override {
    numScheduled += scheduleAttention(
        getOperation(),
        [](KernelStrategyAttr strategy) {
          return strategy.getSplitKeys() != 0;
        },
        [](OpBuilder &builder, AttentionOp op) {
          DecodeSchedule(builder, op).build();
        });
  }
};
} // namespace
