// RUN: repo-opt %s --repo-decompose --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-decompose --split-input-file | mlir-opt --split-input-file -o /dev/null

// CHECK-LABEL: func @assign
func.func @assign(%h: tensor<1x?x8xbf16>, %wg: tensor<4x8xbf16>, %wc: tensor<4x8xbf16>,
                  %wz: tensor<2x4xbf16>) -> tensor<1x2x?xf32> {
  // Two matmuls accumulated in f32 whatever the operands are.
  // CHECK: linalg.generic {{.*}}"reduction"]} ins(%{{.*}}, %{{.*}} : tensor<1x?x8xbf16>, tensor<4x8xbf16>) outs(%{{.*}} : tensor<1x?x4xf32>)
  // CHECK: arith.extf
  // CHECK: linalg.generic {{.*}}"reduction"]} ins(%{{.*}}, %{{.*}} : tensor<1x?x8xbf16>, tensor<4x8xbf16>) outs(%{{.*}} : tensor<1x?x4xf32>)
  // silu(g) * c.
  // CHECK: linalg.generic
  // CHECK: %[[NEG:.*]] = arith.negf
  // CHECK: %[[EXP:.*]] = math.exp %[[NEG]]
  // CHECK: %[[SUM:.*]] = arith.addf %{{.*}}, %[[EXP]]
  // CHECK: arith.divf %{{.*}}, %[[SUM]]
  // CHECK: linalg.generic {{.*}}"reduction"]} {{.*}} outs(%{{.*}} : tensor<1x2x?xf32>)
  %z = repo.assign_positions %h gate(%wg) content(%wc) heads(%wz)
     : (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xbf16>) -> tensor<1x2x?xf32>
  return %z : tensor<1x2x?xf32>
}

// -----

// CHECK-LABEL: func @linear_f64
func.func @linear_f64(%h: tensor<2x?x8xf64>, %w: tensor<1x8xf64>) -> tensor<2x1x?xf64> {
  // CHECK: linalg.generic {{.*}}"reduction"]} {{.*}} outs(%{{.*}} : tensor<2x1x?xf64>)
  %z = repo.linear_positions %h heads(%w) : (tensor<2x?x8xf64>, tensor<1x8xf64>) -> tensor<2x1x?xf64>
  return %z : tensor<2x1x?xf64>
}

// -----

// CHECK-LABEL: func @index_of_batch
// CHECK-SAME: %[[AT:.*]]: tensor<2xi32>
func.func @index_of_batch(%at: tensor<2xi32>, %n: index) -> tensor<2x1x?xf32> {
  // CHECK: linalg.generic {{.*}} ins(%[[AT]] : tensor<2xi32>)
  // CHECK: linalg.index 2
  // CHECK: arith.sitofp %{{.*}} : i64 to f32
  %z = repo.index_positions sizes(%n) offset(%at) : (index, tensor<2xi32>) -> tensor<2x1x?xf32>
  return %z : tensor<2x1x?xf32>
}

// -----

// CHECK-LABEL: func @index_shared
// CHECK-SAME: %[[AT:.*]]: index
func.func @index_shared(%at: index) -> tensor<1x1x4xf64> {
  // CHECK: arith.addi %{{.*}}, %[[AT]] : index
  %z = repo.index_positions offset(%at) : (index) -> tensor<1x1x4xf64>
  return %z : tensor<1x1x4xf64>
}

// -----

// CHECK-LABEL: func @blend
func.func @blend(%z: tensor<2x4x?xf32>, %i: tensor<1x1x?xf32>) -> tensor<2x4x?xf32> {
  // CHECK: tensor.collapse_shape %{{.*}} {{\[}}[0, 1, 2]] : tensor<1x1x?xf32> into tensor<?xf32>
  // CHECK: arith.constant 7.500000e-01
  // CHECK: arith.constant 2.500000e-01
  // CHECK: arith.addf
  %0 = repo.blend_positions %z, %i {weight = 2.5e-01 : f64}
     : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
  return %0 : tensor<2x4x?xf32>
}
