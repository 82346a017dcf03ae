//===- RepoDialect.td - The repo dialect -------------------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Attention with learned positions, as operations on tensors. The dialect sits
// above linalg: a front end or the model importer writes it beside linalg ops,
// the passes of Dialect/Repo/Transforms fuse and tile it, and `repo-decompose`
// defines every op in terms of linalg, tensor, math and arith.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPODIALECT_TD
#define REPO_DIALECT_REPO_IR_REPODIALECT_TD

include "mlir/IR/OpBase.td"

def Repo_Dialect : Dialect {
  let name = "repo";
  let cppNamespace = "::mlir::repo";
  let summary = "attention with learned, real-valued positions";
  let description = [{
    RePo ("RePo: Language Models with Context Re-Positioning", arXiv 2512.14391)
    gives every token in every head a real position `z`, computed from its hidden
    state, and rotates queries and keys by it. This dialect holds the ops that
    such a model adds to an ordinary one: the assignment of positions, rotation by
    real positions, attention over rotated queries and keys, and the cache of
    rotated keys.

    Positions are tensors `[B, 1 | Hkv | Hq, N]` of `f32` (`f64` where the data is
    `f64`). Rotation turns channel pair `f` by the angle `z * omega_f`; the
    frequencies `omega` and the factor on cosine and sine follow from `#repo.rope`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let extraClassDeclaration = [{
    void registerAttributes();
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
}

#endif // REPO_DIALECT_REPO_IR_REPODIALECT_TD
