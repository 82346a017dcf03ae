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

include "repo/Dialect/Repo/Transforms/AttentionPasses.td"
include "repo/Dialect/Repo/Transforms/ContractionPasses.td"
include "repo/Dialect/Repo/Transforms/MatrixUnitPasses.td"

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
           "that come later">,
    Option<"keepBlocks", "keep-online-attention-lanes", "int64_t", /*default=*/"0",
           "Keep the blocks of online attention that repo-lower-online-attention "
           "takes for vectors of so many lanes (0: none)">,
    Option<"keepTileBlocks", "keep-tile-blocks", "bool", /*default=*/"false",
           "Keep the blocks that repo-lower-online-attention-amx and -pairs take">,
    Option<"keepKernels", "keep-kernels", "bool", /*default=*/"false",
           "Keep attention that has a kernel strategy; rows are written to a "
           "cache by a parallel loop">
  ];
  let statistics = [
    Statistic<"numDecomposed", "num-ops-decomposed", "Number of ops decomposed">
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def Parallelize : Pass<"repo-parallelize", "::mlir::ModuleOp"> {
  let summary = "structured ops outside parallel loops to parallel loops";
  let description = [{
    Tiles structured ops on tensors that are not in a parallel loop yet over their
    parallel dimensions: contractions in blocks of `contraction-rows` by `columns`, others by the
    leading dimensions, some rows at a time. Reductions are not split, so the result does
    not depend on the number of threads. Acts on any linalg op. Zeros in which a contraction
    sums are written block by block, by the task that sums.

    Before:

    ```mlir
    %y = linalg.contract indexing_maps = [...] ins(%x, %w : ...) outs(%zeros : tensor<?x?x256xf32>) -> ...
    ```

    After (shortened):

    ```mlir
    %y = scf.forall (%b, %n, %o) = (0, 0, 0) to (%nb, %nn, 256) step (1, 256, 64) shared_outs(%out = %zeros) -> ... {
      %t = linalg.contract indexing_maps = [...] ins(%xs, %ws : ...) outs(%os : ...) -> ...
      ...
    }
    ```
  }];
  let options = [
    Option<"contractionRows", "contraction-rows", "int64_t", "256", "rows of a block of a contraction">,
    Option<"columns", "columns", "int64_t", "64", "columns of a block of a contraction">,
    Option<"rows", "rows", "int64_t", "16", "rows of a block of another op">];
  let statistics = [Statistic<"numLoops", "num-loops", "Number of parallel loops made">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect"];
}

def ReassociateSums : Pass<"repo-reassociate-sums", "::mlir::ModuleOp"> {
  let summary = "sums along rows may be taken in any order";
  let description = [{
    A reduction loop has no order, but the scalar loop it is lowered to has, and LLVM keeps it: one addition waits for
    the one before. Additions in f32 that sum along the innermost loop of a structured op are allowed to be
    reassociated, so that they are done by vectors, with several sums. The result is the same whatever the number of
    threads, and its error no larger.

    Before:

    ```mlir
    %t = arith.addf %sum, %square : f32
    ```

    After:

    ```mlir
    %t = arith.addf %sum, %square fastmath<reassoc> : f32
    ```
  }];
  let statistics = [Statistic<"numSums", "num-sums", "Number of sums that may be reassociated">];
}

def ExpandTrigonometry : Pass<"repo-expand-trigonometry", "::mlir::ModuleOp"> {
  let summary = "sine and cosine in f32 to arithmetic that vectorises";
  let description = [{
    Replaces `math.sin` and `math.cos` on f32 scalars: the angle is reduced by multiples of
    pi in two parts, short polynomials give both functions, and an odd multiple flips the sign.
    The error is below 2e-7 for angles up to 2^20 and 3e-6 up to 2^23; past that the multiple is
    lost, as f32 has no fraction left.

    Before:

    ```mlir
    %c = math.cos %a : f32
    ```

    After (shortened):

    ```mlir
    %shifted = math.fma %a, %one_over_pi, %magic : f32
    %n = arith.subf %shifted, %magic : f32
    %r = math.fma %n, %minus_pi, %a : f32
    ...
    %c = arith.xori %polynomial, %sign : i32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

#endif // REPO_DIALECT_REPO_TRANSFORMS_PASSES_TD
