// RUN: repo-opt %s --repo-lower-contractions-amx | FileCheck %s

#x = affine_map<(n, p, i, l, r) -> (n, i, r)>
#w = affine_map<(n, p, i, l, r) -> (p, i, l, r)>
#y = affine_map<(n, p, i, l, r) -> (n, p, l)>

// Rows to tiles of bf16, then four tiles of sums with four loads for four products.
// CHECK-LABEL: @linear
// CHECK: %[[ROWS:.*]] = memref.alloc() {{.*}} : memref<16x16x16x32xbf16>
// CHECK: arith.truncf {{.*}} : vector<32xf32> to vector<32xbf16>
// CHECK-COUNT-4: amx.tile_zero
// CHECK: amx.tile_load %[[ROWS]]
// CHECK: amx.tile_mulf
// CHECK-COUNT-63: amx.tile_mulf
// CHECK-NOT: amx.tile_mulf
// CHECK-COUNT-4: amx.tile_store
// CHECK-NOT: linalg.contract
func.func @linear(%x: memref<?x512x2xf32>, %w: memref<6x512x16x2xbf16>, %y: memref<?x6x16xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x512x2xf32>, memref<6x512x16x2xbf16>) outs(%y : memref<?x6x16xf32>)
  return
}

// Weights of f32 are not for tiles.
// CHECK-LABEL: @other
// CHECK: linalg.contract
func.func @other(%x: memref<?x512x2xf32>, %w: memref<6x512x16x2xf32>, %y: memref<?x6x16xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x512x2xf32>, memref<6x512x16x2xf32>) outs(%y : memref<?x6x16xf32>)
  return
}
