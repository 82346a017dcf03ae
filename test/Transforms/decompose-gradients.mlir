// RUN: repo-opt %s --repo-decompose | FileCheck %s
// RUN: repo-opt %s --repo-decompose | mlir-opt -o /dev/null

// Four products of queries and keys and one of values: scores, weights of values, queries, keys; nothing of the dialect
// is left. Query heads 2 h + g share KV head h: sums of keys and values run over g too.
// CHECK-LABEL: func @attention
// CHECK-NOT: repo.
// CHECK: tensor.expand_shape {{.*}} into tensor<1x2x2x?x4xf32>
// CHECK: math.exp
// d_value: [b, h, m, e] reduced over g and n.
// CHECK: iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]
// CHECK: return
func.func @attention(%q: tensor<1x4x?x4xf32>, %k: tensor<1x2x?x4xf32>, %o: tensor<1x4x?x4xf32>, %l: tensor<1x4x?xf32>)
    -> (tensor<1x4x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) {
  %0:3 = repo.attention_backward %q, %k, %k output(%o) lse(%l) upstream(%o) into %q, %k, %k {causal}
     : (tensor<1x4x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x4x?x4xf32>, tensor<1x4x?xf32>,
        tensor<1x4x?x4xf32>, tensor<1x4x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
       -> (tensor<1x4x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>)
  return %0#0, %0#1, %0#2 : tensor<1x4x?x4xf32>, tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>
}

// A gradient that nobody reads is not computed: gate, content and dr, then d_gate.
// CHECK-LABEL: func @positions
// CHECK-COUNT-5: linalg.generic
// CHECK-NOT: linalg.generic
// CHECK: return
func.func @positions(%h: tensor<1x?x8xf32>, %w: tensor<4x8xf32>, %wz: tensor<2x4xf32>, %dz: tensor<1x2x?xf32>)
    -> tensor<4x8xf32> {
  %0:4 = repo.assign_positions_backward %h gate(%w) content(%w) heads(%wz) upstream(%dz)
     : (tensor<1x?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x?xf32>)
       -> (tensor<1x?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>)
  return %0#1 : tensor<4x8xf32>
}

// Channel 4 has no pair: its gradient is handed on. Shared positions get the sum over heads.
// CHECK-LABEL: func @rotate
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction", "reduction"]
// CHECK: math.cos
// CHECK: tensor.expand_shape {{.*}} into tensor<1x1x?xf32>
func.func @rotate(%y: tensor<1x2x?x5xf32>, %z: tensor<1x1x?xf32>) -> (tensor<1x2x?x5xf32>, tensor<1x1x?xf32>) {
  %0:2 = repo.rotate_backward %y by(%z) upstream(%y) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x?x5xf32>, tensor<1x1x?xf32>, tensor<1x2x?x5xf32>) -> (tensor<1x2x?x5xf32>, tensor<1x1x?xf32>)
  return %0#0, %0#1 : tensor<1x2x?x5xf32>, tensor<1x1x?xf32>
}
