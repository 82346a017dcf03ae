//===- RepoOps.cpp - Verifiers, types and shapes of the ops ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Dialect/Repo/IR/Repo.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::repo;

#define GET_OP_CLASSES
#include "repo/Dialect/Repo/IR/RepoOps.cpp.inc"
