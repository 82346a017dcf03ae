// RUN: repo-opt %s --repo-plan-workspace --split-input-file --verify-diagnostics | FileCheck %s

// Memory of an iteration is given back at its end.
// CHECK-LABEL: func.func @f
// CHECK: %[[OUTER:.*]] = llvm.call %{{.*}}(%arg0) : !llvm.ptr, (!llvm.ptr) -> i64
// CHECK: scf.for
// CHECK: %[[INNER:.*]] = llvm.call %{{.*}}(%arg0) : !llvm.ptr, (!llvm.ptr) -> i64
// CHECK: memref.view
// CHECK: llvm.call %{{.*}}(%arg0, %[[INNER]])
// CHECK: llvm.call %{{.*}}(%arg0, %[[OUTER]])
// CHECK-NOT: memref.alloc
func.func @f(%ctx: !llvm.ptr, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    %x = memref.alloc(%n) : memref<?xf32>
    memref.store %zero, %x[%c0] : memref<?xf32>
  }
  return
}

// -----

// A task has its stack.
// CHECK-LABEL: func.func private @task
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<16xf32>
func.func private @task(%ctx: !llvm.ptr, %i: i64, %arguments: !llvm.ptr) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %x = memref.alloc() : memref<16xf32>
  memref.store %zero, %x[%c0] : memref<16xf32>
  return
}

// -----

func.func private @dynamic(%ctx: !llvm.ptr, %i: i64, %arguments: !llvm.ptr) {
  %n = arith.index_cast %i : i64 to index
  // expected-error @below {{expected the buffer of a task to have a static size, got 'memref<?xf32>'}}
  %x = memref.alloc(%n) : memref<?xf32>
  return
}

// -----

func.func private @large(%ctx: !llvm.ptr, %i: i64, %arguments: !llvm.ptr) {
  // expected-error @below {{expected the buffer of a task to have at most 1048576 bytes, got 4000000}}
  %x = memref.alloc() : memref<1000000xf32>
  return
}
