//===- AsyncToNVVM.cpp - Roles, barriers and copies by threads ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::repo::tile;

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

/// Branches by the number of the warpgroup, which one lane tells its warp: so
/// ptxas knows that a warp takes one way.
static void convertRoles(WarpSpecializeOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  ThreadBuilder t(builder, loc);
  Value group =
      NVVM::ShflOp::create(builder, loc, builder.getI32Type(), t.i32(-1),
                           t.shiftRight(t.thread(), 7), t.i32(0), t.i32(31),
                           NVVM::ShflKind::idx, UnitAttr());
  // ptxas gives every thread an equal part at the launch, a multiple of 8.
  int64_t threads = 0, first = 0;
  for (int64_t count : op.getWarpgroups())
    threads += count * 128;
  int64_t atLaunch = 65536 / threads / 8 * 8;
  size_t last = op.getRoles().size() - 1;
  for (auto [role, region] : llvm::enumerate(op.getRoles())) {
    int64_t count = op.getWarpgroups()[role], budget = op.getRegisters()[role];
    // The last role has what is left.
    if (role != last) {
      Value mine =
          t.compare(arith::CmpIPredicate::ult, group, t.i32(first + count));
      auto branch = scf::IfOp::create(builder, loc, TypeRange(), mine,
                                      /*withElseRegion=*/true);
      builder.setInsertionPointToStart(branch.thenBlock());
    }
    if (budget != atLaunch)
      NVVM::SetMaxRegisterOp::create(
          builder, loc, budget,
          budget < atLaunch ? NVVM::SetMaxRegisterAction::decrease
                            : NVVM::SetMaxRegisterAction::increase);
    Block &body = region.front();
    Value member = arith::IndexCastOp::create(
        builder, loc, builder.getIndexType(), t.add(group, -first));
    body.getArgument(0).replaceAllUsesWith(member);
    body.getTerminator()->erase();
    Block *target = builder.getInsertionBlock();
    target->getOperations().splice(builder.getInsertionPoint(),
                                   body.getOperations());
    if (auto branch = dyn_cast<scf::IfOp>(target->getParentOp());
        role != last && branch)
      builder.setInsertionPointToStart(branch.elseBlock());
    first += count;
  }
  op.erase();
}

void mlir::repo::tile::convertWarpSpecialization(Operation *root) {
  SmallVector<WarpSpecializeOp> ops;
  root->walk([&](WarpSpecializeOp op) { ops.push_back(op); });
  for (WarpSpecializeOp op : ops)
    convertRoles(op);
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

/// The barrier of a stage.
static Value getBarrier(ThreadBuilder &t, Value barriers, Value stage) {
  return t.move(barriers, t.shiftLeft(t.toI32(stage), 3));
}

namespace {
struct InitBarriersPattern : OpConversionPattern<InitBarriersOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(InitBarriersOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    Value first = t.compare(arith::CmpIPredicate::eq, t.thread(), t.i32(0));
    auto branch = scf::IfOp::create(rewriter, loc, first);
    {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPoint(branch.thenYield());
      for (auto [barriers, start] :
           llvm::zip_equal(op.getBarriers(), adaptor.getBarriers())) {
        auto type = cast<BarriersType>(barriers.getType());
        for (int64_t stage = 0; stage != type.getStages(); ++stage)
          NVVM::MBarrierInitOp::create(rewriter, loc,
                                       t.move(start.front(), 8 * stage),
                                       t.i32(type.getArrivals()), Value());
      }
      NVVM::FenceMbarrierInitOp::create(rewriter, loc);
    }
    NVVM::BarrierOp::create(rewriter, loc);
    rewriter.eraseOp(op);
    return success();
  }
};

struct ArrivePattern : OpConversionPattern<ArriveOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ArriveOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    Value barrier = getBarrier(t, adaptor.getBarriers().front(), op.getStage());
    Value first =
        t.compare(arith::CmpIPredicate::eq, t.both(t.thread(), 127), t.i32(0));
    auto branch = scf::IfOp::create(rewriter, loc, first);
    rewriter.setInsertionPoint(branch.thenYield());
    NVVM::MBarrierArriveOp::create(rewriter, loc, rewriter.getI64Type(),
                                   barrier, Value());
    rewriter.eraseOp(op);
    return success();
  }
};

struct WaitPattern : OpConversionPattern<WaitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(WaitOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    Value barrier = getBarrier(t, adaptor.getBarriers().front(), op.getStage());
    // Nanoseconds that a thread may sleep before it asks again.
    Value ticks = t.i32(10000000);
    NVVM::MBarrierTryWaitParityOp::create(rewriter, op.getLoc(), barrier,
                                          t.both(t.toI32(op.getPhase()), 1),
                                          ticks);
    rewriter.eraseOp(op);
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

struct CopyTensorPattern : OpConversionPattern<CopyTensorOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(CopyTensorOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    MemRefType type = op.getTarget().getType();
    Value target = t.stage(adaptor.getTarget().front(), type, op.getStage());
    Value barrier = getBarrier(t, adaptor.getBarriers().front(), op.getStage());
    // Innermost first.
    SmallVector<Value> coordinates = llvm::map_to_vector(
        llvm::reverse(op.getCoordinates()),
        [&](Value coordinate) { return t.toI32(coordinate); });
    Value elected =
        NVVM::ElectSyncOp::create(rewriter, loc, rewriter.getI1Type(), Value());
    auto branch = scf::IfOp::create(rewriter, loc, elected);
    rewriter.setInsertionPoint(branch.thenYield());
    NVVM::MBarrierArriveExpectTxOp::create(
        rewriter, loc, Type(), barrier, t.i32(getStageBytes(type)),
        NVVM::MemScopeKind::CTA, /*relaxed=*/false, Value());
    Value map =
        UnrealizedConversionCastOp::create(
            rewriter, loc, LLVM::LLVMPointerType::get(rewriter.getContext()),
            op.getMap())
            .getResult(0);
    // An address in the shared memory of a block is one in that of its cluster.
    Value wide = LLVM::IntToPtrOp::create(
        rewriter, loc, LLVM::LLVMPointerType::get(rewriter.getContext(), 7),
        LLVM::PtrToIntOp::create(rewriter, loc, rewriter.getI32Type(), target)
            .getResult());
    NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
        rewriter, loc, wide, map, coordinates, barrier,
        /*im2colOffsets=*/ValueRange(), /*multicastMask=*/Value(),
        /*l2CacheHint=*/Value(), NVVM::TMALoadMode::TILE,
        /*isCTAOnly=*/false, NVVM::CTAGroupKindAttr(), /*predicate=*/Value());
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void mlir::repo::tile::populateAsyncPatterns(const TypeConverter &types,
                                             RewritePatternSet &patterns) {
  patterns.add<SharedPlacePattern<BarriersOp>, InitBarriersPattern,
               ArrivePattern, WaitPattern, CopyTensorPattern>(
      types, patterns.getContext());
}
