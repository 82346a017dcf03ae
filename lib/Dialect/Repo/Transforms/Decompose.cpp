//===- Decompose.cpp - Repo ops in terms of upstream dialects ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DecomposePattern.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_DECOMPOSE
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

void mlir::repo::populateDecomposePatterns(RewritePatternSet &patterns) {
  populateDecomposePositionsPatterns(patterns);
  populateDecomposeRotatePatterns(patterns);
  populateDecomposeAttentionPatterns(patterns);
  populateDecomposeOnlineAttentionPatterns(patterns);
  populateDecomposeCachePatterns(patterns);
  populateDecomposeGradientPatterns(patterns);
}

static SmallVector<NamedAttribute> withoutRepo(DictionaryAttr attributes) {
  SmallVector<NamedAttribute> kept;
  for (NamedAttribute attribute : attributes)
    if (!isa_and_nonnull<RepoDialect>(attribute.getNameDialect()))
      kept.push_back(attribute);
  return kept;
}

/// Removes the attributes of the dialect from an op, its arguments and results.
static void dropAttributes(Operation *op) {
  op->setDiscardableAttrs(withoutRepo(op->getDiscardableAttrDictionary()));
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (DictionaryAttr attributes = function.getArgAttrDict(i))
      function.setArgAttrs(i, withoutRepo(attributes));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (DictionaryAttr attributes = function.getResultAttrDict(i))
      function.setResultAttrs(i, withoutRepo(attributes));
}

namespace {
/// Decomposes the blocks of online attention that vectors do not take.
struct DecomposeOtherBlocks : OpRewritePattern<OnlineAttentionOp> {
  using Predicate = std::function<bool(OnlineAttentionOp)>;
  DecomposeOtherBlocks(MLIRContext *context, Predicate keep)
      : OpRewritePattern(context, /*benefit=*/2), keep(std::move(keep)) {}
  LogicalResult matchAndRewrite(OnlineAttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (keep(op))
      return failure();
    FailureOr<SmallVector<Value>> values =
        decomposeOnlineAttention(rewriter, op);
    if (failed(values))
      return failure();
    rewriter.replaceOp(op, *values);
    return success();
  }
  Predicate keep;
};

/// Decomposes ops that no schedule turns into a kernel.
template <typename OpTy,
          FailureOr<SmallVector<Value>> (*decompose)(OpBuilder &, OpTy)>
struct DecomposeWithoutStrategy : DecomposePattern<OpTy, decompose> {
  using DecomposePattern<OpTy, decompose>::DecomposePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (op.getKernelStrategy())
      return failure();
    return DecomposePattern<OpTy, decompose>::matchAndRewrite(op, rewriter);
  }
};

/// A product of buffers by its definition.
struct DecomposeGemm : OpRewritePattern<GemmOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GemmOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    if (!op.getAccumulate()) {
      Value zero =
          arith::ConstantOp::create(rewriter, loc, rewriter.getF32FloatAttr(0));
      linalg::FillOp::create(rewriter, loc, zero, op.getC());
    }
    // Dimensions: rows, n, k.
    unsigned rows = op.getA().getType().getRank() - 1, n = rows, k = rows + 1;
    auto map = [&](unsigned leading, ArrayRef<unsigned> last) {
      auto dims = llvm::to_vector(llvm::seq(leading));
      llvm::append_range(dims, last);
      return AffineMap::getMultiDimMapWithTargets(rows + 2, dims,
                                                  rewriter.getContext());
    };
    AffineMap b = op.getTransposeB() ? map(0, {n, k}) : map(0, {k, n});
    linalg::ContractOp::create(
        rewriter, loc, ValueRange{op.getA(), op.getB()}, ValueRange{op.getC()},
        rewriter.getAffineMapArrayAttr({map(rows, {k}), b, map(rows, {n})}));
    rewriter.eraseOp(op);
    return success();
  }
};

