//===- LowerPacks.cpp - linalg.pack to structured ops ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_LOWERPACKS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

/// The source element of an element of the result, by loops over the result.
static SmallVector<AffineExpr> getSourceExprs(linalg::PackOp op) {
  MLIRContext *context = op.getContext();
  unsigned rank = op.getSourceType().getRank();
  SmallVector<int64_t> outer(op.getOuterDimsPerm());
  if (outer.empty())
    outer = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  SmallVector<AffineExpr> exprs(rank);
  for (auto [position, dim] : llvm::enumerate(outer))
    exprs[dim] = getAffineDimExpr(position, context);
  for (auto [i, dim] : llvm::enumerate(op.getInnerDimsPos()))
    exprs[dim] = exprs[dim] * op.getStaticInnerTiles()[i] +
                 getAffineDimExpr(rank + i, context);
  return exprs;
}

static LogicalResult lowerToGeneric(RewriterBase &rewriter, linalg::PackOp op) {
  if (!op.getInnerTiles().empty() || !op.getSourceType().hasStaticShape())
    return op.emitError("expected a static size and tiles");
  rewriter.setInsertionPoint(op);
  SmallVector<AffineExpr> exprs = getSourceExprs(op);
  RankedTensorType type = op.getDestType();
  unsigned rank = type.getRank();
  AffineMap identity = rewriter.getMultiDimIdentityMap(rank),
            source = AffineMap::get(rank, 0, exprs, op.getContext());
  SmallVector<utils::IteratorType> parallel(rank,
                                            utils::IteratorType::parallel);
  Value padding = op.getPaddingValue();
  if (!padding) {
    rewriter.replaceOpWithNewOp<linalg::GenericOp>(
        op, type, op.getSource(), op.getDest(), ArrayRef{source, identity},
        parallel, [&](OpBuilder &b, Location loc, ValueRange args) {
          linalg::YieldOp::create(b, loc, args[0]);
        });
    return success();
  }
  auto body = [&](OpBuilder &b, Location loc, ValueRange) {
    SmallVector<Value> loops, indices;
    for (unsigned i = 0; i < rank; ++i)
      loops.push_back(linalg::IndexOp::create(b, loc, i));
    Value inside;
    for (auto [dim, expr] : llvm::enumerate(exprs)) {
      Value index = affine::AffineApplyOp::create(
          b, loc, AffineMap::get(rank, 0, expr), loops);
      int64_t size = op.getSourceType().getDimSize(dim);
      Value last = arith::ConstantIndexOp::create(b, loc, size - 1);
      Value fits =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, index, last);
      inside = inside ? arith::AndIOp::create(b, loc, inside, fits).getResult()
                      : fits;
      indices.push_back(arith::MinUIOp::create(b, loc, index, last));
    }
    Value element = tensor::ExtractOp::create(b, loc, op.getSource(), indices);
    linalg::YieldOp::create(
        b, loc,
        arith::SelectOp::create(b, loc, inside, element, padding).getResult());
  };
  rewriter.replaceOpWithNewOp<linalg::GenericOp>(
      op, type, ValueRange(), op.getDest(), ArrayRef{identity}, parallel, body);
  return success();
}

namespace {
struct LowerPacks : repo::impl::LowerPacksBase<LowerPacks> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::PackOp> packs;
    getOperation().walk([&](linalg::PackOp op) { packs.push_back(op); });
    for (linalg::PackOp op : packs)
      if (failed(lowerToGeneric(rewriter, op)))
        return signalPassFailure();
    // Weights side by side that do not fill their panels.
    SmallVector<tensor::ConcatOp> concats;
    getOperation().walk([&](tensor::ConcatOp op) { concats.push_back(op); });
    for (tensor::ConcatOp op : concats) {
      rewriter.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(rewriter);
      if (failed(values))
        return signalPassFailure();
      rewriter.replaceOp(op, *values);
    }
  }
};
} // namespace
