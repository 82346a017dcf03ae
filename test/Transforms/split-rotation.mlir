// RUN: repo-opt %s --repo-split-rotation | FileCheck %s

#r = #repo.rope<theta = 1.0e4, dim = 8>

// CHECK-LABEL: @both_sides
// CHECK-DAG: %[[Q:.*]] = repo.rotate %{{.*}} by(%{{.*}}) {rope = #rope}
// CHECK-DAG: %[[K:.*]] = repo.rotate %{{.*}} by(%{{.*}}) {rope = #rope}
// CHECK: repo.attention %[[Q]], %[[K]], %{{.*}} into
// CHECK-NOT: rope
func.func @both_sides(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
                      %zq: tensor<1x2x?xf32>, %zk: tensor<1x1x?xf32>, %o: tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32> {
  %0 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %o {causal, rope = #r}
     : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?xf32>, tensor<1x1x?xf32>,
        tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}

// Keys in a short type are rotated to the compute type; values stay as they are.
// CHECK-LABEL: @short_type
// CHECK: repo.rotate {{.*}} : (tensor<1x2x?x8xbf16>, tensor<1x2x?xf32>) -> tensor<1x2x?x8xf32>
// CHECK-NOT: arith.extf
// CHECK: repo.attention {{.*}} : (tensor<1x2x?x8xbf16>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xbf16>
func.func @short_type(%q: tensor<1x2x?x8xbf16>, %k: tensor<1x2x?x8xbf16>, %v: tensor<1x2x?x8xbf16>,
                      %zk: tensor<1x2x?xf32>, %o: tensor<1x2x?x8xbf16>) -> tensor<1x2x?x8xbf16> {
  %0 = repo.attention %q, %k, %v key_positions(%zk) into %o {rope = #r}
     : (tensor<1x2x?x8xbf16>, tensor<1x2x?x8xbf16>, tensor<1x2x?x8xbf16>, tensor<1x2x?xf32>, tensor<1x2x?x8xbf16>)
       -> tensor<1x2x?x8xbf16>
  return %0 : tensor<1x2x?x8xbf16>
}

// Positions per query head of grouped heads repeat the keys and values of a group.
// CHECK-LABEL: @per_query_head
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x4x?x8xf32>)
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<1x4x?x8xf32>)
// CHECK: repo.rotate
// CHECK: repo.rotate
// CHECK: repo.attention {{.*}} : (tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>, tensor<1x4x?x8xf32>
func.func @per_query_head(%q: tensor<1x4x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
                          %zq: tensor<1x4x?xf32>, %zk: tensor<1x4x?xf32>, %o: tensor<1x4x?x8xf32>) -> tensor<1x4x?x8xf32> {
  %0 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %o {rope = #r}
     : (tensor<1x4x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x4x?xf32>, tensor<1x4x?xf32>,
        tensor<1x4x?x8xf32>) -> tensor<1x4x?x8xf32>
  return %0 : tensor<1x4x?x8xf32>
}
