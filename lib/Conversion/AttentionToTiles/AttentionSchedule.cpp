//===- AttentionSchedule.cpp - A kernel of one attention op ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

std::string mlir::repo::findKernelName(Operation *op, StringRef kind) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  unsigned number = 0;
  std::string prefix = (function.getName() + "_" + kind).str();
  function.walk([&](gpu::LaunchOp launch) {
    auto name = launch.getFunctionAttr();
    number += name && name.getValue().starts_with(prefix);
  });
  return prefix + std::to_string(number);
}

void AttentionSchedule::startLaunch(int64_t threads) {
  Value batches = getValueOrCreateConstantIndexOp(
      b, loc, op.getDimSize(b, loc, AttentionOp::B));
  int64_t queryBlock = strategy.getQueryBlock();
  Value blocks = tiles.ceilDiv(tiles.queries, queryBlock);
  Value one = tiles.index(1);
  Value bytes = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  std::string name = findKernelName(op, "attention");
  launch =
      gpu::LaunchOp::create(b, loc, tiles.index(op.getNumQueryHeads()), batches,
                            blocks, tiles.index(threads), one, one, bytes);
  launch.setModuleAttr(FlatSymbolRefAttr::get(op.getContext(), "kernels"));
  launch.setFunctionAttr(FlatSymbolRefAttr::get(op.getContext(), name));
  b.setInsertionPointToStart(&launch.getBody().front());

  // The heads of a block of queries run side by side; under a causal mask the
  // blocks with the most keys come first.
  Value block = launch.getBlockIds().z;
  if (op.getBand().second >= 0)
    block = tiles.sub(tiles.sub(launch.getGridSize().z, one), block);
  firstQuery = tiles.mul(block, queryBlock);
  batch = launch.getBlockIds().y;
  head = launch.getBlockIds().x;
  thread = launch.getThreadIds().x;
  tiles.enterBlock(batch, head, firstQuery);
}

void AttentionSchedule::finishLaunch() {
  gpu::TerminatorOp::create(b, loc);
  auto bytes =
      launch.getDynamicSharedMemorySize().getDefiningOp<arith::ConstantOp>();
  bytes.setValueAttr(b.getI32IntegerAttr(sharedBytes));
}

MemRefType AttentionSchedule::bufferType(int64_t stages, int64_t rows,
                                         int64_t columns) {
  return MemRefType::get({stages, columns / panelColumns, rows, panelColumns},
                         tiles.element, AffineMap(),
                         gpu::AddressSpaceAttr::get(
                             op.getContext(), gpu::AddressSpace::Workgroup));
}

Value AttentionSchedule::allocate(MemRefType type) {
  int64_t offset = sharedBytes;
  sharedBytes += type.getDimSize(0) * getStageBytes(type);
  return SharedBufferOp::create(b, loc, type, offset);
}

Value AttentionSchedule::allocateBarriers(int64_t stages, int64_t arrivals) {
  int64_t offset = sharedBytes;
  sharedBytes += 8 * stages;
  return BarriersOp::create(
      b, loc, BarriersType::get(op.getContext(), stages, arrivals), offset);
}

void AttentionSchedule::fenceProxy() {
  NVVM::FenceProxyOp::create(
      b, loc,
      NVVM::ProxyKindAttr::get(b.getContext(), NVVM::ProxyKind::async_shared),
      NVVM::SharedSpaceAttr::get(b.getContext(),
                                 NVVM::SharedSpace::shared_cta));
}

unsigned mlir::repo::scheduleAttention(
    ModuleOp module, function_ref<bool(KernelStrategyAttr)> takes,
    function_ref<void(OpBuilder &, AttentionOp)> build) {
  SmallVector<AttentionOp> ops;
  module.walk([&](AttentionOp op) {
    KernelStrategyAttr strategy = op.getKernelStrategyAttr();
    if (strategy && op->getNumResults() == 0 && takes(strategy))
      ops.push_back(op);
  });
  for (AttentionOp op : ops) {
    OpBuilder builder(op);
    build(builder, op);
    SmallVector<Operation *> views = {op.getKey().getDefiningOp(),
                                      op.getValue().getDefiningOp()};
    op.erase();
    eraseUnusedViews(views);
  }
  return ops.size();
}
