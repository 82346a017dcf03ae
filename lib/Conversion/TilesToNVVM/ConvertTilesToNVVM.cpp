//===- ConvertTilesToNVVM.cpp - From the repo_tile dialect to threads -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTTILESTONVVM
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo::tile;

/// A thread holds a fragment as scalars, or pairs where elements have 16 bits.
static void addConversions(TypeConverter &types) {
  types.addConversion([](Type type) { return type; });
  types.addConversion([](FragmentType type, SmallVectorImpl<Type> &registers) {
    int64_t count = type.getNumElements();
    Type element = type.getElementType();
    if (type.isOperand()) {
      count /= 2;
      element = VectorType::get(2, element);
    }
    registers.append(count, element);
    return success();
  });
  types.addConversion([](PendingType type, SmallVectorImpl<Type> &registers) {
    registers.append(type.getAccumulator().getNumElements(),
                     Float32Type::get(type.getContext()));
    return success();
  });
  types.addConversion([](BarriersType type) -> Type {
    return LLVM::LLVMPointerType::get(type.getContext(), 3);
  });
  types.addConversion([](MemRefType type) -> std::optional<Type> {
    if (!isSharedBuffer(type))
      return std::nullopt;
    return LLVM::LLVMPointerType::get(type.getContext(), 3);
  });
}

/// The size of dynamic shared memory is known at the launch only.
static void declareSharedMemory(gpu::GPUModuleOp module) {
  if (module.lookupSymbol(sharedMemoryName))
    return;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  LLVM::GlobalOp::create(builder, module.getLoc(),
                         LLVM::LLVMArrayType::get(builder.getI8Type(), 0),
                         /*isConstant=*/false, LLVM::Linkage::External,
                         sharedMemoryName, Attribute(),
                         /*alignment=*/1024, /*addrSpace=*/3);
}

/// Without a bound ptxas aims at an occupancy of its own, and spills for it.
/// How many registers a kernel of tiles takes is its schedule's business.
static void boundRegisters(gpu::GPUModuleOp module) {
  auto name = StringAttr::get(module.getContext(),
                              NVVM::NVVMDialect::getMinctasmAttrName());
  for (auto function : module.getOps<gpu::GPUFuncOp>())
    if (function.walk([](SharedBufferOp) { return WalkResult::interrupt(); })
            .wasInterrupted())
      function->setAttr(name,
                        Builder(function.getContext()).getI32IntegerAttr(1));
}

namespace {
struct ConvertTilesToNVVM
    : repo::impl::ConvertTilesToNVVMBase<ConvertTilesToNVVM> {
  void runOnOperation() override {
    gpu::GPUModuleOp module = getOperation();
    if (module.walk([](SharedBufferOp) { return WalkResult::interrupt(); })
            .wasInterrupted())
      declareSharedMemory(module);
    boundRegisters(module);
    convertWarpSpecialization(module);
    TypeConverter types;
    addConversions(types);
    RewritePatternSet patterns(&getContext());
    ConversionTarget target(getContext());
    target.addIllegalDialect<RepoTileDialect>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns,
                                                         target);
    populateArithmeticPatterns(types, patterns);
    populateMemoryPatterns(types, patterns);
    populateMatrixPatterns(types, patterns);
    populateWarpgroupMatrixPatterns(types, patterns);
    populateAsyncPatterns(types, patterns);
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
