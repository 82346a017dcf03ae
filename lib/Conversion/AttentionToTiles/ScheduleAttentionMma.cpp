//===- ScheduleAttentionMma.cpp - Attention by mma.sync or wgmma ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block of threads has query_block queries of a head, each warp some rows of
// them. Keys and values are copied asynchronously, `stages` tiles deep; all
// warps multiply from shared memory and meet once a tile.
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

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEATTENTIONMMA
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

namespace {
class MmaSchedule : AttentionSchedule {
public:
  using AttentionSchedule::AttentionSchedule;
  void build();

private:
  void copyTile(Value tile, bool isCounted) {
    AttentionSchedule::copyTile(tile, range.last, stageOf(tile),
                                strategy.getWarps() * 32, /*warp=*/false,
                                isCounted);
  }
  Value loadQueries(Value firstRow);
  SoftmaxState loop(Value from, Value to, SoftmaxState state, TileEdge edge);
  SoftmaxState step(Value tile, SoftmaxState state, TileEdge edge);
  Value stageOf(Value tile) {
    return arith::RemUIOp::create(b, loc, sub(tile, range.first),
                                  index(strategy.getStages()));
  }

  Value firstRow, query;
};
} // namespace

Value MmaSchedule::loadQueries(Value warpRow) {
  MemRefType type = bufferType(1, strategy.getQueryBlock(), tiles.headSize);
  Value buffer = allocate(type);
  CopyAsyncOp::create(b, loc, tiles.sliceQuery(), firstQuery, index(0),
                      tiles.queries, buffer, index(0), strategy.getWarps() * 32,
                      /*warp=*/false);
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  allocateTiles(strategy.getStages());
  for (int64_t i = 0; i + 1 != strategy.getStages(); ++i)
    copyTile(add(range.first, i), /*isCounted=*/true);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, strategy.getStages() - 1);
  gpu::BarrierOp::create(b, loc);
  Value loaded = LoadSharedOp::create(b, loc, tiles.operandType(tiles.headSize),
                                      buffer, index(0), warpRow);
  return tiles.rotate(loaded, firstRow);
}

SoftmaxState MmaSchedule::step(Value tile, SoftmaxState state, TileEdge edge) {
  int64_t keyBlock = strategy.getKeyBlock(), stages = strategy.getStages();
  // Of the groups committed, all but the last stages - 2 are needed: those up
  // to this tile's.
  NVVM::CpAsyncWaitGroupOp::create(b, loc, stages - 2);
  if (strategy.getUnit() == MatrixUnit::wgmma)
    fenceProxy();
  gpu::BarrierOp::create(b, loc);
  // Behind the barrier nobody reads the stage of the tile before this one.
  copyTile(add(tile, stages - 1), /*isCounted=*/stages > 2);
  Value stage = stageOf(tile);
  FragmentType type = tiles.accumulatorType(keyBlock);
  Value products =
      tile::MmaOp::create(b, loc, type, query, keyBuffer, stage,
                          tiles.fill(type, 0), /*transpose_b=*/true);
  Value scores =
      tiles.finishScores(products, firstRow, mul(tile, keyBlock), edge);
  Value weights = tiles.weigh(scores, state);
  Value operand =
      ConvertOp::create(b, loc, tiles.operandType(keyBlock), weights);
  state.accumulator = tile::MmaOp::create(
      b, loc, state.accumulator.getType(), operand, valueBuffer, stage,
      state.accumulator, /*transpose_b=*/false);
  return state;
}

SoftmaxState MmaSchedule::loop(Value from, Value to, SoftmaxState state,
                               TileEdge edge) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index(1),
      ValueRange{state.accumulator, state.maximum, state.sum});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ValueRange carried = loop.getRegionIterArgs();
  SoftmaxState next =
      step(loop.getInductionVar(), {carried[0], carried[1], carried[2]}, edge);
  scf::YieldOp::create(b, loc,
                       ValueRange{next.accumulator, next.maximum, next.sum});
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

void MmaSchedule::build() {
  b.setInsertionPoint(op);
  tiles.prepareHost();
  startQueryBlocks(strategy.getWarps() * 32);
  int64_t owner = strategy.getUnit() == MatrixUnit::mma ? 32 : 128;
  Value warpRow = mul(floorDiv(thread, owner), strategy.getRows());
  firstRow = add(firstQuery, warpRow);
  query = loadQueries(warpRow);

  SoftmaxState state = tiles.start(tiles.valueSize);
  if (op.getBand().first >= 0)
    state = loop(range.first, range.firstFull, state, TileEdge::end);
  state = loop(range.firstFull, range.lastFull, state, TileEdge::none);
  state = loop(range.lastFull, range.last, state, TileEdge::end);
  tiles.finish(state, firstRow);
  finishLaunch();
}

namespace {
struct ScheduleAttentionMma
    : repo::impl::ScheduleAttentionMmaBase<ScheduleAttentionMma> {
  void runOnOperation() override {
    numScheduled += scheduleAttention(
        getOperation(),
        [](KernelStrategyAttr strategy) {
          return !strategy.getProducers() && !strategy.getSplitKeys();
        },
        [](OpBuilder &builder, AttentionOp op) {
          MmaSchedule(builder, op).build();
        });
  }
};
} // namespace
