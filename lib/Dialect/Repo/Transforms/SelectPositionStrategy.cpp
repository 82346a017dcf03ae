//===- SelectPositionStrategy.cpp - Positions by matrix units -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SelectPositionStrategy.h"
#include "KernelModel.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

/// Tokens that a kernel is chosen for where their number is not known.
static constexpr int64_t usualTokens = 4096;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Why the matrix units cannot compute the op, or "".
static std::string getObstacle(AssignPositionsOp op) {
  if (op->getNumResults() == 0)
    return "it works on buffers already";
  Type element = typeOf(op.getHidden()).getElementType();
  for (Value operand :
       {op.getHidden(), op.getGate(), op.getContent(), op.getHeads()})
    if (Type type = typeOf(operand).getElementType();
        (!type.isBF16() && !type.isF16()) || type != element)
      return "its hidden states and weights are not all bf16 or all f16";
  // Of a dynamic size nothing is known.
  if (int64_t channels = typeOf(op.getGate()).getDimSize(1);
      channels <= 0 || channels % 64 != 0)
    return "its channels are not a multiple of 64";
  if (int64_t columns = typeOf(op.getGate()).getDimSize(0);
      columns <= 0 || columns % 64 != 0)
    return "its gate does not have a multiple of 64 columns";
  if (int64_t heads = typeOf(op.getHeads()).getDimSize(0);
      heads <= 0 || heads > 128)
    return "its heads are not a known number up to 128";
  return "";
}

/// The tokens of all batches.
static int64_t getTokens(AssignPositionsOp op) {
  auto type = typeOf(op.getHidden());
  if (type.isDynamicDim(0) || type.isDynamicDim(1))
    return usualTokens;
  return type.getDimSize(0) * type.getDimSize(1);
}

static bool fits(AssignPositionsOp op, PositionStrategyAttr strategy) {
  return typeOf(op.getGate()).getDimSize(0) % strategy.getColumnBlock() == 0;
}

/// The blocks that take the fewest cycles by the model, in as many stages as
/// leave room for a second block, where that are two at least.
static PositionStrategyAttr select(AssignPositionsOp op, StringRef chip) {
  int64_t tokens = getTokens(op), channels = typeOf(op.getGate()).getDimSize(1),
          columns = typeOf(op.getGate()).getDimSize(0),
          heads = typeOf(op.getHeads()).getDimSize(0);
  MatrixUnit unit = chip == "sm_90a" ? MatrixUnit::wgmma : MatrixUnit::mma;
  PositionStrategyAttr best;
  int64_t fewest = 0;
  for (int64_t tokenBlock : {64, 128}) {
    int64_t warps = unit == MatrixUnit::mma ? 4 : tokenBlock / 16;
    auto make = [&](int64_t stages) {
      return PositionStrategyAttr::get(op.getContext(), unit, tokenBlock,
                                       /*column_block=*/64, stages, warps);
    };
    int64_t fixed = getPositionSharedBytes(make(2), heads),
            stage = getPositionSharedBytes(make(3), heads) - fixed;
    auto deepest = [&](int64_t bytes) {
      return std::min<int64_t>(4, 2 + (bytes - fixed) / stage);
    };
    int64_t shared = getSharedBytes(chip);
    int64_t stages = deepest(shared / 2 >= fixed ? shared / 2 : shared);
    PositionStrategyAttr strategy = make(stages);
    int64_t cycles =
        estimatePositions(strategy, tokens, channels, columns, chip);
    if (best && cycles >= fewest)
      continue;
    best = strategy;
    fewest = cycles;
  }
  return best;
}

/// Memory for the positions, which a kernel writes to.
static void addOutput(AssignPositionsOp op) {
  if (op.getOutput())
    return;
  OpBuilder builder(op);
  Value hidden = op.getHidden();
  SmallVector<OpFoldResult> sizes = {
      tensor::getMixedSize(builder, op.getLoc(), hidden, 0),
      builder.getIndexAttr(typeOf(op.getHeads()).getDimSize(0)),
      tensor::getMixedSize(builder, op.getLoc(), hidden, 1)};
  op.getOutputMutable().assign(tensor::EmptyOp::create(
      builder, op.getLoc(), sizes, typeOf(op.getPositions()).getElementType()));
}

static void reportStrategy(AssignPositionsOp op, StringRef chip) {
  PositionStrategyAttr strategy = op.getKernelStrategyAttr();
  TileCycles cycles = estimatePositionStep(strategy, chip);
  int64_t tokens = getTokens(op), channels = typeOf(op.getGate()).getDimSize(1),
          columns = typeOf(op.getGate()).getDimSize(0);
  op.emitRemark("positions by ")
      << stringifyMatrixUnit(strategy.getUnit()) << ": "
      << strategy.getTokenBlock() << " tokens by " << strategy.getColumnBlock()
      << " columns, " << strategy.getStages() << " stages, "
      << strategy.getWarps() << " warps; cycles of 64 channels on " << chip
      << ": tensor " << cycles.tensor << ", issue " << cycles.issue
      << ", shared memory " << cycles.shared << ", cache " << cycles.cache
      << "; special functions " << cycles.special << " once; " << tokens
      << " tokens take "
      << estimatePositions(strategy, tokens, channels, columns, chip)
      << " cycles";
}

FailureOr<int64_t> mlir::repo::selectPositionStrategies(ModuleOp module,
                                                        StringRef chip,
                                                        bool report) {
  SmallVector<AssignPositionsOp> ops;
  module.walk([&](AssignPositionsOp op) { ops.push_back(op); });
  int64_t numChosen = 0;
  for (AssignPositionsOp op : ops) {
    std::string obstacle = getObstacle(op);
    PositionStrategyAttr given = op.getKernelStrategyAttr();
    if (obstacle.empty() && given && !fits(op, given))
      obstacle = "its columns are not a multiple of the block's";
    if (!obstacle.empty()) {
      if (given)
        return op.emitError("`kernel_strategy` does not fit the op: ")
               << obstacle;
      if (report)
        op.emitRemark("positions by plain kernels: ") << obstacle;
      continue;
    }
    if (!given) {
      op.setKernelStrategyAttr(select(op, chip));
      ++numChosen;
    }
    addOutput(op);
    if (report)
      reportStrategy(op, chip);
  }
  return numChosen;
}
