// RUN: repo-opt %s --repo-vectorize-contractions="lanes=8" | FileCheck %s

#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
#wt = affine_map<(n, o, i) -> (i, o)>

// Weights [out, in] in bf16. Many rows: squares of 8 by 8 are extended,
// transposed and stored in a panel, whose rows are vectors of columns.
// CHECK-LABEL: @linear
// CHECK: %[[PANEL:.*]] = memref.alloc() : memref<256x16xf32>
// CHECK: scf.if
// CHECK-COUNT-8: vector.load %{{.*}} : memref<128x64xbf16>, vector<8xbf16>
// CHECK-COUNT-24: vector.shuffle
// CHECK-COUNT-8: vector.store %{{.*}}, %[[PANEL]]
// CHECK: scf.for {{.*}} -> (vector<8xf32>
// CHECK-COUNT-2: vector.load %[[PANEL]]
// CHECK: vector.broadcast
// CHECK: vector.store
// Few rows: 12 sums of 8 lanes, weights extended as they are loaded.
// CHECK: } else {
// CHECK: scf.for {{.*}} -> (vector<8xf32>
// CHECK-COUNT-6: vector.load %{{.*}} : memref<?x64xf32
// CHECK: vector.load %{{.*}} : memref<128x64xbf16>, vector<8xbf16>
// CHECK: arith.extf
// CHECK-COUNT-12: math.fma
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

#xp = affine_map<(n, p, l, i) -> (n, i)>
#wp = affine_map<(n, p, l, i) -> (p, i, l)>
#yp = affine_map<(n, p, l, i) -> (n, p, l)>

// Weights in panels of 16 columns: as they are.
// CHECK-LABEL: @panels
// CHECK-NOT: memref.alloc
// CHECK: scf.for {{.*}} -> (vector<8xf32>
// CHECK-COUNT-2: vector.load %{{.*}} : memref<8x64x16xf32>
// CHECK-COUNT-6: vector.broadcast
// CHECK-NOT: vector.reduction
// CHECK-NOT: linalg.contract
func.func @panels(%x: memref<?x64xf32>, %w: memref<8x64x16xf32>, %y: memref<?x8x16xf32>) {
  linalg.contract indexing_maps = [#xp, #wp, #yp]
    ins(%x, %w : memref<?x64xf32>, memref<8x64x16xf32>) outs(%y : memref<?x8x16xf32>)
  return
}
