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

    A public function on tensors is an entry of the library. What its types do not say, attributes of its
    arguments and results do; they are part of its signature, as the C interface shows it, and are checked
    by the verifier of the function:

    | attribute | on | meaning |
    |---|---|---|
    | `repo.constant` | argument | a weight, the same at every call: it may be packed once |
    | `repo.packed` | argument, result | a part of the packed weights, in a layout of the compiler's own |
    | `repo.name = "q"` | argument, result | the name of the tensor in files and headers; `argN` and `resultN` without it |
    | `repo.inout = 1 : index` | argument | its buffer also holds result 1 |
    | `repo.boolean` | argument | bytes at the C boundary that stand for booleans |

    ```mlir
    func.func @f(%x: tensor<?x64xf32> {repo.name = "x"}, %w: tensor<64x64xf32> {repo.constant},
                 %sum: tensor<?x64xf32> {repo.inout = 0 : index}) -> tensor<?x64xf32> {
      return %sum : tensor<?x64xf32>
    }
    ```

    No other attribute of the dialect may stand outside of its ops.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let extraClassDeclaration = [{
    void registerAttributes();

    /// The attributes of arguments and results of entries.
    static constexpr ::llvm::StringLiteral kConstantAttrName = "repo.constant", kPackedAttrName = "repo.packed",
                                           kNameAttrName = "repo.name", kInoutAttrName = "repo.inout",
                                           kBooleanAttrName = "repo.boolean";
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
}

#endif // REPO_DIALECT_REPO_IR_REPODIALECT_TD
