//===- MapToKernels.cpp - Parallel loops on buffers to launches -----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What touches memory runs on the device, what computes sizes on the host. A
// parallel loop becomes a grid with a thread per iteration; any other code that
// reads or writes buffers becomes one block whose threads walk through it
// together and share the parallel loops inside.
//
//===----------------------------------------------------------------------===//

#include "KernelLaunch.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_MAPTOKERNELS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// Whether code inside reads or writes elements of buffers.
static bool touchesMemory(Operation *op) {
  return op
      ->walk([](Operation *nested) {
        return isa<memref::LoadOp, memref::StoreOp, scf::ParallelOp>(nested)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

/// The buffer that a view shows part of.
static Value getRoot(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

/// Ops in a function's body that compute a number from elements of buffers
/// nobody writes, in order. Whichever kernel needs the number reads it itself.
static SetVector<Operation *> findDeviceScalars(func::FuncOp function) {
  llvm::SmallDenseSet<Value> written;
  function.walk([&](memref::StoreOp store) {
    written.insert(getRoot(store.getMemRef()));
  });
  SetVector<Operation *> scalars;
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      if (!written.contains(getRoot(load.getMemRef())))
        scalars.insert(&op);
      continue;
    }
    if (op.getNumRegions() == 0 && isPure(&op) &&
        llvm::any_of(op.getOperands(), [&](Value operand) {
          return scalars.contains(operand.getDefiningOp());
        }))
      scalars.insert(&op);
  }
  return scalars;
}

namespace {
/// Number of iterations of a parallel loop, and its indices from a flat one.
struct IterationSpace {
  IterationSpace(OpBuilder &b, scf::ParallelOp loop) : loop(loop) {
    Location loc = loop.getLoc();
    for (auto [from, to, step] : llvm::zip_equal(
             loop.getLowerBound(), loop.getUpperBound(), loop.getStep())) {
      Value size = arith::CeilDivSIOp::create(
          b, loc, arith::SubIOp::create(b, loc, to, from), step);
      // An empty dimension may have negative bounds.
      size = arith::MaxSIOp::create(b, loc, size,
                                    arith::ConstantIndexOp::create(b, loc, 0));
      sizes.push_back(size);
      count =
          count ? arith::MulIOp::create(b, loc, count, size).getResult() : size;
    }
  }

  /// Maps the loop's indices at iteration `flat`; the last runs fastest.
  void delinearize(OpBuilder &b, Value flat, IRMapping &mapping) {
    Location loc = loop.getLoc();
    for (size_t i = sizes.size(); i-- > 0;) {
      Value position = flat;
      if (i > 0) {
        position = arith::RemUIOp::create(b, loc, flat, sizes[i]);
        flat = arith::DivUIOp::create(b, loc, flat, sizes[i]);
      }
      position = arith::MulIOp::create(
          b, loc, position, mapping.lookupOrDefault(loop.getStep()[i]));
      position = arith::AddIOp::create(
          b, loc, position, mapping.lookupOrDefault(loop.getLowerBound()[i]));
      mapping.map(loop.getInductionVars()[i], position);
    }
  }

  scf::ParallelOp loop;
  SmallVector<Value> sizes;
  Value count;
};

/// Maps one function.
class KernelMapper {
public:
  KernelMapper(func::FuncOp function, int64_t threads)
      : function(function), rewriter(function.getContext()), threads(threads) {}

  LogicalResult run();
  unsigned getNumKernels() const { return numKernels; }

private:
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(rewriter, loc, value);
  }
  gpu::LaunchOp startLaunch(Value blocks) {
    ++numKernels;
    return repo::startLaunch(rewriter, loc, "kernel", blocks, threads);
  }
  LogicalResult mapGrid(scf::ParallelOp loop);
  LogicalResult mapBlock(Operation *op);
  LogicalResult share(scf::ParallelOp loop, Value thread);
  LogicalResult check(Operation *op);
  LogicalResult sinkScalars(const SetVector<Operation *> &scalars);
  void sinkConstants();

  func::FuncOp function;
  IRRewriter rewriter;
  Location loc = function.getLoc();
  int64_t threads;
  unsigned numKernels = 0;
};
} // namespace

/// Nested parallel loops run in order within their thread.
static LogicalResult serialize(IRRewriter &rewriter, Operation *root) {
  SmallVector<scf::ParallelOp> loops;
  root->walk([&](scf::ParallelOp loop) { loops.push_back(loop); });
  for (scf::ParallelOp loop : loops) {
    if (loop.getNumReductions())
      return loop.emitError("expected a parallel loop without reductions");
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(loop);
    scf::LoopNest nest =
        scf::buildLoopNest(rewriter, loop.getLoc(), loop.getLowerBound(),
                           loop.getUpperBound(), loop.getStep());
    SmallVector<Value> indices;
    for (scf::ForOp inner : nest.loops)
      indices.push_back(inner.getInductionVar());
    Operation *terminator = loop.getBody()->getTerminator();
    Block *target = nest.loops.back().getBody();
    rewriter.eraseOp(terminator);
    rewriter.inlineBlockBefore(loop.getBody(), target->getTerminator(),
                               indices);
    rewriter.eraseOp(loop);
  }
  return success();
}

LogicalResult KernelMapper::check(Operation *op) {
  WalkResult result = op->walk([](Operation *nested) -> WalkResult {
    if (isa<memref::AllocOp, memref::AllocaOp>(nested))
      return nested->emitError(
          "expected no buffer to be allocated inside a kernel");
    if (isa<func::CallOp>(nested))
      return nested->emitError("expected no call inside a kernel");
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult KernelMapper::mapGrid(scf::ParallelOp loop) {
  loc = loop.getLoc();
  if (failed(check(loop)))
    return failure();
  rewriter.setInsertionPoint(loop);
  IterationSpace space(rewriter, loop);
  Value blocks =
      arith::CeilDivUIOp::create(rewriter, loc, space.count, index(threads));
  gpu::LaunchOp launch = startLaunch(blocks);
  Value flat = arith::AddIOp::create(
      rewriter, loc,
      arith::MulIOp::create(rewriter, loc, launch.getBlockIds().x,
                            launch.getBlockSize().x),
      launch.getThreadIds().x);
  Value inside = arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::ult,
                                       flat, space.count);
  auto guard = scf::IfOp::create(rewriter, loc, inside);
  gpu::TerminatorOp::create(rewriter, loc);
  rewriter.setInsertionPoint(guard.thenYield());
  IRMapping mapping;
  space.delinearize(rewriter, flat, mapping);
  for (Operation &op : loop.getBody()->without_terminator())
    rewriter.clone(op, mapping);
  rewriter.eraseOp(loop);
  return serialize(rewriter, guard);
}

LogicalResult KernelMapper::share(scf::ParallelOp loop, Value thread) {
  rewriter.setInsertionPoint(loop);
  IterationSpace space(rewriter, loop);
  auto each =
      scf::ForOp::create(rewriter, loc, thread, space.count, index(threads));
  // What the loop wrote is seen by all that follows.
  gpu::BarrierOp::create(rewriter, loc);
  rewriter.setInsertionPointToStart(each.getBody());
  IRMapping mapping;
  space.delinearize(rewriter, each.getInductionVar(), mapping);
  for (Operation &op : loop.getBody()->without_terminator())
    rewriter.clone(op, mapping);
  rewriter.eraseOp(loop);
  return serialize(rewriter, each);
}

LogicalResult KernelMapper::mapBlock(Operation *op) {
  loc = op->getLoc();
  if (failed(check(op)))
    return failure();
  for (Value result : op->getResults())
    if (!result.use_empty())
      return op->emitError("expected what the host needs not to be read from "
                           "device memory");
  rewriter.setInsertionPoint(op);
  gpu::LaunchOp launch = startLaunch(index(1));
  Value thread = launch.getThreadIds().x;
  gpu::TerminatorOp end = gpu::TerminatorOp::create(rewriter, loc);
  rewriter.moveOpBefore(op, end);

  SmallVector<scf::ParallelOp> loops;
  SmallVector<memref::StoreOp> stores;
  op->walk<WalkOrder::PreOrder>([&](Operation *nested) {
    if (auto loop = dyn_cast<scf::ParallelOp>(nested)) {
      loops.push_back(loop);
      return WalkResult::skip();
    }
    if (auto store = dyn_cast<memref::StoreOp>(nested))
      stores.push_back(store);
    return WalkResult::advance();
  });
  for (scf::ParallelOp loop : loops)
    if (failed(share(loop, thread)))
      return failure();
  // One thread writes, when all have read what was there before.
  for (memref::StoreOp store : stores) {
    rewriter.setInsertionPoint(store);
    gpu::BarrierOp::create(rewriter, loc);
    Value first = arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::eq,
                                        thread, index(0));
    auto guard = scf::IfOp::create(rewriter, loc, first);
    gpu::BarrierOp::create(rewriter, loc);
    rewriter.moveOpBefore(store, guard.thenYield());
  }
  return success();
}

LogicalResult KernelMapper::sinkScalars(const SetVector<Operation *> &scalars) {
  function.walk([&](gpu::LaunchOp launch) {
    IRMapping mapping;
    rewriter.setInsertionPointToStart(&launch.getBody().front());
    for (Operation *scalar : scalars) {
      Operation *copy = rewriter.clone(*scalar, mapping);
      rewriter.replaceUsesWithIf(scalar->getResults(), copy->getResults(),
                                 [&](OpOperand &use) {
                                   return launch.getBody().isAncestor(
                                       use.getOwner()->getParentRegion());
                                 });
    }
  });
  for (Operation *scalar : llvm::reverse(scalars)) {
    if (!scalar->use_empty())
      return scalar->emitError("expected what the host needs not to be read "
                               "from device memory");
    rewriter.eraseOp(scalar);
  }
  return success();
}

/// A kernel has its own copy of constant data: the host's is elsewhere.
void KernelMapper::sinkConstants() {
  SmallVector<memref::GetGlobalOp> globals;
  function.walk([&](memref::GetGlobalOp op) { globals.push_back(op); });
  for (memref::GetGlobalOp global : globals)
    function.walk([&](gpu::LaunchOp launch) {
      if (launch->isAncestor(global))
        return;
      rewriter.setInsertionPointToStart(&launch.getBody().front());
      Operation *copy = rewriter.clone(*global);
      global.getResult().replaceUsesWithIf(
          copy->getResult(0),
          [&](OpOperand &use) { return launch->isAncestor(use.getOwner()); });
      if (copy->use_empty())
        rewriter.eraseOp(copy);
    });
}

LogicalResult KernelMapper::run() {
  SetVector<Operation *> scalars = findDeviceScalars(function);
  SmallVector<Operation *> work;
  for (Operation &op : function.getBody().front())
    // A launch that is there already is a kernel that a schedule made.
    if (touchesMemory(&op) && !scalars.contains(&op) && !isa<gpu::LaunchOp>(op))
      work.push_back(&op);
  for (Operation *op : work) {
    auto loop = dyn_cast<scf::ParallelOp>(op);
    if (loop && loop.getNumReductions())
      return loop.emitError("expected a parallel loop without reductions");
    if (failed(loop ? mapGrid(loop) : mapBlock(op)))
      return failure();
  }
  if (failed(sinkScalars(scalars)))
    return failure();
  sinkConstants();
  return success();
}

namespace {
struct MapToKernels : repo::impl::MapToKernelsBase<MapToKernels> {
  using MapToKernelsBase::MapToKernelsBase;
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      KernelMapper mapper(function, threads);
      if (failed(mapper.run()))
        return signalPassFailure();
      numKernels += mapper.getNumKernels();
    }
  }
};
} // namespace
