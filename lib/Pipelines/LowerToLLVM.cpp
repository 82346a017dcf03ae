//===- LowerToLLVM.cpp - Entries, and tensors to the LLVM dialect ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "repo/Conversion/Passes.h"
#include "repo/Pipelines/Pipelines.h"

using namespace mlir;

void repo::buildEntryPipeline(OpPassManager &pm, const EntryOptions &options) {
  pm.addPass(createMaterializeDestinations());
  EmitCInterfaceOptions entries;
  entries.features = options.features;
  entries.target = options.target;
  pm.addPass(createEmitCInterface(entries));
}

void repo::buildBufferizePipeline(OpPassManager &pm) {
  // Tensors to buffers. Nothing may merge or move tensors before: toolchain
  // facts in docs/ say what that costs.
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  pm.addPass(createBufferize());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(bufferization::createDropEquivalentBufferResultsPass());
  pm.addPass(createInlineResults());
  pm.addPass(bufferization::createBufferResultsToOutParamsPass());
}

void repo::buildLowerBuffersPipeline(OpPassManager &pm) {
  // Tasks and memory.
  pm.addPass(createOutlineParallel());
  pm.addPass(createMergeFunctions());
  pm.addNestedPass<func::FuncOp>(bufferization::createBufferHoistingPass());
  pm.addNestedPass<func::FuncOp>(bufferization::createBufferLoopHoistingPass());
  pm.addPass(createPlanWorkspace());

  // Loops, then LLVM.
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  VectorTransferToSCFOptions toLoops;
  toLoops.enableFullUnroll();
  pm.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass(toLoops));
  pm.addPass(createLowerAffinePass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertMathToLibmPass());
  // After the calls of libm: they leave conversions of 16-bit floats.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  pm.addPass(arith::createArithExpandOpsPass(expand));
  ConvertVectorToLLVMPassOptions vectors;
  vectors.reassociateFPReductions = true;
  pm.addPass(createConvertVectorToLLVMPass(vectors));
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void repo::buildLowerToLLVMPipeline(OpPassManager &pm) {
  buildBufferizePipeline(pm);
  buildLowerBuffersPipeline(pm);
}
