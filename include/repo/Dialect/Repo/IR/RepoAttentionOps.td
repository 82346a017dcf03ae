//===- RepoAttentionOps.td - Attention, whole and by blocks *- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOATTENTIONOPS_TD
#define REPO_DIALECT_REPO_IR_REPOATTENTIONOPS_TD

include "repo/Dialect/Repo/IR/RepoOpBase.td"

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

#endif // REPO_DIALECT_REPO_IR_REPOATTENTIONOPS_TD
