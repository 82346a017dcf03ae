//===- PanelContractions.h - Contractions of panels on tensors --*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the passes that make parallel loops know of contractions whose weights
// lie in panels, `out[.., n, p, l] += sum x[.., n, i] * w[p, i, l]`.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TRANSFORMS_PANELCONTRACTIONS_H
#define REPO_LIB_TRANSFORMS_PANELCONTRACTIONS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"

namespace mlir::repo {

/// The loops of a contraction of panels.
struct PanelDims {
  /// Rows, if there are any; panels; their columns.
  std::optional<unsigned> row;
  unsigned panel, lane;
  /// Columns of a panel.
  int64_t width;
  /// Panels that a task computes.
  int64_t perTask;
};
std::optional<PanelDims> getPanelDims(linalg::LinalgOp op);

/// Makes a parallel loop over tiles of `root`, into which `fuse` says what
/// comes along: of producers, of a destination or not.
FailureOr<scf::SCFTileAndFuseResult>
tileToParallelLoop(RewriterBase &rewriter, linalg::LinalgOp root,
                   ArrayRef<int64_t> sizes,
                   function_ref<bool(OpResult, bool isDestination)> fuse);

} // namespace mlir::repo

#endif // REPO_LIB_TRANSFORMS_PANELCONTRACTIONS_H
