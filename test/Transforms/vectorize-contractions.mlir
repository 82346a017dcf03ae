// RUN: repo-opt %s --repo-vectorize-contractions="lanes=8" | FileCheck %s

#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
#wt = affine_map<(n, o, i) -> (i, o)>

// Weights [out, in] in bf16: extended as they are loaded, 16 sums of 8 lanes.
// CHECK-LABEL: @linear
// CHECK: scf.for {{.*}} -> (vector<8xf32>
// CHECK-COUNT-4: vector.load %{{.*}} : memref<?x64xf32
// CHECK: vector.load %{{.*}} : memref<128x64xbf16>, vector<8xbf16>
// CHECK: arith.extf
// CHECK-COUNT-16: math.fma
// CHECK: vector.reduction <add>
// CHECK-NOT: linalg.contract
func.func @linear(%x: memref<?x64xf32, strided<[?, 1], offset: ?>>, %w: memref<128x64xbf16>, %y: memref<?x128xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x64xf32, strided<[?, 1], offset: ?>>, memref<128x64xbf16>) outs(%y : memref<?x128xf32>)
  return
}

// CHECK-LABEL: @columns
// CHECK: linalg.contract
func.func @columns(%x: memref<?x64xf32>, %w: memref<64x128xf32>, %y: memref<?x128xf32>) {
  linalg.contract indexing_maps = [#x, #wt, #y]
    ins(%x, %w : memref<?x64xf32>, memref<64x128xf32>) outs(%y : memref<?x128xf32>)
  return
}
