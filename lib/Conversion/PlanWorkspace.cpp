//===- PlanWorkspace.cpp - Buffers from the stack or the workspace --------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_PLANWORKSPACE
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

/// Tasks are the functions (context, index, arguments) that OutlineParallel
/// made.
static bool isTask(func::FuncOp function) {
  auto pointer = LLVM::LLVMPointerType::get(function.getContext());
  Type expected[] = {pointer, IntegerType::get(function.getContext(), 64),
                     pointer};
  return function.isPrivate() &&
         function.getArgumentTypes() == ArrayRef<Type>(expected);
}

/// Bytes of an element in memory.
static int64_t getElementBytes(Type type) {
  if (type.isIndex())
    return 8;
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements() * getElementBytes(vector.getElementType());
  return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

static LogicalResult toStack(memref::AllocOp alloc, int64_t maxBytes) {
  MemRefType type = alloc.getType();
  if (!type.hasStaticShape())
    return alloc.emitError(
               "expected the buffer of a task to have a static size, got ")
           << type;
  int64_t bytes =
      type.getNumElements() * getElementBytes(type.getElementType());
  if (bytes > maxBytes)
    return alloc.emitError("expected the buffer of a task to have at most ")
           << maxBytes << " bytes, got " << bytes;
  auto function = alloc->getParentOfType<func::FuncOp>();
  OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
  Value stack = memref::AllocaOp::create(builder, alloc.getLoc(), type,
                                         builder.getI64IntegerAttr(64));
  alloc.replaceAllUsesWith(stack);
  alloc.erase();
  return success();
}

static void toWorkspace(memref::AllocOp alloc) {
  OpBuilder builder(alloc);
  Location loc = alloc.getLoc();
  MemRefType type = alloc.getType();
  auto function = alloc->getParentOfType<func::FuncOp>();
  Value elements = arith::ConstantIndexOp::create(builder, loc, 1);
  SmallVector<OpFoldResult> sizes;
  auto dynamic = alloc.getDynamicSizes().begin();
  for (int64_t size : type.getShape()) {
    Value value =
        ShapedType::isDynamic(size)
            ? *dynamic++
            : arith::ConstantIndexOp::create(builder, loc, size).getResult();
    sizes.push_back(ShapedType::isDynamic(size) ? OpFoldResult(value)
                                                : builder.getIndexAttr(size));
    elements = arith::MulIOp::create(builder, loc, elements, value);
  }
  Value width = arith::ConstantIndexOp::create(
      builder, loc, getElementBytes(type.getElementType()));
  Value bytes = arith::MulIOp::create(builder, loc, elements, width);
  Value bytes64 =
      arith::IndexCastOp::create(builder, loc, builder.getI64Type(), bytes);
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Value data = callRuntime(builder, loc, function.getArgument(0),
                           RuntimeFunction::allocate, pointer, bytes64);
  // A rank-1 descriptor of the bytes, viewed as the buffer.
  LLVMTypeConverter converter(builder.getContext());
  auto bytesType = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
  Type descriptorType = converter.convertType(bytesType);
  Value descriptor = LLVM::PoisonOp::create(builder, loc, descriptorType);
  auto set = [&](Value value, ArrayRef<int64_t> position) {
    descriptor =
        LLVM::InsertValueOp::create(builder, loc, descriptor, value, position);
  };
  Value zero =
      LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0));
  Value one =
      LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(1));
  set(data, {0});
  set(data, {1});
  set(zero, {2});
  set(bytes64, {3, 0});
  set(one, {4, 0});
  Value buffer =
      UnrealizedConversionCastOp::create(builder, loc, bytesType, descriptor)
          .getResult(0);
  Value start = arith::ConstantIndexOp::create(builder, loc, 0);
  Value view = memref::ViewOp::create(builder, loc, type, buffer, start,
                                      alloc.getDynamicSizes());
  alloc.replaceAllUsesWith(view);
  alloc.erase();
}

/// Gives back at the end of `block` what is allocated in it.
static void releaseAtEnd(Block &block, Value context) {
  OpBuilder builder = OpBuilder::atBlockBegin(&block);
  Location loc = block.getParentOp()->getLoc();
  Type i64 = builder.getI64Type();
  Value mark =
      callRuntime(builder, loc, context, RuntimeFunction::mark, i64, {});
  builder.setInsertionPoint(block.getTerminator());
  callRuntime(builder, loc, context, RuntimeFunction::release, Type(), mark);
}

static LogicalResult planFunction(func::FuncOp function,
                                  int64_t maxStackBytes) {
  SmallVector<memref::AllocOp> allocs;
  function.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
  if (allocs.empty())
    return success();
  if (isTask(function)) {
    for (memref::AllocOp alloc : allocs)
      if (failed(toStack(alloc, maxStackBytes)))
        return failure();
    return success();
  }
  // The blocks at whose end memory is given back: the function, and loops that
  // carry no buffer from one iteration to the next.
  SetVector<Block *> blocks;
  blocks.insert(&function.getBody().front());
  for (memref::AllocOp alloc : allocs)
    if (auto loop = alloc->getParentOfType<scf::ForOp>())
      if (llvm::none_of(loop.getResultTypes(), llvm::IsaPred<MemRefType>))
        blocks.insert(loop.getBody());
  for (memref::AllocOp alloc : allocs)
    toWorkspace(alloc);
  for (Block *block : blocks)
    releaseAtEnd(*block, function.getArgument(0));
  return success();
}

namespace {
struct PlanWorkspace : repo::impl::PlanWorkspaceBase<PlanWorkspace> {
  using PlanWorkspaceBase::PlanWorkspaceBase;
  void runOnOperation() override {
    getOperation().walk([](memref::DeallocOp dealloc) { dealloc.erase(); });
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      if (failed(planFunction(function, maxStackBytes)))
        return signalPassFailure();
    }
  }
};
} // namespace
