// RUN: repo-opt %s --repo-inline-results --split-input-file --verify-diagnostics | FileCheck %s

// The callee of the callee first; the static one stays a function.
// CHECK-NOT: func.func private @twice
// CHECK-NOT: func.func private @copy
// CHECK: func.func private @static
// CHECK-LABEL: func.func @f
// CHECK: memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK: memref.alloc(%{{.*}}) : memref<?xf32>
// CHECK: call @static
// CHECK-NOT: call @twice
func.func private @copy(%x: memref<?xf32>, %n: index) -> memref<?xf32> {
  %y = memref.alloc(%n) : memref<?xf32>
  memref.copy %x, %y : memref<?xf32> to memref<?xf32>
  return %y : memref<?xf32>
}
func.func private @twice(%x: memref<?xf32>, %n: index) -> memref<?xf32> {
  %y = call @copy(%x, %n) : (memref<?xf32>, index) -> memref<?xf32>
  %z = call @copy(%y, %n) : (memref<?xf32>, index) -> memref<?xf32>
  return %z : memref<?xf32>
}
func.func private @static() -> memref<4xf32> {
  %y = memref.alloc() : memref<4xf32>
  return %y : memref<4xf32>
}
func.func @f(%x: memref<?xf32>, %out: memref<?xf32>, %n: index) {
  %y = call @twice(%x, %n) : (memref<?xf32>, index) -> memref<?xf32>
  memref.copy %y, %out : memref<?xf32> to memref<?xf32>
  %s = call @static() : () -> memref<4xf32>
  return
}

// -----

// expected-error @below {{expected a function that returns buffers of unknown size not to call itself: `again`}}
func.func private @again(%x: memref<?xf32>) -> memref<?xf32> {
  %y = call @again(%x) : (memref<?xf32>) -> memref<?xf32>
  return %y : memref<?xf32>
}
