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

#include "AttentionTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEATTENTIONMMA
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

namespace {
class MmaSchedule {
public:
  MmaSchedule(OpBuilder &builder, AttentionOp op)
      : b(builder), loc(op.getLoc()), op(op), tiles(builder, op),
        strategy(op.getKernelStrategyAttr()) {}

  /// `number` tells the kernels of a function apart.
  void build(unsigned number);

private:
  MemRefType bufferType(int64_t stages, int64_t rows, int64_t columns);
  Value allocate(MemRefType type);
  void copyTile(Value tile);
  void waitForCopies(int64_t pending);
  Value loadQueries(Value firstRow);
  SoftmaxState loop(Value from, Value to, SoftmaxState state, bool masked);
  SoftmaxState step(Value tile, SoftmaxState state, bool masked);
  Value stageOf(Value tile) {
    return arith::RemUIOp::create(b, loc, tiles.sub(tile, range.first),
                                  tiles.index(strategy.getStages()));
  }

  OpBuilder &b;
  Location loc;
  AttentionOp op;
  AttentionTiles tiles;
  KernelStrategyAttr strategy;
  int64_t sharedBytes = 0;
  KeyTiles range;
  Value firstQuery, firstRow, query, keyBuffer, valueBuffer, key, value;
};
} // namespace

MemRefType MmaSchedule::bufferType(int64_t stages, int64_t rows,
                                   int64_t columns) {
  return MemRefType::get({stages, columns / panelColumns, rows, panelColumns},
                         tiles.element, AffineMap(),
                         gpu::AddressSpaceAttr::get(
                             op.getContext(), gpu::AddressSpace::Workgroup));
}

Value MmaSchedule::allocate(MemRefType type) {
  int64_t offset = sharedBytes;
  sharedBytes += type.getDimSize(0) * getStageBytes(type);
  return SharedBufferOp::create(b, loc, type, offset);
}

/// Starts to copy a tile of keys and values, if there is one, as one group.
void MmaSchedule::copyTile(Value tile) {
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, tile,
                                       range.last);
  auto branch = scf::IfOp::create(b, loc, exists);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenYield());
    Value stage = stageOf(tile);
    Value first = tiles.mul(tile, strategy.getKeyBlock());
    int64_t threads = strategy.getWarps() * 32;
    // Rows that no query of the block sees are zeros: what lies there, even
    // NaN, meets no result.
    CopyAsyncOp::create(b, loc, key, first, range.firstKey, range.lastKey,
                        keyBuffer, stage, threads);
    CopyAsyncOp::create(b, loc, value, first, range.firstKey, range.lastKey,
                        valueBuffer, stage, threads);
  }
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
}

/// Waits until all warps see what all but the last `pending` groups copied.
/// wgmma reads shared memory past the caches of ordinary accesses: the fence
/// makes what was copied visible there.
void MmaSchedule::waitForCopies(int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, loc, pending);
  if (strategy.getUnit() == MatrixUnit::wgmma)
    NVVM::FenceProxyOp::create(
        b, loc,
        NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
        NVVM::SharedSpaceAttr::get(b.getContext(),
                                   NVVM::SharedSpace::shared_cta));
  gpu::BarrierOp::create(b, loc);
}

Value MmaSchedule::loadQueries(Value warpRow) {
  MemRefType type = bufferType(1, strategy.getQueryBlock(), tiles.headSize);
  Value buffer = allocate(type);
  CopyAsyncOp::create(b, loc, tiles.sliceQuery(), firstQuery, tiles.index(0),
                      tiles.queries, buffer, tiles.index(0),
                      strategy.getWarps() * 32);
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  keyBuffer = allocate(
      bufferType(strategy.getStages(), strategy.getKeyBlock(), tiles.headSize));
  valueBuffer = allocate(bufferType(strategy.getStages(),
                                    strategy.getKeyBlock(), tiles.valueSize));
  for (int64_t i = 0; i + 1 != strategy.getStages(); ++i)
    copyTile(tiles.add(range.first, tiles.index(i)));
  waitForCopies(strategy.getStages() - 1);
  Value loaded = LoadSharedOp::create(b, loc, tiles.operandType(tiles.headSize),
                                      buffer, tiles.index(0), warpRow);
  return tiles.rotate(loaded, firstRow);
}

