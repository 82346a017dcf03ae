//===- RepoOps.td - Operations of the repo dialect ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All ops of the dialect, a file a kind; lib/Dialect/Repo/IR has a file of code
// for each.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOOPS_TD
#define REPO_DIALECT_REPO_IR_REPOOPS_TD

include "repo/Dialect/Repo/IR/RepoPositionOps.td"
include "repo/Dialect/Repo/IR/RepoAttentionOps.td"
include "repo/Dialect/Repo/IR/RepoCacheOps.td"
include "repo/Dialect/Repo/IR/RepoGradientOps.td"
include "repo/Dialect/Repo/IR/RepoDeviceOps.td"

#endif // REPO_DIALECT_REPO_IR_REPOOPS_TD
