// RUN: repo-opt %s --repo-vectorize-contractions="lanes=16" | FileCheck %s

#x = affine_map<(n, p, l, i) -> (n, i)>
#w = affine_map<(n, p, l, i) -> (p, i, l)>
#y = affine_map<(n, p, l, i) -> (n, p, l)>

// Weights in bf16 and x in f32: zeros come below the elements, low and high ones of each 128 bits apart; the sums are brought
// into order where they are stored. Eight rows are two tiles of four.
// CHECK-LABEL: @panels
// CHECK: %[[EIGHT:.*]] = arith.cmpi eq, %{{.*}}, %c2
// CHECK: %[[FOUR:.*]] = arith.andi %[[EIGHT]]
// CHECK: %[[END:.*]] = arith.select %[[FOUR]], %c4
// CHECK: scf.for {{.*}} to %[[END]] step %c4
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK: %[[ROW:.*]] = vector.load %{{.*}} : memref<4x512x64xbf16>, vector<32xbf16>
// CHECK: %[[WORDS:.*]] = arith.bitcast %[[ROW]] : vector<32xbf16> to vector<32xi16>
// CHECK: %[[LOW:.*]] = vector.shuffle %[[ZERO:.*]], %[[WORDS]] [0, 32, 1, 33, 2, 34, 3, 35, 8, 40,
// CHECK: vector.bitcast %[[LOW]] : vector<32xi16> to vector<16xf32>
// CHECK: vector.shuffle %[[ZERO]], %[[WORDS]] [4, 36, 5, 37, 6, 38, 7, 39, 12, 44,
// CHECK-NOT: arith.extf
// CHECK-COUNT-16: math.fma
// CHECK: scf.yield
// CHECK: vector.shuffle %{{.*}} [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]
// CHECK: vector.shuffle %{{.*}} [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31]
func.func @panels(%x: memref<?x512xf32>, %w: memref<4x512x64xbf16>, %y: memref<?x4x64xf32>) {
  linalg.contract indexing_maps = [#x, #w, #y]
    ins(%x, %w : memref<?x512xf32>, memref<4x512x64xbf16>) outs(%y : memref<?x4x64xf32>)
  return
}
