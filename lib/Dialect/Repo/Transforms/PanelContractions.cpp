//===- PanelContractions.cpp - Contractions of panels on tensors ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PanelContractions.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::repo;

std::optional<PanelDims> repo::getPanelDims(linalg::LinalgOp op) {
  if (!linalg::isaContractionOpInterface(op))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (maps.size() != 3 || maps[1].getNumResults() < 3 ||
      !maps[1].isProjectedPermutation() || maps[2].getNumResults() < 2 ||
      !maps[2].isProjectedPermutation())
    return std::nullopt;
  unsigned panel = maps[1].getDimPosition(0), lane = maps[1].getDimPosition(2);
  AffineMap out = maps[2];
  unsigned last = out.getNumResults() - 1;
  int64_t width =
      cast<ShapedType>(op.getDpsInputs()[1].getType()).getDimSize(2);
  if (out.getDimPosition(last) != lane ||
      out.getDimPosition(last - 1) != panel || ShapedType::isDynamic(width))
    return std::nullopt;
  PanelDims dims{std::nullopt, panel, lane, width, 1};
  // Of the narrow ones with products side by side, for which a task prepares
  // its rows, as many as make 512 columns.
  if (op.getNumReductionLoops() == 2 && width == 16)
    dims.perTask = 32;
  // The last loop over rows, but for one that a single token makes.
  auto outType = cast<ShapedType>(op.getDpsInits()[0].getType());
  for (unsigned i = 0; i + 1 < last; ++i)
    if (!dims.row || outType.getDimSize(i) != 1)
      dims.row = out.getDimPosition(i);
  return dims;
}

FailureOr<scf::SCFTileAndFuseResult> repo::tileToParallelLoop(
    RewriterBase &rewriter, linalg::LinalgOp root, ArrayRef<int64_t> sizes,
    function_ref<bool(OpResult, bool isDestination)> fuse) {
  scf::SCFTilingOptions options;
  options.setLoopType(scf::SCFTilingOptions::LoopType::ForallOp);
  SmallVector<OpFoldResult> tiles;
  for (int64_t size : sizes)
    tiles.push_back(rewriter.getIndexAttr(size));
  options.setTileSizes(tiles);
  scf::SCFTileAndFuseOptions fusion;
  fusion.setTilingOptions(options);
  fusion.setFusionControlFn(
      [&](tensor::ExtractSliceOp, OpResult producer, bool isDestination)
          -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
        if (fuse(producer, isDestination))
          return scf::SCFTileAndFuseOptions::ControlFnResult();
        return std::nullopt;
      });
  rewriter.setInsertionPoint(root);
  FailureOr<scf::SCFTileAndFuseResult> tiled =
      scf::tileConsumerAndFuseProducersUsingSCF(
          rewriter, cast<TilingInterface>(root.getOperation()), fusion);
  if (failed(tiled))
    return failure();
  SmallVector<Value> values;
  for (Value result : root->getResults())
    values.push_back(tiled->replacements.lookup(result));
  rewriter.replaceOp(root, values);
  return tiled;
}
