//===- ContractionPasses.td - Products of packed weights ---*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_TRANSFORMS_CONTRACTIONPASSES_TD
#define REPO_DIALECT_REPO_TRANSFORMS_CONTRACTIONPASSES_TD

include "mlir/Pass/PassBase.td"

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

def FuseElementwise : Pass<"repo-fuse-elementwise", "::mlir::ModuleOp"> {
  let summary = "elementwise ops of one use become part of their consumer";
  let description = [{
    A structured op on tensors that computes every element by itself, and whose only reader is another such op
    over the same loops, becomes part of it, by upstream's fusion: what lies between them is never written. Named
    ops become generic ones for that. Destinations that are results of other ops and not read become new tensors.
    Whether silu is one op or five then makes no difference to what comes next.

    Before:

    ```mlir
    %n = linalg.generic ... ins(%x, %s, %w : ...) outs(%e : tensor<?x64xf32>) { ... }
    %h = linalg.add ins(%r, %n : ...) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```

    After:

    ```mlir
    %h = linalg.generic ... ins(%r, %x, %s, %w : ...) outs(%f : tensor<?x64xf32>) { ... }
    ```
  }];
  let statistics = [Statistic<"numFused", "num-fused", "Number of ops that became part of another">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def FuseEpilogues : Pass<"repo-fuse-epilogues", "::mlir::ModuleOp"> {
  let summary = "products and the elementwise op that follows become one parallel loop";
  let description = [{
    An elementwise op that reads columns of a contraction of panels, which nobody else reads, is tiled by rows and
    panels, and the contractions are computed tile by tile where it reads them: silu(gate) * up, a bias, a residual sum
    are computed while the tile lies in the cache, and the products are never written to memory. Of a
    contraction over weights side by side the columns that other ops read stay one contraction.

    Before:

    ```mlir
    %y = linalg.contract indexing_maps = [...] ins(%x, %w : tensor<?x64xf32>, tensor<4x64x32xf32>) outs(%zeros : ...)
    %c = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x4x32xf32> into tensor<?x128xf32>
    %g = tensor.extract_slice %c[0, 0] [%n, 64] [1, 1] : ...
    %u = tensor.extract_slice %c[0, 64] [%n, 64] [1, 1] : ...
    %a = linalg.generic ... ins(%g, %u : ...) outs(%e : tensor<?x64xf32>) { silu(g) * u }
    ```

    After (shortened):

    ```mlir
    %a = scf.forall (%i, %p) = (0, 0) to (%n, 2) step (128, 1) shared_outs(%out = %e) -> ... {
      %g = linalg.contract indexing_maps = [...] ins(%xi, %wg : tensor<?x64xf32>, tensor<1x64x32xf32>) ...
      %u = linalg.contract indexing_maps = [...] ins(%xi, %wu : ...) ...
      %t = linalg.generic ... ins(%g, %u : ...) outs(%o : tensor<?x1x32xf32>) { silu(g) * u }
      ...
    }
    ```
  }];
  let options = [Option<"rows", "rows", "int64_t", "128", "rows of a tile">];
  let statistics = [Statistic<"numFused", "num-fused", "Number of epilogues fused">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
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
           "products lie in panels of 16 columns, 2 products side by side">,
    Option<"pairs", "pairs", "bool", "false",
           "the target adds products of two pairs of bf16 at once: weights of bf16 that meet bf16 lie "
           "with 2 products side by side">];
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
    `NAME` itself stays, unless `packed-only` says that nobody calls entries with unpacked weights: then it
    need not be compiled.

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
  let options = [
    Option<"packedOnly", "packed-only", "bool", "false", "entries are called with packed weights alone">];
  let statistics = [Statistic<"numParts", "num-parts", "Number of parts of packed weights">];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
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

def VectorizeContractions : Pass<"repo-vectorize-contractions", "::mlir::ModuleOp"> {
  let summary = "contractions on buffers to register tiles of vectors";
  let description = [{
    Lowers `out[.., n, o] += sum_i x[.., n, i] * w[.., o, i]` into f32, rows with a unit inner
    stride, to loops around register tiles: the form of a linear map whose weights are stored
    [out, in]. For few rows of x a lane is a product of one sum (6 by 4 sums of 24 vectors in
    32 registers, 6 by 2 in 16); from 24 rows on weights are copied, 64 columns by 256 products
    at a time, to a panel whose rows are vectors of columns, and the elements of x are
    broadcast. Weights that lie in panels, `w[.., p, i, l]` with o = p * width + l, are read as
    they are. Elements of a short type are extended as they are loaded. Panels of bf16 with two products side by
    side, `w[.., p, i, l, r]`, that meet bf16 stay what they are: `vdpbf16ps` adds both products of a lane to its f32 sum,
    twice what an FMA does.

    Panels may come from memory. Up to 24 rows of x, a block is 8 KB of a panel, which the first-level cache keeps until the last
    row has met it; from 6 rows on the first of them ask for the next block. More rows take 512 products at a time, and ask for
    the next block a line each. Zeros written right before in what the products are added to are not written: the first block
    is stored.

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
    Option<"pairs", "pairs", "bool", "false", "The target has AVX512-BF16">,
    Option<"report", "report", "bool", "false", "Say what was vectorised">];
  let statistics = [Statistic<"numVectorized", "num-vectorized", "Number of contractions vectorised">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
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

#endif // REPO_DIALECT_REPO_TRANSFORMS_CONTRACTIONPASSES_TD
