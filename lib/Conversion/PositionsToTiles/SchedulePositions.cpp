//===- SchedulePositions.cpp - Positions by mma.sync or wgmma -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block of threads has token_block tokens and column_block columns each of
// gate and content. Tokens and weights are copied asynchronously, 64 channels a
// step and `stages` steps deep; all warps multiply from shared memory and meet
// once a step. Behind the last one silu(g) c is made in registers, becomes an
// operand and is multiplied by the heads' weights. What a block of columns adds
// to the positions is a part in memory; a loop behind sums up the parts in
// order, so that no order of blocks shows.
//
//===----------------------------------------------------------------------===//

#include "../TileSchedule/FragmentBuilder.h"
#include "../TileSchedule/RowAlignment.h"
#include "../TileSchedule/TileSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Conversion/Passes.h"
#include <cmath>

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEPOSITIONS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

namespace {
class PositionSchedule : TileSchedule {
public:
  PositionSchedule(OpBuilder &builder, AssignPositionsOp op)
      : TileSchedule(builder, op.getLoc(), getElementTypeOrSelf(op.getGate())),
        op(op), strategy(op.getKernelStrategyAttr()),
        element(getElementTypeOrSelf(op.getGate())),
        tiles(builder, loc, strategy.getUnit(), strategy.getRows(), element),
        mma(strategy.getUnit() == MatrixUnit::mma) {}
  void build();

private:
  void prepareHost();
  void startBlocks();
  void allocateStages();
  Value multiply();
  Value step(Value step, Value sums);
  Value gate(Value sums);
  std::pair<Value, Value> split(Value matrix);
  SmallVector<Value> splitToOperands(Value matrix);
  Value multiplyByHeads(ArrayRef<Value> operands);
  void finish(Value sums);
  void sumParts();

  void copy(Value source, Value row, Value limit, Value target, Value stage,
            int64_t targetRow = 0, int64_t numRows = 0);
  void copyStep(Value step);
  void waitForCopies(int64_t pending);

  Value stageOf(Value step) { return rem(step, strategy.getStages()); }
  /// The stage with the tokens of a warpgroup, which come one behind the other.
  Value tokenStage(Value step, Value member) {
    return add(mul(stageOf(step), tokenStages()), member);
  }
  int64_t tokenStages() { return mma ? 1 : strategy.getOwners(); }

  /// `size` columns of a matrix, from `offset` on.
  Value sliceColumns(Value matrix, Value offset, int64_t size);
  Value zeros(int64_t columns) {
    return tiles.fill(tiles.accumulatorType(columns), 0);
  }

  AssignPositionsOp op;
  PositionStrategyAttr strategy;
  Type element;
  FragmentBuilder tiles;
  bool mma;
  int64_t channels, columns, heads, paddedHeads;
  // Of the host; rows are the tokens of a batch, or of all, and groups how
  // many of these there are.
  Value batches, tokens, groups, rows, parts;
  bool isFlat = false;
  // Of the block and of the warp, or warpgroup.
  Value group, part, firstRow, firstColumn, member, hidden;
  /// A stage of weights has the columns of gate, then those of content, as its
  /// rows: one product for both.
  Value tokenBuffer, weightBuffer, headBuffer;
};
} // namespace

//===----------------------------------------------------------------------===//
// The host
//===----------------------------------------------------------------------===//

void PositionSchedule::prepareHost() {
  auto gate = cast<MemRefType>(op.getGate().getType());
  columns = gate.getDimSize(0);
  channels = gate.getDimSize(1);
  heads = cast<MemRefType>(op.getHeads().getType()).getDimSize(0);
  paddedHeads = llvm::alignTo(heads, 16);
  batches = memref::DimOp::create(b, loc, op.getHidden(), 0);
  tokens = memref::DimOp::create(b, loc, op.getHidden(), 1);
  for (auto [operand, name] : {std::pair(op.getHidden(), "positions' `hidden`"),
                               {op.getGate(), "positions' `gate`"},
                               {op.getContent(), "positions' `content`"},
                               {op.getHeads(), "positions' `heads`"}})
    assertRowAlignment(b, loc, operand, name, 16);
  // Batches that lie one behind the other are one: a decode step has a token
  // of each.
  hidden = op.getHidden();
  rows = tokens;
  groups = batches;
  if (cast<MemRefType>(hidden.getType()).getLayout().isIdentity()) {
    rows = arith::MulIOp::create(b, loc, batches, tokens);
    groups = index(1);
    SmallVector<ReassociationIndices> flat = {{0, 1}, {2}};
    hidden = memref::CollapseShapeOp::create(b, loc, hidden, flat);
    isFlat = true;
  }
  auto type =
      MemRefType::get({columns / strategy.getColumnBlock(),
                       ShapedType::kDynamic, ShapedType::kDynamic, paddedHeads},
                      b.getF32Type());
  parts = memref::AllocOp::create(b, loc, type, ValueRange{groups, rows});
}

