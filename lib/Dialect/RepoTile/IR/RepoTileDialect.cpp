//===- RepoTileDialect.cpp - The repo_tile dialect ------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/IR/DialectImplementation.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::repo::tile;

#include "repo/Dialect/RepoTile/IR/RepoTileDialect.cpp.inc"
#include "repo/Dialect/RepoTile/IR/RepoTileEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileAttrs.cpp.inc"

void RepoTileDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "repo/Dialect/RepoTile/IR/RepoTileOps.cpp.inc"
      >();
}

void RepoTileDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "repo/Dialect/RepoTile/IR/RepoTileAttrs.cpp.inc"
      >();
}
