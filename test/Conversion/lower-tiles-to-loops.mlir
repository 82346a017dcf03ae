// RUN: repo-opt %s --repo-lower-tiles-to-loops --split-input-file | FileCheck %s

!acc = !repo_tile.fragment<16x16xf32, mma_acc>
!a = !repo_tile.fragment<16x64xbf16, mma_a>
!row = !repo_tile.fragment<16xf32, mma_row>
!shared = memref<2x1x16x64xbf16, #gpu.address_space<workgroup>>

// Blocks, then warps, one behind the other. A fragment is a buffer, made once; a loop carries it in one buffer. Nothing waits.

// CHECK-LABEL: func.func @kernel
// CHECK-NOT: gpu.launch
// CHECK-NOT: repo_tile
// CHECK-NOT: nvvm
// CHECK-DAG: %[[STAGES:.*]] = memref.alloc() : memref<2x16x64xbf16>
// CHECK-DAG: %[[A:.*]] = memref.alloc() : memref<16x64xbf16>
// CHECK: scf.for %[[Z:.*]] = %c0{{.*}} to %c2{{.*}} step %c1
// CHECK: scf.for %[[Y:.*]] = %c0{{.*}} to %c1{{.*}} step %c1
// CHECK: scf.for %[[X:.*]] = %c0{{.*}} to %arg2 step %c1
// CHECK: scf.for %[[T:.*]] = %c0{{.*}} to %c64{{.*}} step %c32
// CHECK: arith.muli %[[X]], %c16
// Rows outside are zeros, and not read.
// CHECK: scf.for %[[R:.*]] = %c0{{.*}} to %c16{{.*}} step
// CHECK: scf.for %[[C:.*]] = %c0{{.*}} to %c64{{.*}} step
// CHECK: scf.if
// CHECK: memref.load %arg0
// CHECK: } else {
// CHECK: memref.store %{{.*}}, %[[STAGES]][%{{.*}}, %{{.*}}, %[[C]]]
// CHECK: memref.load %[[STAGES]]
// CHECK: memref.store %{{.*}}, %[[A]]
// CHECK: memref.copy %{{.*}}, %[[CARRIED:.*]] : memref<16x16xf32>
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c4{{.*}} step %c1{{[_0-9]*}} {
// CHECK: memref.copy %[[CARRIED]], %[[SUM:.*]] : memref<16x16xf32>
// The product: f32 sums over the columns of both.
// CHECK: %[[X0:.*]] = memref.load %[[A]][%[[I:.*]], %[[K:.*]]]
// CHECK: arith.extf %[[X0]]
// CHECK: %[[X1:.*]] = memref.load %[[STAGES]][%{{.*}}, %[[J:.*]], %[[K]]]
// CHECK: arith.mulf
// CHECK: memref.load %[[SUM]][%[[I]], %[[J]]]
// CHECK: arith.addf
// CHECK: memref.copy %[[SUM]], %[[CARRIED]]
// CHECK: arith.maxnumf
// CHECK: arith.subf
// CHECK: math.exp2
// CHECK: arith.cmpi slt
// CHECK: scf.if
// CHECK: memref.store %{{.*}}, %arg1
func.func @kernel(%m: memref<?x64xbf16>, %out: memref<?x16xf32>, %blocks: index, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  %bytes = arith.constant 4096 : i32
  gpu.launch blocks(%x, %y, %z) in (%gx = %blocks, %gy = %c1, %gz = %c2) threads(%t, %ty, %tz) in (%sx = %c64, %sy = %c1, %sz = %c1)
      dynamic_shared_memory_size %bytes {
    %row = arith.muli %x, %c16 : index
    %stages = repo_tile.shared_buffer {offset = 0} : !shared
    repo_tile.copy_async %m[%row] rows(%c0 to %n) into %stages[%c0] {threads = 64} : memref<?x64xbf16>, !shared
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 0
    gpu.barrier
    %a = repo_tile.load_shared %stages[%c0, %c0] : !shared -> !a
    %zero = repo_tile.map : () -> !acc {
    ^bb0(%r: i32, %c: i32):
      %f = arith.constant 0.0 : f32
      repo_tile.yield %f : f32
    }
    %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%acc = %zero) -> (!acc) {
      %next = repo_tile.mma %a, %stages[%c0], %acc {transpose_b} : !a, !shared, !acc
      scf.yield %next : !acc
    }
    %low = repo_tile.map : () -> !row {
    ^bb0(%r: i32, %c: i32):
      %f = arith.constant -1.0e30 : f32
      repo_tile.yield %f : f32
    }
    %max = repo_tile.reduce maximum %sum, %low : !acc, !row
    %p = repo_tile.map %sum, %max : (!acc, !row) -> !acc {
    ^bb0(%e: f32, %f: f32, %r: i32, %c: i32):
      %d = arith.subf %e, %f : f32
      %g = math.exp2 %d : f32
      repo_tile.yield %g : f32
    }
    repo_tile.store %p, %out[%row] below(%n) : !acc, memref<?x16xf32>
    gpu.terminator
  }
  return
}

// -----

