// RUN: repo-opt %s --repo-lower-online-attention-pairs | FileCheck %s

#layouts = [affine_map<(n, m, d, e) -> (n, d)>,
            affine_map<(n, m, d, e) -> (m floordiv 16, d floordiv 2, m mod 16, d mod 2)>,
            affine_map<(n, m, d, e) -> (e floordiv 16, m floordiv 2, e mod 16, m mod 2)>,
            affine_map<(n, m, d, e) -> (n, e)>]

// CHECK-LABEL: @whole
// One panel of scores, whose memory the weights take over, for both groups of 32 queries.
// CHECK: %[[MEMORY:.*]] = memref.alloc() {{.*}} : memref<16384xi8>
// CHECK: %[[SCORES:.*]] = memref.view %[[MEMORY]]{{.*}} to memref<8x2x16x16xf32>
// CHECK: %[[WEIGHTS:.*]] = memref.view %[[MEMORY]]{{.*}} to memref<4x4x16x32xbf16>
// CHECK-NOT: memref.view
// Scores: 4 queries by 4 panels of keys over the pairs of channels.
// CHECK: scf.for {{.*}} step %c64
// CHECK: scf.for {{.*}} to %c32{{.*}} step %c4
// CHECK: scf.for {{.*}} to %c64{{.*}} step %c1
// CHECK-COUNT-4: vector.load {{.*}} : memref<8x64x16x2xbf16>, vector<32xbf16>
// CHECK: vector.load {{.*}} : memref<64x128xbf16>, vector<2xbf16>
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: dpbf16ps
// CHECK-COUNT-16: vector.store {{.*}}, %[[SCORES]]
// CHECK: llvm.x86.avx512.mask.scalef.ps.512
// CHECK: vector.store {{.*}}, %[[WEIGHTS]]
// CHECK: scf.if
// Values: 4 queries by the 4 panels of channels, from the accumulator on.
// CHECK-COUNT-16: vector.load {{.*}} : memref<64x64xf32>, vector<16xf32>
// CHECK: scf.for {{.*}} to %c128
// CHECK: scf.for {{.*}} to %c16
// CHECK-COUNT-4: vector.load {{.*}} : memref<4x64x16x2xbf16>, vector<32xbf16>
// CHECK: vector.load %[[WEIGHTS]]{{.*}} vector<2xbf16>
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: repo.online_attention
func.func @whole(%q: memref<64x128xbf16>, %k: memref<8x64x16x2xbf16>, %v: memref<4x64x16x2xbf16>,
                 %acc: memref<64x64xf32>, %max: memref<64xf32>, %sum: memref<64xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = #layouts, scale = 0.69314718055994531 : f64}
    : (memref<64x128xbf16>, memref<8x64x16x2xbf16>, memref<4x64x16x2xbf16>, memref<64x64xf32>, memref<64xf32>, memref<64xf32>) -> ()
  return
}

// A block that is cut: tiles of 2 panels, up to the keys that some query of the group sees: 32 + offset, in pairs of panels.
// Three panels of channels: 2 and 1.
// CHECK-LABEL: @cut
// CHECK-SAME: %[[OFFSET:[a-z0-9]*]]: index, %[[LIMIT:[a-z0-9]*]]: index
// CHECK: %[[LIMITED:.*]] = arith.minsi %c64{{.*}}, %[[LIMIT]]
// CHECK: %[[LAST:.*]] = arith.addi %[[OFFSET]], %c32
// CHECK: %[[SEEN:.*]] = arith.minsi %[[LIMITED]], %[[LAST]]
// CHECK: arith.ceildivsi
// CHECK: %[[END:.*]] = arith.muli {{.*}}, %c32
// CHECK: scf.for {{.*}} to %[[END]] step %c32
// CHECK: scf.for {{.*}} to %c32{{.*}} step %c8
// CHECK-COUNT-16: dpbf16ps
// CHECK: arith.select
// CHECK: scf.for {{.*}} to %[[END]] step %c32
// CHECK-COUNT-16: dpbf16ps
// CHECK: scf.for {{.*}} to %[[END]] step %c32
// CHECK-COUNT-8: dpbf16ps
// CHECK-NOT: dpbf16ps
// CHECK: return
func.func @cut(%q: memref<32x64xbf16>, %k: memref<4x32x16x2xbf16>, %v: memref<3x32x16x2xbf16>,
               %acc: memref<32x48xf32>, %max: memref<32xf32>, %sum: memref<32xf32>, %offset: index, %limit: index) {
  repo.online_attention %q, %k, %v offset(%offset) limit(%limit) into %acc, %max, %sum
    {layouts = #layouts, band = array<i64: -1, 0>, scale = 0.69314718055994531 : f64}
    : (memref<32x64xbf16>, memref<4x32x16x2xbf16>, memref<3x32x16x2xbf16>, index, index, memref<32x48xf32>, memref<32xf32>, memref<32xf32>) -> ()
  return
}
