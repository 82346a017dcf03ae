//===- RepoOps.td - Operations of the repo dialect ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two kinds of ops. Ops that compute a value from shapes they determine
// (positions, rotation, views of a cache) return it; ops that write something
// large (attention, the cache) are in destination style. The compute type of an
// op is f64 if one of its data operands is f64, else f32; positions, phases and
// accumulators have the compute type.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOOPS_TD
#define REPO_DIALECT_REPO_IR_REPOOPS_TD

include "repo/Dialect/Repo/IR/RepoAttrs.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/IndexingMapOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class Repo_ShapedOf<list<Type> types, string summary>
    : AnyTypeOf<[RankedTensorOf<types>, StridedMemRefOf<types>], summary,
                "::mlir::ShapedType">;

def Repo_Float : AnyTypeOf<[F16, BF16, F32, F64]>;
def Repo_Real : AnyTypeOf<[F32, F64]>;

def Repo_FloatTensor : RankedTensorOf<[F16, BF16, F32, F64]>;
def Repo_RealTensor : RankedTensorOf<[F32, F64]>;
def Repo_IndexTensor : RankedTensorOf<[I32]>;

def Repo_FloatShaped : Repo_ShapedOf<[F16, BF16, F32, F64], "tensor or memref of floats">;
def Repo_RealShaped : Repo_ShapedOf<[F32, F64], "tensor or memref of f32 or f64">;
def Repo_BoolShaped : Repo_ShapedOf<[I1], "tensor or memref of i1">;
def Repo_Int32Shaped : Repo_ShapedOf<[I32], "tensor or memref of i32">;
def Repo_IndexOrInt32Shaped : AnyTypeOf<[Index, RankedTensorOf<[I32]>, StridedMemRefOf<[I32]>],
                                        "index, or tensor or memref of i32">;

//===----------------------------------------------------------------------===//
// Base classes
//===----------------------------------------------------------------------===//

/// Every op names the dimensions of its operands by indexing maps over one
/// iteration domain; verifier, shape inference, tiling and the check of sizes at
/// the C boundary all read them there.
class Repo_Op<string mnemonic, list<Trait> traits = []>
    : Op<Repo_Dialect, mnemonic, !listconcat(traits, [
        DeclareOpInterfaceMethods<IndexingMapOpInterface>])> {
  let hasVerifier = 1;
  code baseClassDeclaration = [{
    /// The names of the iteration dimensions, for diagnostics.
    static ArrayRef<StringRef> getDimNames();
    /// The shape of an operand; empty for a scalar.
    ArrayRef<int64_t> getShape(OpOperand *operand) {
      auto shaped = dyn_cast<ShapedType>(operand->get().getType());
      return shaped ? shaped.getShape() : ArrayRef<int64_t>();
    }
  }];
  let extraClassDeclaration = baseClassDeclaration;
}

/// An op that returns a value computed from its operands alone.
class Repo_ValueOp<string mnemonic, list<Trait> traits = []>
    : Repo_Op<mnemonic, !listconcat(traits, [Pure,
        InferTypeOpAdaptor,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>])> {
  code valueClassDeclaration = baseClassDeclaration # [{
    /// Left to the verifier of the op, which says what was expected.
    static bool isCompatibleReturnTypes(TypeRange, TypeRange) { return true; }
  }];
  let extraClassDeclaration = valueClassDeclaration;
}

