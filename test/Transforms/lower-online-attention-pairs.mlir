// RUN: repo-opt %s --repo-lower-online-attention="lanes=16 pairs" | FileCheck %s
// RUN: repo-opt %s --repo-lower-online-attention="lanes=16" | FileCheck %s --check-prefix=EXPAND
// RUN: repo-opt %s --repo-split-keys="pairs=32" | FileCheck %s --check-prefix=SPLIT

// Four queries share a vector: 8 channels of a key meet those of each query, so that sums need two rounds of shuffles
// only. Two rows of values are woven together; the weights are rounded to bf16.
// CHECK-LABEL: @rows
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<1x16x16xf32>
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<1x64xbf16>
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<1x512xbf16>
// CHECK: scf.for {{.*}} step %c16
// CHECK: scf.for {{.*}} step %c1{{[_ ]}}
// CHECK: vector.load {{.*}} : memref<?x128xbf16>, vector<8xbf16>
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// Six shuffles sum the products of 4 keys with 4 queries, for each of 4 vectors; then 2 and 2 for maxima and sums.
// CHECK: arith.addf
// CHECK-COUNT-26: vector.shuffle
// CHECK: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK-COUNT-2: vector.shuffle
// Two passes over whole rows for two queries each, two keys a turn.
// CHECK: scf.for {{.*}} step %c2{{[_ ]}}
// CHECK-COUNT-8: vector.shuffle {{.*}} : vector<32xi16>, vector<32xi16>
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: repo.online_attention
// EXPAND-LABEL: @rows
// EXPAND-NOT: dpbf16ps
// EXPAND: arith.shli
// EXPAND-NOT: repo.online_attention
func.func @rows(%q: memref<4x128xbf16>, %k: memref<?x128xbf16>, %v: memref<?x128xbf16>,
                %acc: memref<4x128xf32>, %max: memref<4xf32>, %sum: memref<4xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {max_keys = 64 : i64, scale = 1.0 : f64}
    : (memref<4x128xbf16>, memref<?x128xbf16>, memref<?x128xbf16>, memref<4x128xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}

#split = #repo.attention_strategy<query_block = 16, key_block = 256, edge_block = 64, split = 512, split_queries = 2>

// Queries in bf16 stay so, those in f32 too.
// SPLIT-LABEL: @decode
// SPLIT: repo.online_attention {{.*}} : (tensor<4x64xbf16>, tensor<?x64xbf16>
// SPLIT: repo.online_attention {{.*}} : (tensor<4x64xf32>, tensor<?x64xbf16>
func.func @decode(%q: tensor<1x8x1x64xbf16>, %qf: tensor<1x8x1x64xf32>, %k: tensor<1x2x?x64xbf16>)
    -> (tensor<1x8x1x64xbf16>, tensor<1x8x1x64xf32>) {
  %0 = repo.attention %q, %k, %k into %q {strategy = #split}
     : (tensor<1x8x1x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x8x1x64xbf16>) -> tensor<1x8x1x64xbf16>
  %1 = repo.attention %qf, %k, %k into %qf {strategy = #split}
     : (tensor<1x8x1x64xf32>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x8x1x64xf32>) -> tensor<1x8x1x64xf32>
  return %0, %1 : tensor<1x8x1x64xbf16>, tensor<1x8x1x64xf32>
}
