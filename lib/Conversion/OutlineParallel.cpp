//===- OutlineParallel.cpp - Parallel loops to tasks ----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_OUTLINEPARALLEL
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

static bool isConstant(Value value) {
  Operation *definition = value.getDefiningOp();
  return definition && definition->hasTrait<OpTrait::ConstantLike>();
}

/// Outlines one loop on buffers into `name` and calls it.
static LogicalResult outline(IRRewriter &rewriter, scf::ForallOp loop,
                             StringRef name) {
  MLIRContext *context = loop.getContext();
  Location loc = loop.getLoc();
  auto function = loop->getParentOfType<func::FuncOp>();
  auto pointer = LLVM::LLVMPointerType::get(context);
  if (loop.getNumResults())
    return loop.emitError("expected a parallel loop on buffers, got results");
  if (!function || !function.getNumArguments() ||
      function.getArgument(0).getType() != pointer)
    return loop.emitError(
        "expected a function whose argument 0 is the context");

  rewriter.setInsertionPoint(loop);
  SmallVector<Value> lower = loop.getLowerBound(rewriter),
                     upper = loop.getUpperBound(rewriter),
                     steps = loop.getStep(rewriter), bounds;
  Value count;
  for (auto [from, to, step] : llvm::zip_equal(lower, upper, steps)) {
    Value size = arith::CeilDivSIOp::create(
        rewriter, loc, arith::SubIOp::create(rewriter, loc, to, from), step);
    bounds.push_back(size);
    count = count
                ? arith::MulIOp::create(rewriter, loc, count, size).getResult()
                : size;
  }

  // What the body uses from outside: constants are cloned, the rest is passed.
  SetVector<Value> used;
  getUsedValuesDefinedAbove(loop.getRegion(), used);
  used.insert(bounds.begin(), bounds.end());
  used.insert(lower.begin(), lower.end());
  used.insert(steps.begin(), steps.end());
  used.insert(function.getArgument(0));
  SmallVector<Value> constants, captured;
  for (Value value : used)
    (isConstant(value) ? constants : captured).push_back(value);

  LLVMTypeConverter converter(context);
  SmallVector<Type> fields;
  for (Value value : captured) {
    Type type = converter.convertType(value.getType());
    if (!type)
      return loop.emitError("cannot pass a value of type ")
             << value.getType() << " to a task";
    fields.push_back(type);
  }
  auto record = LLVM::LLVMStructType::getLiteral(context, fields);

  // The task.
  rewriter.setInsertionPoint(function);
  Type i64 = rewriter.getI64Type();
  auto task = func::FuncOp::create(
      rewriter, loc, name,
      rewriter.getFunctionType({pointer, i64, pointer}, {}));
  task.setPrivate();
  task->setAttr("llvm.linkage",
                LLVM::LinkageAttr::get(context, LLVM::Linkage::Internal));
  Block *body = task.addEntryBlock();
  rewriter.setInsertionPointToStart(body);
  IRMapping mapping;
  for (Value constant : constants)
    rewriter.clone(*constant.getDefiningOp(), mapping);
  Value arguments =
      LLVM::LoadOp::create(rewriter, loc, record, body->getArgument(2));
  for (auto [index, value] : llvm::enumerate(captured)) {
    Value field = LLVM::ExtractValueOp::create(rewriter, loc, arguments, index);
    if (field.getType() != value.getType())
      field = UnrealizedConversionCastOp::create(rewriter, loc, value.getType(),
                                                 field)
                  .getResult(0);
    mapping.map(value, field);
  }
  mapping.map(function.getArgument(0), body->getArgument(0));
  Value index = arith::IndexCastOp::create(
      rewriter, loc, rewriter.getIndexType(), body->getArgument(1));
  // The last loop runs fastest.
  for (size_t i = bounds.size(); i-- > 0;) {
    Value bound = mapping.lookup(bounds[i]);
    Value position = index;
    if (i > 0) {
      position = arith::RemUIOp::create(rewriter, loc, index, bound);
      index = arith::DivUIOp::create(rewriter, loc, index, bound);
    }
    position = arith::MulIOp::create(rewriter, loc, position,
                                     mapping.lookup(steps[i]));
    position = arith::AddIOp::create(rewriter, loc, position,
                                     mapping.lookup(lower[i]));
    mapping.map(loop.getInductionVar(i), position);
  }
  for (Operation &op : loop.getBody()->without_terminator())
    rewriter.clone(op, mapping);
  func::ReturnOp::create(rewriter, loc);

  // The call. The record lives in the entry block, so that a loop around the
  // parallel loop does not grow the stack.
  rewriter.setInsertionPointToStart(&function.getBody().front());
  Value one =
      LLVM::ConstantOp::create(rewriter, loc, rewriter.getI64IntegerAttr(1));
  Value memory = LLVM::AllocaOp::create(rewriter, loc, pointer, record, one);
  rewriter.setInsertionPoint(loop);
  Value packed = LLVM::PoisonOp::create(rewriter, loc, record);
  for (auto [index, value] : llvm::enumerate(captured)) {
    Value field = value;
    if (fields[index] != value.getType())
      field = UnrealizedConversionCastOp::create(rewriter, loc, fields[index],
                                                 value)
                  .getResult(0);
    packed = LLVM::InsertValueOp::create(rewriter, loc, packed, field, index);
  }
  LLVM::StoreOp::create(rewriter, loc, packed, memory);
  Value count64 = arith::IndexCastOp::create(rewriter, loc, i64, count);
  Value taskValue = func::ConstantOp::create(
      rewriter, loc, task.getFunctionType(), FlatSymbolRefAttr::get(task));
  Value taskPointer =
      UnrealizedConversionCastOp::create(rewriter, loc, pointer, taskValue)
          .getResult(0);
  callRuntime(rewriter, loc, function.getArgument(0),
              RuntimeFunction::parallel_for, Type(),
              {count64, taskPointer, memory});
  rewriter.eraseOp(loop);
  return success();
}

/// A task has a stack of fixed size and no workspace, so a body that allocates
/// by sizes known only at run time, or calls a function that may, runs in
/// order.
static bool needsWorkspace(scf::ForallOp loop) {
  return loop
      .walk([](Operation *op) {
        auto alloc = dyn_cast<memref::AllocOp>(op);
        bool needs = (alloc && !alloc.getType().hasStaticShape()) ||
                     isa<func::CallOp>(op);
        return needs ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

namespace {
struct OutlineParallel : repo::impl::OutlineParallelBase<OutlineParallel> {
  void runOnOperation() override {
    SmallVector<scf::ForallOp> outer, inner;
    getOperation().walk([&](scf::ForallOp loop) {
      (loop->getParentOfType<scf::ForallOp>() ? inner : outer).push_back(loop);
    });
    IRRewriter rewriter(&getContext());
    // A task does not start tasks.
    for (scf::ForallOp loop : inner) {
      rewriter.setInsertionPoint(loop);
      if (failed(scf::forallToForLoop(rewriter, loop)))
        return signalPassFailure();
    }
    llvm::StringMap<unsigned> numbers;
    for (scf::ForallOp loop : outer) {
      if (needsWorkspace(loop)) {
        rewriter.setInsertionPoint(loop);
        if (failed(scf::forallToForLoop(rewriter, loop)))
          return signalPassFailure();
        ++numSequential;
        continue;
      }
      StringRef function = loop->getParentOfType<func::FuncOp>().getName();
      std::string name =
          (function + ".task" + Twine(numbers[function]++)).str();
      if (failed(outline(rewriter, loop, name)))
        return signalPassFailure();
      ++numTasks;
    }
  }
};
} // namespace
