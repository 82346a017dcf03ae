//===- RepoTileOps.td - Operations of the repo_tile dialect -*- tablegen -*-==//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Copies into shared memory, between shared memory and fragments, arithmetic on
// fragments, multiplication. Groups of copies, barriers of threads and fences are ops
// of the nvvm and gpu dialects (`nvvm.cp.async.commit.group`,
// `nvvm.cp.async.wait.group`, `gpu.barrier`, `nvvm.fence.proxy`): they mean the same at
// this level. What a schedule with warps of different roles needs is in
// RepoTileAsyncOps.td.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPOTILE_IR_REPOTILEOPS_TD
#define REPO_DIALECT_REPOTILE_IR_REPOTILEOPS_TD

include "repo/Dialect/RepoTile/IR/RepoTileTypes.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

def RepoTile_Shared : Type<CPred<"::mlir::repo::tile::isSharedBuffer($_self)">,
  "a shared buffer: memref<SxPxRx64xT> of 16-bit floats in workgroup memory", "::mlir::MemRefType">;

def RepoTile_Matrix : Type<And<[RepoTile_Fragment.predicate,
    CPred<"!::llvm::cast<::mlir::repo::tile::FragmentType>($_self).isRow()">]>,
  "a fragment of a matrix", "::mlir::repo::tile::FragmentType">;
def RepoTile_Accumulator : Type<And<[RepoTile_Fragment.predicate,
    CPred<"::llvm::cast<::mlir::repo::tile::FragmentType>($_self).isAccumulator()">]>,
  "an accumulator fragment", "::mlir::repo::tile::FragmentType">;
def RepoTile_OperandA : Type<And<[RepoTile_Fragment.predicate,
    CPred<"::llvm::cast<::mlir::repo::tile::FragmentType>($_self).isOperand()">]>,
  "a fragment that is an operand A", "::mlir::repo::tile::FragmentType">;
def RepoTile_Row : Type<And<[RepoTile_Fragment.predicate,
    CPred<"::llvm::cast<::mlir::repo::tile::FragmentType>($_self).isRow()">]>,
  "a row vector fragment", "::mlir::repo::tile::FragmentType">;

class RepoTile_Op<string mnemonic, list<Trait> traits = []>
    : Op<RepoTile_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

