//===- MatrixUnitPasses.td - Attention and products on AMX -*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_MATRIXUNITPASSES_TD
#define REPO_DIALECT_REPO_TRANSFORMS_MATRIXUNITPASSES_TD

include "mlir/Pass/PassBase.td"

def TileAttentionAMX : Pass<"repo-tile-attention-amx", "::mlir::ModuleOp"> {
  let summary = "attention whose strategy says amx or pairs to blocks of bf16 in panels";
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

def LowerOnlineAttentionPairs : Pass<"repo-lower-online-attention-pairs", "::mlir::ModuleOp"> {
  let summary = "blocks of online attention in bf16 panels to vectors that multiply pairs";
  let description = [{
    Lowers the blocks that `repo-lower-online-attention-amx` takes for a target without a matrix unit whose
    vectors multiply pairs of bf16 (AVX512-BF16). 32 queries are a group: its scores are register
    tiles of 4 queries by 4 panels of keys, 8 by 2 where a mask cuts the block, and only up to
    the cut; the softmax is that of the matrix unit, and leaves weights as bf16 in place of the scores; register
    tiles of 4 queries by 4 panels of channels add to the accumulator.

    Before:

    ```mlir
    repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = [...], scale = ...}
      : (memref<64x128xbf16>, memref<8x64x16x2xbf16>, memref<8x64x16x2xbf16>, memref<64x128xf32>, ...)
    ```

    After (shortened):

    ```mlir
    %tile:16 = scf.for %pair = %c0 to %c64 step %c1 iter_args(...) {
      %k0 = vector.load %keys[%panel, %pair, %c0, %c0] : memref<8x64x16x2xbf16>, vector<32xbf16>
      %q0 = vector.load %q[%row, %channel] : memref<64x128xbf16>, vector<2xbf16>
      ...
      %s0 = llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%sum, %k0, %q0x16) : ...
    }
    ```
  }];
  let statistics = [Statistic<"numLowered", "num-lowered", "Number of blocks lowered">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
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

#endif // REPO_DIALECT_REPO_TRANSFORMS_MATRIXUNITPASSES_TD
