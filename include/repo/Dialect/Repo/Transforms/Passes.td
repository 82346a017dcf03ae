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
           "that come later">,
    Option<"keepBlocks", "keep-online-attention-lanes", "int64_t", /*default=*/"0",
           "Keep the blocks of online attention that repo-lower-online-attention "
           "takes for vectors of so many lanes (0: none)">,
    Option<"keepTileBlocks", "keep-tile-blocks", "bool", /*default=*/"false",
           "Keep the blocks that repo-lower-online-attention-amx takes">,
    Option<"keepKernels", "keep-kernels", "bool", /*default=*/"false",
           "Keep attention that has a kernel strategy">
  ];
  let statistics = [
    Statistic<"numDecomposed", "num-ops-decomposed", "Number of ops decomposed">
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def SplitRotation : Pass<"repo-split-rotation", "::mlir::ModuleOp"> {
  let summary = "make the rotation of queries and keys ops of their own";
  let description = [{
    Attention that rotates its queries and keys becomes attention over the results of
    `repo.rotate`, which can be placed on their own: keys are rotated once, however many
    blocks of queries read them. Positions per query head of grouped heads repeat the keys
    and values of a group.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %init {rope = #r} : ...
    ```

    After:

    ```mlir
    %q1 = repo.rotate %q by(%zq) {rope = #r} : ...
    %k1 = repo.rotate %k by(%zk) {rope = #r} : ...
    %o = repo.attention %q1, %k1, %v into %init : ...
    ```
  }];
  let statistics = [Statistic<"numRotations", "num-rotations", "Number of rotations split off">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect"];
}

def SelectStrategy : Pass<"repo-select-strategy", "::mlir::ModuleOp"> {
  let summary = "choose the block sizes of attention from the target";
  let description = [{
    Gives every `repo.attention` a strategy that has none yet. The cost model:

    - `query_block`: three vectors of queries, so that 8 (of 16 registers: 3) keys by three
      vectors of sums, three vectors of queries and one of keys fill the registers; fewer
      vectors where there are statically fewer queries.
    - `key_block`: the largest power of two up to 256 for which keys, values and scores of
      a block take at most half of the second-level cache; no more than there are keys.
    - `edge_block`: 64 at most.
    - `split`: 512 keys, for up to 16 queries a head, where head sizes are whole vectors and there is
      neither bias nor mask: then bytes, not products, bound the time.
    - `pack_bytes`: 8 MB, so that packed keys and values stay in the caches and the memory is
      bounded, while a parallel loop has many tasks for short sequences.

    With a matrix unit, attention of bf16 queries, keys, values and output, of more than 16
    queries, goes there (`unit = amx`): blocks of 128 queries, so that a key and a value
    come from the last cache once for 8 products of tiles; of 128 keys, so that the scores
    of two groups of 32 queries and the queries stay in the first cache; 64 at an edge.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal} : ...
    ```

    After, on 16 lanes and 1 MB:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal,
           strategy = #repo.attention_strategy<query_block = 48, key_block = 256, edge_block = 64>} : ...
    ```
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector register">,
    Option<"cacheBytes", "cache-bytes", "int64_t", "1048576",
           "size of the second-level cache of a core">,
    Option<"matrixUnit", "matrix-unit", "bool", "false",
           "the target has a matrix unit, which takes attention in bf16">,
    Option<"report", "report", "bool", "false", "say the choices in remarks">];
  let statistics = [Statistic<"numChosen", "num-chosen", "Number of strategies chosen">];
}

def TileAttention : Pass<"repo-tile-attention", "::mlir::ModuleOp"> {
  let summary = "attention to parallel blocks of queries and loops over blocks of keys";
  let description = [{
    `repo.attention` without positions becomes a parallel loop over batch, head and block
    of queries; each runs over the blocks of keys it can see with
    `repo.online_attention`. Keys that every query of the block sees come in a loop
    without masks; keys that a band, the lengths or the end of the keys cut come before and
    after them, in small blocks. A block has as many keys as there are, so nothing is padded, and
    blocks that no query sees are outside the bounds of the loops. The scores never exist as a whole.

    Queries that come from `repo.rotate` are rotated as a block of them is loaded. Keys that
    do, and keys and values in a short type, are packed in a parallel loop of its own: f32
    rows of as many heads at a time as the strategy has room for, around the loop above.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal} : ...
    ```

    After (shortened):

    ```mlir
    %o = scf.forall (%b, %h, %t) in (%nb, 16, %tiles) shared_outs(%out = %init) -> ... {
      %r:3 = scf.for %j = %lo to %full step %c256 iter_args(%acc, %max, %sum) {
        repo.online_attention %qt, %kj, %vj into %acc, %max, %sum ...
      }
      %r2:3 = scf.for %j = %full to %hi step %c64 iter_args(%r#0, %r#1, %r#2) {
        repo.online_attention %qt, %kj, %vj offset(%off) into ... {band = [-1, 0], max_keys = 64}
      }
      ...
    }
    ```
  }];
  let options = [
    Option<"queryBlock", "query-block", "int64_t", "48",
           "queries of a block, of ops without a strategy">,
    Option<"keyBlock", "key-block", "int64_t", "256",
           "keys of a block, of ops without a strategy">,
    Option<"edgeBlock", "edge-block", "int64_t", "64",
           "keys of a block where a mask cuts, of ops without a strategy">,
    Option<"packBytes", "pack-bytes", "int64_t", "8388608",
           "bytes of packed keys and values at a time, of ops without a strategy">,
    Option<"report", "report", "bool", "false", "Say what is not tiled, and why">];
  let statistics = [Statistic<"numTiled", "num-tiled", "Number of attention ops tiled">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def SplitKeys : Pass<"repo-split-keys", "::mlir::ModuleOp"> {
  let summary = "attention of few queries to parallel chunks of keys";
  let description = [{
    Attention whose strategy has a `split` and whose queries are at most `split_queries` per
    head becomes a parallel loop over batch, KV head and chunk of keys. A task runs the online
    softmax over its chunk for every query head that shares the keys, each query over the
    keys it can see, so nothing is masked; keys that come from `repo.rotate` are rotated as they are
    read. A second loop merges the partial states in the order of the chunks, whose size follows
    from the shapes: the result is the same for any number of threads. Where the number of
    queries is dynamic the choice is made at run time. Attention with a bias or a mask stays as it is.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {strategy = #repo.attention_strategy<..., split = 512, split_queries = 8>} : ...
    ```

    After (shortened):

    ```mlir
    %few = arith.cmpi ule, %n, %c8 : index
    %o = scf.if %few -> (tensor<1x16x?x128xf32>) {
      %acc, %max, %sum = scf.forall (%b, %h, %chunk) in (1, 4, %chunks) shared_outs(...) -> ... {
        scf.for %j = %lo to %hi step %c64 iter_args(...) {
          repo.online_attention %q, %kj, %vj into ... : (tensor<4x128xf32>, tensor<?x128xbf16>, ...)
        }
        ...
      }
      %merged = scf.forall (%b, %h, %i) in (1, 16, %n) shared_outs(%out = %init) -> ... { ... }
      scf.yield %merged
    } else {
      %whole = repo.attention %q, %k, %v into %init {strategy = #repo.attention_strategy<...>} : ...
      scf.yield %whole
    }
    ```
  }];
  let statistics = [Statistic<"numSplit", "num-split", "Number of attention ops split">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def VectorizeTransposes : Pass<"repo-vectorize-transposes", "::mlir::ModuleOp"> {
  let summary = "transposes of matrices on buffers to shuffles of vectors";
  let description = [{
    A `linalg.transpose` of a matrix on buffers, of static sizes that are multiples of the
    lanes, becomes a loop over squares of lanes by lanes: as many vectors are loaded, shuffled in log2(lanes)
    steps, and stored.

    Before:

    ```mlir
    linalg.transpose ins(%x : memref<48x128xf32>) outs(%y : memref<128x48xf32>) permutation = [1, 0]
    ```

    After (shortened):

    ```mlir
    scf.for %i = %c0 to %c48 step %c16 {
      scf.for %j = %c0 to %c128 step %c16 {
        %0 = vector.load %x[%i, %j] : memref<48x128xf32>, vector<16xf32>
        ...
        %64 = vector.shuffle %0, %8 [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23] : vector<16xf32>, vector<16xf32>
        ...
    ```
  }];
  let options = [Option<"lanes", "lanes", "int64_t", "16", "lanes of a vector register">];
  let statistics = [Statistic<"numVectorized", "num-vectorized", "Number of transposes vectorised">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def TileAttentionAMX : Pass<"repo-tile-attention-amx", "::mlir::ModuleOp"> {
  let summary = "attention whose strategy says amx to blocks in the form the matrix unit takes";
  let description = [{
    The loops of `repo-tile-attention` around blocks of static size whose operands have the form of
    the matrix unit: keys and values of as many heads as fit into `pack_bytes` are packed
    to panels of bf16 by `linalg.pack`, 32 rows a task, rotated in f32 on the way; a block of queries is rotated, scaled and
    rounded. Blocks start at multiples of 32 keys; panels end with zeros, so that a block may reach
    past the keys, whose `limit` hides what is not there. Any head size goes: rows are padded with zeros.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal, strategy = #repo.attention_strategy<..., unit = amx>} : ...
    ```

    After (shortened):

    ```mlir
    %packed:2 = scf.forall (%h, %t) in (%heads, %tiles) shared_outs(...) {
      %rows = linalg.generic ... arith.truncf ... -> tensor<32x128xbf16>
      %panel = linalg.pack %rows inner_dims_pos = [0, 1] inner_tiles = [16, 2] into %e : tensor<32x128xbf16> -> tensor<2x64x16x2xbf16>
      ...
    }
    %o = scf.forall (%h, %t) in (16, %blocks) shared_outs(%out = %init) -> ... {
      %r:3 = scf.for %j = %lo to %full step %c128 iter_args(%acc, %max, %sum) {
        repo.online_attention %rows, %kj, %vj into %acc, %max, %sum {layouts = [...]}
          : (tensor<128x128xbf16>, tensor<8x64x16x2xbf16>, tensor<8x64x16x2xbf16>, ...)
      }
      ...
    }
    ```
  }];
  let statistics = [Statistic<"numTiled", "num-tiled", "Number of attention ops tiled">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def VectorizePacks : Pass<"repo-vectorize-packs", "::mlir::ModuleOp"> {
  let summary = "linalg.pack to panels of 16 columns by 2 products as vectors";
  let description = [{
    A `linalg.pack` of a static matrix of 16-bit elements with inner tiles [16, 2] becomes
    vectors: where the columns are the rows of the matrix, squares of 16 by 16 pairs are
    transposed; where they are its columns, two rows are interleaved.

    Before:

    ```mlir
    %p = linalg.pack %m inner_dims_pos = [0, 1] inner_tiles = [16, 2] into %e : tensor<32x128xbf16> -> tensor<2x64x16x2xbf16>
    ```

    After (shortened):

    ```mlir
    %p = scf.for %c = ... iter_args(%e0 = %e) -> ... { scf.for %i = ... iter_args(%e1 = %e0) -> ... {
    %r = vector.transfer_read %m[%c, %i], %zero : tensor<32x128xbf16>, vector<32xbf16>
    %w = vector.bitcast %r : vector<32xbf16> to vector<16xi32>
    ...
    %s = vector.shuffle %w, %w8 [0, 16, 1, 17, ...] : vector<16xi32>, vector<16xi32>
    ...
    %e2 = vector.transfer_write %pair, %e1[%panel, %j, %c0, %c0] : vector<1x1x16x2xbf16>, tensor<2x64x16x2xbf16>
    ```
  }];
  let statistics = [Statistic<"numVectorized", "num-vectorized", "Number of packs vectorised">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def FlattenTransfers : Pass<"repo-flatten-transfers", "::mlir::ModuleOp"> {
  let summary = "vectors that lie in one piece in memory are read and written as one";
  let description = [{
    Transfers of vectors of several dimensions from or to a contiguous part of a buffer
    become transfers of one dimension (upstream's patterns as a pass): unrolled, they would be a
    transfer per row.

    Before:

    ```mlir
    vector.transfer_write %p, %m[%c0, %i, %c0, %c0] : vector<1x1x16x2xbf16>, memref<2x64x16x2xbf16>
    ```

    After (shortened):

    ```mlir
    %flat = memref.collapse_shape %m [[0, 1, 2, 3]] : memref<2x64x16x2xbf16> into memref<4096xbf16>
    vector.transfer_write %q, %flat[%j] : vector<32xbf16>, memref<4096xbf16>
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerContractionsAMX : Pass<"repo-lower-contractions-amx", "::mlir::ModuleOp"> {
  let summary = "contractions of bf16 weights in panels of pairs to the matrix unit";
  let description = [{
    Lowers `out[.., n, p, l] += sum_ir x[.., n, i, r] * w[p, i, l, r]` on buffers, w of bf16 in
    panels of 16 columns by 2 products, i a multiple of 16, to tiles of AMX: 256 rows by
    at most 512 products of x are rounded to bf16 tiles, two panels of weights meet all of
    them, in four tiles of sums with one load per product. Any number of rows goes; rows past the
    end are zeros.

    Before:

    ```mlir
    linalg.contract indexing_maps = [(n, p, i, l, r) -> (n, i, r), (n, p, i, l, r) -> (p, i, l, r), (n, p, i, l, r) -> (n, p, l)]
      ins(%x, %w : memref<?x1024x2xf32>, memref<128x1024x16x2xbf16>) outs(%y : memref<?x128x16xf32>)
    ```

    After (shortened):

    ```mlir
    %a0 = amx.tile_load %rows[%m, %c0, %c0, %c0] : memref<16x16x16x32xbf16> into !amx.tile<16x32xbf16>
    %w0 = amx.tile_load %w[%p, %i, %c0, %c0], %c32 : ... into !amx.tile<16x32xbf16>
    %s0 = amx.tile_mulf %a0, %w0, %z0 : ...
    ```
  }];
  let options = [Option<"report", "report", "bool", "false", "Say what was lowered">];
  let statistics = [Statistic<"numLowered", "num-lowered", "Number of contractions lowered">];
  let dependentDialects = ["::mlir::amx::AMXDialect", "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def TileRotation : Pass<"repo-tile-rotation", "::mlir::ModuleOp"> {
  let summary = "rotations to parallel blocks of rows, row by row";
  let description = [{
    Tiles every `repo.rotate` that is not in a parallel loop yet over batch, head and blocks of
    rows, and each block into single rows, whose size is static: a row is read, rotated
    and written once, and nothing the size of the result is kept beside it.

    Before:

    ```mlir
    %y = repo.rotate %x by(%z) {rope = #r} : (tensor<1x16x?x128xf32>, tensor<1x16x?xf32>) -> tensor<1x16x?x128xf32>
    ```

    After (shortened):

    ```mlir
    %y = scf.forall (%b, %h, %i) = (0, 0, 0) to (1, 16, %n) step (1, 1, 64) shared_outs(%out = %empty) -> ... {
      %t = scf.for %j = %c0 to %rows step %c1 iter_args(%block = %slice) -> ... {
        %row = repo.rotate %xj by(%zj) {rope = #r} : (tensor<1x1x1x128xf32>, tensor<1x1x1xf32>) -> tensor<1x1x1x128xf32>
        ...
      }
      ...
    }
    ```
  }];
  let options = [Option<"rows", "rows", "int64_t", "64", "rows of a parallel block">];
  let statistics = [Statistic<"numTiled", "num-tiled", "Number of rotations tiled">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def LowerOnlineAttention : Pass<"repo-lower-online-attention", "::mlir::ModuleOp"> {
  let summary = "blocks of online attention on buffers to vectors";
  let description = [{
    Lowers `repo.online_attention` on f32 buffers, whose number of keys alone may be dynamic, to register tiles of
    the vector dialect. Scores are computed with queries along the lanes: a row of keys
    is broadcast element by element, so that keys are read as they lie in a cache; only
    the block of queries is transposed. The softmax is then vertical. The product with
    the values broadcasts the weights and reads rows of values.

    Before:

    ```mlir
    repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = [...], scale = ...} : (memref<128x48xf32>, ...)
    ```

    After (shortened):

    ```mlir
    scf.for %m = %c0 to %c256 step %c8 {
      %s:24 = scf.for %d = %c0 to %c128 step %c1 iter_args(...) {
        %qv = vector.load %q[%d, %c0] : memref<128x48xf32>, vector<16xf32>
        %kb = vector.broadcast %ks : f32 to vector<16xf32>
        %0 = vector.fma %kb, %qv, %s0 : vector<16xf32>
        ...
    ```
  }];
  let options = [Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector register">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerOnlineAttentionAMX : Pass<"repo-lower-online-attention-amx", "::mlir::ModuleOp"> {
  let summary = "blocks of online attention in bf16 panels to the matrix unit";
  let description = [{
    Lowers `repo.online_attention` on buffers of static size whose queries are rows of
    bf16 and whose keys and values lie in panels to tiles of AMX. 32 queries are a group: its
    scores are products of tiles of queries by panels of keys, stored as tiles; its softmax
    goes along the rows, 16 keys a vector, with the true running maximum, and leaves the weights as bf16 in place
    of the scores; tiles of weights times panels of values add to the accumulator.
    While the softmax of a group runs on the vector units, the matrix unit computes the scores of the next
    group: the code of both is interleaved.

    Before:

    ```mlir
    repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = [...], scale = ...}
      : (memref<128x128xbf16>, memref<8x64x16x2xbf16>, memref<8x64x16x2xbf16>, memref<128x128xf32>, ...)
    ```

    After (shortened):

    ```mlir
    scf.for %part = %c0 to %c4 step %c1 {
      %s = vector.load %panel[...] : memref<8x2x16x16xf32>, vector<16xf32>
      %p = llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(...)
      ...
      %k = amx.tile_load %keys[...] : ... into !amx.tile<16x32xbf16>
      %t = amx.tile_mulf %q, %k, %t0 : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
      ...
    ```
  }];
  let options = [
    Option<"avx512", "avx512", "bool", "true",
           "exponentials by vreduceps and vscalefps, not by arithmetic alone">,
    Option<"avx512bf16", "avx512bf16", "bool", "true",
           "round to bf16 by vcvtne2ps2bf16, not by arithmetic alone">];
  let statistics = [Statistic<"numLowered", "num-lowered", "Number of blocks lowered">];
  let dependentDialects = ["::mlir::amx::AMXDialect", "::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def AddPackedEntries : Pass<"repo-add-packed-entries", "::mlir::ModuleOp"> {
  let summary = "entries that take their constants packed, beside those that take them as they are";
  let description = [{
    For every public function `NAME` with a contraction whose weight is a constant (an
    argument with `repo.constant`, perhaps passed to private functions) adds a copy
    `NAME_packed`, in which `repo.packed` stands for `repo.constant`: how these arguments
    lie in memory is the compiler's choice. Private functions it calls are copied too, and
    get `repo.packed` on what all calls take from packed arguments.
    `repo-pack-weights` and `repo-fuse-contractions` then choose layouts, `repo-hoist-packing` makes the function that
    writes them.

    Before:

    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %w: tensor<128x64xf32> {repo.constant}) -> ... { ... }
    ```

    After:

    ```mlir
    func.func @f(%x: tensor<?x64xf32>, %w: tensor<128x64xf32> {repo.constant}) -> ... { ... }
    func.func @f_packed(%x: tensor<?x64xf32>, %w: tensor<128x64xf32> {repo.packed}) -> ... { ... }
    ```
  }];
  let statistics = [Statistic<"numEntries", "num-entries", "Number of entries added">];
}

def FuseContractions : Pass<"repo-fuse-contractions", "::mlir::ModuleOp"> {
  let summary = "contractions of one input with packed weights become one";
  let description = [{
    Contractions `out[.., o] = sum_i x[.., i] * w[o, i]` of the same x, whose weights are arguments
    with `repo.packed` of one element type, become one contraction over the weights side
    by side, of whose output each takes its columns: x is read once, and narrow outputs share the
    threads with wide ones. A `repo.assign_positions` with such weights is
    replaced by its definition first, so that gate and content of the positions join the
    projections of queries, keys and values: position-assignment fusion. It does not matter
    what comes between them, as long as all read the same x.

    Before:

    ```mlir
    %z = repo.assign_positions %h gate(%wg) content(%wc) heads(%wz) : ...
    %q = linalg.contract indexing_maps = [...] ins(%h, %wq : tensor<?x?x2048xf32>, tensor<2048x2048xbf16>) ...
    %k = linalg.contract indexing_maps = [...] ins(%h, %wk : ...) ...
    ```

    After (shortened):

    ```mlir
    %w = tensor.concat dim(0) %wg, %wc, %wq, %wk : (...) -> tensor<4608x2048xbf16>
    %y = linalg.contract indexing_maps = [...] ins(%h, %w : ...) outs(%zeros : tensor<?x?x4608xf32>) -> ...
    %g = tensor.extract_slice %y[0, 0, 0] [%b, %n, 256] [1, 1, 1] : ...
    %c = tensor.extract_slice %y[0, 0, 256] [%b, %n, 256] [1, 1, 1] : ...
    %z = ... silu(%g) * %c, times %wz ...
    %q = tensor.extract_slice %y[0, 0, 512] [%b, %n, 2048] [1, 1, 1] : ...
    ```
  }];
  let statistics = [
    Statistic<"numFused", "num-fused", "Number of contractions that became part of another">,
    Statistic<"numPositions", "num-positions", "Number of position assignments that joined">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def PackWeights : Pass<"repo-pack-weights", "::mlir::ModuleOp"> {
  let summary = "contractions with packed weights read them in panels of columns";
  let description = [{
    A contraction `out[.., o] += sum_i x[.., i] * w[o, i]` (or `w[i, o]`) of static o and i,
    whose w is an argument with `repo.packed`, reads w as panels `[p, i, l]`,
    o = p * `columns` + l, which `linalg.pack` makes; with `interleave` = r > 1 as
    `[p, i / r, l, r]`, r products side by side, where r divides i. The output is computed in panels; columns past o
    are cut off.

    Before:

    ```mlir
    %y = linalg.contract indexing_maps = [(n, o, i) -> (n, i), (n, o, i) -> (o, i), (n, o, i) -> (n, o)]
      ins(%x, %w : tensor<?x64xf32>, tensor<128x64xbf16>) outs(%zeros : tensor<?x128xf32>) -> tensor<?x128xf32>
    ```

    After (shortened):

    ```mlir
    %p = linalg.pack %w inner_dims_pos = [0] inner_tiles = [64] into %empty : tensor<128x64xbf16> -> tensor<2x64x64xbf16>
    %t = linalg.contract indexing_maps = [(n, p, i, l) -> (n, i), (n, p, i, l) -> (p, i, l), (n, p, i, l) -> (n, p, l)]
      ins(%x, %p : tensor<?x64xf32>, tensor<2x64x64xbf16>) outs(%zeros : tensor<?x2x64xf32>) -> tensor<?x2x64xf32>
    %y = tensor.collapse_shape %t [[0], [1, 2]] : tensor<?x2x64xf32> into tensor<?x128xf32>
    ```
  }];
  let options = [
    Option<"columns", "columns", "int64_t", "64", "columns of a panel">,
    Option<"interleave", "interleave", "int64_t", "1", "products that lie side by side">,
    Option<"matrixUnit", "matrix-unit", "bool", "false",
           "the target has a matrix unit: weights of bf16 that meet bf16 in multiples of 32 "
           "products lie in panels of 16 columns, 2 products side by side">];
  let statistics = [Statistic<"numPacked", "num-packed", "Number of contractions that read packed weights">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def HoistPacking : Pass<"repo-hoist-packing", "::mlir::ModuleOp"> {
  let summary = "what is computed of packed constants alone is computed once, by NAME_pack";
  let description = [{
    In functions with `repo.packed` arguments, ops whose operands are such arguments, or
    results of such ops, move out: to the callers of a private function, and out of an
    entry `NAME_packed` into `NAME_pack`, which takes the constants of `NAME` and gives
    all parts of the packed weights, in the order in which `NAME_packed` takes them. Constants that are used
    as they are become parts too. Entries whose constants agree in name and type get the same parts,
    so that they can share one packed tensor. Each kind of part is an entry of its own, `NAME_pack_partK`.
    `repo-materialize-destinations` lays the parts side by side in one tensor of bytes.
    `NAME` itself stays, unless it has the attribute `repo.packed_only`: nobody calls such an
    entry with unpacked weights, so it need not be compiled.

    Before:

    ```mlir
    func.func @f_packed(%x: tensor<?x64xf32>, %w: tensor<128x64xf32> {repo.packed}) -> ... {
      %p = linalg.pack %w ... : tensor<128x64xf32> -> tensor<2x64x64xf32>
      ...
    ```

    After (shortened):

    ```mlir
    func.func @f_packed(%p: tensor<2x64x64xf32> {repo.packed}, %x: tensor<?x64xf32>) -> ... { ... }
    func.func @f_pack(%w: tensor<128x64xf32> {repo.constant}) -> (tensor<2x64x64xf32> {repo.packed}) {
      %empty = tensor.empty() : tensor<2x64x64xf32>
      %p = call @f_pack.kernel0(%w, %empty) : ...
      return %p : tensor<2x64x64xf32>
    }
    func.func @f_pack_part0(%w: tensor<128x64xf32> {repo.constant}) -> (tensor<2x64x64xf32> {repo.packed}) { ... }
    func.func private @f_pack.kernel0(%w: tensor<128x64xf32>, %out: tensor<2x64x64xf32>) -> tensor<2x64x64xf32> {
      %p = linalg.pack %w ... into %out : tensor<128x64xf32> -> tensor<2x64x64xf32>
      return %p : tensor<2x64x64xf32>
    }
    ```
  }];
  let statistics = [Statistic<"numParts", "num-parts", "Number of parts of packed weights">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def LowerPacks : Pass<"repo-lower-packs", "::mlir::ModuleOp"> {
  let summary = "linalg.pack to structured ops that tile and bufferize";
  let description = [{
    A `linalg.pack` without padding becomes a `linalg.generic` that reads its source by
    o = p * tile + l; one with padding reads the source element by element, and the
    padding value outside.

    Before:

    ```mlir
    %p = linalg.pack %w inner_dims_pos = [0] inner_tiles = [64] into %out : tensor<128x64xf32> -> tensor<2x64x64xf32>
    ```

    After:

    ```mlir
    %p = linalg.generic {indexing_maps = [(p, i, l) -> (p * 64 + l, i), (p, i, l) -> (p, i, l)], iterator_types = [...]}
      ins(%w : tensor<128x64xf32>) outs(%out : tensor<2x64x64xf32>) {
    ^bb0(%in: f32, %unused: f32):
      linalg.yield %in : f32
    } -> tensor<2x64x64xf32>
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
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
    %y = scf.forall (%b, %n, %o) = (0, 0, 0) to (%nb, %nn, 256) step (1, 512, 64) shared_outs(%out = %zeros) -> ... {
      %t = linalg.contract indexing_maps = [...] ins(%xs, %ws : ...) outs(%os : ...) -> ...
      ...
    }
    ```
  }];
  let options = [
    Option<"contractionRows", "contraction-rows", "int64_t", "512", "rows of a block of a contraction">,
    Option<"columns", "columns", "int64_t", "64", "columns of a block of a contraction">,
    Option<"rows", "rows", "int64_t", "16", "rows of a block of another op">];
  let statistics = [Statistic<"numLoops", "num-loops", "Number of parallel loops made">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::linalg::LinalgDialect"];
}

def VectorizeContractions : Pass<"repo-vectorize-contractions", "::mlir::ModuleOp"> {
  let summary = "contractions on buffers to register tiles of vectors";
  let description = [{
    Lowers `out[.., n, o] += sum_i x[.., n, i] * w[.., o, i]` into f32, rows with a unit inner
    stride, to loops around register tiles: the form of a linear map whose weights are stored
    [out, in]. For few rows of x a lane is a product of one sum (6 by 4 sums of 24 vectors in
    32 registers, 6 by 2 in 16); from 24 rows on weights are copied, 64 columns by 256 products
    at a time, to a panel whose rows are vectors of columns, and the elements of x are
    broadcast. Weights that lie in panels, `w[.., p, i, l]` with o = p * width + l, are read as
    they are. Elements of a short type are extended as they are loaded.

    Before:

    ```mlir
    linalg.contract indexing_maps = [...] ins(%x, %w : memref<64x256xf32, ...>, memref<64x256xbf16, ...>) outs(%y : ...)
    ```

    After (shortened):

    ```mlir
    %s:24 = scf.for %i = %from to %to step %c1 iter_args(...) {
      %wv = vector.load %panel[%k, %c0] : memref<256x64xf32>, vector<16xf32>
      ...
      %xe = memref.load %x[%n, %i] : ...
      %xv = vector.broadcast %xe : f32 to vector<16xf32>
      %s0 = math.fma %xv, %wv, ...
      ...
    }
    ```
  }];
  let options = [Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector register">,
    Option<"report", "report", "bool", "false", "Say what was vectorised">];
  let statistics = [Statistic<"numVectorized", "num-vectorized", "Number of contractions vectorised">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def ExpandTrigonometry : Pass<"repo-expand-trigonometry", "::mlir::ModuleOp"> {
  let summary = "sine and cosine in f32 to arithmetic that vectorises";
  let description = [{
    Replaces `math.sin` and `math.cos` on f32 scalars: the angle is reduced by multiples of
    pi/2 in three parts, short polynomials give both functions. The error is below 2e-7
    for angles up to 2^23; past that the quadrant is lost, as f32 has no fraction left.

    Before:

    ```mlir
    %c = math.cos %a : f32
    ```

    After (shortened):

    ```mlir
    %n = math.roundeven %turns : f32
    %r = math.fma %n, %minus_half_pi, %a : f32
    ...
    %c = arith.select %odd, %s, %t : f32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def SelectKernelStrategy : Pass<"repo-select-kernel-strategy", "::mlir::ModuleOp"> {
  let summary = "choose matrix instructions, blocks and stages of attention for a GPU";
  let description = [{
    Gives every `repo.attention` on tensors that the matrix units can compute a kernel
    strategy, unless it has one. Keys that turn become an op of their own before it,
    `repo.rotate` in the keys' type: one pass over the keys costs less than turning them
    again in every block of queries.

    An op keeps the plain kernels where its elements are not bf16 or f16 throughout, its heads not
    64 or 128 wide, channels not innermost, a channel pair not within a thread, or where it
    has a mask: keys that a mask hides may be NaN, and a matrix unit multiplies NaN by 0.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %init {causal, rope = #r} : ...
    ```

    After:

    ```mlir
    %k1 = repo.rotate %k by(%zk) {rope = #r} : ...
    %o = repo.attention %q, %k1, %v query_positions(%zq) into %init {causal, rope = #r,
           kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>} : ...
    ```
  }];
  let options = [
    Option<"chip", "chip", "std::string", "\"sm_80\"", "the GPU, such as sm_80 or sm_90a">,
    Option<"report", "report", "bool", "false", "say the choices, and why not, in remarks">];
  let statistics = [Statistic<"numChosen", "num-chosen", "Number of strategies chosen">];
}

#endif // REPO_DIALECT_REPO_TRANSFORMS_PASSES_TD
