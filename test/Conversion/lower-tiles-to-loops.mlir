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
// CHECK: memref.store %{{.*}}, %[[STAGES]][%{{.*}}, %[[R]], %[[C]]]
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
