//===- EmulateKernels.cpp - Kernels as functions of the host --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The code of a kernel stays as it goes to the NVPTX back end; only what a
// thread asks its hardware for (its indices, a barrier) becomes a read of its
// state or a call of the emulator (lib/Emulator).
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/SymbolTable.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_EMULATEKERNELS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

static constexpr StringLiteral launchName = "repo_emulator_launch",
                               barrierName = "repo_emulator_barrier";

/// Where the state of a thread (repo_emulator_thread) has the number that an op
/// reads, in 4-byte words, or -1.
static int getStateWord(Operation *op) {
  return llvm::TypeSwitch<Operation *, int>(op)
      .Case([](NVVM::ThreadIdXOp) { return 0; })
      .Case([](NVVM::ThreadIdYOp) { return 1; })
      .Case([](NVVM::ThreadIdZOp) { return 2; })
      .Case([](NVVM::BlockDimXOp) { return 3; })
      .Case([](NVVM::BlockDimYOp) { return 4; })
      .Case([](NVVM::BlockDimZOp) { return 5; })
      .Case([](NVVM::BlockIdXOp) { return 6; })
      .Case([](NVVM::BlockIdYOp) { return 7; })
      .Case([](NVVM::BlockIdZOp) { return 8; })
      .Case([](NVVM::GridDimXOp) { return 9; })
      .Case([](NVVM::GridDimYOp) { return 10; })
      .Case([](NVVM::GridDimZOp) { return 11; })
      .Default([](Operation *) { return -1; });
}

namespace {
struct EmulateKernels : repo::impl::EmulateKernelsBase<EmulateKernels> {
  void runOnOperation() override;

private:
  LLVM::LLVMFuncOp declare(StringRef name, ArrayRef<Type> arguments);
  LogicalResult convertKernel(LLVM::LLVMFuncOp kernel);
  /// The function that runs one thread of a kernel on arguments in memory.
  LLVM::LLVMFuncOp createThread(LLVM::LLVMFuncOp kernel,
                                LLVM::LLVMStructType record);
  LogicalResult convertLaunch(gpu::LaunchFuncOp launch);

  std::string getHostName(StringRef kernels, StringRef symbol) {
    return (kernels + "." + symbol).str();
  }
};
} // namespace

LLVM::LLVMFuncOp EmulateKernels::declare(StringRef name,
                                         ArrayRef<Type> arguments) {
  if (auto function = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name))
    return function;
  OpBuilder builder(getOperation().getBodyRegion());
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(&getContext()), arguments);
  return LLVM::LLVMFuncOp::create(builder, getOperation().getLoc(), name, type);
}

LogicalResult EmulateKernels::convertKernel(LLVM::LLVMFuncOp kernel) {
  Type pointer = LLVM::LLVMPointerType::get(&getContext());
  SmallVector<Type> arguments = {pointer};
  llvm::append_range(arguments, kernel.getArgumentTypes());
  kernel.setArgAttrsAttr(nullptr);
  kernel.setFunctionType(LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(&getContext()), arguments));
  Value state =
      kernel.getBody().front().insertArgument(0u, pointer, kernel.getLoc());
  for (NamedAttribute attribute :
       llvm::to_vector(kernel->getDiscardableAttrs()))
    if (attribute.getName().strref().starts_with("nvvm.") ||
        attribute.getName().strref().starts_with("gpu."))
      kernel->removeAttr(attribute.getName());
  kernel.setLinkage(LLVM::Linkage::Internal);

  SmallVector<Operation *> ops;
  kernel.walk([&](Operation *op) {
    if (isa_and_present<NVVM::NVVMDialect>(op->getDialect()))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    OpBuilder builder(op);
    Location loc = op->getLoc();
    if (int word = getStateWord(op); word >= 0) {
      Value address =
          LLVM::GEPOp::create(builder, loc, pointer, builder.getI32Type(),
                              state, ArrayRef<LLVM::GEPArg>{word});
      Value value =
          LLVM::LoadOp::create(builder, loc, builder.getI32Type(), address);
      op->replaceAllUsesWith(ValueRange{value});
    } else if (isa<NVVM::Barrier0Op>(op) ||
               (isa<NVVM::BarrierOp>(op) && op->getNumOperands() == 0)) {
      LLVM::CallOp::create(builder, loc, declare(barrierName, {pointer}),
                           ValueRange{state});
    } else {
      return op->emitError("the emulator has no `") << op->getName() << "`";
    }
    op->erase();
  }
  return success();
}

