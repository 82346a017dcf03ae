// RUN: repo-opt %s --repo-tile-rotation | FileCheck %s

// Rows are rotated one by one; positions shared by the heads stay shared.
// CHECK-LABEL: @shared_positions
// CHECK-SAME: %[[X:.*]]: tensor<2x4x?x8xf32>, %[[Z:.*]]: tensor<2x1x?xf32>
// CHECK: scf.forall (%[[B:.*]], %[[H:.*]], %[[N:.*]]) = (0, 0, 0) to (2, 4, %{{.*}}) step (1, 1, 64)
// CHECK: tensor.extract_slice %[[X]][%[[B]], %[[H]], %[[N]], 0]
// CHECK: %[[ZB:.*]] = tensor.extract_slice %[[Z]][%[[B]], 0, %[[N]]]
// CHECK: scf.for %[[I:[a-z0-9]+]] =
// CHECK: tensor.extract_slice %[[ZB]][0, 0, %[[I]]] [1, 1, 1]
// CHECK: repo.rotate {{.*}} : (tensor<1x1x1x8xf32>, tensor<1x1x1xf32>) -> tensor<1x1x1x8xf32>
// CHECK-NOT: repo.rotate
func.func @shared_positions(%x: tensor<2x4x?x8xf32>, %z: tensor<2x1x?xf32>) -> tensor<2x4x?x8xf32> {
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 10000.0, dim = 8>}
     : (tensor<2x4x?x8xf32>, tensor<2x1x?xf32>) -> tensor<2x4x?x8xf32>
  return %y : tensor<2x4x?x8xf32>
}

// The layout says where heads and rows are; every head has frequencies of its own.
// CHECK-LABEL: @layout
// CHECK-SAME: %[[X:.*]]: tensor<2x?x4x8xf16>, %{{.*}}: tensor<2x4x?xf32>, %[[W:.*]]: tensor<4x3xf32>
// CHECK: scf.forall (%[[B:.*]], %[[H:.*]], %[[N:.*]]) =
// CHECK: tensor.extract_slice %[[X]][%[[B]], %[[N]], %[[H]], 0]
// CHECK: tensor.extract_slice %[[W]][%[[H]], 0] [1, 3]
// CHECK: repo.rotate {{.*}} : (tensor<1x1x1x8xf16>, tensor<1x1x1xf32>, tensor<1x3xf32>) -> tensor<1x1x1x8xf32>
func.func @layout(%x: tensor<2x?x4x8xf16>, %z: tensor<2x4x?xf32>, %w: tensor<4x3xf32>) -> tensor<2x?x4x8xf32> {
  %y = repo.rotate %x by(%z) omega(%w)
       {rope = #repo.rope<theta = 10000.0, dim = 6>, layout = affine_map<(b, h, n, d) -> (b, n, h, d)>}
     : (tensor<2x?x4x8xf16>, tensor<2x4x?xf32>, tensor<4x3xf32>) -> tensor<2x?x4x8xf32>
  return %y : tensor<2x?x4x8xf32>
}