SoftmaxState MmaSchedule::step(Value tile, SoftmaxState state, bool masked) {
  int64_t keyBlock = strategy.getKeyBlock(), stages = strategy.getStages();
  // Of the groups committed, all but the last stages - 2 are needed: those up
  // to this tile's.
  waitForCopies(stages - 2);
  // Behind the barrier nobody reads the stage of the tile before this one.
  copyTile(tiles.add(tile, tiles.index(stages - 1)));
  Value stage = stageOf(tile);
  FragmentType type = tiles.accumulatorType(keyBlock);
  Value products =
      tile::MmaOp::create(b, loc, type, query, keyBuffer, stage,
                          tiles.fill(type, 0), /*transpose_b=*/true);
  Value scores =
      tiles.finishScores(products, firstRow, tiles.mul(tile, keyBlock), masked);
  Value weights = tiles.weigh(scores, state);
  Value operand =
      ConvertOp::create(b, loc, tiles.operandType(keyBlock), weights);
  state.accumulator = tile::MmaOp::create(
      b, loc, state.accumulator.getType(), operand, valueBuffer, stage,
      state.accumulator, /*transpose_b=*/false);
  return state;
}

SoftmaxState MmaSchedule::loop(Value from, Value to, SoftmaxState state,
                               bool masked) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, tiles.index(1),
      ValueRange{state.accumulator, state.maximum, state.sum});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ValueRange carried = loop.getRegionIterArgs();
  SoftmaxState next = step(loop.getInductionVar(),
                           {carried[0], carried[1], carried[2]}, masked);
  scf::YieldOp::create(b, loc,
                       ValueRange{next.accumulator, next.maximum, next.sum});
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2)};
}

void MmaSchedule::build(unsigned number) {
  b.setInsertionPoint(op);
  tiles.prepareHost();
  int64_t queryBlock = strategy.getQueryBlock(), warps = strategy.getWarps();
  Value batches = getValueOrCreateConstantIndexOp(
      b, loc, op.getDimSize(b, loc, AttentionOp::B));
  Value blocks = tiles.ceilDiv(tiles.queries, queryBlock);
  Value one = tiles.index(1);
  MemRefType queryBuffer = bufferType(1, queryBlock, tiles.headSize);
  int64_t bytes = getStageBytes(queryBuffer) +
                  strategy.getStages() * strategy.getKeyBlock() * 2 *
                      (tiles.headSize + tiles.valueSize);
  Value dynamicBytes =
      arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(bytes));
  auto launch = gpu::LaunchOp::create(
      b, loc, tiles.index(op.getNumQueryHeads()), batches, blocks,
      tiles.index(warps * 32), one, one, dynamicBytes);
  auto function = op->getParentOfType<FunctionOpInterface>();
  std::string name = (function.getName() + "_attention" + Twine(number)).str();
  launch.setModuleAttr(FlatSymbolRefAttr::get(op.getContext(), "kernels"));
  launch.setFunctionAttr(FlatSymbolRefAttr::get(op.getContext(), name));
  b.setInsertionPointToStart(&launch.getBody().front());

  // The heads of a block of queries run side by side; under a causal mask the
  // blocks with the most keys come first.
  Value block = launch.getBlockIds().z;
  if (op.getBand().second >= 0)
    block = tiles.sub(tiles.sub(launch.getGridSize().z, one), block);
  firstQuery = tiles.mul(block, queryBlock);
  tiles.enterBlock(launch.getBlockIds().y, launch.getBlockIds().x, firstQuery);
  range = tiles.getKeyTiles(queryBlock, strategy.getKeyBlock());
  int64_t owner = strategy.getUnit() == MatrixUnit::mma ? 32 : 128;
  Value warpRow = tiles.mul(tiles.floorDiv(launch.getThreadIds().x, owner),
                            strategy.getRows());
  firstRow = tiles.add(firstQuery, warpRow);
  key = tiles.sliceKey();
  value = tiles.sliceValue();
  query = loadQueries(warpRow);
  assert(sharedBytes == bytes && "the launch says what the kernel takes");

  SoftmaxState state = tiles.start(tiles.valueSize);
  if (op.getBand().first >= 0)
    state = loop(range.first, range.firstFull, state, /*masked=*/true);
  state = loop(range.firstFull, range.lastFull, state, /*masked=*/false);
  state = loop(range.lastFull, range.last, state, /*masked=*/true);
  tiles.finish(state, firstRow);
  gpu::TerminatorOp::create(b, loc);
}

namespace {
struct ScheduleAttentionMma
    : repo::impl::ScheduleAttentionMmaBase<ScheduleAttentionMma> {
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) {
      KernelStrategyAttr strategy = op.getKernelStrategyAttr();
      if (strategy && op->getNumResults() == 0)
        ops.push_back(op);
    });
    llvm::SmallDenseMap<Operation *, unsigned> numbers;
    for (AttentionOp op : ops) {
      OpBuilder builder(op);
      Operation *function = op->getParentOfType<FunctionOpInterface>();
      MmaSchedule(builder, op).build(numbers[function]++);
      op.erase();
      ++numScheduled;
    }
  }
};
} // namespace