/// The blocks of columns of the same tokens run side by side: they share the
/// tokens in the second-level cache.
void PositionSchedule::startBlocks() {
  Value blocks =
      arith::CeilDivUIOp::create(b, loc, rows, index(strategy.getTokenBlock()));
  gpu::LaunchOp launch = startLaunch(
      "positions", {index(columns / strategy.getColumnBlock()), blocks, groups},
      strategy.getWarps() * 32);
  part = launch.getBlockIds().x;
  group = launch.getBlockIds().z;
  firstRow = mul(launch.getBlockIds().y, strategy.getTokenBlock());
  firstColumn = mul(part, strategy.getColumnBlock());
  member = floorDiv(thread, mma ? 32 : 128);
}

/// Every position is the sum of its parts, the first column's first.
void PositionSchedule::sumParts() {
  Value zero = index(0), one = index(1);
  auto all = scf::ParallelOp::create(b, loc, ValueRange{zero, zero, zero},
                                     ValueRange{batches, index(heads), tokens},
                                     ValueRange{one, one, one});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(all.getBody());
  SmallVector<Value> at(all.getInductionVars());
  Value sum, group = at[0], row = at[2];
  if (isFlat) {
    row = add(arith::MulIOp::create(b, loc, at[0], tokens), row);
    group = zero;
  }
  int64_t count = cast<MemRefType>(parts.getType()).getDimSize(0);
  for (int64_t i = 0; i != count; ++i) {
    Value next = memref::LoadOp::create(
        b, loc, parts, ValueRange{index(i), group, row, at[1]});
    sum = sum ? arith::AddFOp::create(b, loc, sum, next) : next;
  }
  memref::StoreOp::create(b, loc, sum, op.getOutput(), at);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value PositionSchedule::sliceColumns(Value matrix, Value offset, int64_t size) {
  SmallVector<OpFoldResult> offsets = {b.getIndexAttr(0), offset},
                            sizes = {memref::getMixedSize(b, loc, matrix, 0),
                                     b.getIndexAttr(size)},
                            strides(2, b.getIndexAttr(1));
  return memref::SubViewOp::create(b, loc, matrix, offsets, sizes, strides);
}

void PositionSchedule::allocateStages() {
  int64_t stages = strategy.getStages(), width = strategy.getColumnBlock();
  tokenBuffer = allocate(bufferType(stages * tokenStages(),
                                    strategy.getTokenBlock() / tokenStages(),
                                    panelColumns));
  weightBuffer = allocate(bufferType(stages, 2 * width, panelColumns));
  headBuffer = allocate(bufferType(1, paddedHeads, width));
  if (isFlat)
    return;
  // [B, N, D] without the batch.
  auto type = cast<MemRefType>(hidden.getType());
  SmallVector<OpFoldResult> offsets = {group, b.getIndexAttr(0),
                                       b.getIndexAttr(0)},
                            sizes = {b.getIndexAttr(1), rows,
                                     b.getIndexAttr(channels)},
                            strides(3, b.getIndexAttr(1));
  MemRefType matrix = memref::SubViewOp::inferRankReducedResultType(
      {ShapedType::kDynamic, channels}, type, offsets, sizes, strides);
  hidden = memref::SubViewOp::create(b, loc, matrix, hidden, offsets, sizes,
                                     strides);
}

/// Rows past the last are zeros.
void PositionSchedule::copy(Value source, Value row, Value limit, Value target,
                            Value stage, int64_t targetRow, int64_t numRows) {
  // A narrow stage has fewer chunks of 16 bytes than there are threads.
  auto [stageRows, stageColumns] =
      getStageShape(cast<MemRefType>(target.getType()));
  int64_t all = strategy.getWarps() * 32, threads = all,
          chunks = (numRows ? numRows : stageRows) * stageColumns / 8;
  while (chunks % threads != 0)
    threads /= 2;
  OpBuilder::InsertionGuard guard(b);
  if (threads != all) {
    Value takesPart = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                            thread, index(threads));
    b.setInsertionPoint(scf::IfOp::create(b, loc, takesPart).thenYield());
  }
  CopyAsyncOp::create(b, loc, source, row, index(0), limit, target, stage,
                      threads, /*warp=*/false, targetRow, numRows);
}

