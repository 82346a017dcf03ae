// RUN: repo-opt %s --pass-pipeline='builtin.module(gpu.module(repo-convert-tiles-to-nvvm,canonicalize,cse))' | FileCheck %s

// What a thread does for each op: registers, addresses, instructions.

!acc = !repo_tile.fragment<16x16xf32, mma_acc>
!row = !repo_tile.fragment<16xf32, mma_row>

gpu.module @kernels {
  // The dynamic shared memory, of a size that the launch says.
  // CHECK: llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64{{.*}}} : !llvm.array<0 x i8>

  // Each thread copies chunks of 16 bytes, of 0 bytes where there is no row.
  // CHECK-LABEL: gpu.func @copy
  gpu.func @copy(%k: memref<?x128xbf16, strided<[128, 1]>>, %row: index, %from: index, %to: index, %stage: index) kernel {
    // CHECK: %[[EXISTS:.*]] = arith.cmpi ult
    // CHECK: %[[BYTES:.*]] = arith.select %[[EXISTS]], %c16_i32, %c0_i32 : i32
    // CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg, %[[BYTES]]
    // CHECK-COUNT-7: nvvm.cp.async.shared.global
    // CHECK-NOT: nvvm.cp.async.shared.global
    %keys = repo_tile.shared_buffer {offset = 0} : memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
    repo_tile.copy_async %k[%row] rows(%from to %to) into %keys[%stage] {threads = 128}
      : memref<?x128xbf16, strided<[128, 1]>>, memref<2x2x64x64xbf16, #gpu.address_space<workgroup>>
    gpu.return
  }

  // Rows of which a vector says whether they are wanted: all its loads come before the first copy. Of several matrices a
  // row is found by division.
  // CHECK-LABEL: gpu.func @copy_where
  gpu.func @copy_where(%k: memref<?x3x64xbf16, strided<[?, ?, 1]>>, %seen: memref<?xi1>, %row: index, %to: index) kernel {
    // CHECK-COUNT-4: memref.load %{{.*}} : memref<?xi1>
    // CHECK-NOT: memref.load
    // CHECK: nvvm.cp.async.shared.global
    // CHECK: arith.divui %{{.*}}, %c3
    // CHECK-COUNT-3: nvvm.cp.async.shared.global
    %keys = repo_tile.shared_buffer {offset = 0} : memref<2x1x16x64xbf16, #gpu.address_space<workgroup>>
    repo_tile.copy_async %k[%row] rows(%row to %to) where(%seen : memref<?xi1>) into %keys[%row] {threads = 32, warp}
      : memref<?x3x64xbf16, strided<[?, ?, 1]>>, memref<2x1x16x64xbf16, #gpu.address_space<workgroup>>
    gpu.return
  }

  // 16 queries by 16 keys of 64 channels: four steps of 16, each one load of B for two products. Rows of the
  // stage are N, so B is loaded as it lies; where they are K, transposed.
  // CHECK-LABEL: gpu.func @products
  gpu.func @products(%stage: index, %x: memref<?x16xf32>, %n: index) kernel {
    // CHECK-COUNT-4: nvvm.ldmatrix %{{.*}} {{.*}}layout = #nvvm.mma_layout<row>
    // CHECK: nvvm.ldmatrix %{{.*}} {{.*}}layout = #nvvm.mma_layout<row>
    // CHECK-COUNT-2: nvvm.mma.sync A[{{.*}}] {{.*}}bf16
    // CHECK: nvvm.ldmatrix %{{.*}} {{.*}}layout = #nvvm.mma_layout<row>
    // CHECK-COUNT-6: nvvm.mma.sync
    // CHECK-NOT: nvvm.mma.sync
    // CHECK: gpu.return
    %a = repo_tile.shared_buffer {offset = 0} : memref<1x1x16x64xbf16, #gpu.address_space<workgroup>>
    %b = repo_tile.shared_buffer {offset = 2048} : memref<1x1x16x64xbf16, #gpu.address_space<workgroup>>
    %q = repo_tile.load_shared %a[%stage, %stage]
      : memref<1x1x16x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.fragment<16x64xbf16, mma_a>
    %zero = repo_tile.map : () -> !acc {
    ^bb0(%row: i32, %column: i32):
      %0 = arith.constant 0.0 : f32
      repo_tile.yield %0 : f32
    }
    %s = repo_tile.mma %q, %b[%stage], %zero {transpose_b}
      : !repo_tile.fragment<16x64xbf16, mma_a>, memref<1x1x16x64xbf16, #gpu.address_space<workgroup>>, !acc
    repo_tile.store %s, %x[%stage] below(%n) : !acc, memref<?x16xf32>
    gpu.return
  }

  // CHECK-LABEL: gpu.func @transposed
  gpu.func @transposed(%stage: index, %x: memref<?x64xf16>, %n: index) kernel {
    // CHECK: nvvm.ldmatrix %{{.*}} {{.*}}layout = #nvvm.mma_layout<row>
    // CHECK: nvvm.ldmatrix %{{.*}} {{.*}}layout = #nvvm.mma_layout<col>
    // CHECK: nvvm.mma.sync A[{{.*}}] {{.*}}f16
    // CHECK: nvvm.convert.f32x2.to.f16x2
    // CHECK: llvm.store {{.*}} {alignment = 4 : i64} : vector<2xf16>, !llvm.ptr<1>
    %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xf16, #gpu.address_space<workgroup>>
    %q = repo_tile.load_shared %b[%stage, %stage]
      : memref<1x1x64x64xf16, #gpu.address_space<workgroup>> -> !repo_tile.fragment<16x64xf16, mma_a>
    %zero = repo_tile.map : () -> !repo_tile.fragment<16x64xf32, mma_acc> {
    ^bb0(%row: i32, %column: i32):
      %0 = arith.constant 0.0 : f32
      repo_tile.yield %0 : f32
    }
    %s = repo_tile.mma %q, %b[%stage], %zero
      : !repo_tile.fragment<16x64xf16, mma_a>, memref<1x1x64x64xf16, #gpu.address_space<workgroup>>, !repo_tile.fragment<16x64xf32, mma_acc>
    repo_tile.store %s, %x[%stage] below(%n) : !repo_tile.fragment<16x64xf32, mma_acc>, memref<?x64xf16>
    gpu.return
  }

  // A loop carries registers: 8 of the accumulator, 2 of the row vector. The four threads of a row exchange
  // what they have; one of them writes it.
  // CHECK-LABEL: gpu.func @loop
  gpu.func @loop(%z: memref<?xf32>, %n: index) kernel {
    // CHECK: scf.for {{.*}} -> (f32, f32, f32, f32, f32, f32, f32, f32, f32, f32)
    // CHECK: %[[A:.*]] = arith.maxnumf
    // CHECK: nvvm.shfl.sync  bfly
    // CHECK: arith.maxnumf
    // CHECK: nvvm.shfl.sync  bfly
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %m = repo_tile.load_rows %z[%c0] below(%n) : memref<?xf32> -> !row
    %x = repo_tile.map : () -> !acc {
    ^bb0(%row: i32, %column: i32):
      %0 = arith.sitofp %column : i32 to f32
      repo_tile.yield %0 : f32
    }
    %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x, %b = %m) -> (!acc, !row) {
      %next = repo_tile.reduce maximum %a, %b : !acc, !row
      %y = repo_tile.map %a, %next : (!acc, !row) -> !acc {
      ^bb0(%e: f32, %f: f32, %row: i32, %column: i32):
        %0 = arith.mulf %e, %f : f32
        repo_tile.yield %0 : f32
      }
      scf.yield %y, %next : !acc, !row
    }
    // CHECK: scf.if
    // CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
    repo_tile.store %r#1, %z[%c0] below(%n) : !row, memref<?xf32>
    gpu.return
  }
}