!acc = !repo_tile.fragment<64x32xf32, wgmma_acc>
!pending = !repo_tile.pending<64x32xf32, wgmma_acc>
!a = !repo_tile.fragment<64x64xbf16, wgmma_a>
!row = !repo_tile.fragment<64xf32, wgmma_row>
!shared = memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
!weights = memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>

// The other ops; those of a warpgroup run once for its 128 threads.

// CHECK-LABEL: func.func @others
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c128{{.*}} step %c128
// Rows of a stage from 16 on.
// CHECK: %[[PLACE:.*]] = arith.addi %{{.*}}, %c16
// CHECK: memref.store %{{.*}}, %[[STAGE:.*]][%{{.*}}, %[[PLACE]], %{{.*}}] : memref<1x64x64xbf16>
// A row vector, zeros past its end.
// CHECK: memref.load %arg1[
// CHECK: memref.store %{{.*}}, %[[Z:.*]][%{{.*}}] : memref<64xf32>
// A pair of columns.
// CHECK: memref.copy %[[X:.*]], %[[Y:.*]] : memref<64x64xbf16>
// CHECK: %[[SECOND:.*]] = arith.addi %[[F:.*]], %c32
// CHECK: %[[V0:.*]] = memref.load %[[X]][%[[R:.*]], %[[F]]]
// CHECK: %[[V1:.*]] = memref.load %[[X]][%[[R]], %[[SECOND]]]
// CHECK: memref.load %[[Z]][%[[R]]]
// CHECK: memref.store %[[V1]], %[[Y]][%[[R]], %[[F]]]
// CHECK: memref.store %[[V0]], %[[Y]][%[[R]], %[[SECOND]]]
// Back to the stage.
// CHECK: memref.load %[[Y]]
// CHECK: memref.store %{{.*}}, %[[STAGE]]
// A product is complete at once, its wait nothing; the next one goes on with its sums.
// CHECK: memref.load %[[STAGE]]
// CHECK: memref.store %{{.*}}, %[[P0:.*]][%{{.*}}, %{{.*}}] : memref<64x32xf32>
// CHECK: memref.copy %[[P0]], %[[P1:.*]] :
// CHECK: memref.load %[[Y]]
// CHECK: memref.store %{{.*}}, %[[P1]]
// Halves of its columns, one rounded to an operand.
// CHECK: memref.load %[[P1]]
// CHECK: memref.store %{{.*}}, %[[LEFT:.*]][%{{.*}}, %{{.*}}] : memref<64x16xf32>
// CHECK: %[[COLUMN:.*]] = arith.addi %{{.*}}, %c16
// CHECK: memref.load %[[P1]][%{{.*}}, %[[COLUMN]]]
// CHECK: memref.load %[[LEFT]]
// CHECK: arith.truncf {{.*}} : f32 to bf16
func.func @others(%m: memref<?x64xbf16>, %z: memref<?xf32>, %out: memref<?x16xbf16>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c128 = arith.constant 128 : index
  %bytes = arith.constant 16384 : i32
  gpu.launch blocks(%x, %y, %w) in (%gx = %c1, %gy = %c1, %gz = %c1) threads(%t, %ty, %tz) in (%sx = %c128, %sy = %c1, %sz = %c1)
      dynamic_shared_memory_size %bytes {
    %stage = repo_tile.shared_buffer {offset = 0} : !shared
    %weights = repo_tile.shared_buffer {offset = 8192} : !weights
    repo_tile.copy_async %m[%c0] rows(%c0 to %n) into %stage[%c0] {threads = 128, target_row = 16, num_rows = 48} : memref<?x64xbf16>, !shared
    %a = repo_tile.load_shared %stage[%c0, %c0] : !shared -> !a
    %rows = repo_tile.load_rows %z[%c0] below(%n) : memref<?xf32> -> !row
    %turned = repo_tile.map_pairs half %a, %rows {dim = 64} : !a, !row {
    ^bb0(%u: bf16, %v: bf16, %position: f32, %row: i32, %pair: i32):
      repo_tile.yield %v, %u : bf16, bf16
    }
    repo_tile.store_shared %turned, %stage[%c0, %c0] : !a, !shared
    nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
    %p0 = repo_tile.mma_async %stage[%c0], %weights[%c0] {joined, transpose_b} : !shared, !weights -> !pending
    %p1 = repo_tile.mma_async %turned, %weights[%c0] init(%p0 : !pending) {transpose_b} : !a, !weights -> !pending
    %s = repo_tile.wait_mma %p1 {left = 0} : !pending
    %halves:2 = repo_tile.split %s : !acc -> !repo_tile.fragment<64x16xf32, wgmma_acc>, !repo_tile.fragment<64x16xf32, wgmma_acc>
    %o = repo_tile.convert %halves#0 : !repo_tile.fragment<64x16xf32, wgmma_acc> -> !repo_tile.fragment<64x16xbf16, wgmma_a>
    repo_tile.store %o, %out[%c0] below(%n) : !repo_tile.fragment<64x16xbf16, wgmma_a>, memref<?x16xbf16>
    gpu.terminator
  }
  return
}
