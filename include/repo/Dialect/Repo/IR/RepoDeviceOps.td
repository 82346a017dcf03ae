//===- RepoDeviceOps.td - What the host asks of a device ---*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Ops on buffers, at the end of the path to a GPU: calls of the host, not parts of
// the definition of a model.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPODEVICEOPS_TD
#define REPO_DIALECT_REPO_IR_REPODEVICEOPS_TD

include "mlir/Interfaces/SideEffectInterfaces.td"
include "repo/Dialect/Repo/IR/RepoDialect.td"

def Repo_GemmOp : Op<Repo_Dialect, "gemm", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "a matrix product by the library of the device";
  let description = [{
    `c[..., n] = sum_k a[..., k] b[k, n]`, with `transpose_b` of `b[n, k]`, and with `accumulate` added to what
    c holds; sums in f32. The host calls cuBLASLt, which is opened at run time. Plain products,
    between which and their neighbours nothing is to be fused, take this way.

    Constraints:
    - (C1) a and c are `[..., M, K]` and `[..., M, N]` of rank 2 or 3 and agree in all but the last
      dimension; b is `[K, N]`, or `[N, K]` with `transpose_b`.
    - (C2) a and b have one element type.
    - (C3) innermost strides are 1.

    Example: a linear map of a model, `[out, in]`.

    ```mlir
    func.func @f(%h: memref<?x?x2048xbf16>, %w: memref<512x2048xbf16>, %y: memref<?x?x512xf32>) {
      repo.gemm %h, %w into %y {transpose_b}
        : memref<?x?x2048xbf16>, memref<512x2048xbf16>, memref<?x?x512xf32>
      return
    }
    ```
  }];
  let arguments = (ins StridedMemRefRankOf<[BF16, F16, F32], [2, 3]>:$a,
                       StridedMemRefRankOf<[BF16, F16, F32], [2]>:$b,
                       StridedMemRefRankOf<[F32], [2, 3]>:$c,
                       UnitAttr:$transpose_b, UnitAttr:$accumulate);
  let assemblyFormat = [{
    $a `,` $b `into` $c attr-dict `:` type($a) `,` type($b) `,` type($c)
  }];
  let hasVerifier = 1;
}

#endif // REPO_DIALECT_REPO_IR_REPODEVICEOPS_TD