/// Whether the kernels of a view's readers look up its pages themselves.
static bool isReadByKernels(CacheViewOp view) {
  return llvm::all_of(view->getUsers(), [&](Operation *user) {
    auto attention = dyn_cast<AttentionOp>(user);
    return isa<tensor::DimOp>(user) ||
           (attention && attention.getKernelStrategy() &&
            (attention.getKey() == view.getResult() ||
             attention.getValue() == view.getResult()) &&
            attention.getQuery() != view.getResult());
  });
}

/// Decomposes views of caches that something else reads.
struct DecomposeOtherViews : OpRewritePattern<CacheViewOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CacheViewOp op,
                                PatternRewriter &rewriter) const override {
    if (isReadByKernels(op))
      return failure();
    FailureOr<SmallVector<Value>> values = decomposeCacheView(rewriter, op);
    if (failed(values))
      return failure();
    rewriter.replaceOp(op, *values);
    return success();
  }
};

struct Decompose : repo::impl::DecomposeBase<Decompose> {
  using DecomposeBase::DecomposeBase;

  void runOnOperation() override {
    auto count = [&] {
      int64_t ops = 0;
      getOperation().walk([&](Operation *op) {
        ops += isa_and_nonnull<RepoDialect>(op->getDialect());
      });
      return ops;
    };
    auto keeps = [lanes = int64_t(keepBlocks),
                  tiles = bool(keepTileBlocks)](OnlineAttentionOp op) {
      return (lanes && (isVectorBlock(op, lanes) || isRowBlock(op, lanes))) ||
             (tiles && isTileBlock(op));
    };
    int64_t before = count();
    RewritePatternSet patterns(&getContext());
    if (keepBlocks || keepTileBlocks) {
      populateDecomposePositionsPatterns(patterns);
      populateDecomposeRotatePatterns(patterns);
      populateDecomposeAttentionPatterns(patterns);
      populateDecomposeCachePatterns(patterns);
      populateDecomposeGradientPatterns(patterns);
      patterns.add<DecomposeOtherBlocks>(&getContext(), keeps);
    } else if (keepKernels) {
      populateDecomposeOtherPositionsPatterns(patterns);
      populateDecomposeRotatePatterns(patterns);
      patterns.add<DecomposeWithoutStrategy<AttentionOp, decomposeAttention>,
                   DecomposeWithoutStrategy<AssignPositionsOp,
                                            decomposeAssignPositions>>(
          &getContext());
      populateDecomposeOnlineAttentionPatterns(patterns);
      populateDecomposeCacheAppendByRowsPatterns(patterns);
      populateDecomposeGradientPatterns(patterns);
      patterns.add<DecomposeOtherViews>(&getContext());
    } else {
      populateDecomposePatterns(patterns);
      patterns.add<DecomposeGemm>(&getContext());
    }
    walkAndApplyPatterns(getOperation(), std::move(patterns));
    numDecomposed += before - count();

    // Every op has a pattern, which fails on buffers alone.
    WalkResult left = getOperation().walk([&](Operation *op) {
      if (!isa_and_nonnull<RepoDialect>(op->getDialect()))
        return WalkResult::advance();
      auto block = dyn_cast<OnlineAttentionOp>(op);
      if (block && keeps(block))
        return WalkResult::advance();
      auto attention = dyn_cast<AttentionOp>(op);
      if (attention && keepKernels && attention.getKernelStrategy())
        return WalkResult::advance();
      auto positions = dyn_cast<AssignPositionsOp>(op);
      if (positions && keepKernels && positions.getKernelStrategy())
        return WalkResult::advance();
      auto view = dyn_cast<CacheViewOp>(op);
      if (view && keepKernels && isReadByKernels(view))
        return WalkResult::advance();
      op->emitOpError("expected tensors, got buffers: decompose before "
                      "bufferization");
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      return signalPassFailure();
    if (!keepAttributes)
      getOperation().walk(dropAttributes);
  }
};
} // namespace
