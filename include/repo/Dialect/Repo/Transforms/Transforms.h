//===- Transforms.h - Transformations of repo ops ---------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The work behind the passes, as functions. Decompositions return the values
// that stand for the op's results and leave the op in place; they fail, with
// nothing built, on ops that work on buffers.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_TRANSFORMS_H
#define REPO_DIALECT_REPO_TRANSFORMS_TRANSFORMS_H

#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir {
namespace repo {

//===----------------------------------------------------------------------===//
// Decomposition to linalg
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>> decomposeAssignPositions(OpBuilder &builder,
                                                       AssignPositionsOp op);
FailureOr<SmallVector<Value>> decomposeLinearPositions(OpBuilder &builder,
                                                       LinearPositionsOp op);
FailureOr<SmallVector<Value>> decomposeIndexPositions(OpBuilder &builder,
                                                      IndexPositionsOp op);
FailureOr<SmallVector<Value>> decomposeBlendPositions(OpBuilder &builder,
                                                      BlendPositionsOp op);
FailureOr<SmallVector<Value>> decomposeRotate(OpBuilder &builder, RotateOp op);
FailureOr<SmallVector<Value>> decomposeAttention(OpBuilder &builder,
                                                 AttentionOp op);
/// Unlike the others this one is on the fast path too: it bufferizes in place
/// (see the file) and every op in it vectorises.
FailureOr<SmallVector<Value>> decomposeOnlineAttention(OpBuilder &builder,
                                                       OnlineAttentionOp op);
FailureOr<SmallVector<Value>> decomposeCacheAppend(OpBuilder &builder,
                                                   CacheAppendOp op);
/// As a parallel loop over batches and rows, for kernels.
FailureOr<SmallVector<Value>> decomposeCacheAppendByRows(OpBuilder &builder,
                                                         CacheAppendOp op);
FailureOr<SmallVector<Value>> decomposeCacheView(OpBuilder &builder,
                                                 CacheViewOp op);

FailureOr<SmallVector<Value>>
decomposeAssignPositionsBackward(OpBuilder &builder,
                                 AssignPositionsBackwardOp op);
FailureOr<SmallVector<Value>> decomposeRotateBackward(OpBuilder &builder,
                                                      RotateBackwardOp op);
FailureOr<SmallVector<Value>>
decomposeAttentionBackward(OpBuilder &builder, AttentionBackwardOp op);

/// The same as patterns, one group of ops each.
void populateDecomposePositionsPatterns(RewritePatternSet &patterns);
/// All but those of `repo.assign_positions`.
void populateDecomposeOtherPositionsPatterns(RewritePatternSet &patterns);
void populateDecomposeRotatePatterns(RewritePatternSet &patterns);
void populateDecomposeAttentionPatterns(RewritePatternSet &patterns);
void populateDecomposeOnlineAttentionPatterns(RewritePatternSet &patterns);
void populateDecomposeCacheAppendPatterns(RewritePatternSet &patterns);
void populateDecomposeCacheAppendByRowsPatterns(RewritePatternSet &patterns);
void populateDecomposeCachePatterns(RewritePatternSet &patterns);
void populateDecomposeGradientPatterns(RewritePatternSet &patterns);
/// All of them.
void populateDecomposePatterns(RewritePatternSet &patterns);

//===----------------------------------------------------------------------===//
// The CPU path
//===----------------------------------------------------------------------===//

/// Whether repo-lower-online-attention takes this block: f32, static sizes
/// but of the keys, queries [D, N] with N a multiple of the lanes, values and
/// accumulator row-major.
bool isVectorBlock(OnlineAttentionOp op, int64_t lanes);
/// Whether it takes this block as a few rows of queries, [N, D], against keys
/// and values in any type but f64: whole vectors of channels, no mask.
bool isRowBlock(OnlineAttentionOp op, int64_t lanes);
/// Lowers such a block on buffers to vectors; `pairs`: an instruction
/// multiplies pairs of bf16.
void lowerRowBlock(OnlineAttentionOp op, int64_t lanes, bool pairs);

/// Whether repo-lower-online-attention-amx, or -pairs, takes this block:
/// queries in rows, keys and values in panels, bf16; a multiple of 32 queries
/// and channels, 32 to 256 keys.
bool isTileBlock(OnlineAttentionOp op);

} // namespace repo
} // namespace mlir

#endif // REPO_DIALECT_REPO_TRANSFORMS_TRANSFORMS_H
