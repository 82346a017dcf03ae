//===- InitAll.cpp - Register everything of the project -------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/InitAll.h"
#include "mlir/IR/DialectRegistry.h"
#include "repo/Conversion/Passes.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/IR/RepoBufferization.h"
#include "repo/Dialect/Repo/IR/RepoTiling.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"
#include "repo/Pipelines/Pipelines.h"

void mlir::repo::registerAllDialects(DialectRegistry &registry) {
  registry.insert<RepoDialect, tile::RepoTileDialect>();
  registerBufferizableOpInterfaceExternalModels(registry);
  registerTilingInterfaceExternalModels(registry);
}

void mlir::repo::registerAllPasses() {
  registerRepoConversionPasses();
  registerRepoTransformsPasses();
  registerPipelines();
}