def RepoTile_SharedBufferOp : RepoTile_Op<"shared_buffer", [Pure]> {
  let summary = "a buffer in the dynamic shared memory of the block";
  let description = [{
    The buffer `offset` bytes into the block's dynamic shared memory, whose size the launch
    says.

    Constraints:
    - (C1) `offset` is a multiple of 1024.

    Example:

    ```mlir
    %keys = repo_tile.shared_buffer {offset = 16384} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
    ```
  }];
  let arguments = (ins I64Attr:$offset);
  let results = (outs RepoTile_Shared:$buffer);
  let assemblyFormat = "attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

def RepoTile_CopyAsyncOp : RepoTile_Op<"copy_async", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "start to copy rows of a matrix into a stage of a shared buffer";
  let description = [{
    Row `r` of the stage becomes row `row + r` of the source where `from <= row + r < to` and, with `where`,
    `where[row + r]` is set, and zeros elsewhere, without a read of the source. The first `threads` threads of the
    block share the work in chunks of 16 bytes; each one's part is complete when it has waited
    for the group of copies that it commits next (`nvvm.cp.async.commit.group`).
    (Sequentially it is complete at once.)
    With `warp` every warp copies by itself, its own rows to its own stage; `threads` is 32.
    With `num_rows` these are rows `target_row`, `target_row + 1`, ... of the stage, so many, and the others stay: matrices one
    below the other are one operand.

    The rows of a source of rank 3 are those of its matrices, one matrix after another.

    Constraints:
    - (C1) the source is a matrix with the elements of the stage and as many columns, which lie
      side by side, or several with a static number of rows.
    - (C2) `threads` is a multiple of 32 that divides the chunks that are written, and is a
      multiple of the chunks of a row; with `warp` it is 32.
    - (C3) `target_row` is a multiple of 8, and the rows end within the stage.

    Rows of the source begin at multiples of 16 bytes; that is for the caller to know.

    Example:

    ```mlir
    func.func @f(%k: memref<?x128xbf16, strided<[128, 1]>>, %row: index, %from: index, %to: index, %stage: index) {
      %keys = repo_tile.shared_buffer {offset = 0} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
      repo_tile.copy_async %k[%row] rows(%from to %to) into %keys[%stage] {threads = 128}
        : memref<?x128xbf16, strided<[128, 1]>>, memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
      nvvm.cp.async.commit.group
      nvvm.cp.async.wait.group 0
      gpu.barrier
      return
    }
    ```
  }];
  let arguments = (ins StridedMemRefRankOf<[BF16, F16], [2, 3]>:$source, Index:$row, Index:$from, Index:$to,
                       RepoTile_Shared:$target, Index:$stage, I64Attr:$threads, UnitAttr:$warp,
                       DefaultValuedAttr<I64Attr, "0">:$target_row, DefaultValuedAttr<I64Attr, "0">:$num_rows,
                       Optional<StridedMemRefRankOf<[I1], [1]>>:$where);
  let builders = [
    OpBuilder<(ins "::mlir::Value":$source, "::mlir::Value":$row, "::mlir::Value":$from, "::mlir::Value":$to,
                   "::mlir::Value":$target, "::mlir::Value":$stage, "int64_t":$threads, "bool":$warp,
                   CArg<"int64_t", "0">:$targetRow, CArg<"int64_t", "0">:$numRows), [{
      build($_builder, $_state, source, row, from, to, target, stage, threads, warp, targetRow, numRows, ::mlir::Value());
    }]>,
    OpBuilder<(ins "::mlir::Value":$source, "::mlir::Value":$row, "::mlir::Value":$from, "::mlir::Value":$to,
                   "::mlir::Value":$target, "::mlir::Value":$stage, "int64_t":$threads, "bool":$warp,
                   "::mlir::Value":$where), [{
      build($_builder, $_state, source, row, from, to, target, stage, threads, warp, 0, 0, where);
    }]>];
  let assemblyFormat = [{
    $source `[` $row `]` `rows` `(` $from `to` $to `)` (`where` `(` $where^ `:` type($where) `)`)?
    `into` $target `[` $stage `]` attr-dict `:` type($source) `,` type($target)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// How many rows of the stage are written.
    int64_t getCopiedRows() { return getNumRows() ? int64_t(getNumRows()) : getTarget().getType().getDimSize(2); }
  }];
}

