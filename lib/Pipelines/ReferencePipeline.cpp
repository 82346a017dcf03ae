//===- ReferencePipeline.cpp - Every op by its definition -----------------===//
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

using namespace mlir;

void repo::buildDecomposePipeline(OpPassManager &pm) {
  pm.addPass(createDecompose());
  // Arithmetic on whole tensors, as front ends write it.
  pm.addPass(createConvertElementwiseToLinalgPass());
}
