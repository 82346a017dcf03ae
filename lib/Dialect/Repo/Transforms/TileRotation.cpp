//===- TileRotation.cpp - Rotations row by row ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_TILEROTATION
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Tiles `op` by `sizes` of (batch, head, row) and returns the tile.
static FailureOr<Operation *> tile(RewriterBase &rewriter, Operation *op,
                                   ArrayRef<int64_t> sizes,
                                   scf::SCFTilingOptions::LoopType loops) {
  scf::SCFTilingOptions options;
  options.setLoopType(loops);
  options.setTileSizes(getAsIndexOpFoldResult(op->getContext(), sizes));
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTilingResult> tiled =
      scf::tileUsingSCF(rewriter, cast<TilingInterface>(op), options);
  if (failed(tiled))
    return failure();
  rewriter.replaceOp(op, tiled->replacements);
  return tiled->tiledOps.front();
}

namespace {
struct TileRotation : repo::impl::TileRotationBase<TileRotation> {
  using TileRotationBase::TileRotationBase;
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](RotateOp op) { ops.push_back(op); });
    using LoopType = scf::SCFTilingOptions::LoopType;
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops) {
      FailureOr<Operation *> block = op;
      if (!op->getParentOfType<scf::ForallOp>())
        block = tile(rewriter, op, {1, 1, rows}, LoopType::ForallOp);
      if (failed(block) ||
          failed(tile(rewriter, *block, {0, 0, 1}, LoopType::ForOp)))
        return signalPassFailure();
      ++numTiled;
    }
  }
};
} // namespace