/// An op in destination style, on tensors or on buffers.
class Repo_DestinationOp<string mnemonic, list<Trait> traits = []>
    : Repo_Op<mnemonic, !listconcat(traits, [
        DestinationStyleOpInterface, AttrSizedOperandSegments,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ConditionallySpeculatable>])>;

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

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def Repo_AttentionOp : Repo_DestinationOp<"attention"> {
  let summary = "softmax attention over keys, rotated by real positions";
  let description = [{
    With `p = offset[b] + n` the index of query `n` among the keys, and K' = K head
    `h / (Hq / Hkv)` of query head h:

    ```
    q'  = rotate(query, query_positions),   k' = rotate(key, key_positions)
    s[b, h, n, m] = softcap(scale * sum_d q'[b, h, n, d] * k'[b, h, m, d]) + bias[b, h, n, m]
    softcap(x) = softcap * tanh(x / softcap)
    key m is visible to query n  iff  m < lengths[b]
                                 and  m <= p               (causal)
                                 and  p - left <= m <= p + right   (window; -1: no bound)
                                 and  mask[b, h, n, m]
    out[b, h, n, e] = sum over visible m of softmax(s)[m] * value[b, h, m, e]
    lse[b, h, n]    = ln sum over visible m of exp(s[b, h, n, m])
    ```

    A query without a visible key gives `out = 0`, `lse = -inf`. Outputs are written,
    never read. Operands that are absent:

    - `query_positions`, `key_positions`: no rotation of that side. A key that was
      rotated when it was written to the cache needs none.
    - `omega`: the frequencies of `rope`. Present: `[F]`, or `[Hkv, F]`.
    - `bias`, `mask`: none. Each dimension is the full one or statically 1.
    - `lengths`: all keys exist.
    - `offset`: M - N, the queries are the last keys. One `index` for all of the
      batch, or one `i32` per batch; it may be negative.
    - `scale`: 1 / sqrt(D).

    `layouts` names the dimensions of query, key, value and output in the iteration
    domain `(b, h, n, m, d, e)`; without it they are `[B, H, N, D]`, `[B, H, M, D]`,
    `[B, H, M, E]`, `[B, H, N, E]`. In key and value `h` is the KV head.

    `strategy` says in which blocks a CPU computes the op, `kernel_strategy` how a GPU does;
    they change no result but by rounding.

    Against `repo.online_attention`: this op is the whole of softmax attention on
    whole tensors; that one is the step of one block of queries over one block of keys,
    with the running state of the online softmax as operands.

    Constraints:
    - (C1) dimensions named alike agree in all operands.
    - (C2) head counts and D are static, and Hq is a multiple of Hkv.
    - (C3) positions need `rope`; their heads are 1, Hkv or Hq.
    - (C4) key positions per query head of grouped heads need query positions per
      query head.
    - (C5) `dim` of the rope is at most D; omega has shape `[F]` or `[Hkv, F]`.
    - (C6) positions, omega and lse have the compute type.
    - (C7) window is `[left, right]`, both at least -1.
    - (C8) scale is finite, softcap finite and positive.
    - (C9) offset and lengths have shape `[B]`; lengths with causal or window need
      an offset where N and M are statically different.
    - (C10) there are one or two outputs, and on tensors as many results of the same types.
    - (C11) `layouts` holds permutations: query of (b, h, n, d), key of (b, h, m, d),
      value of (b, h, m, e), output of (b, h, n, e).

    Example:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0E+5, dim = 128>
    func.func @f(%q: tensor<1x16x?x128xf32>, %k: tensor<1x16x?x128xf32>, %v: tensor<1x16x?x128xf32>,
                 %zq: tensor<1x16x?xf32>, %zk: tensor<1x16x?xf32>, %init: tensor<1x16x?x128xf32>)
        -> tensor<1x16x?x128xf32> {
      %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %init
           {causal, rope = #olmo2}
         : (tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>,
            tensor<1x16x?xf32>, tensor<1x16x?xf32>, tensor<1x16x?x128xf32>) -> tensor<1x16x?x128xf32>
      return %o : tensor<1x16x?x128xf32>
    }
    ```
  }];
  let arguments = (ins
    Repo_FloatShaped:$query, Repo_FloatShaped:$key, Repo_FloatShaped:$value,
    Optional<Repo_RealShaped>:$query_positions, Optional<Repo_RealShaped>:$key_positions,
    Optional<Repo_RealShaped>:$omega, Optional<Repo_FloatShaped>:$bias,
    Optional<Repo_BoolShaped>:$mask, Optional<Repo_Int32Shaped>:$lengths,
    Optional<Repo_IndexOrInt32Shaped>:$offset, Variadic<Repo_FloatShaped>:$outputs,
    OptionalAttr<Repo_RopeAttr>:$rope, UnitAttr:$causal,
    OptionalAttr<DenseI64ArrayAttr>:$window, OptionalAttr<F64Attr>:$scale,
    OptionalAttr<F64Attr>:$softcap, OptionalAttr<AffineMapArrayAttr>:$layouts,
    OptionalAttr<Repo_AttentionStrategyAttr>:$strategy,
    OptionalAttr<Repo_KernelStrategyAttr>:$kernel_strategy);
  let results = (outs Variadic<Repo_FloatTensor>:$results);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    $query `,` $key `,` $value
    (`query_positions` `(` $query_positions^ `)`)?
    (`key_positions` `(` $key_positions^ `)`)?
    (`omega` `(` $omega^ `)`)? (`bias` `(` $bias^ `)`)? (`mask` `(` $mask^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`offset` `(` $offset^ `)`)?
    `into` $outputs attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = baseClassDeclaration # [{
    /// The iteration dimensions.
    enum Dim : unsigned { B, H, N, M, D, E };

    MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
    Value getOutput() { return getOutputs()[0]; }
    /// The destination of the log-sum-exp, or null.
    Value getLse() { return getOutputs().size() > 1 ? getOutputs()[1] : Value(); }

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
    /// The bounds of the band of visible keys, p - left <= m <= p + right; -1 is
    /// unbounded. `causal` is folded in.
    std::pair<int64_t, int64_t> getBand();
    /// f64 where an operand is, else f32.
    FloatType getComputeType();
    /// The size of an iteration dimension, as an attribute or a tensor.dim.
    OpFoldResult getDimSize(OpBuilder &builder, Location loc, Dim dim);
  }];
}

def Repo_OnlineAttentionOp : Repo_DestinationOp<"online_attention"> {
  let summary = "one step of online softmax attention: a block of queries, a block of keys";
  let description = [{
    The step of `repo.attention` over one block of keys, for one head, without
    rotation. With `s` the logits in base 2, as in `repo.attention` but multiplied by
    log2(e), and -inf at keys that are not visible:

    ```
    max'[n]    = max(max[n], max_m s[n, m])
    alpha[n]   = exp2(max[n] - max'[n])                        (1 while max' is -inf)
    p[n, m]    = exp2(s[n, m] - max'[n])                       (0 where s is -inf)
    sum'[n]    = alpha[n] * sum[n] + sum_m p[n, m]
    acc'[n, e] = alpha[n] * acc[n, e] + sum_m p[n, m] * value[m, e]
    ```

    The state starts at `(0, -inf, 0)`; a row that never sees a key stays there. After
    the last block `out = acc / sum` and `lse = (max + log2(sum)) * ln 2`.

    Key `m` of the block is visible to query `n` iff `m < limit`,
    `n + offset - left <= m <= n + offset + right` (`band = [left, right]`, -1: no bound)
    and `mask[n, m]`. `offset` is the index of query 0 among the keys of this block and
    may be negative; `limit` may exceed the block.

    The number of keys M of a block may be known only at run time, as at the edge of a
    mask; `max_keys` then bounds it, for whoever keeps scores in a buffer of static size.

    `layouts` names the dimensions of query, key, value and accumulator in the domain
    `(n, m, d, e)`, by default `[N, D]`, `[M, D]`, `[M, E]`, `[N, E]`; max and sum are `[N]`.
    Key and value may lie in panels of 16 columns with pairs of products side by side,
    the form in which a matrix unit takes the right factor of a product: key as
    `[M / 16, D / 2, 16, 2]`, value as `[E / 16, M / 2, 16, 2]`, whose layouts are
    `(m floordiv 16, d floordiv 2, m mod 16, d mod 2)` and
    `(e floordiv 16, m floordiv 2, e mod 16, m mod 2)`.

    Constraints:
    - (C1) dimensions named alike agree in all operands.
    - (C2) accumulator, max and sum have the compute type.
    - (C3) a band needs an offset, and is `[left, right]`, both at least -1.
    - (C4) softcap is finite and positive, scale finite.
    - (C5) on tensors there are three results, of the types of the three destinations.
    - (C6) `layouts` holds permutations of (n, d), (m, d), (m, e) and (n, e), or panels of
      key or value.
    - (C7) max_keys is at least M and positive.

    Example:

    ```mlir
    func.func @f(%q: tensor<24x128xf32>, %k: tensor<256x128xf32>, %v: tensor<256x128xf32>,
                 %acc: tensor<24x128xf32>, %max: tensor<24xf32>, %sum: tensor<24xf32>, %o: index)
        -> (tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>) {
      %r:3 = repo.online_attention %q, %k, %v offset(%o) into %acc, %max, %sum
             {scale = 0.088388347648318447 : f64, band = array<i64: -1, 0>}
         : (tensor<24x128xf32>, tensor<256x128xf32>, tensor<256x128xf32>, index,
            tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>)
           -> (tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>)
      return %r#0, %r#1, %r#2 : tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>
    }
    ```
  }];
  let arguments = (ins
    Repo_FloatShaped:$query, Repo_FloatShaped:$key, Repo_FloatShaped:$value,
    Optional<Repo_FloatShaped>:$bias, Optional<Repo_BoolShaped>:$mask,
    Optional<Index>:$offset, Optional<Index>:$limit,
    Repo_RealShaped:$accumulator, Repo_RealShaped:$maximum, Repo_RealShaped:$sum,
    F64Attr:$scale, OptionalAttr<F64Attr>:$softcap,
    OptionalAttr<DenseI64ArrayAttr>:$band, OptionalAttr<I64Attr>:$max_keys,
    OptionalAttr<AffineMapArrayAttr>:$layouts);
  let results = (outs Variadic<Repo_RealTensor>:$results);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`bias` `(` $bias^ `)`)? (`mask` `(` $mask^ `)`)?
    (`offset` `(` $offset^ `)`)? (`limit` `(` $limit^ `)`)?
    `into` $accumulator `,` $maximum `,` $sum attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = baseClassDeclaration # [{
    /// The iteration dimensions.
    enum Dim : unsigned { N, M, D, E };

    MutableOperandRange getDpsInitsMutable() {
      unsigned first = getODSOperandIndexAndLength(7).first;
      return MutableOperandRange(getOperation(), first, 3);
    }
    AffineMap getQueryMap();
    AffineMap getKeyMap();
    AffineMap getValueMap();
    AffineMap getAccumulatorMap();
    /// The layout in panels of the right factor of a product.
    static AffineMap getPanelMap(MLIRContext *context, unsigned column, unsigned product);
    static AffineMap getKeyPanelMap(MLIRContext *context) { return getPanelMap(context, M, D); }
    static AffineMap getValuePanelMap(MLIRContext *context) { return getPanelMap(context, E, M); }
    bool hasKeyPanels() { return getKeyMap() == getKeyPanelMap(getContext()); }
    bool hasValuePanels() { return getValueMap() == getValuePanelMap(getContext()); }
    /// The bounds of the band of visible keys, -1: unbounded.
    std::pair<int64_t, int64_t> getBandBounds();
    /// The most keys a block has, kDynamic where nothing says.
    int64_t getMostKeys();
    FloatType getComputeType();
  }];
}

//===----------------------------------------------------------------------===//
// The cache of rotated keys
//===----------------------------------------------------------------------===//

def Repo_CacheAppendOp : Repo_DestinationOp<"cache_append"> {
  let summary = "rotates new keys and writes them, with their values, to the cache";
  let description = [{
    ```
    key_cache[b, h, at[b] + n, :]   = rotate(key, positions)[b, h, n, :]
    value_cache[b, h, at[b] + n, :] = value[b, h, n, :]
    ```

    for `n` in `0 .. N - 1`; everything else in the caches is kept. Without `positions`
    the keys are written as they are. Rows whose place lies past the end of the cache are
    not written: the caller keeps `at[b] + N` within the capacity. Keys and values are
    rounded to the element type of the caches.

    With a `table` `[B, P]` the caches are pages `[pages, Hkv, S, D]`, and row `r` of
    batch `b` lies in page `table[b, r / S]` at `r mod S`. Different batches that append
    must not share the page they append to.

    `layouts` names the dimensions of key and value in the domain `(b, h, n, d, e)`,
    by default `[B, H, N, D]` and `[B, H, N, E]`.

    Constraints:
    - (C1) dimensions named alike agree: key `[B, H, N, D]`, value `[B, H, N, E]`,
      caches `[B, H, C, D]` and `[B, H, C, E]`, with a table `[pages, H, S, D]` and `[pages, H, S, E]`.
    - (C2) positions need `rope`, whose `dim` is at most D; they have shape `[B, 1 | H, N]` and
      the compute type.
    - (C3) omega has shape `[F]` or `[H, F]`.
    - (C4) `at` is an index or a tensor of shape `[B]`, the table has shape `[B, P]`.
    - (C5) on tensors there are two results, of the types of the caches.
    - (C6) `layouts` holds permutations of (b, h, n, d) and (b, h, n, e).

    Example:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0E+5, dim = 128>
    func.func @f(%k: tensor<1x16x?x128xf32>, %v: tensor<1x16x?x128xf32>, %z: tensor<1x16x?xf32>,
                 %at: tensor<1xi32>, %kc: tensor<1x16x?x128xf32>, %vc: tensor<1x16x?x128xf32>)
        -> (tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>) {
      %0:2 = repo.cache_append %k, %v positions(%z) at(%at) into %kc, %vc {rope = #olmo2}
         : (tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>, tensor<1x16x?xf32>, tensor<1xi32>,
            tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>)
           -> (tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>)
      return %0#0, %0#1 : tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>
    }
    ```
  }];
  let arguments = (ins
    Repo_FloatShaped:$key, Repo_FloatShaped:$value, Optional<Repo_RealShaped>:$positions,
    Optional<Repo_RealShaped>:$omega, Repo_IndexOrInt32Shaped:$at,
    Optional<Repo_Int32Shaped>:$table, Repo_FloatShaped:$key_cache,
    Repo_FloatShaped:$value_cache, OptionalAttr<Repo_RopeAttr>:$rope,
    OptionalAttr<AffineMapArrayAttr>:$layouts);
  let results = (outs Variadic<Repo_FloatTensor>:$results);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    $key `,` $value (`positions` `(` $positions^ `)`)? (`omega` `(` $omega^ `)`)?
    `at` `(` $at `)` (`table` `(` $table^ `)`)? `into` $key_cache `,` $value_cache
    attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = baseClassDeclaration # [{
    /// The iteration dimensions.
    enum Dim : unsigned { B, H, N, D, E };

    MutableOperandRange getDpsInitsMutable() {
      unsigned first = getODSOperandIndexAndLength(6).first;
      return MutableOperandRange(getOperation(), first, 2);
    }
    AffineMap getKeyMap();
    AffineMap getValueMap();
  }];
}

def Repo_CacheViewOp : Op<Repo_Dialect, "cache_view", [Pure,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let summary = "a paged cache as one tensor";
  let description = [{
    `result[b, h, r, :] = pages[table[b, r / S], h, r mod S, :]` for `r < lengths[b]`; rows
    past `lengths[b]` are zero. `pages` is `[pages, H, S, D]`, `table` `[B, P]`, and the result
    `[B, H, P * S, D]`. Fast paths fuse the gather into what reads it and never write
    the result to memory. Entries for rows below the length have to name a page: rows of one that
    does not are not specified, but nothing outside `pages` is read.
    On buffers the result is no memory either: it names pages and table to an attention
    that a kernel computes, and goes with it.

    Constraints:
    - (C1) ranks are 4, 2, 1 and 4; B, H and D agree; lengths has shape `[B]`.
    - (C2) pages and result have the same element type, and S is static.

    Example:

    ```mlir
    func.func @f(%pages: tensor<?x16x64x128xbf16>, %table: tensor<4x?xi32>, %lengths: tensor<4xi32>)
        -> tensor<4x16x?x128xbf16> {
      %k = repo.cache_view %pages table(%table) lengths(%lengths)
         : (tensor<?x16x64x128xbf16>, tensor<4x?xi32>, tensor<4xi32>) -> tensor<4x16x?x128xbf16>
      return %k : tensor<4x16x?x128xbf16>
    }
    ```
  }];
  let arguments = (ins Repo_FloatShaped:$pages, Repo_Int32Shaped:$table,
                       Repo_Int32Shaped:$lengths);
  let results = (outs Repo_FloatShaped:$result);
  let assemblyFormat = [{
    $pages `table` `(` $table `)` `lengths` `(` $lengths `)` attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

include "repo/Dialect/Repo/IR/RepoDeviceOps.td"
include "repo/Dialect/Repo/IR/RepoGradientOps.td"

#endif // REPO_DIALECT_REPO_IR_REPOOPS_TD
