// RUN: repo-opt %s --repo-outline-parallel | FileCheck %s

// CHECK: func.func private @f.task0(%[[CTX:.*]]: !llvm.ptr, %[[I:.*]]: i64, %{{.*}}: !llvm.ptr)
// CHECK: arith.remui
// CHECK: memref.store
// CHECK: func.func @f
// CHECK: %[[TASK:.*]] = constant @f.task0
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr) -> ()
// CHECK-NOT: scf.forall
func.func @f(%ctx: !llvm.ptr, %n: index, %x: memref<?x?xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i, %j) = (0, 2) to (%n, 10) step (1, 4) {
    memref.store %zero, %x[%i, %j] : memref<?x?xf32>
  }
  return
}

// A task has no workspace: a loop that needs some runs in order.
// CHECK: func.func @dynamic
// CHECK-NOT: task
// CHECK: scf.for
// CHECK: memref.alloc
func.func @dynamic(%ctx: !llvm.ptr, %n: index, %x: memref<?x?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    %buffer = memref.alloc(%n) : memref<?xf32>
    memref.store %zero, %buffer[%i] : memref<?xf32>
    %0 = memref.load %buffer[%c0] : memref<?xf32>
    memref.store %0, %x[%i, %i] : memref<?x?xf32>
  }
  return
}
