// RUN: repo-opt %s --repo-promote-accumulators | FileCheck %s

// CHECK-LABEL: func @sum
// CHECK: %[[FIRST:.*]] = memref.load %[[Y:arg[0-9]+]][%[[I:.*]]]
// CHECK: %[[SUM:.*]] = scf.for {{.*}} iter_args(%[[CARRIED:.*]] = %[[FIRST]]) -> (f32)
// CHECK-NEXT: %[[X:.*]] = memref.load
// CHECK-NEXT: %[[NEXT:.*]] = arith.addf %[[CARRIED]], %[[X]]
// CHECK-NEXT: scf.yield %[[NEXT]]
// CHECK: memref.store %[[SUM]], %[[Y]][%[[I]]]
func.func @sum(%x: memref<?xf32>, %y: memref<?xf32>, %i: index, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %k = %c0 to %n step %c1 {
    %0 = memref.load %x[%k] : memref<?xf32>
    %1 = memref.load %y[%i] : memref<?xf32>
    %2 = arith.addf %1, %0 : f32
    memref.store %2, %y[%i] : memref<?xf32>
  }
  return
}

// Another element of the same buffer is read: stays.

// CHECK-LABEL: func @same_buffer
// CHECK-NOT: iter_args
// CHECK: return
func.func @same_buffer(%y: memref<?xf32>, %i: index, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %v = memref.subview %y[1] [4] [1] : memref<?xf32> to memref<4xf32, strided<[1], offset: 1>>
  scf.for %k = %c0 to %n step %c1 {
    %0 = memref.load %v[%k] : memref<4xf32, strided<[1], offset: 1>>
    %1 = memref.load %y[%i] : memref<?xf32>
    %2 = arith.addf %1, %0 : f32
    memref.store %2, %y[%i] : memref<?xf32>
  }
  return
}

// A different element in every iteration: stays.

// CHECK-LABEL: func @moves
// CHECK-NOT: iter_args
// CHECK: return
func.func @moves(%y: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %k = %c0 to %n step %c1 {
    %1 = memref.load %y[%k] : memref<?xf32>
    %2 = arith.addf %1, %1 : f32
    memref.store %2, %y[%k] : memref<?xf32>
  }
  return
}