/// Starts to copy what a step multiplies, if there is one, as one group.
void PositionSchedule::copyStep(Value step) {
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, step,
                                       index(channels / panelColumns));
  auto branch = scf::IfOp::create(b, loc, exists);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenYield());
    Value channel = mul(step, panelColumns), stage = stageOf(step);
    auto slice = [&](Value matrix) {
      return sliceColumns(matrix, channel, panelColumns);
    };
    Value tokenMatrix = slice(hidden);
    int64_t each = strategy.getTokenBlock() / tokenStages();
    for (int64_t i = 0; i != tokenStages(); ++i)
      copy(tokenMatrix, add(firstRow, index(i * each)), rows, tokenBuffer,
           tokenStage(step, index(i)));
    int64_t width = strategy.getColumnBlock();
    copy(slice(op.getGate()), firstColumn, index(columns), weightBuffer, stage,
         /*targetRow=*/0, width);
    copy(slice(op.getContent()), firstColumn, index(columns), weightBuffer,
         stage, width, width);
    // Who waits for all groups need not count those without copies.
    if (strategy.getStages() == 2)
      NVVM::CpAsyncCommitGroupOp::create(b, loc);
  }
  if (strategy.getStages() != 2)
    NVVM::CpAsyncCommitGroupOp::create(b, loc);
}

/// Waits until all warps see what all but the last `pending` groups copied.
void PositionSchedule::waitForCopies(int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, loc, pending);
  if (!mma)
    fenceProxy();
  gpu::BarrierOp::create(b, loc);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Value PositionSchedule::step(Value step, Value sums) {
  int64_t stages = strategy.getStages();
  // Of the groups committed, all but the last stages - 2 are needed: those up
  // to this step's.
  waitForCopies(stages - 2);
  // Behind the barrier nobody reads the stage of the step before this one.
  copyStep(add(step, index(stages - 1)));
  Value stage = stageOf(step);
  if (mma) {
    Value row = mul(member, strategy.getRows());
    Value a = LoadSharedOp::create(b, loc, tiles.operandType(panelColumns),
                                   tokenBuffer, stage, row);
    return tile::MmaOp::create(b, loc, sums.getType(), a, weightBuffer, stage,
                               sums, /*transpose_b=*/true);
  }
  auto type =
      PendingType::get(op.getContext(), cast<FragmentType>(sums.getType()));
  Value pending =
      MmaAsyncOp::create(b, loc, type, tokenBuffer, tokenStage(step, member),
                         weightBuffer, stage, sums, /*transpose_b=*/true);
  return WaitMmaOp::create(b, loc, pending, Value(), /*left=*/0);
}

Value PositionSchedule::multiply() {
  // The heads' weights come with the first group.
  copy(sliceColumns(op.getHeads(), firstColumn, strategy.getColumnBlock()),
       index(0), index(heads), headBuffer, index(0));
  for (int64_t i = 0; i + 1 != strategy.getStages(); ++i)
    copyStep(index(i));
  auto loop =
      scf::ForOp::create(b, loc, index(0), index(channels / panelColumns),
                         index(1), zeros(2 * strategy.getColumnBlock()));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b, loc,
                       step(loop.getInductionVar(), loop.getRegionIterArg(0)));
  return loop.getResult(0);
}

