//===- ContractionTiles.h - Register tiles of contractions ------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Contractions `out[.., n, o] += sum_i x[.., n, i] * w[.., o, i]` on buffers,
// as loops around register tiles. The weights lie in rows, as a model stores
// them, or in panels `w[.., p, i, l]` with o = p * width + l. Panels of bf16
// may have two products side by side, `w[.., p, i, l, r]` with `x[.., n, i,
// r]`.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TRANSFORMS_CONTRACTIONTILES_H
#define REPO_LIB_TRANSFORMS_CONTRACTIONTILES_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::repo {

/// The loops of a contraction by what they run along.
struct Contraction {
  /// Rows of x and out; columns of out, or panels of them; products.
  unsigned n, o, i;
  /// Columns of a panel and their number; 0 of weights in rows.
  unsigned l = 0;
  int64_t panelWidth = 0;
  /// Of two products side by side.
  std::optional<unsigned> pair;
  /// The other loops.
  SmallVector<unsigned> outer;
};

/// Recognises a contraction of f32, bf16 or f16 into f32 whose rows have a unit
/// inner stride, panels of a multiple of `lanes` columns; where the target has
/// an instruction for them, pairs of products in bf16.
std::optional<Contraction> matchContraction(linalg::LinalgOp op, int64_t lanes,
                                            bool pairs);

/// Whether elements of the last dimension of a buffer lie side by side.
bool hasUnitInnerStride(Value buffer);

/// Replaces `op` by loops.
void lowerContraction(OpBuilder &builder, linalg::LinalgOp op,
                      const Contraction &contraction, int64_t lanes);

} // namespace mlir::repo

#endif // REPO_LIB_TRANSFORMS_CONTRACTIONTILES_H
