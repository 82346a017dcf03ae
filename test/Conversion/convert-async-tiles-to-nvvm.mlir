// RUN: repo-opt %s --pass-pipeline='builtin.module(gpu.module(repo-convert-tiles-to-nvvm,canonicalize,cse))' | FileCheck %s

// Roles, barriers in shared memory, the copy engine and products under way, as code of one thread.

!map = !nvgpu.tensormap.descriptor<tensor = memref<1x1x64x64xbf16, 3>, swizzle = swizzle_128b,
                                   l2promo = l2promo_256b, oob = zero, interleave = none>
!stage = memref<2x1x64x64xbf16, #gpu.address_space<workgroup>>
!acc = !repo_tile.fragment<64x64xf32, wgmma_acc>
!row = !repo_tile.fragment<64xf32, wgmma_row>

gpu.module @kernels {
  // CHECK-LABEL: gpu.func @roles
  // CHECK-SAME: nvvm.minctasm = 1
  gpu.func @roles(%map: !map, %x: memref<?x64xf32>, %n: index, %i: index) kernel attributes {known_block_size = array<i32: 384, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %keys = repo_tile.shared_buffer {offset = 0} : !stage
    %full = repo_tile.barriers {offset = 16384} : !repo_tile.barriers<2, arrivals = 1>
    %empty = repo_tile.barriers {offset = 16400} : !repo_tile.barriers<2, arrivals = 2>
    // One thread begins all phases, and says so to the copy engine, before anybody goes on.
    // CHECK: scf.if
    // CHECK-COUNT-4: nvvm.mbarrier.init
    // CHECK-NEXT: nvvm.fence.mbarrier.init
    // CHECK-NEXT: }
    // CHECK-NEXT: nvvm.barrier
    repo_tile.init_barriers %full, %empty : !repo_tile.barriers<2, arrivals = 1>, !repo_tile.barriers<2, arrivals = 2>
    // CHECK: %[[GROUP:.*]] = nvvm.shfl.sync  idx
    // CHECK: %[[PRODUCES:.*]] = arith.cmpi ult, %[[GROUP]], %c1_i32
    // CHECK: scf.if %[[PRODUCES]] {
    // CHECK-NEXT: nvvm.setmaxregister decrease 24
    // CHECK: nvvm.mbarrier.try_wait.parity
    // CHECK: nvvm.elect.sync
    // CHECK-NEXT: scf.if
    // CHECK-NEXT: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %c8192_i32
    // CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %{{.*}}, %{{.*}}, box[%c0_i32, %{{.*}}, %c0_i32, %{{.*}}]
    // CHECK: } else {
    // CHECK-NEXT: nvvm.setmaxregister increase 240
    // CHECK: nvvm.mbarrier.try_wait.parity
    repo_tile.warp_specialize
    role(%producer) warpgroups = 1, registers = 24 {
      repo_tile.wait %empty[%i] phase(%n) : !repo_tile.barriers<2, arrivals = 2>
      repo_tile.copy_tensor %map[%n, %c0, %i, %c0] into %keys[%i] arrive %full
        : !map, !stage, !repo_tile.barriers<2, arrivals = 1>
    }
    role(%consumer) warpgroups = 2, registers = 240 {
      repo_tile.wait %full[%i] phase(%c0) : !repo_tile.barriers<2, arrivals = 1>
      // From shared memory, without init: the first of four steps writes the sums.
      // CHECK: llvm.inline_asm has_side_effects asm_dialect = att "{{.*}}setp.ne.b32 first, 0, 0;{{.*}}wgmma.fence.sync.aligned;
      // CHECK-SAME: add.s64 da, $[[A:[0-9]+]], 0;
      // CHECK-SAME: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{.*}}, da, db, first, 1, 1, 0, 0;
      // CHECK-SAME: add.s64 da, $[[A]], 2;
      // CHECK-SAME: , more, 1, 1, 0, 0;
      // CHECK-SAME: wgmma.commit_group.sync.aligned;
      %s = repo_tile.mma_async %keys[%consumer], %keys[%i] {transpose_b} : !stage, !stage -> !repo_tile.pending<64x64xf32, wgmma_acc>
      %m = repo_tile.map : () -> !row {
      ^bb0(%row: i32, %column: i32):
        %0 = arith.constant 1.0 : f32
        repo_tile.yield %0 : f32
      }
      // CHECK: llvm.inline_asm has_side_effects asm_dialect = att "{{.*}}@never st.shared.f32
      // CHECK-SAME: wgmma.wait_group.sync.aligned 0;
      %1 = repo_tile.wait_mma %s after(%m : !row) {left = 0} : !repo_tile.pending<64x64xf32, wgmma_acc>
      // CHECK: scf.if
      // CHECK-NEXT: nvvm.mbarrier.arrive
      repo_tile.arrive %empty[%i] : !repo_tile.barriers<2, arrivals = 2>
      %a = repo_tile.convert %1 : !acc -> !repo_tile.fragment<64x64xbf16, wgmma_a>
      // From registers, added to what is there.
      // CHECK: llvm.inline_asm has_side_effects asm_dialect = att "{{.*}}setp.ne.b32 first, 1, 0;
      // CHECK-SAME: m64n64k16.f32.bf16.bf16 {{.*}}, {$64, $65, $66, $67}, db, first, 1, 1, 1;
      %2 = repo_tile.mma_async %a, %keys[%i] init(%1 : !acc)
        : !repo_tile.fragment<64x64xbf16, wgmma_a>, !stage -> !repo_tile.pending<64x64xf32, wgmma_acc>
      // CHECK: "{\0Awgmma.wait_group.sync.aligned 0;
      %3 = repo_tile.wait_mma %2 {left = 0} : !repo_tile.pending<64x64xf32, wgmma_acc>
      repo_tile.store %3, %x[%i] below(%n) : !acc, memref<?x64xf32>
    }
    gpu.return
  }

  // A joined product has no group of its own; the next one goes on in its registers, and is waited for with it. Halves of
  // columns are registers.
  // CHECK-LABEL: gpu.func @joined
  gpu.func @joined(%i: index, %a: memref<?x64xbf16>, %x: memref<?x32xf32>) kernel {
    %q = repo_tile.shared_buffer {offset = 0} : !stage
    // Half of a stage, by as many threads as for a whole one of half the rows.
    // CHECK-COUNT-2: nvvm.cp.async.shared.global
    // CHECK-NOT: nvvm.cp.async.shared.global
    repo_tile.copy_async %a[%i] rows(%i to %i) into %q[%i] {threads = 128, target_row = 32, num_rows = 32} : memref<?x64xbf16>, !stage
    // CHECK: %[[FIRST:.*]] = llvm.inline_asm
    // CHECK-NOT: wgmma.commit_group
    // CHECK-SAME: llvm.struct
    %0 = repo_tile.mma_async %q[%i], %q[%i] {joined, transpose_b} : !stage, !stage -> !repo_tile.pending<64x64xf32, wgmma_acc>
    // CHECK: llvm.extractvalue %[[FIRST]][0]
    // CHECK: %[[SECOND:.*]] = llvm.inline_asm {{.*}}wgmma.commit_group
    %1 = repo_tile.mma_async %q[%i], %q[%i] init(%0 : !repo_tile.pending<64x64xf32, wgmma_acc>) {transpose_b}
      : !stage, !stage -> !repo_tile.pending<64x64xf32, wgmma_acc>
    // CHECK: %[[DONE:.*]] = llvm.inline_asm {{.*}}wgmma.wait_group.sync.aligned 0
    %2 = repo_tile.wait_mma %1 {left = 0} : !repo_tile.pending<64x64xf32, wgmma_acc>
    // CHECK: %[[COLUMN32:.*]] = llvm.extractvalue %[[DONE]][16]
    // CHECK: llvm.store %[[COLUMN32]], %{{.*}}
    %3:2 = repo_tile.split %2 : !acc -> !repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64x32xf32, wgmma_acc>
    %c64 = arith.constant 64 : index
    repo_tile.store %3#1, %x[%i] below(%c64) : !repo_tile.fragment<64x32xf32, wgmma_acc>, memref<?x32xf32>
    gpu.return
  }

  // Rows of a thread, eight apart, swizzled alike.
  // CHECK-LABEL: gpu.func @store
  gpu.func @store(%i: index) kernel {
    %q = repo_tile.shared_buffer {offset = 0} : !stage
    %a = repo_tile.load_shared %q[%i, %i] : !stage -> !repo_tile.fragment<64x64xbf16, wgmma_a>
    // CHECK-COUNT-16: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : vector<2xbf16>, !llvm.ptr<3>
    // CHECK-NOT: llvm.store
    repo_tile.store_shared %a, %q[%i, %i] : !repo_tile.fragment<64x64xbf16, wgmma_a>, !stage
    gpu.return
  }
}
