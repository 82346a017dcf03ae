//===- RepoCacheOps.td - The cache of rotated keys ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOCACHEOPS_TD
#define REPO_DIALECT_REPO_IR_REPOCACHEOPS_TD

include "repo/Dialect/Repo/IR/RepoOpBase.td"

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

#endif // REPO_DIALECT_REPO_IR_REPOCACHEOPS_TD
