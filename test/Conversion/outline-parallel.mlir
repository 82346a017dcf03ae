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
