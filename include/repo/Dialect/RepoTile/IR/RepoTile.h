//===- RepoTile.h - The repo_tile dialect: types and ops --------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPOTILE_IR_REPOTILE_H
#define REPO_DIALECT_REPOTILE_IR_REPOTILE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "repo/Dialect/RepoTile/IR/RepoTileDialect.h.inc"
#include "repo/Dialect/RepoTile/IR/RepoTileEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileTypes.h.inc"

namespace mlir::repo::tile {
/// Columns of a panel of a shared buffer, and bytes of a row of one.
inline constexpr int64_t panelColumns = 64, panelRowBytes = 128;

/// Rows and columns of a stage of a shared buffer.
std::pair<int64_t, int64_t> getStageShape(MemRefType buffer);
/// Bytes of one stage of a shared buffer.
int64_t getStageBytes(MemRefType buffer);
/// Whether `type` is a shared buffer: memref<SxPxRx64xT> in workgroup memory.
bool isSharedBuffer(Type type);
} // namespace mlir::repo::tile

#define GET_OP_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileOps.h.inc"

#endif // REPO_DIALECT_REPOTILE_IR_REPOTILE_H
