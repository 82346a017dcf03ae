// RUN: repo-opt %s --repo-vectorize-transposes="lanes=8" | FileCheck %s

// Squares of 8 by 8: 8 loads, 3 steps of 8 shuffles, 8 stores.
// CHECK-LABEL: @square
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-8: vector.load
// CHECK-COUNT-24: vector.shuffle
// CHECK-NOT: vector.shuffle
// CHECK-COUNT-8: vector.store
// CHECK-NOT: linalg.transpose
func.func @square(%x: memref<24x64xf32>, %y: memref<64x24xf32>) {
  linalg.transpose ins(%x : memref<24x64xf32>) outs(%y : memref<64x24xf32>) permutation = [1, 0]
  return
}

// CHECK-LABEL: @odd
// CHECK: linalg.transpose
func.func @odd(%x: memref<24x63xf32>, %y: memref<63x24xf32>) {
  linalg.transpose ins(%x : memref<24x63xf32>) outs(%y : memref<63x24xf32>) permutation = [1, 0]
  return
}
