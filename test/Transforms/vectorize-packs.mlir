// RUN: repo-opt %s --repo-vectorize-packs | FileCheck %s
// RUN: repo-opt %s --repo-flatten-transfers | FileCheck %s --check-prefix=FLAT

// Rows are columns: squares of 16 by 16 pairs are transposed by shuffles.
// CHECK-LABEL: @keys
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-16: vector.bitcast {{.*}} : vector<32xbf16> to vector<16xi32>
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: vector.transfer_write
// CHECK-NOT: linalg.pack
func.func @keys(%m: tensor<32x128xbf16>, %e: tensor<2x64x16x2xbf16>) -> tensor<2x64x16x2xbf16> {
  %p = linalg.pack %m inner_dims_pos = [0, 1] inner_tiles = [16, 2] into %e : tensor<32x128xbf16> -> tensor<2x64x16x2xbf16>
  return %p : tensor<2x64x16x2xbf16>
}

// Two rows are interleaved.
// CHECK-LABEL: @values
// CHECK-COUNT-16: vector.interleave {{.*}} : vector<16xbf16>
// CHECK-NOT: linalg.pack
func.func @values(%m: tensor<32x48xbf16>, %e: tensor<3x16x16x2xbf16>) -> tensor<3x16x16x2xbf16> {
  %p = linalg.pack %m outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [16, 2] into %e : tensor<32x48xbf16> -> tensor<3x16x16x2xbf16>
  return %p : tensor<3x16x16x2xbf16>
}

// Panels of another width are for repo-lower-packs.
// CHECK-LABEL: @other
// CHECK: linalg.pack
func.func @other(%m: tensor<64x48xbf16>, %e: tensor<1x48x64xbf16>) -> tensor<1x48x64xbf16> {
  %p = linalg.pack %m inner_dims_pos = [0] inner_tiles = [64] into %e : tensor<64x48xbf16> -> tensor<1x48x64xbf16>
  return %p : tensor<1x48x64xbf16>
}

// In buffers a pair of 16 columns is written in one piece.
// FLAT-LABEL: @buffer
// FLAT: vector.transfer_write {{.*}} : vector<32xbf16>, memref<{{[^,]*}}xbf16>
func.func @buffer(%p: vector<32xbf16>, %m: memref<2x64x16x2xbf16>, %i: index) {
  %c0 = arith.constant 0 : index
  %s = vector.shape_cast %p : vector<32xbf16> to vector<1x1x16x2xbf16>
  vector.transfer_write %s, %m[%c0, %i, %c0, %c0] {in_bounds = [true, true, true, true]} : vector<1x1x16x2xbf16>, memref<2x64x16x2xbf16>
  return
}
