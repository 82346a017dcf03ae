//===- RepoPositionOps.td - Positions and rotation ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOPOSITIONOPS_TD
#define REPO_DIALECT_REPO_IR_REPOPOSITIONOPS_TD

include "repo/Dialect/Repo/IR/RepoOpBase.td"

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

def Repo_AssignPositionsOp : Repo_Op<"assign_positions", [
    InferTypeOpAdaptor,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<ConditionallySpeculatable>]> {
  let summary = "positions from hidden states by the gated map f_phi of RePo";
  let description = [{
    Assigns every token, in every head, a real position:

    ```
    g[b, n, k] = sum_d hidden[b, n, d] * gate[k, d]
    c[b, n, k] = sum_d hidden[b, n, d] * content[k, d]
    z[b, h, n] = sum_k heads[h, k] * silu(g[b, n, k]) * c[b, n, k],   silu(x) = x / (1 + exp(-x))
    ```

    (arXiv 2512.14391, mode `swigluex_multihead` of the reference). Sums are
    accumulated, and `z` is kept, in the compute type.

    `output`, if given, is a destination of the positions: a tensor that is not read, whose memory the
    result may take. On buffers it is where they are written, and there is no result.
    `kernel_strategy` says in which blocks a GPU computes the op; it changes no result
    but by rounding.

    Constraints:
    - (C1) the dimensions named alike agree: hidden `[B, N, D]`, gate and content
      `[K, D]`, heads `[H, K]`, positions `[B, H, N]`.
    - (C2) the positions have the compute type (f64 for f64 hidden states, else f32).
    - (C3) operands are all tensors, or all buffers with an output.

    Example:

    ```mlir
    func.func @f(%h: tensor<1x?x256xf32>, %wg: tensor<32x256xf32>,
                 %wc: tensor<32x256xf32>, %wz: tensor<2x32xf32>) -> tensor<1x2x?xf32> {
      %z = repo.assign_positions %h gate(%wg) content(%wc) heads(%wz)
         : (tensor<1x?x256xf32>, tensor<32x256xf32>, tensor<32x256xf32>, tensor<2x32xf32>) -> tensor<1x2x?xf32>
      return %z : tensor<1x2x?xf32>
    }
    ```
  }];
  let arguments = (ins Repo_FloatShaped:$hidden, Repo_FloatShaped:$gate,
                       Repo_FloatShaped:$content, Repo_FloatShaped:$heads,
                       Optional<Repo_RealShaped>:$output,
                       OptionalAttr<Repo_PositionStrategyAttr>:$kernel_strategy);
  let results = (outs Optional<Repo_RealTensor>:$positions);
  let assemblyFormat = [{
    $hidden `gate` `(` $gate `)` `content` `(` $content `)` `heads` `(` $heads `)`
    (`into` $output^)? attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = baseClassDeclaration # [{
    /// The iteration dimensions.
    enum Dim : unsigned { B, H, N, D, K };

    /// Left to the verifier of the op, which says what was expected.
    static bool isCompatibleReturnTypes(TypeRange, TypeRange) { return true; }
  }];
}

def Repo_LinearPositionsOp : Repo_ValueOp<"linear_positions"> {
  let summary = "positions from hidden states by a linear map";
  let description = [{
    `z[b, h, n] = sum_d hidden[b, n, d] * heads[h, d]`: like `repo.assign_positions`
    without the gate. One row of `heads` gives one position shared by all heads
    (mode `continuous` of the reference), H rows one per head
    (`multihead_continuous`).

    Constraints:
    - (C1) the dimensions named alike agree: hidden `[B, N, D]`, heads `[H, D]`,
      positions `[B, H, N]`.
    - (C2) the positions have the compute type.

    Example:

    ```mlir
    func.func @f(%h: tensor<2x?x64xf32>, %w: tensor<1x64xf32>) -> tensor<2x1x?xf32> {
      %z = repo.linear_positions %h heads(%w)
         : (tensor<2x?x64xf32>, tensor<1x64xf32>) -> tensor<2x1x?xf32>
      return %z : tensor<2x1x?xf32>
    }
    ```
  }];
  let arguments = (ins Repo_FloatTensor:$hidden, Repo_FloatTensor:$heads);
  let results = (outs Repo_RealTensor:$positions);
  let assemblyFormat = [{
    $hidden `heads` `(` $heads `)` attr-dict `:` functional-type(operands, results)
  }];
}

