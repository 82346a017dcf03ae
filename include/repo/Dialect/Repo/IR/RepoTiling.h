//===- RepoTiling.h - Tiles of repo ops -------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOTILING_H
#define REPO_DIALECT_REPO_IR_REPOTILING_H

namespace mlir {
class DialectRegistry;

namespace repo {
/// Attaches TilingInterface to the ops that compute tiles of their result from
/// tiles of their operands.
void registerTilingInterfaceExternalModels(DialectRegistry &registry);
} // namespace repo
} // namespace mlir

#endif // REPO_DIALECT_REPO_IR_REPOTILING_H
