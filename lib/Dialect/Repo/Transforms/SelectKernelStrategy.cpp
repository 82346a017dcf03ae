//===- SelectKernelStrategy.cpp - Attention for the matrix units of a GPU -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelModel.h"
#include "SelectPositionStrategy.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_SELECTKERNELSTRATEGY
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

static ShapedType typeOf(Value value) {
  return cast<ShapedType>(value.getType());
}

/// Whether the last dimension of an operand is `dim`.
static bool isInnermost(AffineMap map, unsigned dim) {
  return map.getResults().back() == getAffineDimExpr(dim, map.getContext());
}

static int64_t getValueSize(AttentionOp op) {
  auto position = *op.getValueMap().getResultPosition(
      getAffineDimExpr(AttentionOp::E, op.getContext()));
  return typeOf(op.getValue()).getDimSize(position);
}

/// The size of the pages that keys or values lie in, or 0.
static int64_t getPageSize(AttentionOp op) {
  for (Value operand : {op.getKey(), op.getValue()})
    if (auto view = operand.getDefiningOp<CacheViewOp>())
      return typeOf(view.getPages()).getDimSize(2);
  return 0;
}

/// Why the matrix units cannot compute the op, or "".
static std::string getObstacle(AttentionOp op) {
  if (op->getNumResults() == 0)
    return "it works on buffers already";
  Type element = typeOf(op.getQuery()).getElementType();
  for (Value operand : {op.getQuery(), op.getKey(), op.getValue()})
    if (Type type = typeOf(operand).getElementType();
        (!type.isBF16() && !type.isF16()) || type != element)
      return "its queries, keys and values are not all bf16 or all f16";
  if (typeOf(op.getOutput()).getElementType().isF64())
    return "its output is f64";
  auto valuePosition = *op.getValueMap().getResultPosition(
      getAffineDimExpr(AttentionOp::E, op.getContext()));
  for (int64_t size :
       {op.getHeadSize(), typeOf(op.getValue()).getDimSize(valuePosition)})
    if (size != 64 && size != 128)
      return "its heads are not 64 or 128 wide";
  if (!isInnermost(op.getQueryMap(), AttentionOp::D) ||
      !isInnermost(op.getKeyMap(), AttentionOp::D) ||
      !isInnermost(op.getValueMap(), AttentionOp::E) ||
      !isInnermost(op.getOutputMap(), AttentionOp::E))
    return "its channels are not innermost";
  if (op.getQueryPositions()) {
    RopeAttr rope = *op.getRope();
    if (rope.getDim() % (rope.getLayout() == PairLayout::half ? 32 : 16) != 0)
      return "a thread does not hold both channels of a pair";
  }
  if (op.getKeyPositions() &&
      typeOf(op.getKeyPositions()).getDimSize(1) > op.getNumKeyValueHeads())
    return "its keys turn with every query head of a group";
  if (int64_t pageSize = getPageSize(op); pageSize % 64 != 0)
    return "its pages do not hold a multiple of 64 tokens";
  return "";
}

/// Keys that turn, as an op of their own that keeps their type.
static void splitKeyRotation(RewriterBase &rewriter, AttentionOp op) {
  if (!op.getKeyPositions())
    return;
  rewriter.setInsertionPoint(op);
  const unsigned dims[] = {AttentionOp::B, AttentionOp::H, AttentionOp::M,
                           AttentionOp::D};
  SmallVector<unsigned> order;
  for (AffineExpr expr : op.getKeyMap().getResults())
    order.push_back(llvm::find(dims, cast<AffineDimExpr>(expr).getPosition()) -
                    std::begin(dims));
  auto layout = AffineMap::getMultiDimMapWithTargets(4, order, op.getContext());
  Value rotated = RotateOp::create(
      rewriter, op.getLoc(), op.getKey().getType(), op.getKey(),
      op.getKeyPositions(), op.getOmega(), op.getRopeAttr(),
      layout.isIdentity() ? AffineMapAttr() : AffineMapAttr::get(layout));
  rewriter.modifyOpInPlace(op, [&] {
    op.getKeyMutable().assign(rotated);
    op.getKeyPositionsMutable().clear();
    if (op.getQueryPositions())
      return;
    op.getOmegaMutable().clear();
    op.removeRopeAttr();
  });
}

/// Few queries, which with the heads that share keys fit the rows of a matrix
/// (two matrices where heads are narrow: registers hold no more): the keys are
/// split over warps. 0 where it is not so.
static int64_t getDecodeRows(AttentionOp op) {
  auto position = *op.getQueryMap().getResultPosition(
      getAffineDimExpr(AttentionOp::N, op.getContext()));
  int64_t queries = typeOf(op.getQuery()).getDimSize(position),
          group = op.getGroupSize();
  bool wide = std::max(op.getHeadSize(), getValueSize(op)) == 128;
  int64_t rows = queries * group;
  return queries > 0 && rows <= (wide ? 16 : 32) ? rows : 0;
}

