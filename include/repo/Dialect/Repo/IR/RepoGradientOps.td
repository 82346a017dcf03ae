//===- RepoGradientOps.td - Vector-Jacobian products -------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The gradients of the ops that training differentiates: `upstream` is the
// gradient of a loss by the result of the forward op, the results are those by
// its operands.
//
// Positions that are linear in what they come from need no op here: the
// gradients of `repo.linear_positions` are two contractions, that of
// `repo.blend_positions` is a multiple of the upstream gradient.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOGRADIENTOPS_TD
#define REPO_DIALECT_REPO_IR_REPOGRADIENTOPS_TD

include "repo/Dialect/Repo/IR/RepoOpBase.td"

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

def Repo_AssignPositionsBackwardOp : Repo_ValueOp<"assign_positions_backward"> {
  let summary = "gradients of the gated map f_phi of RePo";
  let description = [{
    The vector-Jacobian product of `repo.assign_positions`. With g, c as there,
    `s = 1 / (1 + exp(-g))`, `silu = g s` and dz the upstream gradient:

    ```
    dr[b, n, k]        = sum_h dz[b, h, n] * heads[h, k]
    dc                 = dr * silu
    dg                 = dr * c * s * (1 + g * (1 - s))
    d_hidden[b, n, d]  = sum_k dg[b, n, k] * gate[k, d] + dc[b, n, k] * content[k, d]
    d_gate[k, d]       = sum_{b, n} dg[b, n, k] * hidden[b, n, d]
    d_content[k, d]    = sum_{b, n} dc[b, n, k] * hidden[b, n, d]
    d_heads[h, k]      = sum_{b, n} dz[b, h, n] * silu[b, n, k] * c[b, n, k]
    ```

    (arXiv 2512.14391, section 3, differentiated.) g and c are computed again. Sums
    are accumulated in the compute type, results rounded to the types of the operands
    whose gradients they are. A result that nobody reads costs nothing.

    Constraints:
    - (C1) the dimensions named alike agree: hidden `[B, N, D]`, gate and content
      `[K, D]`, heads `[H, K]`, upstream `[B, H, N]`.
    - (C2) upstream has the compute type (f64 for f64 hidden states, else f32).
    - (C3) the results have the types of hidden, gate, content and heads.

    Example:

    ```mlir
    func.func @f(%h: tensor<1x?x64xf32>, %wg: tensor<8x64xf32>, %wc: tensor<8x64xf32>,
                 %wz: tensor<2x8xf32>, %dz: tensor<1x2x?xf32>)
        -> (tensor<1x?x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<2x8xf32>) {
      %d:4 = repo.assign_positions_backward %h gate(%wg) content(%wc) heads(%wz) upstream(%dz)
         : (tensor<1x?x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<2x8xf32>, tensor<1x2x?xf32>)
           -> (tensor<1x?x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<2x8xf32>)
      return %d#0, %d#1, %d#2, %d#3
        : tensor<1x?x64xf32>, tensor<8x64xf32>, tensor<8x64xf32>, tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins Repo_FloatTensor:$hidden, Repo_FloatTensor:$gate,
                       Repo_FloatTensor:$content, Repo_FloatTensor:$heads,
                       Repo_RealTensor:$upstream);
  let results = (outs Repo_FloatTensor:$d_hidden, Repo_FloatTensor:$d_gate,
                      Repo_FloatTensor:$d_content, Repo_FloatTensor:$d_heads);
  let assemblyFormat = [{
    $hidden `gate` `(` $gate `)` `content` `(` $content `)` `heads` `(` $heads `)`
    `upstream` `(` $upstream `)` attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = valueClassDeclaration # [{
    /// The iteration dimensions.
    enum Dim : unsigned { B, H, N, D, K };
  }];
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

def Repo_RotateBackwardOp : Repo_ValueOp<"rotate_backward"> {
  let summary = "gradients of a rotation by real positions";
  let description = [{
    The vector-Jacobian product of `y = repo.rotate x by(z)`, from `output` y and
    `upstream` g alone. For every channel pair, with `a = z * omega` and the magnitude
    of the rope:

    ```
    d_input1    = magnitude * (g1 cos a + g2 sin a)
    d_input2    = magnitude * (g2 cos a - g1 sin a)
    d_positions = sum over pairs, and over heads where they share a position, of
                  omega * (g2 y1 - g1 y2)
    ```

    since `dy1/da = -y2` and `dy2/da = y1`, whatever the magnitude. A product with a
    gradient of 0 is 0, whatever y is. Channels past `dim` of the rope hand their
    gradient on. `omega` and `layout` are those of `repo.rotate`; frequencies are
    constants here, they get no gradient. Where nobody reads `d_positions`, the op is
    a rotation by `-z`.

    Constraints:
    - (C1) the dimensions agree: output and upstream `[B, H, N, D]` as `layout` orders
      them, positions `[B, H | 1, N]`.
    - (C2) `d_input` has the shape of upstream, `d_positions` the type of positions.
    - (C3) `dim` of the rope is at most D, and D is static.
    - (C4) omega has shape `[F]` or `[H, F]`.
    - (C5) positions and omega have the compute type.
    - (C6) `layout` is a permutation of `(b, h, n, d)`.

    Example:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0E+5, dim = 128>
    func.func @f(%y: tensor<1x16x?x128xf32>, %z: tensor<1x16x?xf32>, %g: tensor<1x16x?x128xf32>)
        -> (tensor<1x16x?x128xf32>, tensor<1x16x?xf32>) {
      %dx, %dz = repo.rotate_backward %y by(%z) upstream(%g) {rope = #olmo2}
         : (tensor<1x16x?x128xf32>, tensor<1x16x?xf32>, tensor<1x16x?x128xf32>)
           -> (tensor<1x16x?x128xf32>, tensor<1x16x?xf32>)
      return %dx, %dz : tensor<1x16x?x128xf32>, tensor<1x16x?xf32>
    }
    ```
  }];
  let arguments = (ins Repo_FloatTensor:$output, Repo_RealTensor:$positions,
                       Optional<Repo_RealTensor>:$omega, Repo_FloatTensor:$upstream,
                       Repo_RopeAttr:$rope, OptionalAttr<AffineMapAttr>:$layout);
  let results = (outs Repo_FloatTensor:$d_input, Repo_RealTensor:$d_positions);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    $output `by` `(` $positions `)` (`omega` `(` $omega^ `)`)?
    `upstream` `(` $upstream `)` attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = valueClassDeclaration # [{
    /// The iteration dimensions; F counts frequencies.
    enum Dim : unsigned { B, H, N, D, F };
    /// The layout of output, upstream and result.
    AffineMap getInputMap();
  }];
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def Repo_AttentionBackwardOp : Repo_DestinationOp<"attention_backward"> {
  let summary = "gradients of softmax attention with rotation by real positions";
  let description = [{
    The vector-Jacobian product of `repo.attention`, whose operands and options mean the
    same here. `output` O and `lse` are the results of the forward op, `upstream` is the
    gradient by O. With q', k' the rotated queries and keys, s the logits and
    `x = scale * sum_d q' k'`:

    ```
    delta[n] = sum_e upstream[n, e] * output[n, e]
    p[n, m]  = exp(s[n, m] - lse[n]),  0 where key m is not visible to query n
    ds[n, m] = scale * (1 - tanh(x / softcap)^2) * p[n, m] * (sum_e upstream[n, e] * value[m, e] - delta[n])
    d_value[m, e] = sum_n p[n, m] * upstream[n, e]
    dq'[n, d]     = sum_m ds[n, m] * k'[m, d]
    dk'[m, d]     = sum_n ds[n, m] * q'[n, d]
    d_query, d_query_positions = repo.rotate_backward q' by(query_positions) upstream(dq')
    d_key, d_key_positions     = repo.rotate_backward k' by(key_positions) upstream(dk')
    ```

    (without softcap the factor with tanh is 1). Keys and values that several query
    heads share get the sum of their gradients, and so do positions that several heads
    share. A query that sees no key has gradients of 0, and so has a key that no query
    sees: what is not visible contributes nothing, whatever it holds. For every batch
    and head the gradients of all positions sum to 0, as a common shift of positions
    changes nothing.

    Gradients of `bias`, `omega` and `lse` are not computed.

    Destinations are `d_query`, `d_key`, `d_value`, then `d_query_positions` and
    `d_key_positions` where these positions are given. They are written, never read, and
    laid out as the operand whose gradient they are.

    Constraints:
    - (C1) dimensions named alike agree in all operands.
    - (C2) head counts and D are static, and Hq is a multiple of Hkv.
    - (C3) positions need `rope`; their heads are 1, Hkv or Hq.
    - (C4) key positions per query head of grouped heads need query positions per
      query head.
    - (C5) `dim` of the rope is at most D; omega has shape `[F]` or `[Hkv, F]`.
    - (C6) positions, their gradients, omega and lse have the compute type.
    - (C7) window is `[left, right]`, both at least -1.
    - (C8) scale is finite, softcap finite and positive.
    - (C9) offset and lengths have shape `[B]`; lengths with causal or window need
      an offset where N and M are statically different.
    - (C10) there are three destinations and one more for either positions, and on tensors
      as many results of the same types.
    - (C11) `layouts` holds permutations as in `repo.attention`.

    Example:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0E+5, dim = 32>
    func.func @f(%q: tensor<1x2x?x32xf32>, %k: tensor<1x2x?x32xf32>, %v: tensor<1x2x?x32xf32>,
                 %z: tensor<1x2x?xf32>, %do: tensor<1x2x?x32xf32>, %x: tensor<1x2x?x32xf32>, %l: tensor<1x2x?xf32>)
        -> (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>) {
      %o:2 = repo.attention %q, %k, %v query_positions(%z) key_positions(%z) into %x, %l {causal, rope = #olmo2}
         : (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>,
            tensor<1x2x?x32xf32>, tensor<1x2x?xf32>) -> (tensor<1x2x?x32xf32>, tensor<1x2x?xf32>)
      %d:5 = repo.attention_backward %q, %k, %v output(%o#0) lse(%o#1) upstream(%do)
             query_positions(%z) key_positions(%z) into %x, %x, %x, %l, %l {causal, rope = #olmo2}
         : (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>,
            tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>,
            tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>)
           -> (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>)
      return %d#0, %d#1, %d#2, %d#3, %d#4
        : tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>, tensor<1x2x?xf32>
    }
    ```
  }];
  let arguments = (ins
    Repo_FloatShaped:$query, Repo_FloatShaped:$key, Repo_FloatShaped:$value,
    Repo_FloatShaped:$output, Repo_RealShaped:$lse, Repo_FloatShaped:$upstream,
    Optional<Repo_RealShaped>:$query_positions, Optional<Repo_RealShaped>:$key_positions,
    Optional<Repo_RealShaped>:$omega, Optional<Repo_FloatShaped>:$bias,
    Optional<Repo_BoolShaped>:$mask, Optional<Repo_Int32Shaped>:$lengths,
    Optional<Repo_IndexOrInt32Shaped>:$offset, Variadic<Repo_FloatShaped>:$outputs,
    OptionalAttr<Repo_RopeAttr>:$rope, UnitAttr:$causal,
    OptionalAttr<DenseI64ArrayAttr>:$window, OptionalAttr<F64Attr>:$scale,
    OptionalAttr<F64Attr>:$softcap, OptionalAttr<AffineMapArrayAttr>:$layouts);
  let results = (outs Variadic<Repo_FloatTensor>:$results);
  let assemblyFormat = [{
    $query `,` $key `,` $value `output` `(` $output `)` `lse` `(` $lse `)`
    `upstream` `(` $upstream `)`
    (`query_positions` `(` $query_positions^ `)`)?
    (`key_positions` `(` $key_positions^ `)`)?
    (`omega` `(` $omega^ `)`)? (`bias` `(` $bias^ `)`)? (`mask` `(` $mask^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`offset` `(` $offset^ `)`)?
    `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = baseClassDeclaration # [{
    /// The iteration dimensions, those of `repo.attention`.
    enum Dim : unsigned { B, H, N, M, D, E };

    MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
    /// How many destinations the operands ask for.
    unsigned getNumGradients() {
      return 3 + bool(getQueryPositions()) + bool(getKeyPositions());
    }
    /// The number among the destinations of the gradient of the positions.
    unsigned getQueryPositionsGradient() { return 3; }
    unsigned getKeyPositionsGradient() { return 3 + bool(getQueryPositions()); }

    AffineMap getQueryMap();
    AffineMap getKeyMap();
    AffineMap getValueMap();
    AffineMap getOutputMap();

    int64_t getNumQueryHeads();
    int64_t getNumKeyValueHeads();
    /// How many query heads share a KV head.
    int64_t getGroupSize() { return getNumQueryHeads() / getNumKeyValueHeads(); }
    /// The size of a head, D.
    int64_t getHeadSize();
    /// The scale, 1 / sqrt(D) by default.
    double getScaleValue();
    /// The bounds of the band of visible keys, `causal` folded in; -1: unbounded.
    std::pair<int64_t, int64_t> getBand();
    /// f64 where an operand is, else f32.
    FloatType getComputeType();
  }];
}

#endif // REPO_DIALECT_REPO_IR_REPOGRADIENTOPS_TD
