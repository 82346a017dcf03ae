//===- RepoTileDialect.td - The repo_tile dialect ----------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tiles of matrices in the registers of a warp or warpgroup and in shared memory.
// Above it: `repo.attention` on buffers with a `#repo.kernel_strategy`, which the
// schedule passes (repo-schedule-...) turn into a `gpu.launch` around tile ops.
// Below it: repo-convert-tiles-to-nvvm, which says what each thread does.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPOTILE_IR_REPOTILEDIALECT_TD
#define REPO_DIALECT_REPOTILE_IR_REPOTILEDIALECT_TD

include "mlir/IR/OpBase.td"

def RepoTile_Dialect : Dialect {
  let name = "repo_tile";
  let cppNamespace = "::mlir::repo::tile";
  let summary = "tiles in registers and shared memory, for matrix units of a GPU";
  let description = [{
    An op of this dialect is executed by all threads of a warp together (of a
    warpgroup, where a layout is `wgmma_...`), on values spread over their registers.

    **Fragments.** `!repo_tile.fragment<RxCxT, layout>` is a matrix, and
    `!repo_tile.fragment<RxT, layout>` a vector with an element per row. The layout
    says which thread holds which element; the set is closed:

    | layout | elements | thread `4 g + t` of warp `w` holds |
    |---|---|---|
    | `mma_acc` | f32 | rows `16 i + g`, `16 i + g + 8`, columns `8 n + 2 t`, `8 n + 2 t + 1` |
    | `mma_a` | bf16, f16 | the same rows, columns `16 k + 2 t`, `+ 1`, `+ 8`, `+ 9` |
    | `mma_row` | f32, i32 | the same rows; equal in the four threads of a row |
    | `wgmma_acc`, `wgmma_a`, `wgmma_row` | as above | as above, rows `64 i + 16 w + g` and `+ 8` |

    An `mma` fragment belongs to one warp and has a multiple of 16 rows; a `wgmma`
    fragment belongs to the four warps of a warpgroup and has a multiple of 64.

    What may become what: an accumulator becomes an operand A of the same kind in
    registers (`repo_tile.convert`), because eight columns of an accumulator lie as
    half of a step of A. Nothing else does: A never becomes an accumulator again, and
    between warp and warpgroup the rows lie in other warps. Operand B is read from
    shared memory by the multiplication itself.

    **Shared buffers.** `memref<SxPxRx64xT, #gpu.address_space<workgroup>>`, T of 16
    bits: S stages of a matrix with R rows and 64 P columns, in panels of 64 columns.
    A row of a panel is 128 bytes, eight chunks of 16. Chunk `c` of row `r` is stored at
    `c xor (r mod 8)`, so that neither rows nor columns of chunks meet in one bank; it is
    what TMA and wgmma call a 128-byte swizzle, and needs buffers aligned to 1024 bytes.
    Every op of the dialect that touches a shared buffer knows it; a `memref.load` of
    one would not.

    **Work under way.** Copies and products of sm_90 go on while their threads do something else. Who fills a stage and who reads
    it meet at barriers in shared memory (`!repo_tile.barriers`), one for each stage: the copy engine arrives
    with its bytes (`copy_tensor`), readers give the stage back (`arrive`), both `wait` for phases. The registers of a product under
    way are a value of their own type, `!repo_tile.pending`, which only `wait_mma` takes: what nobody may read cannot be
    written down. `warp_specialize` deals warpgroups and registers to roles.

    **Sequential meaning.** For one thread alone a fragment is an array of its shape and a shared buffer one of `[S, R, 64 P]`: layouts
    and swizzles say who holds what, not what it is. The formulas of the ops are loops over these arrays; copies and products are
    complete where they start, and what waits or synchronizes does nothing. The warps of a block, and the blocks, run one behind
    the other. `repo-lower-tiles-to-loops` executes it. Roles, barriers and copies of the copy engine
    have none: they are about who is ahead of whom, and run on the emulator.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect",
    "::mlir::nvgpu::NVGPUDialect"];
  let extraClassDeclaration = [{
    void registerTypes();
    void registerAttributes();
  }];
}

#endif // REPO_DIALECT_REPOTILE_IR_REPOTILEDIALECT_TD
