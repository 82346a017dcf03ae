//===- Parallelize.cpp - Structured ops to parallel loops -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_PARALLELIZE
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

/// Of a contraction of panels `w[p, i, l]` into `out[.., p, l]`: the loops of p
/// and l.
static std::optional<std::pair<unsigned, unsigned>>
getPanelDims(linalg::LinalgOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (maps.size() != 3 || maps[1].getNumResults() < 3 ||
      !maps[1].isProjectedPermutation() || maps[2].getNumResults() < 2)
    return std::nullopt;
  unsigned panels = maps[1].getDimPosition(0), lane = maps[1].getDimPosition(2);
  AffineMap out = maps[2];
  unsigned last = out.getNumResults() - 1;
  if (!isa<AffineDimExpr>(out.getResult(last)) ||
      !isa<AffineDimExpr>(out.getResult(last - 1)) ||
      out.getDimPosition(last) != lane ||
      out.getDimPosition(last - 1) != panels)
    return std::nullopt;
  return std::make_pair(panels, lane);
}

/// Tile sizes of an op, empty where it stays as it is.
static SmallVector<int64_t> getTileSizes(linalg::LinalgOp op,
                                         int64_t contractionRows,
                                         int64_t columns, int64_t rows) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  SmallVector<int64_t> sizes(iterators.size(), 0);
  SmallVector<unsigned> parallel;
  for (auto [dim, type] : llvm::enumerate(iterators))
    if (type == utils::IteratorType::parallel)
      parallel.push_back(dim);
  if (parallel.size() < 2 || op.getNumDpsInits() == 0)
    return {};
  for (unsigned dim : parallel)
    sizes[dim] = 1;
  if (linalg::isaContractionOpInterface(op)) {
    if (std::optional<std::pair<unsigned, unsigned>> panel = getPanelDims(op)) {
      // A panel at a time; of the narrow ones with products side by side, for
      // which a task prepares its rows, as many as make 512 columns.
      auto [panels, lane] = *panel;
      auto weights = cast<ShapedType>(op.getDpsInputs()[1].getType());
      if (op.getNumReductionLoops() == 2 && weights.getDimSize(2) == 16)
        sizes[panels] = 32;
      sizes[lane] = 0;
      std::optional<unsigned> rowDim;
      for (unsigned dim : parallel)
        if (dim != panels && dim != lane)
          rowDim = dim;
      if (rowDim)
        sizes[*rowDim] = contractionRows;
      return sizes;
    }
    sizes[parallel.back()] = columns;
    sizes[parallel[parallel.size() - 2]] = contractionRows;
    return sizes;
  }
  // The innermost dimension stays whole; of few dimensions the last but one
  // goes in blocks of rows.
  bool reduces = parallel.size() != iterators.size();
  if (!reduces)
    sizes[parallel.back()] = 0;
  unsigned rowDim = reduces ? parallel.back() : parallel[parallel.size() - 2];
  if (parallel.size() <= 3)
    sizes[rowDim] = rows;
  else
    sizes[rowDim] = 0;
  return llvm::any_of(sizes, [](int64_t size) { return size != 0; })
             ? sizes
             : SmallVector<int64_t>();
}

/// Makes a parallel loop over blocks of `op`; the zeros in which it sums come
/// along.
static LogicalResult parallelize(IRRewriter &rewriter, linalg::LinalgOp op,
                                 ArrayRef<int64_t> sizes) {
  scf::SCFTilingOptions options;
  options.setLoopType(scf::SCFTilingOptions::LoopType::ForallOp);
  SmallVector<OpFoldResult> tiles;
  for (int64_t size : sizes)
    tiles.push_back(rewriter.getIndexAttr(size));
  options.setTileSizes(tiles);
  scf::SCFTileAndFuseOptions fuse;
  fuse.setTilingOptions(options);
  fuse.setFusionControlFn(
      [](tensor::ExtractSliceOp, OpResult producer, bool isDestination)
          -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
        if (isDestination && isa<linalg::FillOp>(producer.getOwner()))
          return scf::SCFTileAndFuseOptions::ControlFnResult();
        return std::nullopt;
      });
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTileAndFuseResult> tiled =
      scf::tileConsumerAndFuseProducersUsingSCF(
          rewriter, cast<TilingInterface>(op.getOperation()), fuse);
  if (failed(tiled))
    return failure();
  SmallVector<Value> values;
  for (Value result : op->getResults())
    values.push_back(tiled->replacements.lookup(result));
  rewriter.replaceOp(op, values);
  return success();
}

namespace {
struct Parallelize : repo::impl::ParallelizeBase<Parallelize> {
  using ParallelizeBase::ParallelizeBase;
  void runOnOperation() override {
    // Fills go last: contractions may take them along.
    SmallVector<linalg::LinalgOp> ops, fills;
    getOperation().walk([&](linalg::LinalgOp op) {
      // Loops around an op may carry its result: leave what is in one alone.
      if (op.hasPureTensorSemantics() &&
          !op->getParentOfType<LoopLikeOpInterface>())
        (isa<linalg::FillOp>(op) ? fills : ops).push_back(op);
    });
    ops.append(fills);
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      if (op->use_empty() && isa<linalg::FillOp>(op)) {
        rewriter.eraseOp(op);
        continue;
      }
      SmallVector<int64_t> sizes =
          getTileSizes(op, contractionRows, columns, rows);
      if (!sizes.empty() && succeeded(parallelize(rewriter, op, sizes)))
        ++numLoops;
    }
  }
};
} // namespace
