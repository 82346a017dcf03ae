//===- Passes.h - Passes on the repo dialect --------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Constructors and registration of the passes in Passes.td. What a pass does is
// a function of Transforms.h that other code can call.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_PASSES_H
#define REPO_DIALECT_REPO_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;

namespace repo {

#define GEN_PASS_DECL
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"

} // namespace repo
} // namespace mlir

#endif // REPO_DIALECT_REPO_TRANSFORMS_PASSES_H
