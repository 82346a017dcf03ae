//===- NVVMPipeline.cpp - From repo ops to kernels in the NVVM dialect ----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "repo/Conversion/Passes.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Pipelines/Pipelines.h"

using namespace mlir;

void repo::buildNVVMSchedulePipeline(OpPassManager &pm,
                                     const NVVMOptions &options) {
  SelectKernelStrategyOptions choice;
  choice.chip = options.chip;
  choice.report = options.report;
  pm.addPass(createSelectKernelStrategy(choice));
  DecomposeOptions rest;
  rest.keepKernels = true;
  rest.keepAttributes = true;
  pm.addPass(createDecompose(rest));
  pm.addPass(createConvertElementwiseToLinalgPass());
  pm.addPass(createFuseElementwise());
  pm.addPass(createUseSpecialFunctions());
  pm.addPass(createExpandTrigonometry());
  pm.addPass(createApproximateMath());
}

void repo::buildNVVMTilePipeline(OpPassManager &pm,
                                 const NVVMOptions &options) {
  buildBufferizePipeline(pm);
  if (options.gemms)
    pm.addNestedPass<func::FuncOp>(createConvertContractionsToGemm());
  if (options.rows) {
    FuseRowsOptions rows;
    rows.report = options.report;
    pm.addPass(createFuseRows(rows));
    pm.addNestedPass<func::FuncOp>(createCSEPass());
    pm.addPass(createDistributeRows());
  }
  pm.addPass(createScheduleAttentionDecode());
  pm.addPass(createScheduleAttentionMma());
  pm.addPass(createScheduleAttentionSpecialized());
  pm.addPass(createSchedulePositions());
}

void repo::buildNVVMKernelPipeline(OpPassManager &pm) {
  pm.addNestedPass<func::FuncOp>(createForallToParallelLoopPass());
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToParallelLoopsPass());
  pm.addNestedPass<func::FuncOp>(createCanonicalizerPass());
  pm.addPass(createPromoteAccumulators());
  pm.addPass(createMapToKernels());
  pm.addPass(createGpuLaunchSinkIndexComputationsPass());
  pm.addPass(createGpuKernelOutliningPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createMergeFunctions());
}

void repo::buildLowerKernelsPipeline(OpPassManager &pm) {
  OpPassManager &kernels = pm.nest<gpu::GPUModuleOp>();
  kernels.addPass(createConvertTilesToNVVM());
  kernels.addPass(createConvertMathToNVVM());
  kernels.addPass(memref::createExpandStridedMetadataPass());
  kernels.addPass(createLowerAffinePass());
  arith::ArithExpandOpsPassOptions expand;
  kernels.addPass(arith::createArithExpandOpsPass(expand));
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createConvertKernelsToNVVM());
  kernels.addPass(createConvertNVVMToLLVMPass());
  kernels.addPass(createReconcileUnrealizedCastsPass());
}

void repo::buildLowerTileLoopsPipeline(OpPassManager &pm) {
  pm.addPass(createConvertAsserts());
  buildLowerBuffersPipeline(pm);
}

void repo::buildLowerHostPipeline(OpPassManager &pm) {
  pm.addPass(createConvertLaunches());
  pm.addPass(createConvertGemms());
  pm.addPass(createConvertAsserts());
  buildLowerBuffersPipeline(pm);
}
