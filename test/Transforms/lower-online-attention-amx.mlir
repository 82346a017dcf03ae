// RUN: repo-opt %s --repo-lower-online-attention-amx | FileCheck %s
// RUN: repo-opt %s --repo-lower-online-attention-amx="avx512=false avx512bf16=false" | FileCheck %s --check-prefix=PLAIN

#layouts = [affine_map<(n, m, d, e) -> (n, d)>,
            affine_map<(n, m, d, e) -> (m floordiv 16, d floordiv 2, m mod 16, d mod 2)>,
            affine_map<(n, m, d, e) -> (e floordiv 16, m floordiv 2, e mod 16, m mod 2)>,
            affine_map<(n, m, d, e) -> (n, e)>]

// CHECK-LABEL: @block
// PLAIN-LABEL: @block
// Panels of scores and, in the same memory, weights.
// CHECK: %[[MEMORY:.*]] = memref.alloc() {{.*}} : memref<16384xi8>
// CHECK: %[[SCORES:.*]] = memref.view %[[MEMORY]]{{.*}} to memref<8x2x16x16xf32>
// CHECK: %[[WEIGHTS:.*]] = memref.view %[[MEMORY]]{{.*}} to memref<4x4x16x32xbf16>
// The scores of the first 32 queries: a chain of 4 products into 2 tiles per 16 keys.
// CHECK: scf.for
// CHECK-COUNT-8: amx.tile_mulf
// CHECK-NOT: amx.tile_mulf
// The softmax of those, woven with the scores of the next 32: the stores of a chain
// come after the next has begun.
// CHECK: scf.for
// CHECK: vector.load %[[SCORES]]
// CHECK: amx.tile_mulf
// CHECK: llvm.x86.avx512.mask.scalef.ps.512
// CHECK: llvm.x86.avx512bf16.cvtne2ps2bf16.512
// CHECK: amx.tile_mulf
// CHECK: vector.store {{.*}}, %[[WEIGHTS]]
// CHECK: amx.tile_store
// CHECK: scf.if
// The values: four tiles of the accumulator read a tile of values once.
// CHECK-DAG: amx.tile_load {{.*}} : memref<4x64x16x2xbf16> into !amx.tile<16x32xbf16>
// CHECK-DAG: amx.tile_load {{.*}} : memref<64x64xf32> into !amx.tile<16x16xf32>
// CHECK-COUNT-64: amx.tile_mulf
// CHECK-NOT: amx.tile_mulf
// CHECK-NOT: repo.online_attention
// PLAIN-NOT: llvm.call_intrinsic
// PLAIN: arith.truncf {{.*}} : vector<32xf32> to vector<32xbf16>
// PLAIN-NOT: llvm.call_intrinsic
func.func @block(%q: memref<64x128xbf16>, %k: memref<8x64x16x2xbf16>, %v: memref<4x64x16x2xbf16>,
                 %acc: memref<64x64xf32>, %max: memref<64xf32>, %sum: memref<64xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = #layouts, scale = 0.69314718055994531 : f64}
    : (memref<64x128xbf16>, memref<8x64x16x2xbf16>, memref<4x64x16x2xbf16>, memref<64x64xf32>, memref<64xf32>, memref<64xf32>) -> ()
  return
}

// A block of 48 queries is left to the decomposition.
// CHECK-LABEL: @other
// CHECK: repo.online_attention
func.func @other(%q: memref<48x128xbf16>, %k: memref<8x64x16x2xbf16>, %v: memref<4x64x16x2xbf16>,
                 %acc: memref<48x64xf32>, %max: memref<48xf32>, %sum: memref<48xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = #layouts, scale = 1.0 : f64}
    : (memref<48x128xbf16>, memref<8x64x16x2xbf16>, memref<4x64x16x2xbf16>, memref<48x64xf32>, memref<48xf32>, memref<48xf32>) -> ()
  return
}
