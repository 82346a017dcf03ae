//===- SplitRotation.h - Rotations as ops of their own ----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_SPLITROTATION_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_SPLITROTATION_H

#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {

/// The layout of query or key over (b, h, n, d), null where it is the standard
/// one. `dims` are the four in the domain of `map`.
AffineMapAttr getRotateLayout(AffineMap map, ArrayRef<unsigned> dims);

/// Makes the gradient of attention with f32 arithmetic one of rotated queries
/// and keys, all operands in f32, and rotates its results back. Returns the
/// number of rotations split off: none where positions or frequencies of groups
/// are shared in part.
int64_t splitRotation(RewriterBase &rewriter, AttentionBackwardOp op);

} // namespace mlir::repo

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_SPLITROTATION_H