/// silu(g) c, in f32.
Value PositionSchedule::gate(Value sums) {
  Type half = tiles.accumulatorType(strategy.getColumnBlock());
  auto halves = SplitOp::create(b, loc, TypeRange{half, half}, sums);
  return tiles
      .map(halves.getResults(), half,
           [](OpBuilder &nested, Location at,
              ValueRange in) -> SmallVector<Value> {
             ElementBuilder e(nested, at);
             Value exponential = e.exp2(e.scale(in[0], -M_LOG2E));
             Value inverse = e.reciprocal(e.add(e.number(1), exponential));
             return {e.mul(e.mul(in[0], inverse), in[1])};
           })
      .front();
}

/// A matrix rounded to operands, and what rounding leaves of it.
std::pair<Value, Value> PositionSchedule::split(Value matrix) {
  SmallVector<Value> results = tiles.map(
      matrix, {matrix.getType(), matrix.getType()},
      [&](OpBuilder &nested, Location at, ValueRange in) -> SmallVector<Value> {
        Value rounded = arith::TruncFOp::create(nested, at, element, in[0]);
        Value high =
            arith::ExtFOp::create(nested, at, in[0].getType(), rounded);
        return {high, arith::SubFOp::create(nested, at, in[0], high)};
      });
  return {results[0], results[1]};
}

/// Positions are angles: a part in a thousand of a large one is a turn. So
/// silu(g) c is no operand of 16 bits but a sum of them, which together have
/// the bits of f32: three of bf16, two of f16.
SmallVector<Value> PositionSchedule::splitToOperands(Value matrix) {
  SmallVector<Value> operands;
  int64_t count = element.isBF16() ? 3 : 2;
  for (int64_t i = 0; i != count; ++i) {
    Value summand = matrix;
    if (i + 1 != count)
      std::tie(summand, matrix) = split(matrix);
    operands.push_back(ConvertOp::create(
        b, loc, tiles.operandType(strategy.getColumnBlock()), summand));
  }
  return operands;
}

/// The heads' weights came with the first step, for which all warps have met.
Value PositionSchedule::multiplyByHeads(ArrayRef<Value> operands) {
  Value positions = zeros(paddedHeads);
  if (mma) {
    for (Value operand : operands)
      positions = tile::MmaOp::create(b, loc, positions.getType(), operand,
                                      headBuffer, index(0), positions,
                                      /*transpose_b=*/true);
    return positions;
  }
  auto type = PendingType::get(op.getContext(),
                               cast<FragmentType>(positions.getType()));
  for (Value operand : operands)
    positions = MmaAsyncOp::create(b, loc, type, operand, Value(), headBuffer,
                                   index(0), positions, /*transpose_b=*/true,
                                   /*joined=*/operand != operands.back());
  return WaitMmaOp::create(b, loc, positions, Value(), /*left=*/0);
}

void PositionSchedule::finish(Value sums) {
  Value positions = multiplyByHeads(splitToOperands(gate(sums)));
  SmallVector<OpFoldResult> offsets = {part, group, b.getIndexAttr(0),
                                       b.getIndexAttr(0)},
                            sizes = {b.getIndexAttr(1), b.getIndexAttr(1), rows,
                                     b.getIndexAttr(paddedHeads)},
                            strides(4, b.getIndexAttr(1));
  MemRefType matrix = memref::SubViewOp::inferRankReducedResultType(
      {ShapedType::kDynamic, paddedHeads}, cast<MemRefType>(parts.getType()),
      offsets, sizes, strides);
  Value target =
      memref::SubViewOp::create(b, loc, matrix, parts, offsets, sizes, strides);
  Value row = add(firstRow, mul(member, strategy.getRows()));
  StoreOp::create(b, loc, positions, target, row, rows);
}

void PositionSchedule::build() {
  b.setInsertionPoint(op);
  prepareHost();
  startBlocks();
  allocateStages();
  finish(multiply());
  finishLaunch();
  sumParts();
  op.erase();
}

namespace {
struct SchedulePositions
    : repo::impl::SchedulePositionsBase<SchedulePositions> {
  void runOnOperation() override {
    SmallVector<AssignPositionsOp> ops;
    getOperation().walk([&](AssignPositionsOp op) {
      if (op.getKernelStrategy() && op->getNumResults() == 0)
        ops.push_back(op);
    });
    for (AssignPositionsOp op : ops) {
      OpBuilder builder(op);
      PositionSchedule(builder, op).build();
      ++numScheduled;
    }
  }
};
} // namespace
