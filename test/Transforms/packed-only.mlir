// Where entries are called with packed weights alone, what they were made of is not kept beside its packed form, nor is what only it calls.

// RUN: repo-opt %s --repo-add-packed-entries --repo-pack-weights="columns=16" --repo-hoist-packing=packed-only --symbol-dce | FileCheck %s

#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>

// CHECK-NOT: func.func @entry(
// CHECK: func.func @entry_packed(%{{.*}}: tensor<1x8x16xf32> {repo.packed}
// CHECK: func.func @entry_pack(%{{.*}}: tensor<16x8xf32> {repo.constant
// CHECK-NOT: func.func private @linear(
func.func @entry(%x: tensor<4x8xf32>, %w: tensor<16x8xf32> {repo.constant}) -> tensor<4x16xf32> {
  %0 = call @linear(%x, %w) : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}
func.func private @linear(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x16xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x16xf32>) -> tensor<4x16xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<4x8xf32>, tensor<16x8xf32>) outs(%zeros : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}
