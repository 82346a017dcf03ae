//===- LowerTilesToLoops.cpp - Kernels of tiles as sequential loops -------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A launch becomes loops over its blocks, and within over the warps, or
// warpgroups, of a block, which run one behind the other. Fragments become
// buffers, one for each value, made once before the loops: a value lives no
// longer than the iteration that computes it.
//
//===----------------------------------------------------------------------===//

#include "TileLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_LOWERTILESTOLOOPS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo::tile;

namespace {
class LaunchLowering {
public:
  explicit LaunchLowering(gpu::LaunchOp launch)
      : launch(launch), b(launch), loc(launch.getLoc()) {}
  LogicalResult lower();

private:
  LogicalResult lowerBlock(Block &block);
  LogicalResult lowerFor(scf::ForOp loop);
  LogicalResult lowerIf(scf::IfOp branch);
  LogicalResult checkSharedBuffers();
  int64_t getOwnerThreads();
  Value allocate(Value value);
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }

  /// The values that are no buffers.
  SmallVector<Value> scalarsOf(ValueRange values);
  /// Copies `from` to `to`, as if at once.
  void copyAll(ArrayRef<Value> from, ArrayRef<Value> to);

  gpu::LaunchOp launch;
  OpBuilder b;
  Location loc;
  IRMapping mapping;
  /// The first op that takes the place of the launch: buffers come before it.
  Operation *first = nullptr;
};
} // namespace

static bool isBuffer(Value value) {
  return bool(getBufferType(value.getType()));
}

/// A buffer before the loops.
Value LaunchLowering::allocate(Value value) {
  OpBuilder before(first);
  return memref::AllocOp::create(before, value.getLoc(),
                                 getBufferType(value.getType()));
}

SmallVector<Value> LaunchLowering::scalarsOf(ValueRange values) {
  SmallVector<Value> scalars;
  for (Value value : values)
    if (!isBuffer(value))
      scalars.push_back(mapping.lookupOrDefault(value));
  return scalars;
}

void LaunchLowering::copyAll(ArrayRef<Value> from, ArrayRef<Value> to) {
  // A value that another copy overwrites first waits aside.
  SmallVector<Value> sources(from);
  for (auto [i, source] : llvm::enumerate(sources)) {
    if (source == to[i] || !llvm::is_contained(to, source))
      continue;
    OpBuilder before(first);
    Value aside = memref::AllocOp::create(before, loc,
                                          cast<MemRefType>(source.getType()));
    memref::CopyOp::create(b, loc, source, aside);
    source = aside;
  }
  for (auto [source, target] : llvm::zip_equal(sources, to))
    if (source != target)
      memref::CopyOp::create(b, loc, source, target);
}

