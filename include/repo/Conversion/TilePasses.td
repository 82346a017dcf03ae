//===- TilePasses.td - Tiles of a GPU ----------------------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_TILEPASSES_TD
#define REPO_CONVERSION_TILEPASSES_TD

include "mlir/Pass/PassBase.td"

def ScheduleAttentionMma : Pass<"repo-schedule-attention-mma", "::mlir::ModuleOp"> {
  let summary = "attention on buffers to tiles for tensor cores";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` of unit `mma`
    (mma.sync, from sm_80 on) or `wgmma` (products of warpgroups, sm_90a) into a launch whose
    blocks have `query_block` queries of a head each. Queries are copied to shared memory,
    loaded into registers and rotated there; keys and values stream through `stages`
    buffers; the softmax runs in registers, in base 2. Tiles of keys that a mask cuts are
    loops of their own before and behind the loop over tiles that every query sees whole.

    A boolean mask is read in every tile. Values that it hides from all queries of a block may be NaN, and a weight of 0
    would not keep that out: kernels before that of attention make a table of what each block sees, and what it does not see
    is not copied. That holds for all three schedules.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = mma, ...>} : (memref<1x16x?x128xbf16, ...>, ...)
    ```

    After (shortened):

    ```mlir
    gpu.launch blocks(%head, %batch, %block) in (...) threads(%t, ...) in (%c128, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      ...
      %q1 = repo_tile.map_pairs half %q0, %z {dim = 128} ... // rotate
      %full:3 = scf.for %j = %first to %last_full step %c1 iter_args(%acc = ..., %max = ..., %sum = ...) {
        nvvm.cp.async.wait.group 0
        gpu.barrier
        repo_tile.copy_async %k[%next] rows(%from to %to) into %keys[%other] ...
        %s = repo_tile.mma %q1, %keys[%stage], %zero {transpose_b} ...
        %max1 = repo_tile.reduce maximum %s, %max ...
        %p = repo_tile.map %s, %max1 ...            // 2^(s - max)
        %p1 = repo_tile.convert %p ...
        %acc1 = repo_tile.mma %p1, %values[%stage], %scaled ...
        scf.yield ...
      }
      %edge:3 = scf.for %j = %last_full to %last step %c1 iter_args(...) { ... -inf where a key is not visible ... }
      repo_tile.store ...
    }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def ScheduleAttentionSpecialized : Pass<"repo-schedule-attention-specialized", "::mlir::ModuleOp"> {
  let summary = "attention on buffers to tiles, with warpgroups that copy and warpgroups that multiply";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` that has `producers` (wgmma, sm_90a) into a launch whose
    blocks have a warpgroup that feeds the copy engine beside those that multiply, 64 queries each. Tensor maps of queries,
    keys and values are made on the host. Full and empty barriers go with every stage. A multiplying
    warpgroup starts the scores of a tile and the weighted sums of the tile before, computes the softmax while the second is under way,
    and takes turns with the other one. Queries are rotated in shared memory before the first product.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = wgmma, ..., producers = 1>} : (memref<1x16x?x128xbf16, ...>, ...)
    ```

    After (shortened):

    ```mlir
    %map = nvgpu.tma.create.descriptor %k box[...] ...
    gpu.launch blocks(%head, %batch, %block) in (...) threads(%t, ...) in (%c384, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      repo_tile.init_barriers %keys_full, %keys_empty, ...
      repo_tile.warp_specialize
      role(%producer) warpgroups = 1, registers = 56 {
        scf.for %i = %c0 to %count step %c1 {
          repo_tile.wait %keys_empty[%stage] phase(%before)
          repo_tile.copy_tensor %map[%batch, %head, %c0, %row, %c0] into %keys[%stage] arrive %keys_full
          ...
        }
      }
      role(%consumer) warpgroups = 2, registers = 224 {
        %full:4 = scf.for %i = %c1 to %count step %c1 iter_args(%acc = ..., %max = ..., %sum = ..., %p = ...) {
          repo_tile.wait %keys_full[%stage] phase(%phase)
          %s0 = repo_tile.mma_async %queries[%consumer], %keys[%stage] {transpose_b} ...
          repo_tile.wait %values_full[%stage_before] phase(%phase_before)
          %o0 = repo_tile.mma_async %p, %values[%stage_before] init(%acc : ...) ...
          %s = repo_tile.wait_mma %s0 {left = 1} ...
          repo_tile.arrive %keys_empty[%stage]
          ...                                             // softmax: %weights, %sum1, %alpha
          %o = repo_tile.wait_mma %o0 after(%sum1 : ...) {left = 0} ...
          repo_tile.arrive %values_empty[%stage_before]
          ...
        }
      }
    }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::nvgpu::NVGPUDialect", "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def ScheduleAttentionDecode : Pass<"repo-schedule-attention-decode", "::mlir::ModuleOp"> {
  let summary = "attention of few queries on buffers, keys split over warps";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` of `split_keys` into two
    kernels. In the first every warp takes `split_keys` keys of a KV head for all queries of the
    heads that share it, which are the rows of its matrices: keys and values stream through
    stages of its own, `stages` deep, straight from a cache or by the table of its pages. The
    second merges the softmaxes of the parts.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) offset(%at) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4,
                                                warps = 4, split_keys = 64>}
      : (memref<?x16x1x128xbf16>, memref<?x4x?x128xbf16>, ...)
    ```

    After (shortened):

    ```mlir
    %max, %sum, %acc = memref.alloc(%batches, %parts, %c4) ...
    gpu.launch blocks(%block, %head, %batch) in (%blocks, %c4, %batches) threads(...) in (%c128, %c1, %c1) {
      ...
      %found:3 = scf.for %tile = %first to %last step %c1 iter_args(...) {
        nvvm.cp.async.wait.group 2
        nvvm.bar.warp.sync %all
        repo_tile.copy_async %k[%row] rows(%from to %to) into %keys[%stage] {threads = 32, warp} ...
        ...
      }
      repo_tile.store %found#0, %acc[...] ...
    }
    scf.parallel (%b, %h, %n, %e) = ... { ... sums over parts, each times 2^(max - largest max) ... }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def SchedulePositions : Pass<"repo-schedule-positions", "::mlir::ModuleOp"> {
  let summary = "assignment of positions on buffers to tiles for tensor cores";
  let description = [{
    Turns `repo.assign_positions` on buffers with a `#repo.position_strategy` of unit `mma` (mma.sync, from sm_80
    on) or `wgmma` (products of warpgroups, sm_90a) into a launch whose blocks have `token_block` tokens and
    `column_block` columns each of gate and content, and a loop behind it. Tokens and weights stream through
    `stages` buffers, 64 channels at a time. silu(g) c is made in registers in f32, and multiplied as a sum of
    operands of 16 bits, three of bf16 or two of f16, so that positions are as good as by f32 (with f16 as long as
    silu(g) c is within its range). What a block's columns add to the positions is a part; the loop sums up the parts in order.

    Before:

    ```mlir
    repo.assign_positions %h gate(%g) content(%c) heads(%w) into %z
        {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>}
      : (memref<1x?x2048xbf16, ...>, memref<256x2048xbf16>, memref<256x2048xbf16>, memref<16x256xbf16>, memref<1x16x?xf32>) -> ()
    ```

    After (shortened):

    ```mlir
    %parts = memref.alloc(%batches, %tokens) : memref<4x?x?x16xf32>
    gpu.launch blocks(%part, %block, %batch) in (%c4, %blocks, %batches) threads(%t, ...) in (%c128, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      ...
      %sums = scf.for %step = %c0 to %c32 step %c1 iter_args(%before = %zeros) {
        nvvm.cp.async.wait.group 1
        gpu.barrier
        repo_tile.copy_async %next_tokens[%token] rows(%c0 to %tokens) into %token_stages[%other] ...
        ...
        nvvm.cp.async.commit.group
        %a = repo_tile.load_shared %token_stages[%stage, %row] ...
        %next = repo_tile.mma %a, %weight_stages[%stage], %before {transpose_b} ...
        scf.yield %next
      }
      %gate, %content = repo_tile.split %sums ...
      %r = repo_tile.map %gate, %content ...            // silu(g) c
      %high, %rest = repo_tile.map %r ...
      %a0 = repo_tile.convert %high ...
      %z0 = repo_tile.mma %a0, %heads[%c0], %zeros {transpose_b} ...
      ...                                               // so the rest, and what is left of that
      repo_tile.store %z2, %part_of_it[%row] below(%tokens) ...
    }
    scf.parallel (%b, %h, %n) = ... { ... sums of %parts[0 .. 3, %b, %n, %h] into %z[%b, %h, %n] ... }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def LowerTilesToLoops : Pass<"repo-lower-tiles-to-loops", "::mlir::ModuleOp"> {
  let summary = "kernels of tiles to sequential loops: what the tile dialect means";
  let description = [{
    A launch with ops of the repo_tile dialect becomes loops over its blocks, and in a block over its warps (warpgroups, where
    a layout is one of theirs), one behind the other. Fragments and shared buffers become buffers without layout or swizzle,
    ops loops over their elements, copies and products are complete at once, and barriers, waits and fences vanish.
    So the arithmetic of a schedule runs on any CPU, without threads (`repo-compile --target=cuda --emulate=tiles`).

    A warp, or warpgroup, sees of others what they copied, and what those before it stored. Roles of warps and the copy engine
    have no sequential meaning: kernels with them run on the emulator.

    Before:

    ```mlir
    gpu.launch blocks(%x, %y, %z) in (...) threads(%t, ...) in (%c128, %c1, %c1) dynamic_shared_memory_size %bytes {
      %b = repo_tile.shared_buffer {offset = 0} : memref<2x1x64x64xbf16, #gpu.address_space<workgroup>>
      ...
      nvvm.cp.async.wait.group 1
      gpu.barrier
      %s = repo_tile.mma %a, %b[%stage], %init {transpose_b} : !repo_tile.fragment<16x64xbf16, mma_a>, ...
    }
    ```

    After (shortened):

    ```mlir
    %b = memref.alloc() : memref<2x64x64xbf16>
    %s = memref.alloc() : memref<16x64xf32>
    scf.for %z ... scf.for %y ... scf.for %x = %c0 to ... step %c1 {
      scf.for %t = %c0 to %c128 step %c32 {
        ...
        memref.copy %init, %s
        scf.for %i ... scf.for %j ... scf.for %k = %c0 to %c64 step %c1 {
          // s[i, j] += a[i, k] b[stage, j, k]
        }
      }
    }
    ```
  }];
  let statistics = [Statistic<"numLaunches", "num-launches", "Number of kernels made loops">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def ConvertTilesToNVVM : Pass<"repo-convert-tiles-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "say what each thread does for an op of the repo_tile dialect";
  let description = [{
    Fragments become the registers of a thread, shared buffers 32-bit offsets into the dynamic
    shared memory (an external array, aligned to 1024 bytes), multiplications `ldmatrix` and
    `mma.sync`, copies `cp.async`. Regions of `repo_tile.map` are inlined once per element. Loops
    that carry fragments carry their registers.

    Before:

    ```mlir
    %s1 = repo_tile.reduce sum %p, %s0
      : !repo_tile.fragment<16x8xf32, mma_acc>, !repo_tile.fragment<16xf32, mma_row>
    ```

    After, with four registers of `%p` and two of `%s0` (the second row shortened):

    ```mlir
    %0 = arith.addf %p0, %p1 : f32
    %1 = nvvm.shfl.sync bfly %all, %0, %c1, %c31 : f32 -> f32
    %2 = arith.addf %0, %1 : f32
    %3 = nvvm.shfl.sync bfly %all, %2, %c2, %c31 : f32 -> f32
    %4 = arith.addf %2, %3 : f32
    %5 = arith.addf %s00, %4 : f32
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

#endif // REPO_CONVERSION_TILEPASSES_TD
