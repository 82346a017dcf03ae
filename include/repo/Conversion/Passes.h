//===- Passes.h - From tensors to the C interface ---------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_PASSES_H
#define REPO_CONVERSION_PASSES_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"

namespace mlir {
namespace repo {

#define GEN_PASS_DECL
#include "repo/Conversion/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "repo/Conversion/Passes.h.inc"

} // namespace repo
} // namespace mlir

#endif // REPO_CONVERSION_PASSES_H
