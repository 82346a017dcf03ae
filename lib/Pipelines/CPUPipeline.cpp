//===- CPUPipeline.cpp - From repo ops to vectors on tensors --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Pipelines/Pipelines.h"
#include "repo/Target/TargetDescription.h"

using namespace mlir;

void repo::buildCPUSchedulePipeline(OpPassManager &pm,
                                    const TargetDescription &target,
                                    bool report) {
  pm.addPass(createSplitRotation());
  SelectStrategyOptions choice;
  choice.lanes = target.getVectorLanes();
  choice.cacheBytes = target.l2Bytes;
  choice.report = report;
  pm.addPass(createSelectStrategy(choice));
}

void repo::buildCPUTilePipeline(OpPassManager &pm,
                                const TargetDescription &target) {
  int64_t lanes = target.getVectorLanes();
  pm.addPass(createTileAttention());
  DecomposeOptions rest;
  rest.keepAttributes = true;
  rest.keepBlocks = lanes;
  pm.addPass(createDecompose(rest));
  pm.addPass(createConvertElementwiseToLinalgPass());
  pm.addPass(createExpandTrigonometry());
  pm.addPass(createParallelize());
}

void repo::buildCPUVectorPipeline(OpPassManager &pm,
                                  const TargetDescription &target) {
  buildBufferizePipeline(pm);
  LowerOnlineAttentionOptions vectors;
  vectors.lanes = target.getVectorLanes();
  pm.addPass(createLowerOnlineAttention(vectors));
  VectorizeContractionsOptions rows;
  rows.lanes = target.getVectorLanes();
  pm.addPass(createVectorizeContractions(rows));
}