/// Tiles of 16 keys, as deep as shared memory lets the copies of four warps be.
static KernelStrategyAttr selectDecode(AttentionOp op, int64_t rows,
                                       StringRef chip) {
  constexpr int64_t keyBlock = 16, warps = 4;
  int64_t queryBlock = (rows + 15) / 16 * 16;
  int64_t stage = warps * keyBlock * 2 * (op.getHeadSize() + getValueSize(op)),
          queries = queryBlock * op.getHeadSize() * 2;
  int64_t stages =
      std::min<int64_t>(4, (getSharedBytes(chip) - queries) / stage);
  return KernelStrategyAttr::get(op.getContext(), MatrixUnit::mma, queryBlock,
                                 keyBlock, stages, warps, /*producers=*/0,
                                 /*split_keys=*/64);
}

/// The largest tiles of keys with which the kernels leave ptxas registers
/// enough: a window is one loop more, bias and mask are addresses and numbers
/// to keep. mma: 16 queries a warp, two blocks on a multiprocessor. wgmma: two
/// warpgroups share keys and values; a third feeds the copy engine, which knows
/// tensors, but no pages.
static KernelStrategyAttr select(AttentionOp op, StringRef chip) {
  if (int64_t rows = getDecodeRows(op))
    return selectDecode(op, rows, chip);
  bool wide = std::max(op.getHeadSize(), getValueSize(op)) == 128,
       loads = op.getBias() || op.getMask(), extras = loads || op.getWindow();
  if (chip == "sm_90a") {
    int64_t pageSize = getPageSize(op);
    bool both = op.getBias() && op.getMask();
    int64_t keys = (wide ? extras : both) ? 96 : 128;
    if (pageSize)
      keys = (wide ? 96 : 128) - (extras ? 32 : 0);
    // A tile of keys lies in one page.
    while (pageSize % keys != 0)
      keys -= 16;
    return KernelStrategyAttr::get(op.getContext(), MatrixUnit::wgmma,
                                   /*query_block=*/128, keys, /*stages=*/2,
                                   /*warps=*/8, /*producers=*/pageSize ? 0 : 1,
                                   /*split_keys=*/0);
  }
  return KernelStrategyAttr::get(op.getContext(), MatrixUnit::mma,
                                 /*query_block=*/64, wide && extras ? 32 : 64,
                                 /*stages=*/2, /*warps=*/4, /*producers=*/0,
                                 /*split_keys=*/0);
}

namespace {
struct SelectKernelStrategy
    : repo::impl::SelectKernelStrategyBase<SelectKernelStrategy> {
  using SelectKernelStrategyBase::SelectKernelStrategyBase;
  void runOnOperation() override {
    FailureOr<int64_t> positions =
        selectPositionStrategies(getOperation(), chip, report);
    if (failed(positions))
      return signalPassFailure();
    numChosen += *positions;
    IRRewriter rewriter(&getContext());
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    for (AttentionOp op : ops) {
      std::string obstacle = getObstacle(op);
      if (!obstacle.empty()) {
        if (op.getKernelStrategy()) {
          op.emitError("`kernel_strategy` does not fit the op: ") << obstacle;
          return signalPassFailure();
        }
        if (report)
          op.emitRemark("attention by plain kernels: ") << obstacle;
        continue;
      }
      if (!op.getKernelStrategy()) {
        op.setKernelStrategyAttr(select(op, chip));
        ++numChosen;
      }
      splitKeyRotation(rewriter, op);
      if (report) {
        KernelStrategyAttr strategy = op.getKernelStrategyAttr();
        TileCycles cycles =
            estimateTile(strategy, op.getHeadSize(), getValueSize(op), chip);
        op.emitRemark("attention by ")
            << stringifyMatrixUnit(strategy.getUnit()) << ": "
            << strategy.getQueryBlock() << " queries by "
            << strategy.getKeyBlock() << " keys, " << strategy.getStages()
            << " stages, " << strategy.getWarps() << " warps"
            << (strategy.getProducers() ? " and a warpgroup that copies" : "")
            << "; cycles of a tile on " << chip << ": tensor " << cycles.tensor
            << ", issue " << cycles.issue << ", special functions "
            << cycles.special << ", shared memory " << cycles.shared
            << ", cache " << cycles.cache;
      }
    }
  }
};
} // namespace
