//===- Passes.td - Passes on the repo dialect --------------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_PASSES_TD
#define REPO_DIALECT_REPO_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def Decompose : Pass<"repo-decompose", "::mlir::ModuleOp"> {
  let summary = "define every repo op in terms of linalg, tensor, math and arith";
  let description = [{
    Replaces every op of the dialect by structured ops that say what it means. This
    is the executable definition every fast path is tested against, and the form
    other compilers can consume: nothing of the dialect is left, neither an op nor
    an attribute, and stock `mlir-opt` accepts the result. It is meant to be read
    and to be right, not to be fast: attention writes its scores to memory.

    Ops on buffers are refused: the pass runs before bufferization.

    Before:

    ```mlir
    %0 = repo.blend_positions %z, %i {weight = 2.5e-01 : f64}
       : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
    ```

    After:

    ```mlir
    %index = tensor.collapse_shape %i [[0, 1, 2]] : tensor<1x1x?xf32> into tensor<?xf32>
    %0 = linalg.generic {indexing_maps = [(b, h, n) -> (b, h, n), (b, h, n) -> (n), (b, h, n) -> (b, h, n)], ...}
         ins(%z, %index : ...) outs(%empty : tensor<2x4x?xf32>) {
      %1 = arith.mulf %in, %c75 : f32
      %2 = arith.mulf %in_0, %c25 : f32
      %3 = arith.addf %1, %2 : f32
      linalg.yield %3 : f32
    }
    ```
  }];
  let options = [
    Option<"keepAttributes", "keep-attributes", "bool", /*default=*/"false",
           "Keep the dialect's attributes of functions and arguments, for passes "
           "that come later">
  ];
  let statistics = [
    Statistic<"numDecomposed", "num-ops-decomposed", "Number of ops decomposed">
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

#endif // REPO_DIALECT_REPO_TRANSFORMS_PASSES_TD
