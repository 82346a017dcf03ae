//===- PromoteAccumulators.cpp - Sums in registers ------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_PROMOTEACCUMULATORS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// The buffer that a view shows part of. Different ones share no memory: what
/// is written is an allocation or an output, which the runtime checks.
static Value getRoot(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

/// The load of the element that `store` writes in every iteration, if nothing
/// else in the loop touches its buffer.
static memref::LoadOp findAccumulator(scf::ForOp loop, memref::StoreOp store) {
  if (!loop.isDefinedOutsideOfLoop(store.getMemRef()) ||
      !llvm::all_of(store.getIndices(), [&](Value index) {
        return loop.isDefinedOutsideOfLoop(index);
      }))
    return nullptr;
  Value root = getRoot(store.getMemRef());
  memref::LoadOp found;
  WalkResult result = loop.walk([&](Operation *op) {
    if (op == store || op->getNumRegions() || isMemoryEffectFree(op))
      return WalkResult::advance();
    auto load = dyn_cast<memref::LoadOp>(op);
    if (!load) {
      auto other = dyn_cast<memref::StoreOp>(op);
      return other && getRoot(other.getMemRef()) != root
                 ? WalkResult::advance()
                 : WalkResult::interrupt();
    }
    if (getRoot(load.getMemRef()) != root)
      return WalkResult::advance();
    if (found || load->getBlock() != loop.getBody() ||
        !load->isBeforeInBlock(store) ||
        load.getMemRef() != store.getMemRef() ||
        load.getIndices() != store.getIndices())
      return WalkResult::interrupt();
    found = load;
    return WalkResult::advance();
  });
  return result.wasInterrupted() ? nullptr : found;
}

static LogicalResult promote(IRRewriter &rewriter, scf::ForOp loop) {
  for (auto store : loop.getBody()->getOps<memref::StoreOp>()) {
    memref::LoadOp load = findAccumulator(loop, store);
    if (!load)
      continue;
    Location loc = store.getLoc();
    Value buffer = store.getMemRef(), value = store.getValueToStore();
    SmallVector<Value> indices = store.getIndices();
    rewriter.setInsertionPoint(loop);
    Value first = memref::LoadOp::create(rewriter, loc, buffer, indices);
    rewriter.eraseOp(store);
    FailureOr<LoopLikeOpInterface> changed = loop.replaceWithAdditionalYields(
        rewriter, first, /*replaceInitOperandUsesInLoop=*/false,
        [&](OpBuilder &, Location, ArrayRef<BlockArgument> carried) {
          SmallVector<Value> yielded = {
              value == load.getResult() ? Value(carried.front()) : value};
          rewriter.replaceOp(load, carried.front());
          return yielded;
        });
    if (failed(changed))
      return failure();
    Operation *result = *changed;
    rewriter.setInsertionPointAfter(result);
    memref::StoreOp::create(rewriter, loc, result->getResults().back(), buffer,
                            indices);
    return success();
  }
  return failure();
}

namespace {
struct PromoteAccumulators
    : repo::impl::PromoteAccumulatorsBase<PromoteAccumulators> {
  void runOnOperation() override {
    SmallVector<scf::ForOp> loops;
    getOperation().walk([&](scf::ForOp loop) { loops.push_back(loop); });
    IRRewriter rewriter(&getContext());
    // One accumulator a loop: what the lowering of one reduction leaves.
    for (scf::ForOp loop : loops)
      if (succeeded(promote(rewriter, loop)))
        ++numAccumulators;
  }
};
} // namespace