def Repo_IndexPositionsOp : Op<Repo_Dialect, "index_positions", [Pure,
    AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let summary = "integer positions: offset, offset + 1, ...";
  let description = [{
    `z[b, h, n] = offset[b] + n`: the positions of an ordinary rotary embedding. The
    offset (default 0) is one `index` for all of the batch or one `i32` per batch;
    in decoding it is the length of the cache. `sizes` gives the dynamic dimensions.

    Constraints:
    - (C1) the result has rank 3, and `sizes` one value per dynamic dimension.
    - (C2) an offset tensor has shape `[B]`.

    Example:

    ```mlir
    func.func @f(%at: tensor<2xi32>, %n: index) -> tensor<2x1x?xf32> {
      %z = repo.index_positions sizes(%n) offset(%at) : (index, tensor<2xi32>) -> tensor<2x1x?xf32>
      return %z : tensor<2x1x?xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Index>:$sizes,
                       Optional<AnyTypeOf<[Index, Repo_IndexTensor]>>:$offset);
  let results = (outs Repo_RealTensor:$positions);
  let assemblyFormat = [{
    (`sizes` `(` $sizes^ `)`)? (`offset` `(` $offset^ `)`)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Repo_BlendPositionsOp : Repo_ValueOp<"blend_positions"> {
  let summary = "a blend of learned and integer positions";
  let description = [{
    `(1 - weight) * positions + weight * index`, `index` broadcast over the batch and
    the heads where its dimension is 1. `weight = 0` is RePo, `weight = 1` is RoPE.

    Constraints:
    - (C1) the dimensions agree: positions `[B, H, N]`, index `[B | 1, H | 1, N]`.
    - (C2) both have the same element type.
    - (C3) the weight is finite.

    Example:

    ```mlir
    func.func @f(%z: tensor<2x4x?xf32>, %i: tensor<1x1x?xf32>) -> tensor<2x4x?xf32> {
      %0 = repo.blend_positions %z, %i {weight = 2.5e-01 : f64}
         : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
      return %0 : tensor<2x4x?xf32>
    }
    ```
  }];
  let arguments = (ins Repo_RealTensor:$positions, Repo_RealTensor:$index,
                       F64Attr:$weight);
  let results = (outs Repo_RealTensor:$result);
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    $positions `,` $index attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

def Repo_RotateOp : Repo_ValueOp<"rotate"> {
  let summary = "rotary embedding by real positions";
  let description = [{
    Turns every channel pair `(x1, x2)` of `input` by the angle
    `a = positions[b, h, n] * omega[f]`:

    ```
    y1 = magnitude * (x1 cos a - x2 sin a)
    y2 = magnitude * (x2 cos a + x1 sin a)
    ```

    `omega`, the pairs and `magnitude` follow from `rope`; an operand `omega`
    replaces the frequencies, `[F]` for all heads or `[H, F]`, F = dim / 2.
    Channels past `dim` are copied. Positions with one head serve all heads.
    Computed in the compute type, rounded to the element type of the result.

    `layout` names the dimensions of the input, by default
    `(b, h, n, d) -> (b, h, n, d)`; `(b, h, n, d) -> (b, n, h, d)` is the order in
    which a projection leaves them.

    Constraints:
    - (C1) the dimensions agree: input `[B, H, N, D]` as `layout` orders them,
      positions `[B, H | 1, N]`.
    - (C2) the result has the shape of the input.
    - (C3) `dim` of the rope is at most D, and D is static.
    - (C4) omega has shape `[F]` or `[H, F]`.
    - (C5) positions and omega have the compute type.
    - (C6) `layout` is a permutation of `(b, h, n, d)`.

    Example:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0E+5, dim = 128>
    func.func @f(%x: tensor<1x16x?x128xbf16>, %z: tensor<1x16x?xf32>) -> tensor<1x16x?x128xbf16> {
      %y = repo.rotate %x by(%z) {rope = #olmo2}
         : (tensor<1x16x?x128xbf16>, tensor<1x16x?xf32>) -> tensor<1x16x?x128xbf16>
      return %y : tensor<1x16x?x128xbf16>
    }
    ```
  }];
  let arguments = (ins Repo_FloatTensor:$input, Repo_RealTensor:$positions,
                       Optional<Repo_RealTensor>:$omega,
                       Repo_RopeAttr:$rope, OptionalAttr<AffineMapAttr>:$layout);
  let results = (outs Repo_FloatTensor:$result);
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    $input `by` `(` $positions `)` (`omega` `(` $omega^ `)`)? attr-dict
    `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = valueClassDeclaration # [{
    /// The position of iteration dimension `dim` (0 b, 1 h, 2 n, 3 d) in the input.
    int64_t getInputDim(unsigned dim);
    AffineMap getInputMap();
  }];
}

#endif // REPO_DIALECT_REPO_IR_REPOPOSITIONOPS_TD