def RepoTile_LoadSharedOp : RepoTile_Op<"load_shared", [MemoryEffects<[MemRead]>]> {
  let summary = "an operand A from rows of a shared buffer";
  let description = [{
    Element `[r, c]` of the result is element `[row + r, c]` of the stage.

    Constraints:
    - (C1) the result has the columns and the elements of the buffer.

    `row` is a multiple of 8, the same in all threads of the fragment's owner.

    Example:

    ```mlir
    func.func @f(%row: index, %stage: index) {
      %queries = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
      %q = repo_tile.load_shared %queries[%stage, %row]
        : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.fragment<16x128xbf16, mma_a>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Shared:$source, Index:$stage, Index:$row);
  let results = (outs RepoTile_OperandA:$result);
  let assemblyFormat = "$source `[` $stage `,` $row `]` attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def RepoTile_StoreSharedOp : RepoTile_Op<"store_shared", [MemoryEffects<[MemWrite]>]> {
  let summary = "write an operand A to rows of a shared buffer";
  let description = [{
    Element `[row + r, c]` of the stage becomes element `[r, c]` of the fragment: the inverse of `repo_tile.load_shared`.

    Constraints:
    - (C1) the fragment has the columns and the elements of the buffer.

    `row` is a multiple of 8, the same in all threads of the fragment's owner.

    Example:

    ```mlir
    func.func @f(%q: !repo_tile.fragment<64x128xbf16, wgmma_a>, %row: index, %stage: index) {
      %queries = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
      repo_tile.store_shared %q, %queries[%stage, %row]
        : !repo_tile.fragment<64x128xbf16, wgmma_a>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_OperandA:$value, RepoTile_Shared:$target, Index:$stage, Index:$row);
  let assemblyFormat = "$value `,` $target `[` $stage `,` $row `]` attr-dict `:` type($value) `,` type($target)";
  let hasVerifier = 1;
}

def RepoTile_LoadRowsOp : RepoTile_Op<"load_rows", [MemoryEffects<[MemRead]>]> {
  let summary = "a row vector from memory";
  let description = [{
    Element `r` of the result is element `row + r` of the source where that is below `limit`, and
    0 elsewhere.

    Constraints:
    - (C1) source and result have the same elements.

    Example:

    ```mlir
    func.func @f(%z: memref<?xf32, strided<[1], offset: ?>>, %row: index, %n: index) {
      %0 = repo_tile.load_rows %z[%row] below(%n)
        : memref<?xf32, strided<[1], offset: ?>> -> !repo_tile.fragment<16xf32, mma_row>
      return
    }
    ```
  }];
  let arguments = (ins StridedMemRefRankOf<[F32, I32], [1]>:$source, Index:$row, Index:$limit);
  let results = (outs RepoTile_Row:$result);
  let assemblyFormat = "$source `[` $row `]` `below` `(` $limit `)` attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def RepoTile_StoreOp : RepoTile_Op<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "write a fragment to rows of a matrix, or a row vector to a vector";
  let description = [{
    Element `[row + r, c]` of the target becomes element `[r, c]` of the fragment, rounded to the
    target's elements, where `row + r` is below `limit`.

    Constraints:
    - (C1) a matrix goes to a matrix of as many columns, side by side, a row vector to a vector.
    - (C2) an accumulator is written as f32, bf16 or f16, anything else as it is.

    Example:

    ```mlir
    func.func @f(%x: !repo_tile.fragment<16x128xf32, mma_acc>, %out: memref<?x128xbf16, strided<[128, 1]>>,
                 %row: index, %n: index) {
      repo_tile.store %x, %out[%row] below(%n)
        : !repo_tile.fragment<16x128xf32, mma_acc>, memref<?x128xbf16, strided<[128, 1]>>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Fragment:$value, StridedMemRefRankOf<[F32, I32, BF16, F16], [1, 2]>:$target,
                       Index:$row, Index:$limit);
  let assemblyFormat = [{
    $value `,` $target `[` $row `]` `below` `(` $limit `)` attr-dict `:` type($value) `,` type($target)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

def RepoTile_YieldOp : RepoTile_Op<"yield", [Pure, Terminator, ReturnLike,
    ParentOneOf<["MapOp", "MapPairsOp", "WarpSpecializeOp"]>]> {
  let summary = "the elements of the results";
  let description = [{
    Ends the region of `repo_tile.map` or `repo_tile.map_pairs`, see there, and, without values, those of
    `repo_tile.warp_specialize`.
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def RepoTile_MapOp : RepoTile_Op<"map", [RecursiveMemoryEffects,
    SingleBlock]> {
  let summary = "element by element";
  let description = [{
    `result[r, c] = body(input_0[r, c], input_1[r], ..., r, c)`: the region takes an element of every
    input, of a row vector that of its row, then the row and the column as i32, and yields an
    element of every result. Without inputs it makes a fragment from its indices. The
    region may read memory.

    Constraints:
    - (C1) matrices among inputs and results have one shape and one layout; row vectors have their
      rows. There is at least one result.
    - (C2) results are all matrices or all row vectors; for row vectors all inputs are, and
      the column is 0.
    - (C3) the block's arguments are the elements of the inputs and two i32.
    - (C4) the yielded values are the elements of the results.

    Example: the weights of a softmax in base 2.

    ```mlir
    func.func @f(%s: !repo_tile.fragment<16x64xf32, mma_acc>, %max: !repo_tile.fragment<16xf32, mma_row>)
        -> !repo_tile.fragment<16x64xf32, mma_acc> {
      %p = repo_tile.map %s, %max
        : (!repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<16xf32, mma_row>)
          -> !repo_tile.fragment<16x64xf32, mma_acc> {
      ^bb0(%x: f32, %m: f32, %row: i32, %column: i32):
        %0 = arith.subf %x, %m : f32
        %1 = math.exp2 %0 : f32
        repo_tile.yield %1 : f32
      }
      return %p : !repo_tile.fragment<16x64xf32, mma_acc>
    }
    ```
  }];
  let arguments = (ins Variadic<RepoTile_Fragment>:$inputs);
  let results = (outs Variadic<RepoTile_Fragment>:$results);
  let regions = (region SizedRegion<1>:$body);
  let skipDefaultBuilders = 1;
  // `body` writes the region from its arguments and returns what it yields.
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$results, "::mlir::ValueRange":$inputs,
    "::llvm::function_ref<::llvm::SmallVector<::mlir::Value>(::mlir::OpBuilder &, ::mlir::Location, "
    "::mlir::ValueRange)>":$body)>];
  let assemblyFormat = "($inputs^)? attr-dict `:` functional-type($inputs, $results) $body";
  let hasVerifier = 1;
}

def RepoTile_MapPairsOp : RepoTile_Op<"map_pairs", [RecursiveMemoryEffects, AllTypesMatch<["input", "result"]>,
    SingleBlock]> {
  let summary = "pair of columns by pair of columns: a rotation";
  let description = [{
    `(result[r, a], result[r, b]) = body(input[r, a], input[r, b], rows_0[r], ..., r, f)` for the pairs `f` in
    `0 .. dim / 2 - 1`, with `(a, b) = (f, f + dim / 2)` in pairing `half` and `(2 f, 2 f + 1)` in
    `interleaved`. Columns from `dim` on are copied. Both columns of a pair lie in one thread, so
    that no data moves.

    Constraints:
    - (C1) the result has the type of the input; the other inputs are its row vectors.
    - (C2) `dim` is at most the columns, and a multiple of 32 (`half`) or 16 (`interleaved`): only then
      does one thread hold both columns of a pair.
    - (C3) the block's arguments are two elements, the elements of the row vectors and two i32;
      two elements are yielded.

    Example:

    ```mlir
    func.func @f(%q: !repo_tile.fragment<16x128xbf16, mma_a>, %z: !repo_tile.fragment<16xf32, mma_row>)
        -> !repo_tile.fragment<16x128xbf16, mma_a> {
      %r = repo_tile.map_pairs half %q, %z {dim = 128}
        : !repo_tile.fragment<16x128xbf16, mma_a>, !repo_tile.fragment<16xf32, mma_row> {
      ^bb0(%a: bf16, %b: bf16, %position: f32, %row: i32, %pair: i32):
        repo_tile.yield %b, %a : bf16, bf16
      }
      return %r : !repo_tile.fragment<16x128xbf16, mma_a>
    }
    ```
  }];
  let arguments = (ins RepoTile_PairingAttr:$pairing, RepoTile_OperandA:$input, Variadic<RepoTile_Row>:$rows,
                       I64Attr:$dim);
  let results = (outs RepoTile_OperandA:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$pairing $input (`,` $rows^)? attr-dict `:` type($input) (`,` type($rows)^)? $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The columns of pair `f`.
    std::pair<int64_t, int64_t> getPair(int64_t f);
  }];
}

def RepoTile_ReduceOp : RepoTile_Op<"reduce", [Pure, AllTypesMatch<["init", "result"]>]> {
  let summary = "maximum or sum over the columns of every row";
  let description = [{
    `result[r] = combine(init[r], input[r, 0], input[r, 1], ...)`. The order of a sum is unspecified, but
    always the same.

    Constraints:
    - (C1) init and result are row vectors of the input, with its elements.

    Example:

    ```mlir
    func.func @f(%s: !repo_tile.fragment<16x64xf32, mma_acc>, %max: !repo_tile.fragment<16xf32, mma_row>)
        -> !repo_tile.fragment<16xf32, mma_row> {
      %0 = repo_tile.reduce maximum %s, %max
        : !repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<16xf32, mma_row>
      return %0 : !repo_tile.fragment<16xf32, mma_row>
    }
    ```
  }];
  let arguments = (ins RepoTile_CombinerAttr:$combiner, RepoTile_Accumulator:$input, RepoTile_Row:$init);
  let results = (outs RepoTile_Row:$result);
  let assemblyFormat = "$combiner $input `,` $init attr-dict `:` type($input) `,` type($init)";
  let hasVerifier = 1;
}

def RepoTile_ConvertOp : RepoTile_Op<"convert", [Pure]> {
  let summary = "make an accumulator an operand A";
  let description = [{
    Rounds the elements to nearest even; no data moves between threads.

    Constraints:
    - (C1) shapes agree, and the columns are a multiple of 16.
    - (C2) an accumulator of a warp becomes an operand of a warp, one of a warpgroup an operand
      of a warpgroup.

    Example:

    ```mlir
    func.func @f(%p: !repo_tile.fragment<16x64xf32, mma_acc>) -> !repo_tile.fragment<16x64xbf16, mma_a> {
      %0 = repo_tile.convert %p : !repo_tile.fragment<16x64xf32, mma_acc> -> !repo_tile.fragment<16x64xbf16, mma_a>
      return %0 : !repo_tile.fragment<16x64xbf16, mma_a>
    }
    ```
  }];
  let arguments = (ins RepoTile_Fragment:$input);
  let results = (outs RepoTile_Fragment:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def RepoTile_SplitOp : RepoTile_Op<"split", [Pure]> {
  let summary = "columns of an accumulator as accumulators side by side";
  let description = [{
    The first result is the first columns of the input, and so on; no data moves.

    Constraints:
    - (C1) the results have the rows, elements and layout of the input, and together its columns.

    Example:

    ```mlir
    func.func @f(%x: !repo_tile.fragment<16x128xf32, mma_acc>) {
      %0:2 = repo_tile.split %x : !repo_tile.fragment<16x128xf32, mma_acc>
        -> !repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<16x64xf32, mma_acc>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Accumulator:$input);
  let results = (outs Variadic<RepoTile_Accumulator>:$results);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($results)";
  let hasVerifier = 1;
}

def RepoTile_MmaOp : RepoTile_Op<"mma", [MemoryEffects<[MemRead]>, AllTypesMatch<["init", "result"]>]> {
  let summary = "multiply by a stage of a shared buffer, and add";
  let description = [{
    `result = init + a b`, or `init + a b^T` with `transpose_b`, where `b` is the stage: `[K, N]`, or `[N, K]` with
    `transpose_b`. Products are exact, sums in f32.

    Constraints:
    - (C1) init and result have one type, an accumulator `[M, N]` of a warp (`mma_acc`).
    - (C2) a is an operand `mma_a` `[M, K]` with the elements of b.
    - (C3) b has K and N as rows and columns; both are multiples of 16.

    Example: scores of 16 queries and 64 keys.

    ```mlir
    func.func @f(%q: !repo_tile.fragment<16x128xbf16, mma_a>, %zero: !repo_tile.fragment<16x64xf32, mma_acc>, %stage: index) {
      %keys = repo_tile.shared_buffer {offset = 0} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
      %s = repo_tile.mma %q, %keys[%stage], %zero {transpose_b}
        : !repo_tile.fragment<16x128xbf16, mma_a>, memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>,
          !repo_tile.fragment<16x64xf32, mma_acc>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Fragment:$a, RepoTile_Shared:$b, Index:$stage, RepoTile_Accumulator:$init,
                       UnitAttr:$transpose_b);
  let results = (outs RepoTile_Accumulator:$result);
  let assemblyFormat = [{
    $a `,` $b `[` $stage `]` `,` $init attr-dict `:` type($a) `,` type($b) `,` type($init)
  }];
  let hasVerifier = 1;
}

include "repo/Dialect/RepoTile/IR/RepoTileAsyncOps.td"

#endif // REPO_DIALECT_REPOTILE_IR_REPOTILEOPS_TD
