// RUN: repo-opt %s --repo-vectorize-contractions="lanes=16 pairs" | FileCheck %s
// RUN: repo-opt %s --repo-vectorize-contractions="lanes=16" | FileCheck %s --check-prefix=WITHOUT

#x = affine_map<(n, p, l, i, r) -> (n, i, r)>
#w = affine_map<(n, p, l, i, r) -> (p, i, l, r)>
#y = affine_map<(n, p, l, i, r) -> (n, p, l)>

// A pair of x, one load for 32 bits, in every lane; 24 sums of 6 rows.
// CHECK-LABEL: @pairs
// CHECK: memref.collapse_shape {{.*}} : memref<?x32x2xbf16> into memref<?x64xbf16>
// CHECK: memref.collapse_shape {{.*}} : memref<8x32x64x2xbf16> into memref<8x32x128xbf16>
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-4: vector.load %{{.*}} : memref<8x32x128xbf16>, vector<32xbf16>
// CHECK: %[[X:.*]] = vector.load %{{.*}} : memref<?x64xbf16>, vector<2xbf16>
// CHECK: %[[WORD:.*]] = vector.bitcast %[[X]] : vector<2xbf16> to vector<1xi32>
// CHECK: vector.broadcast %[[WORD]] : vector<1xi32> to vector<16xi32>
// CHECK-COUNT-24: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: linalg.contract
// WITHOUT-LABEL: @pairs
// WITHOUT: linalg.contract
func.func @pairs(%x: memref<?x32x2xbf16>, %w: memref<8x32x64x2xbf16>, %y: memref<?x8x64xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x32x2xbf16>, memref<8x32x64x2xbf16>) outs(%y : memref<?x8x64xf32>)
  return
}

// In f32 there is no such instruction.
// CHECK-LABEL: @wide
// CHECK: linalg.contract
func.func @wide(%x: memref<?x32x2xf32>, %w: memref<8x32x64x2xbf16>, %y: memref<?x8x64xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x32x2xf32>, memref<8x32x64x2xbf16>) outs(%y : memref<?x8x64xf32>)
  return
}

// A block is 32 pairs (8 KB of a panel) where there are few rows in more than one tile, 512 elsewhere. The first six rows ask for all
// four lines of a row of the next small block, those after them for one of the next block; fewer rows for nothing.
// CHECK-LABEL: @blocks
// CHECK-DAG: %[[FEW:.*]] = arith.cmpi ule, %{{.*}}, %c24
// CHECK-DAG: %[[SEVERAL:.*]] = arith.cmpi ugt, %{{.*}}, %c6
// CHECK: %[[SHALLOW:.*]] = arith.andi %[[FEW]], %[[SEVERAL]]
// CHECK: %[[DEPTH:.*]] = arith.select %[[SHALLOW]], %c32{{.*}}, %c512
// CHECK: scf.for %[[FROM:.*]] = %{{.*}} to %{{.*}} step %[[DEPTH]]
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-4: memref.prefetch
// CHECK-NOT: memref.prefetch
// CHECK-COUNT-24: llvm.call_intrinsic
// CHECK: arith.remui %{{.*}}, %c4
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK: memref.prefetch
// CHECK-NOT: memref.prefetch
// CHECK-LABEL: @zeros
func.func @blocks(%x: memref<?x1024x2xbf16>, %w: memref<8x1024x64x2xbf16>, %y: memref<?x8x64xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x1024x2xbf16>, memref<8x1024x64x2xbf16>) outs(%y : memref<?x8x64xf32>)
  return
}

// The first block is stored in place of zeros, the others are added.
// CHECK-NOT: linalg.fill
// CHECK: arith.cmpi eq
// CHECK: scf.if
// CHECK-NOT: arith.addf
// CHECK-COUNT-24: vector.store
// CHECK: } else {
// CHECK: arith.addf
func.func @zeros(%x: memref<?x32x2xbf16>, %w: memref<8x32x64x2xbf16>, %y: memref<?x8x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?x8x64xf32>)
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x32x2xbf16>, memref<8x32x64x2xbf16>) outs(%y : memref<?x8x64xf32>)
  return
}
