// RUN: repo-opt %s --canonicalize | FileCheck %s

// R(z)^T = R(-z): a rotation back needs the output for the gradient of the positions alone.
// CHECK-LABEL: func @rotate_back
func.func @rotate_back(%y: tensor<1x2x?x4xf32>, %z: tensor<1x1x?xf32>, %g: tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32> {
  // CHECK: %[[BACK:.*]] = arith.negf %arg1
  // CHECK: %[[DX:.*]] = repo.rotate %arg2 by(%[[BACK]])
  // CHECK: return %[[DX]]
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x?x4xf32>, tensor<1x1x?xf32>, tensor<1x2x?x4xf32>) -> (tensor<1x2x?x4xf32>, tensor<1x1x?xf32>)
  return %0#0 : tensor<1x2x?x4xf32>
}

// CHECK-LABEL: func @both_are_read
func.func @both_are_read(%y: tensor<1x2x?x4xf32>, %z: tensor<1x1x?xf32>) -> (tensor<1x2x?x4xf32>, tensor<1x1x?xf32>) {
  // CHECK: repo.rotate_backward
  %0:2 = repo.rotate_backward %y by(%z) upstream(%y) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x?x4xf32>, tensor<1x1x?xf32>, tensor<1x2x?x4xf32>) -> (tensor<1x2x?x4xf32>, tensor<1x1x?xf32>)
  return %0#0, %0#1 : tensor<1x2x?x4xf32>, tensor<1x1x?xf32>
}

// CHECK-LABEL: func @nobody_reads
// CHECK-NEXT: return
func.func @nobody_reads(%q: tensor<1x2x?x4xf32>, %l: tensor<1x2x?xf32>, %h: tensor<1x?x8xf32>, %w: tensor<4x8xf32>,
                        %wz: tensor<2x4xf32>) {
  %0:3 = repo.attention_backward %q, %q, %q output(%q) lse(%l) upstream(%q) into %q, %q, %q {causal}
     : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?xf32>,
        tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
       -> (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  %1:4 = repo.assign_positions_backward %h gate(%w) content(%w) heads(%wz) upstream(%l)
     : (tensor<1x?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x?xf32>)
       -> (tensor<1x?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>)
  return
}