/// Loop-carried fragments stay in one buffer each.
LogicalResult LaunchLowering::lowerFor(scf::ForOp loop) {
  SmallVector<Value> from, carried;
  for (auto [argument, init, result] : llvm::zip_equal(
           loop.getRegionIterArgs(), loop.getInitArgs(), loop.getResults())) {
    if (!isBuffer(argument))
      continue;
    from.push_back(mapping.lookup(init));
    carried.push_back(allocate(argument));
    mapping.map(argument, carried.back());
    mapping.map(result, carried.back());
  }
  copyAll(from, carried);
  auto lookup = [&](Value value) { return mapping.lookupOrDefault(value); };
  auto lowered = scf::ForOp::create(
      b, loc, lookup(loop.getLowerBound()), lookup(loop.getUpperBound()),
      lookup(loop.getStep()), scalarsOf(loop.getInitArgs()));
  mapping.map(loop.getInductionVar(), lowered.getInductionVar());
  auto argument = lowered.getRegionIterArgs().begin();
  auto result = lowered.getResults().begin();
  for (auto [before, after] :
       llvm::zip_equal(loop.getRegionIterArgs(), loop.getResults())) {
    if (isBuffer(before))
      continue;
    mapping.map(before, *argument++);
    mapping.map(after, *result++);
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(lowered.getBody());
  if (failed(lowerBlock(*loop.getBody())))
    return failure();
  auto yield = cast<scf::YieldOp>(loop.getBody()->getTerminator());
  SmallVector<Value> yielded;
  for (Value value : yield.getOperands())
    if (isBuffer(value))
      yielded.push_back(mapping.lookup(value));
  // Without carried values the loop has its terminator already.
  if (!lowered.getBody()->empty() &&
      lowered.getBody()->back().hasTrait<OpTrait::IsTerminator>())
    b.setInsertionPoint(lowered.getBody()->getTerminator());
  copyAll(yielded, carried);
  SmallVector<Value> scalars = scalarsOf(yield.getOperands());
  if (!scalars.empty())
    scf::YieldOp::create(b, loc, scalars);
  return success();
}

LogicalResult LaunchLowering::lowerIf(scf::IfOp branch) {
  SmallVector<Value> results;
  SmallVector<Type> scalarTypes;
  for (Value result : branch.getResults()) {
    if (!isBuffer(result)) {
      scalarTypes.push_back(result.getType());
      continue;
    }
    results.push_back(allocate(result));
    mapping.map(result, results.back());
  }
  auto lowered = scf::IfOp::create(
      b, loc, scalarTypes, mapping.lookupOrDefault(branch.getCondition()),
      /*addThenBlock=*/true, /*addElseBlock=*/bool(branch.elseBlock()));
  auto next = lowered.getResults().begin();
  for (Value result : branch.getResults())
    if (!isBuffer(result))
      mapping.map(result, *next++);
  OpBuilder::InsertionGuard guard(b);
  for (auto [from, to] : {std::pair(branch.thenBlock(), lowered.thenBlock()),
                          std::pair(branch.elseBlock(), lowered.elseBlock())}) {
    if (!from)
      continue;
    b.setInsertionPointToEnd(to);
    if (failed(lowerBlock(*from)))
      return failure();
    SmallVector<Value> yielded;
    for (Value value : from->getTerminator()->getOperands())
      if (isBuffer(value))
        yielded.push_back(mapping.lookup(value));
    copyAll(yielded, results);
    scf::YieldOp::create(b, loc,
                         scalarsOf(from->getTerminator()->getOperands()));
  }
  return success();
}

/// All but the terminator.
LogicalResult LaunchLowering::lowerBlock(Block &block) {
  auto makeBuffer = [&](Value value) { return allocate(value); };
  SequentialTiles loops(b, mapping, makeBuffer);
  for (Operation &op : block.without_terminator()) {
    LogicalResult lowered = success();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      lowered = lowerFor(loop);
    else if (auto branch = dyn_cast<scf::IfOp>(op))
      lowered = lowerIf(branch);
    else if (auto buffer = dyn_cast<SharedBufferOp>(op))
      mapping.map(buffer.getBuffer(), allocate(buffer.getBuffer()));
    else if (isa<RepoTileDialect>(op.getDialect()))
      lowered = loops.lower(&op);
    else if (isSynchronization(&op))
      continue;
    else if (isa<NVVM::NVVMDialect, gpu::GPUDialect>(op.getDialect()) ||
             op.getNumRegions() != 0)
      lowered = op.emitOpError("has no meaning for one thread alone");
    else
      b.clone(op, mapping);
    if (failed(lowered))
      return failure();
  }
  return success();
}

/// Threads that hold a fragment together.
int64_t LaunchLowering::getOwnerThreads() {
  int64_t threads = 32;
  launch.walk([&](Operation *op) {
    for (Type type : op->getResultTypes()) {
      if (auto pending = dyn_cast<PendingType>(type))
        type = pending.getAccumulator();
      auto fragment = dyn_cast<FragmentType>(type);
      if (fragment && fragment.isWarpgroup())
        threads = 128;
    }
  });
  return threads;
}

/// Shared buffers become apart what they are: nothing may be passed from one to
/// another by lying at the same place.
LogicalResult LaunchLowering::checkSharedBuffers() {
  SmallVector<SharedBufferOp> buffers;
  launch.walk([&](SharedBufferOp op) { buffers.push_back(op); });
  llvm::sort(buffers, [](SharedBufferOp x, SharedBufferOp y) {
    return x.getOffset() < y.getOffset();
  });
  for (size_t i = 1; i < buffers.size(); ++i) {
    MemRefType type = buffers[i - 1].getBuffer().getType();
    int64_t end =
        buffers[i - 1].getOffset() + type.getDimSize(0) * getStageBytes(type);
    if (int64_t(buffers[i].getOffset()) < end)
      return buffers[i].emitOpError(
                 "expected shared buffers side by side, got one at ")
             << buffers[i].getOffset() << " before the end of another at "
             << end;
  }
  return success();
}

LogicalResult LaunchLowering::lower() {
  if (!launch.getBody().hasOneBlock())
    return launch.emitOpError("expected a body of one block");
  if (failed(checkSharedBuffers()))
    return failure();
  auto mapAll = [&](gpu::KernelDim3 from, Value x, Value y, Value z) {
    mapping.map(from.x, x);
    mapping.map(from.y, y);
    mapping.map(from.z, z);
  };
  gpu::KernelDim3 grid = launch.getGridSizeOperandValues(),
                  threads = launch.getBlockSizeOperandValues();
  mapAll(launch.getGridSize(), grid.x, grid.y, grid.z);
  mapAll(launch.getBlockSize(), threads.x, threads.y, threads.z);
  Value zero = index(0), one = index(1);
  first = zero.getDefiningOp();
  OpBuilder::InsertionGuard guard(b);
  auto enter = [&](Value count, Value step) -> Value {
    auto loop = scf::ForOp::create(b, loc, zero, count, step);
    b.setInsertionPointToStart(loop.getBody());
    return loop.getInductionVar();
  };
  Value z = enter(grid.z, one), y = enter(grid.y, one), x = enter(grid.x, one);
  mapAll(launch.getBlockIds(), x, y, z);
  // The first thread of an owner stands for it.
  int64_t ownerThreads = getOwnerThreads();
  Value owner = enter(threads.x, index(ownerThreads));
  mapAll(launch.getThreadIds(), owner, zero, zero);
  return lowerBlock(launch.getBody().front());
}

namespace {
struct LowerTilesToLoops
    : repo::impl::LowerTilesToLoopsBase<LowerTilesToLoops> {
  void runOnOperation() override {
    SmallVector<gpu::LaunchOp> launches;
    getOperation().walk([&](gpu::LaunchOp launch) {
      if (launch
              .walk([](Operation *op) {
                return isa<RepoTileDialect>(op->getDialect())
                           ? WalkResult::interrupt()
                           : WalkResult::advance();
              })
              .wasInterrupted())
        launches.push_back(launch);
    });
    for (gpu::LaunchOp launch : launches) {
      if (failed(LaunchLowering(launch).lower()))
        return signalPassFailure();
      launch.erase();
      ++numLaunches;
    }
  }
};
} // namespace
