//===- FuseElementwise.cpp - Chains of elementwise ops become one ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

/// Whether `op` stands on its own and computes every element by itself.
static bool isCandidate(linalg::LinalgOp op) {
  return op.hasPureTensorSemantics() && op->getNumResults() == 1 &&
         !isa<linalg::FillOp, linalg::CopyOp>(op) &&
         linalg::isElementwise(op) &&
         !op->getParentOfType<LoopLikeOpInterface>();
}

/// What `value` is a view of.
static Operation *getViewed(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isa<tensor::ExtractSliceOp, tensor::CollapseShapeOp,
                   tensor::ExpandShapeOp, tensor::CastOp>(op))
    op = op->getOperand(0).getDefiningOp();
  return op;
}

/// A new tensor takes the place of a destination that is the result of another
/// op; where it is read, that becomes an input. What is read stays the
/// destination of the last of a chain, which then works in place.
static linalg::GenericOp detachDestination(RewriterBase &rewriter,
                                           linalg::GenericOp op) {
  OpOperand &init = op.getDpsInitsMutable()[0];
  bool isRead = op.payloadUsesValueFromOperand(&init);
  auto consumer = op->hasOneUse()
                      ? dyn_cast<linalg::LinalgOp>(*op->getUsers().begin())
                      : linalg::LinalgOp();
  Operation *viewed = getViewed(init.get());
  if (!isa_and_nonnull<linalg::LinalgOp>(viewed) ||
      isa<linalg::FillOp>(viewed) ||
      (isRead && !(consumer && isCandidate(consumer))))
    return op;
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  Value old = init.get();
  auto type = cast<RankedTensorType>(old.getType());
  Value empty = tensor::EmptyOp::create(
      rewriter, loc, tensor::getMixedSizes(rewriter, loc, old),
      type.getElementType());
  if (!isRead) {
    rewriter.modifyOpInPlace(op, [&] { init.set(empty); });
    return op;
  }
  SmallVector<Value> inputs(op.getInputs());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  inputs.push_back(old);
  maps.push_back(maps.back());
  auto result = linalg::GenericOp::create(rewriter, loc, type, inputs, empty,
                                          maps, op.getIteratorTypesArray());
  rewriter.inlineRegionBefore(op.getRegion(), result.getRegion(),
                              result.getRegion().begin());
  Block &body = result.getRegion().front();
  body.addArgument(type.getElementType(), loc);
  rewriter.replaceOp(op, result);
  return result;
}

/// The producer that `operand` may take in: of the same loops, and of no use
/// to others.
static linalg::GenericOp getProducer(OpOperand &operand) {
  auto consumer = cast<linalg::GenericOp>(operand.getOwner());
  auto producer = operand.get().getDefiningOp<linalg::GenericOp>();
  if (!producer || !isCandidate(producer) || !producer->hasOneUse() ||
      producer->getBlock() != consumer->getBlock() ||
      !consumer.getMatchingIndexingMap(&operand).isPermutation() ||
      !linalg::areElementwiseOpsFusable(&operand))
    return nullptr;
  return producer;
}

namespace {
struct FuseElementwise : repo::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isCandidate(op))
        ops.push_back(op);
    });
    SmallVector<linalg::GenericOp> generics;
    for (linalg::LinalgOp op : ops) {
      auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
      if (!generic) {
        rewriter.setInsertionPoint(op);
        FailureOr<linalg::GenericOp> made =
            linalg::generalizeNamedOp(rewriter, op);
        if (failed(made))
          continue;
        generic = *made;
      }
      generics.push_back(detachDestination(rewriter, generic));
    }
    for (linalg::GenericOp op : generics)
      while (fuseProducer(rewriter, op))
        ++numFused;
  }

  /// Takes one producer into `op`, which the fused op replaces.
  bool fuseProducer(RewriterBase &rewriter, linalg::GenericOp &op) {
    for (OpOperand *operand : op.getDpsInputOperands()) {
      linalg::GenericOp producer = getProducer(*operand);
      if (!producer)
        continue;
      rewriter.setInsertionPoint(op);
      FailureOr<linalg::ElementwiseOpFusionResult> fused =
          linalg::fuseElementwiseOps(rewriter, operand);
      if (failed(fused))
        continue;
      Value result = fused->replacements.lookup(op->getResult(0));
      rewriter.replaceOp(op, result);
      if (producer->use_empty())
        rewriter.eraseOp(producer);
      op = cast<linalg::GenericOp>(fused->fusedOp);
      return true;
    }
    return false;
  }
};
} // namespace
