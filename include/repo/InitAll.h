//===- InitAll.h - Register everything of the project -----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a tool calls to know the repo dialects, passes and pipelines. Upstream
// dialects and passes are registered by the tool itself (mlir/InitAll*.h).
//
//===----------------------------------------------------------------------===//

#ifndef REPO_INITALL_H
#define REPO_INITALL_H

namespace mlir {
class DialectRegistry;
namespace repo {

/// Adds the dialects of the project and the interfaces they attach.
void registerAllDialects(DialectRegistry &registry);

/// Registers the passes and pipelines of the project.
void registerAllPasses();

} // namespace repo
} // namespace mlir

#endif // REPO_INITALL_H
