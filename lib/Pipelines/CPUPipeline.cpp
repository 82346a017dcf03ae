//===- CPUPipeline.cpp - From repo ops to vectors on tensors --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Pass/PassManager.h"
#include "repo/Pipelines/Pipelines.h"
#include "repo/Target/TargetDescription.h"

using namespace mlir;

void repo::buildCPUSchedulePipeline(OpPassManager &pm,
                                    const TargetDescription &) {
  buildDecomposePipeline(pm);
}

void repo::buildCPUTilePipeline(OpPassManager &, const TargetDescription &) {}

void repo::buildCPUVectorPipeline(OpPassManager &, const TargetDescription &) {}
