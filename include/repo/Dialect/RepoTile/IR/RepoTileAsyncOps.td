//===- RepoTileAsyncOps.td - Roles, barriers, async work ---*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What sm_90 has beyond loads, barriers of all threads and mma.sync: warpgroups with
// different work and registers, barriers in shared memory, copies by the copy engine
// (TMA), and products under way while their warpgroup does something else (wgmma).
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPOTILE_IR_REPOTILEASYNCOPS_TD
#define REPO_DIALECT_REPOTILE_IR_REPOTILEASYNCOPS_TD

include "repo/Dialect/RepoTile/IR/RepoTileTypes.td"
include "mlir/Dialect/NVGPU/IR/NVGPUTypes.td"

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

def RepoTile_WarpSpecializeOp : RepoTile_Op<"warp_specialize", [RecursiveMemoryEffects,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "different work for the warpgroups of a block";
  let description = [{
    The warpgroups of the block are dealt to the roles in order; each runs the region of its role, whose argument is its
    number within the role. A thread of a role has `registers` registers: what producers leave, consumers get.
    All threads of the block reach the op together.

    Constraints:
    - (C1) there are at least two roles, each with at least one warpgroup.
    - (C2) `registers` is a multiple of 8 from 24 to 256, and the block has at most 65536 in all.
    - (C3) the op is the last but the terminator of its block: the roles do not meet again.

    Example: one warpgroup copies, two compute.

    ```mlir
    func.func @f(%full: !repo_tile.barriers<2, arrivals = 1>, %stage: index) {
      repo_tile.warp_specialize
      role(%producer) warpgroups = 1, registers = 24 {
        repo_tile.arrive %full[%stage] : !repo_tile.barriers<2, arrivals = 1>
      }
      role(%consumer) warpgroups = 2, registers = 240 {
        %0 = arith.constant 0 : index
        repo_tile.wait %full[%stage] phase(%0) : !repo_tile.barriers<2, arrivals = 1>
      }
      return
    }
    ```
  }];
  let arguments = (ins DenseI64ArrayAttr:$warpgroups, DenseI64ArrayAttr:$registers);
  let regions = (region VariadicRegion<SizedRegion<1>>:$roles);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

def RepoTile_BarriersOp : RepoTile_Op<"barriers", [Pure]> {
  let summary = "barriers in the dynamic shared memory of the block";
  let description = [{
    The barriers `offset` bytes into the block's dynamic shared memory, 8 bytes each.

    Constraints:
    - (C1) `offset` is a multiple of 8.

    Example:

    ```mlir
    %full = repo_tile.barriers {offset = 65536} : !repo_tile.barriers<2, arrivals = 1>
    ```
  }];
  let arguments = (ins I64Attr:$offset);
  let results = (outs RepoTile_Barriers:$barriers);
  let assemblyFormat = "attr-dict `:` type($barriers)";
  let hasVerifier = 1;
}

def RepoTile_InitBarriersOp : RepoTile_Op<"init_barriers", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "begin the first phase of barriers";
  let description = [{
    All threads of the block execute it together; behind it everybody, the copy engine too, may use the barriers.
    It comes once, before any other use.

    Example:

    ```mlir
    func.func @f() {
      %full = repo_tile.barriers {offset = 65536} : !repo_tile.barriers<2, arrivals = 1>
      %empty = repo_tile.barriers {offset = 65552} : !repo_tile.barriers<2, arrivals = 2>
      repo_tile.init_barriers %full, %empty : !repo_tile.barriers<2, arrivals = 1>, !repo_tile.barriers<2, arrivals = 2>
      return
    }
    ```
  }];
  let arguments = (ins Variadic<RepoTile_Barriers>:$barriers);
  let assemblyFormat = "$barriers attr-dict `:` type($barriers)";
}

