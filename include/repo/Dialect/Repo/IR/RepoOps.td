//===- RepoOps.td - Operations of the repo dialect ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOOPS_TD
#define REPO_DIALECT_REPO_IR_REPOOPS_TD

include "repo/Dialect/Repo/IR/RepoAttrs.td"
include "mlir/IR/OpBase.td"

class Repo_Op<string mnemonic, list<Trait> traits = []>
    : Op<Repo_Dialect, mnemonic, traits>;

#endif // REPO_DIALECT_REPO_IR_REPOOPS_TD
