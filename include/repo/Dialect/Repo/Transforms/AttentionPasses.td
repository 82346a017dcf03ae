//===- AttentionPasses.td - Attention and rotation ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_ATTENTIONPASSES_TD
#define REPO_DIALECT_REPO_TRANSFORMS_ATTENTIONPASSES_TD

include "mlir/Pass/PassBase.td"

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

    The gradient of attention likewise: its queries and keys are rotated before, what it returns for them is
    rotated back by `repo.rotate_backward`, which gives the gradients of the positions.

    Before:

    ```mlir
    %d:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%g) query_positions(%zq)
           into %dq, %dk, %dv, %dzq {rope = #r} : ...
    ```

    After:

    ```mlir
    %q1 = repo.rotate %q by(%zq) {rope = #r} : ...
    %d:3 = repo.attention_backward %q1, %k, %v output(%o) lse(%l) upstream(%g) into %e, %dk, %dv : ...
    %dq, %dzq = repo.rotate_backward %q1 by(%zq) upstream(%d#0) {rope = #r} : ...
    ```
  }];
  let statistics = [Statistic<"numRotations", "num-rotations", "Number of rotations split off">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect"];
}

def TileAttentionBackward : Pass<"repo-tile-attention-backward", "::mlir::ModuleOp"> {
  let summary = "the gradient of attention as loops over blocks, without the matrix of scores";
  let description = [{
    `repo.attention_backward` without rotation becomes a parallel loop over batches and KV heads. A task takes the
    queries that share the head in blocks, and for each block the keys that it sees; positions are compared where a mask
    cuts a block. Of the block of scores, weights `p = exp(s - lse)` and their gradients
    `ds = p (upstream . value - delta)` are vectors; the five products around them are contractions over rows.
    Gradients of keys and values are summed in their destinations, in a fixed order.

    Blocks of 64 queries and 96 keys: a causal mask wastes half of a block at the diagonal, and what a block reads and
    sums stays in the second-level cache; 96 are whole tiles of 6 and of 3 rows.

    Arithmetic in f32, heads of whole vectors, no bias or mask; the rest is left to `repo-decompose`, and named where `report` is set.

    Before:

    ```mlir
    %d:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%g) into %dq, %dk, %dv {causal} : ...
    ```

    After:

    ```mlir
    %d:3 = scf.forall (%b, %h) in (%batches, 16) shared_outs(...) {
      scf.for %n = ... {                      // blocks of queries
        scf.for %m = ... {                    // blocks of keys
          %s  = linalg.contract ... ins(%k_m, %q_n_transposed)
          %dp = linalg.contract ... ins(%v_m, %g_n_transposed)
          scf.for ... { vector arithmetic: p and ds over s and dp }
          linalg.contract ... ins(%p, %g_n)   // values
          linalg.contract ... ins(%ds, %q_n)  // keys
          linalg.contract ... ins(%ds_transposed, %k_m) // queries
        }
      }
    }
    ```
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "Lanes of an f32 vector">,
    Option<"queryBlock", "query-block", "int64_t", "64", "Queries of a block, a multiple of the lanes">,
    Option<"keyBlock", "key-block", "int64_t", "96", "Keys of a block, a multiple of the lanes">,
    Option<"report", "report", "bool", "false", "Remark on what is not tiled">];
  let statistics = [Statistic<"numTiled", "num-tiled", "Number of gradients tiled">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect", "::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def SelectStrategy : Pass<"repo-select-strategy", "::mlir::ModuleOp"> {
  let summary = "choose the block sizes of attention from the target";
  let description = [{
    Gives every `repo.attention` a strategy that has none yet. The cost model:

    - `query_tile`: three vectors of queries, so that 8 (of 16 registers: 4) keys by three
      vectors of sums, three vectors of queries and one of keys fill the registers.
    - `query_block`: two such tiles, so that a block of keys and values comes from the last
      cache once for both; where there are statically fewer queries than a tile, one of as
      many vectors.
    - `key_block`: the largest power of two up to 256 for which keys, values and scores of
      a block take at most half of the second-level cache; no more than there are keys.
    - `edge_block`: 64 at most.
    - `split`: 512 keys, for up to 16 queries a head, where head sizes are whole vectors: bytes,
      not products, bound the time.
    - `pack_bytes`: 8 MB, so that packed keys and values stay in the caches and the memory is
      bounded, while a parallel loop has many tasks for short sequences.

    With a matrix unit, attention of bf16 queries, keys, values and output, of more than 16
    queries, goes there (`unit = amx`): blocks of 128 queries, so that a key and a value
    come from the last cache once for 8 products of tiles; of 128 keys, so that the scores
    of two groups of 32 queries and the queries stay in the first cache; 64 at an edge.
    Where vectors multiply pairs of bf16 instead (`unit = pairs`), the same attention takes the same panels in blocks of
    64 queries, as a causal mask wastes half of a block at the diagonal: twice the products per instruction of f32.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal} : ...
    ```

    After, on 16 lanes and 1 MB:

    ```mlir
    %o = repo.attention %q, %k, %v into %init {causal,
           strategy = #repo.attention_strategy<query_block = 96, key_block = 256, edge_block = 64, query_tile = 48>} : ...
    ```
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector register">,
    Option<"cacheBytes", "cache-bytes", "int64_t", "1048576",
           "size of the second-level cache of a core">,
    Option<"matrixUnit", "matrix-unit", "bool", "false",
           "the target has a matrix unit, which takes attention in bf16">,
    Option<"pairs", "pairs", "bool", "false",
           "vectors of the target multiply pairs of bf16">,
    Option<"report", "report", "bool", "false", "say the choices in remarks">];
  let statistics = [Statistic<"numChosen", "num-chosen", "Number of strategies chosen">];
}

def SelectKernelStrategy : Pass<"repo-select-kernel-strategy", "::mlir::ModuleOp"> {
  let summary = "choose matrix instructions, blocks and stages of attention and positions for a GPU";
  let description = [{
    Gives every `repo.attention` on tensors that the matrix units can compute a kernel
    strategy, unless it has one. Keys that turn become an op of their own before it,
    `repo.rotate` in the keys' type: one pass over the keys costs less than turning them
    again in every block of queries.

    An op keeps the plain kernels where its elements are not bf16 or f16 throughout, its heads not
    64 or 128 wide, channels not innermost, a channel pair not within a thread, or where it
    has a mask: keys that a mask hides may be NaN, and a matrix unit multiplies NaN by 0.

    `repo.assign_positions` gets a strategy, and an output to write to, where its elements are bf16 or f16
    throughout and channels and columns multiples of 64: of the blocks that may be, the ones for which the model
    of docs/gpu-model.md counts the fewest cycles (for 4096 tokens where their number is dynamic).

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
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
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
    Where the strategy has a `query_tile`, a loop over tiles of queries is inside those over keys.

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
    Option<"queryTile", "query-tile", "int64_t", "0",
           "queries of a block that meet a block of keys at a time, of ops without a strategy; 0: all">,
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
    read, and those of a paged cache (`repo.cache_view`) are read in blocks that stay in a page, a task taking
    several KV heads, which lie side by side there. A second loop merges the partial states in the order of the chunks, whose size follows
    from the shapes: the result is the same for any number of threads. Where the number of
    queries is dynamic the choice is made at run time. Bias and mask of a block are one additive
    term, [heads of the group, keys]. Where an instruction multiplies `pairs` of bf16, and queries, keys
    and values are in bf16, the rotated queries are rounded to it too.

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
  let options = [Option<"pairs", "pairs", "int64_t", "0",
                        "bf16 elements of a vector for which an instruction multiplies pairs; 0: none does">];
  let statistics = [Statistic<"numSplit", "num-split", "Number of attention ops split">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
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

    A few queries in rows, against rows in any type, take 16 keys at a time, whose rows are read
    once for all queries: channels along the lanes, summed by shuffles. With `pairs`, bf16
    queries, keys and values are operands of an instruction that multiplies pairs.

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
  let options = [Option<"lanes", "lanes", "int64_t", "16", "f32 lanes of a vector register">,
                 Option<"pairs", "pairs", "bool", "false", "an instruction multiplies and adds pairs of bf16">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // REPO_DIALECT_REPO_TRANSFORMS_ATTENTIONPASSES_TD
