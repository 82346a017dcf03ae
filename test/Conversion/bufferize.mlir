// RUN: repo-opt %s --repo-bufferize | FileCheck %s

// Tensors become buffers, at the boundary with any strides; what is written in place needs no copy, and buffers begin
// at multiples of 64 bytes.

// CHECK-LABEL: func.func @scale_rows(
// CHECK-SAME: %[[X:.*]]: memref<?x16xf32, strided<[?, ?], offset: ?>>, %[[Y:.*]]: memref<?x16xf32, strided<[?, ?], offset: ?>>
// CHECK-NOT: memref.alloc
// CHECK: linalg.generic {{.*}} ins(%[[X]] : {{.*}}) outs(%[[Y]] :
func.func @scale_rows(%x: tensor<?x16xf32>, %y: tensor<?x16xf32> {bufferization.writable = true}) -> tensor<?x16xf32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x16xf32>) outs(%y : tensor<?x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %1 = arith.mulf %in, %in : f32
    linalg.yield %1 : f32
  } -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @new_buffer(
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<16xf32>
func.func @new_buffer(%value: f32) -> tensor<16xf32> {
  %empty = tensor.empty() : tensor<16xf32>
  %0 = linalg.fill ins(%value : f32) outs(%empty : tensor<16xf32>) -> tensor<16xf32>
  return %0 : tensor<16xf32>
}
