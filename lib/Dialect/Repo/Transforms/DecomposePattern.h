//===- DecomposePattern.h - A decomposition as a pattern --------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_DECOMPOSEPATTERN_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_DECOMPOSEPATTERN_H

#include "NamedDims.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir {
namespace repo {

/// Replaces an op by what `decompose` builds for it.
template <typename OpTy,
          FailureOr<SmallVector<Value>> (*decompose)(OpBuilder &, OpTy)>
struct DecomposePattern : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> values = decompose(rewriter, op);
    if (failed(values))
      return rewriter.notifyMatchFailure(op, "expected tensors, got buffers");
    // Sizes known in more than one way may make a result type more static.
    for (auto [value, result] : llvm::zip_equal(*values, op->getResults()))
      if (value.getType() != result.getType())
        value = tensor::CastOp::create(rewriter, op.getLoc(), result.getType(),
                                       value);
    rewriter.replaceOp(op, *values);
    return success();
  }
};

/// Turns channel pairs by `positions * omega`, times the magnitude of `rope`.
/// `input` has dimension `channel`; the result is of type `elementType` and has
/// the dimensions `resultDims`, which hold those of the input and of the
/// positions. `omega` is null (the frequencies of `rope`) or has dimension
/// `pair`.
NamedTensor rotateChannels(NamedBuilder &builder, NamedTensor input,
                           NamedTensor positions, NamedTensor omega,
                           RopeAttr rope, unsigned channel, unsigned pair,
                           ArrayRef<unsigned> resultDims, Type elementType);

/// The gradients of rotateChannels.
struct RotationGradients {
  NamedTensor input, positions;
};

/// From the `output` of a rotation and the gradient `upstream` by it, which
/// have the same dimensions. The gradient by the input, of type `elementType`,
/// has the dimensions `inputDims` and is summed over those that it lacks; that
/// by the positions has theirs, in the compute type, and is null unless wanted.
RotationGradients
rotateChannelsBackward(NamedBuilder &builder, NamedTensor output,
                       NamedTensor upstream, NamedTensor positions,
                       NamedTensor omega, RopeAttr rope, unsigned channel,
                       unsigned pair, ArrayRef<unsigned> inputDims,
                       Type elementType, bool wantsPositions = true);

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_DECOMPOSEPATTERN_H