LLVM::LLVMFuncOp EmulateKernels::createThread(LLVM::LLVMFuncOp kernel,
                                              LLVM::LLVMStructType record) {
  std::string name = (kernel.getName() + ".thread").str();
  if (auto function = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name))
    return function;
  OpBuilder builder(kernel);
  Location loc = kernel.getLoc();
  Type pointer = LLVM::LLVMPointerType::get(&getContext());
  auto thread = LLVM::LLVMFuncOp::create(
      builder, loc, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()),
                                  {pointer, pointer}),
      LLVM::Linkage::Internal);
  builder.setInsertionPointToStart(thread.addEntryBlock(builder));
  SmallVector<Value> operands = {thread.getArgument(0)};
  Value arguments =
      LLVM::LoadOp::create(builder, loc, record, thread.getArgument(1));
  // A buffer is passed as pointers, offset, sizes and strides.
  std::function<void(Value)> flatten = [&](Value value) {
    int64_t count = 0;
    if (auto type = dyn_cast<LLVM::LLVMStructType>(value.getType()))
      count = type.getBody().size();
    else if (auto type = dyn_cast<LLVM::LLVMArrayType>(value.getType()))
      count = type.getNumElements();
    else
      return operands.push_back(value);
    for (int64_t i = 0; i != count; ++i)
      flatten(LLVM::ExtractValueOp::create(builder, loc, value, i));
  };
  flatten(arguments);
  LLVM::CallOp::create(builder, loc, kernel, operands);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return thread;
}

LogicalResult EmulateKernels::convertLaunch(gpu::LaunchFuncOp launch) {
  std::string name = getHostName(launch.getKernelModuleName().strref(),
                                 launch.getKernelName().strref());
  auto kernel = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!kernel)
    return launch.emitError("expected a kernel `") << name << "`";
  OpBuilder builder(launch);
  Location loc = launch.getLoc();
  LLVMTypeConverter converter(&getContext());
  Type i64 = builder.getI64Type(), i32 = builder.getI32Type();
  Type pointer = LLVM::LLVMPointerType::get(&getContext());
  auto cast = [&](Value value, Type type) -> Value {
    if (value.getType() == type)
      return value;
    return UnrealizedConversionCastOp::create(builder, loc, type, value)
        .getResult(0);
  };

  SmallVector<Type> fields;
  for (Value operand : launch.getKernelOperands())
    fields.push_back(converter.convertType(operand.getType()));
  auto record = LLVM::LLVMStructType::getLiteral(&getContext(), fields);
  Value packed = LLVM::PoisonOp::create(builder, loc, record);
  for (auto [index, operand] : llvm::enumerate(launch.getKernelOperands()))
    packed = LLVM::InsertValueOp::create(builder, loc, packed,
                                         cast(operand, fields[index]), index);
  Value memory;
  {
    OpBuilder::InsertionGuard guard(builder);
    auto function = launch->getParentOfType<FunctionOpInterface>();
    builder.setInsertionPointToStart(&function.getFunctionBody().front());
    Value one =
        LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(1));
    memory = LLVM::AllocaOp::create(builder, loc, pointer, record, one);
  }
  LLVM::StoreOp::create(builder, loc, packed, memory);

  bool meets = kernel
                   .walk([](LLVM::CallOp call) {
                     return call.getCallee() == barrierName
                                ? WalkResult::interrupt()
                                : WalkResult::advance();
                   })
                   .wasInterrupted();
  LLVM::LLVMFuncOp thread = createThread(kernel, record);
  SmallVector<Value> operands = {
      LLVM::AddressOfOp::create(builder, loc, thread), memory};
  gpu::KernelDim3 grid = launch.getGridSizeOperandValues(),
                  block = launch.getBlockSizeOperandValues();
  for (Value size : {grid.x, grid.y, grid.z, block.x, block.y, block.z})
    operands.push_back(cast(size, i64));
  operands.push_back(
      LLVM::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(meets)));
  LLVM::CallOp::create(builder, loc,
                       declare(launchName, {pointer, pointer, i64, i64, i64,
                                            i64, i64, i64, i32}),
                       operands);
  launch.erase();
  return success();
}

void EmulateKernels::runOnOperation() {
  ModuleOp module = getOperation();
  for (auto kernels : llvm::to_vector(module.getOps<gpu::GPUModuleOp>())) {
    for (Operation &op : llvm::make_early_inc_range(*kernels.getBody())) {
      auto symbol = dyn_cast<SymbolOpInterface>(op);
      if (!symbol)
        continue;
      auto name = StringAttr::get(
          &getContext(), getHostName(kernels.getName(), symbol.getName()));
      // Launches are found by the name they have.
      if (failed(SymbolTable::replaceAllSymbolUses(symbol, name, kernels)))
        return signalPassFailure();
      symbol.setName(name);
    }
    for (Operation &op : llvm::make_early_inc_range(*kernels.getBody())) {
      op.moveBefore(kernels);
      auto kernel = dyn_cast<LLVM::LLVMFuncOp>(op);
      if (kernel && !kernel.isExternal() && failed(convertKernel(kernel)))
        return signalPassFailure();
    }
  }
  SmallVector<gpu::LaunchFuncOp> launches;
  module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });
  for (gpu::LaunchFuncOp launch : launches)
    if (failed(convertLaunch(launch)))
      return signalPassFailure();
  for (auto kernels : llvm::to_vector(module.getOps<gpu::GPUModuleOp>()))
    kernels.erase();
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
}
