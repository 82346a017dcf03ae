// Stock mlir-opt parses the dialect and runs the passes from one library.

// RUN: mlir-opt %s --load-dialect-plugin=%plugin --load-pass-plugin=%plugin --pass-pipeline='builtin.module(repo-decompose)' | FileCheck %s

// CHECK-LABEL: @f
// CHECK-NOT: repo.
// CHECK: linalg.generic
// CHECK: math.cos
func.func @f(%x: tensor<1x2x?x8xf32>, %z: tensor<1x1x?xf32>) -> tensor<1x2x?x8xf32> {
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0e4, dim = 8>}
     : (tensor<1x2x?x8xf32>, tensor<1x1x?xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}
