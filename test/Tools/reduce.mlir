// The one op that the test asks for is all that is left.

// RUN: repo-reduce %s --reduction-tree="traversal-mode=0 test=%S/Inputs/has-rotate.sh" | FileCheck %s

// CHECK: repo.rotate
// CHECK-NOT: arith.mulf
func.func @f(%x: tensor<1x2x4x8xf32>, %z: tensor<1x1x4xf32>) -> tensor<1x2x4x8xf32> {
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0e4, dim = 8>}
     : (tensor<1x2x4x8xf32>, tensor<1x1x4xf32>) -> tensor<1x2x4x8xf32>
  return %0 : tensor<1x2x4x8xf32>
}
func.func @unused(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.mulf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
