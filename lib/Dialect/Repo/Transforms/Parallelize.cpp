//===- Parallelize.cpp - Structured ops to parallel loops -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PanelContractions.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_PARALLELIZE
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Whole outer loops, but the first, as long as a task has little to do: what
/// it costs to hand it to a thread is thousands of operations.
static void takeWhole(MutableArrayRef<int64_t> sizes,
                      ArrayRef<int64_t> ranges) {
  constexpr int64_t littleWork = 4096;
  int64_t work = 1;
  for (size_t dim = sizes.size(); dim-- > 1;) {
    if (ShapedType::isDynamic(ranges[dim]))
      return;
    work *= ranges[dim];
    if (work > littleWork)
      return;
    sizes[dim] = 0;
  }
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
    if (std::optional<PanelDims> dims = getPanelDims(op)) {
      sizes[dims->panel] = dims->perTask;
      sizes[dims->lane] = 0;
      if (dims->row)
        sizes[*dims->row] = contractionRows;
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
  if (parallel.size() <= 3) {
    sizes[rowDim] = rows;
  } else {
    sizes[rowDim] = 0;
    takeWhole(sizes, op.getStaticLoopRanges());
  }
  return llvm::any_of(sizes, [](int64_t size) { return size != 0; })
             ? sizes
             : SmallVector<int64_t>();
}

/// Who asks for the sizes of a fill alone does not keep it: they are those of
/// its destination.
static void askDestination(RewriterBase &rewriter, linalg::LinalgOp fill) {
  for (Operation *user : llvm::make_early_inc_range(fill->getUsers()))
    if (auto dim = dyn_cast<tensor::DimOp>(user))
      rewriter.modifyOpInPlace(
          dim, [&] { dim.getSourceMutable().assign(fill.getDpsInits()[0]); });
}

/// Zeros in which a contraction sums come along.
static bool isZeros(OpResult producer, bool isDestination) {
  return isDestination && isa<linalg::FillOp>(producer.getOwner());
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
      if (isa<linalg::FillOp>(op)) {
        askDestination(rewriter, op);
        if (op->use_empty()) {
          rewriter.eraseOp(op);
          continue;
        }
      }
      SmallVector<int64_t> sizes =
          getTileSizes(op, contractionRows, columns, rows);
      if (!sizes.empty() &&
          succeeded(tileToParallelLoop(rewriter, op, sizes, isZeros)))
        ++numLoops;
    }
  }
};
} // namespace