def RepoTile_ArriveOp : RepoTile_Op<"arrive", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "one arrival at a barrier";
  let description = [{
    The first thread of the warpgroup arrives at the barrier of a stage, whichever of the warpgroup's warps execute the op:
    one arrival. What that thread has done and knows of before is done for those who wait for the phase. Of
    products of the whole warpgroup it knows by `repo_tile.wait_mma`; of loads and stores of the other threads, by a barrier of
    threads before the op.

    Example:

    ```mlir
    func.func @f(%empty: !repo_tile.barriers<2, arrivals = 2>, %stage: index) {
      repo_tile.arrive %empty[%stage] : !repo_tile.barriers<2, arrivals = 2>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Barriers:$barriers, Index:$stage);
  let assemblyFormat = "$barriers `[` $stage `]` attr-dict `:` type($barriers)";
}

def RepoTile_WaitOp : RepoTile_Op<"wait", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "wait for the end of a phase of a barrier";
  let description = [{
    Each thread goes on when phase `phase` of the barrier of a stage is complete; the first phase is 0. Phase -1 is: who fills
    a stage for the first time waits for nobody.

    A barrier knows the parity of its phase only, so the phase must be the current one or the one before: nobody
    can be a phase ahead or behind.

    Example: use `i` of two stages.

    ```mlir
    func.func @f(%full: !repo_tile.barriers<2, arrivals = 1>, %i: index) {
      %c2 = arith.constant 2 : index
      %stage = arith.remui %i, %c2 : index
      %phase = arith.divui %i, %c2 : index
      repo_tile.wait %full[%stage] phase(%phase) : !repo_tile.barriers<2, arrivals = 1>
      return
    }
    ```
  }];
  let arguments = (ins RepoTile_Barriers:$barriers, Index:$stage, Index:$phase);
  let assemblyFormat = "$barriers `[` $stage `]` `phase` `(` $phase `)` attr-dict `:` type($barriers)";
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

def RepoTile_CopyTensorOp : RepoTile_Op<"copy_tensor", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "let the copy engine fill a stage of a shared buffer";
  let description = [{
    One thread of the warp that executes the op arrives at the barrier of the stage, announcing the stage's bytes,
    and starts the copy of the box of the tensor map at the given coordinates (outermost first). The phase of the barrier is complete
    when the bytes are there. Elements outside of the tensor are zeros.

    The box is a stage: its last three dimensions are panels, rows and the 64 columns of a panel, the ones before
    are 1.

    Constraints:
    - (C1) the map's box has the elements and the shape of a stage.
    - (C2) the map swizzles 128 bytes and fills with zeros.
    - (C3) there is a coordinate for each dimension of the map.
    - (C4) there is a barrier for each stage, with one arrival.

    Example: 64 rows of the matrix of head `%h` of batch `%b`.

    ```mlir
    !map = !nvgpu.tensormap.descriptor<tensor = memref<1x1x2x64x64xbf16, 3>, swizzle = swizzle_128b,
                                       l2promo = l2promo_256b, oob = zero, interleave = none>
    func.func @f(%map: !map, %b: index, %h: index, %row: index, %stage: index, %full: !repo_tile.barriers<2, arrivals = 1>) {
      %keys = repo_tile.shared_buffer {offset = 0} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
      %c0 = arith.constant 0 : index
      repo_tile.copy_tensor %map[%b, %h, %c0, %row, %c0] into %keys[%stage] arrive %full
        : !map, memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.barriers<2, arrivals = 1>
      return
    }
    ```
  }];
  let arguments = (ins NVGPU_TensorMapDescriptor:$map, Variadic<Index>:$coordinates, RepoTile_Shared:$target,
                       Index:$stage, RepoTile_Barriers:$barriers);
  let assemblyFormat = [{
    $map `[` $coordinates `]` `into` $target `[` $stage `]` `arrive` $barriers attr-dict
    `:` type($map) `,` type($target) `,` type($barriers)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def RepoTile_MmaAsyncOp : RepoTile_Op<"mma_async", [MemoryEffects<[MemRead, MemWrite]>, AttrSizedOperandSegments]> {
  let summary = "start a product of a warpgroup";
  let description = [{
    What `repo_tile.mma` computes, `init + a b` or `init + a b^T` (without `init`: 0), as a product under way: the warpgroup
    goes on at once. Operand a comes from registers, or from a stage of a shared buffer of 64 rows. Until
    `repo_tile.wait_mma` has waited for it, the registers of the result are the product's, and so are the registers of a and the
    stages of a and b. Products of a warpgroup complete in order.
    (Sequentially a product is complete at once.)

    A product may go on with the accumulator of one before that is under way itself (`init`); nobody waits in between. `joined`
    products are waited for with the one that the warpgroup starts next, and count as one with it.

    Shared memory must have been written by the copy engine, or be behind a `nvvm.fence.proxy` of the threads that wrote.

    Constraints:
    - (C1) the result's accumulator has 64 rows and at most 256 columns, a multiple of 16; init is one like it, or a product under way that has one.
    - (C2) a is an operand `wgmma_a`, or a shared buffer with its stage; its elements are those of b.
    - (C3) a is `[64, K]`, b `[K, N]`, or `[N, K]` with `transpose_b`, and the result `[64, N]`.

    Example: scores of 64 queries and 128 keys, both in shared memory.

    ```mlir
    func.func @f(%group: index, %stage: index) -> !repo_tile.fragment<64x128xf32, wgmma_acc> {
      %queries = repo_tile.shared_buffer {offset = 0} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
      %keys = repo_tile.shared_buffer {offset = 32768} : memref<2x2x128x64xbf16, #gpu.address_space<workgroup>>
      %0 = repo_tile.mma_async %queries[%group], %keys[%stage] {transpose_b}
        : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>, memref<2x2x128x64xbf16, #gpu.address_space<workgroup>>
          -> !repo_tile.pending<64x128xf32, wgmma_acc>
      %1 = repo_tile.wait_mma %0 {left = 0} : !repo_tile.pending<64x128xf32, wgmma_acc>
      return %1 : !repo_tile.fragment<64x128xf32, wgmma_acc>
    }
    ```
  }];
  let arguments = (ins AnyTypeOf<[RepoTile_Fragment, RepoTile_Shared]>:$a, Optional<Index>:$a_stage,
                       RepoTile_Shared:$b, Index:$stage, Optional<AnyTypeOf<[RepoTile_Accumulator, RepoTile_Pending]>>:$init,
                       UnitAttr:$transpose_b, UnitAttr:$joined);
  let results = (outs RepoTile_Pending:$result);
  let assemblyFormat = [{
    $a (`[` $a_stage^ `]`)? `,` $b `[` $stage `]` (`init` `(` $init^ `:` type($init) `)`)? attr-dict
    `:` type($a) `,` type($b) `->` type($result)
  }];
  let hasVerifier = 1;
}

def RepoTile_WaitMmaOp : RepoTile_Op<"wait_mma", [MemoryEffects<[MemRead, MemWrite]>,
    TypesMatchWith<"result is the accumulator under way", "input", "result",
                   "::llvm::cast<::mlir::repo::tile::PendingType>($_self).getAccumulator()">]> {
  let summary = "wait for a product";
  let description = [{
    Waits until all products that the warpgroup has started but the last `left` are complete, that of the input among them; the result is its
    accumulator. (Sequentially it is the accumulator, and nothing else.)

    `after` are numbers that shall be computed while the product is under way. An assembler sees no reason to do so: it moves the
    wait up as far as it can. The wait depends on them, by a store that happens where one is negative; they never are.

    Constraints:
    - (C1) `left` is not negative.
    - (C2) `after` is a row vector of f32 of a warpgroup.

    Example:

    ```mlir
    func.func @f(%0: !repo_tile.pending<64x128xf32, wgmma_acc>, %sum: !repo_tile.fragment<64xf32, wgmma_row>)
        -> !repo_tile.fragment<64x128xf32, wgmma_acc> {
      %1 = repo_tile.wait_mma %0 after(%sum : !repo_tile.fragment<64xf32, wgmma_row>) {left = 0}
        : !repo_tile.pending<64x128xf32, wgmma_acc>
      return %1 : !repo_tile.fragment<64x128xf32, wgmma_acc>
    }
    ```
  }];
  let arguments = (ins RepoTile_Pending:$input, Optional<RepoTile_Row>:$after, I64Attr:$left);
  let results = (outs RepoTile_Accumulator:$result);
  let assemblyFormat = "$input (`after` `(` $after^ `:` type($after) `)`)? attr-dict `:` type($input)";
  let hasVerifier = 1;
}

#endif // REPO_DIALECT_REPOTILE_IR_REPOTILEASYNCOPS_TD
