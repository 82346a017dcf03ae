//===- ConvertKernelsToNVVM.cpp - GPU modules to the NVVM dialect ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's convert-gpu-to-nvvm turns even `math.floor` and `math.fma` into
// calls of NVIDIA's libdevice, which stay unresolved where there is no CUDA
// toolkit. The NVPTX backend has code for the intrinsics, so this pass leaves
// them intrinsics.
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/GPUCommon/GPUCommonPass.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Transforms/DialectConversion.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTKERNELSTONVVM
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// A tensor map is a parameter of 128 bytes that the kernel has the address of.
static LLVM::LLVMPointerType convertMap(nvgpu::TensorMapDescriptorType type) {
  return LLVM::LLVMPointerType::get(type.getContext());
}

/// The parameters of converted kernels that are tensor maps, by name of the
/// kernel: a buffer becomes pointers, offset, sizes and strides.
static llvm::StringMap<SmallVector<unsigned>>
findMaps(gpu::GPUModuleOp module) {
  llvm::StringMap<SmallVector<unsigned>> maps;
  for (auto kernel : module.getOps<gpu::GPUFuncOp>()) {
    unsigned next = 0;
    for (Type type : kernel.getArgumentTypes()) {
      if (isa<nvgpu::TensorMapDescriptorType>(type))
        maps[kernel.getName()].push_back(next);
      auto buffer = dyn_cast<MemRefType>(type);
      next += buffer ? 3 + 2 * buffer.getRank() : 1;
    }
  }
  return maps;
}

static void setMapAttributes(LLVM::LLVMFuncOp kernel, unsigned argument) {
  Builder builder(kernel.getContext());
  auto storage = LLVM::LLVMArrayType::get(builder.getI8Type(), 128);
  kernel.setArgAttr(argument, LLVM::LLVMDialect::getByValAttrName(),
                    TypeAttr::get(storage));
  kernel.setArgAttr(argument, LLVM::LLVMDialect::getAlignAttrName(),
                    builder.getI64IntegerAttr(64));
  kernel.setArgAttr(argument, NVVM::NVVMDialect::getGridConstantAttrName(),
                    builder.getUnitAttr());
}

/// Shared memory of a kernel is read and written in pieces of 16 bytes.
static void alignShared(gpu::GPUModuleOp module) {
  Attribute alignment = Builder(module.getContext()).getI64IntegerAttr(16);
  for (auto kernel : module.getOps<gpu::GPUFuncOp>())
    for (unsigned i = 0; i < kernel.getNumWorkgroupAttributions(); ++i)
      kernel.setWorkgroupAttributionAttr(
          i, LLVM::LLVMDialect::getAlignAttrName(), alignment);
}

namespace {
struct ConvertKernelsToNVVM
    : repo::impl::ConvertKernelsToNVVMBase<ConvertKernelsToNVVM> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    LLVMTypeConverter types(context);
    configureGpuToNVVMTypeConverter(types);
    types.addConversion(convertMap);
    auto maps = findMaps(getOperation());
    alignShared(getOperation());

    RewritePatternSet patterns(context);
    populateGpuToNVVMConversionPatterns(types, patterns);
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    populateFuncToLLVMConversionPatterns(types, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(types, patterns);
    populateMathToLLVMConversionPatterns(types, patterns);
    populateVectorToLLVMConversionPatterns(types, patterns);
    ub::populateUBToLLVMConversionPatterns(types, patterns);

    ConversionTarget target(*context);
    target.addLegalDialect<LLVM::LLVMDialect, NVVM::NVVMDialect>();
    target.addLegalOp<gpu::GPUModuleOp, UnrealizedConversionCastOp>();
    if (failed(
            applyFullConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    for (auto kernel : getOperation().getOps<LLVM::LLVMFuncOp>())
      for (unsigned argument : maps.lookup(kernel.getName()))
        setMapAttributes(kernel, argument);
  }
};
} // namespace
