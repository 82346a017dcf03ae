// RUN: repo-opt %s --repo-tile-attention="query-block=16 key-block=64 edge-block=32" | FileCheck %s
// RUN: repo-opt %s --repo-tile-attention="query-block=16 query-tile=8 key-block=64 edge-block=32" | FileCheck %s --check-prefix=TILES

// A causal mask: the keys every query sees, then the diagonal, in blocks of as many keys as there are.
// CHECK-LABEL: @causal
// CHECK-NOT: repo.attention
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (1, 2, %{{.*}}) shared_outs
// The queries are transposed once.
// CHECK: linalg.transpose ins(%{{.*}} : tensor<16x8xf32>) outs(%{{.*}} : tensor<8x16xf32>)
// CHECK: %[[WHOLE:.*]]:3 = scf.for %
// CHECK: repo.online_attention
// CHECK-NOT: band
// CHECK-SAME: max_keys = 64
// CHECK: scf.yield
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[WHOLE]]#0, %{{.*}} = %[[WHOLE]]#1, %{{.*}} = %[[WHOLE]]#2)
// CHECK: repo.online_attention {{.*}} offset(%{{.*}}) into {{.*}} {band = array<i64: -1, 0>, {{.*}}, max_keys = 32
// CHECK-NOT: scf.for %
// CHECK: tensor.parallel_insert_slice
// Tiles of queries are loaded one by one, and meet a block of keys one after another.
// TILES-LABEL: @causal
// TILES: scf.forall
// TILES: scf.for %{{.*}} iter_args(%{{.*}} = %{{.*}}) -> (tensor<2x8x8xf32>)
// TILES: linalg.transpose ins(%{{.*}} : tensor<8x8xf32>) outs(%{{.*}} : tensor<8x8xf32>)
// TILES: scf.for %{{.*}} -> (tensor<16x8xf32>, tensor<16xf32>, tensor<16xf32>)
// TILES: scf.for %[[TILE:[a-z0-9]+]] = %{{.*}} -> (tensor<16x8xf32>, tensor<16xf32>, tensor<16xf32>)
// TILES: tensor.extract_slice %{{.*}}[%[[TILE]], 0] [8, 8] [1, 1] : tensor<16x8xf32> to tensor<8x8xf32>
// TILES: repo.online_attention
// TILES-NOT: band
// TILES-SAME: max_keys = 64
// TILES: tensor.insert_slice %{{.*}} into %{{.*}}[%[[TILE]], 0] [8, 8] [1, 1]
// TILES: scf.for
// TILES: scf.for
// TILES: repo.online_attention {{.*}} {band = array<i64: -1, 0>, {{.*}}, max_keys = 32
// TILES: tensor.parallel_insert_slice
func.func @causal(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %o: tensor<1x2x?x8xf32>)
    -> tensor<1x2x?x8xf32> {
  %0 = repo.attention %q, %k, %v into %o {causal}
     : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}

// A window cuts blocks at both ends.
// CHECK-LABEL: @window
// CHECK-COUNT-3: scf.for %
// CHECK-NOT: scf.for %
func.func @window(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %o: tensor<1x2x?x8xf32>)
    -> tensor<1x2x?x8xf32> {
  %0 = repo.attention %q, %k, %v into %o {window = array<i64: 31, 0>}
     : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}

// Mask and bias become one additive term of a block.
// CHECK-LABEL: @mask_and_bias
// CHECK: arith.select
// CHECK: repo.online_attention {{.*}} bias(%{{.*}}) into
func.func @mask_and_bias(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>,
                         %b: tensor<1x1x?x?xf32>, %m: tensor<1x2x1x?xi1>, %o: tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32> {
  %0 = repo.attention %q, %k, %v bias(%b) mask(%m) into %o
     : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x1x?x?xf32>, tensor<1x2x1x?xi1>,
        tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}

// Keys in bf16 that are rotated, and values in bf16: some heads at a time are packed, in f32; the queries are
// rotated as a block is loaded.
// CHECK-LABEL: @packed
// CHECK-NOT: repo.attention
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} iter_args
// CHECK: scf.for %[[HEAD:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args
// CHECK: %[[PACK:.*]]:2 = scf.forall {{.*}} shared_outs(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) -> (tensor<1x?x?x8xf32>, tensor<1x?x?x8xf32>)
// CHECK: repo.rotate {{.*}} : (tensor<1x1x?x8xbf16>, tensor<1x1x?xf32>) -> tensor<1x1x?x8xf32>
// CHECK: arith.extf
// CHECK: scf.forall {{.*}} shared_outs(%{{.*}} = %{{.*}}) -> (tensor<1x4x?x8xbf16>)
// CHECK: repo.rotate {{.*}} -> tensor<1x1x?x8xf32>
// CHECK: tensor.extract_slice %[[PACK]]#0
// CHECK: tensor.extract_slice %[[PACK]]#1
// CHECK: repo.online_attention
func.func @packed(%q: tensor<1x4x?x8xbf16>, %k: tensor<1x2x?x8xbf16>, %v: tensor<1x2x?x8xbf16>,
                  %zq: tensor<1x4x?xf32>, %zk: tensor<1x1x?xf32>, %o: tensor<1x4x?x8xbf16>) -> tensor<1x4x?x8xbf16> {
  %q1 = repo.rotate %q by(%zq) {rope = #repo.rope<theta = 1.0e4, dim = 8>}
     : (tensor<1x4x?x8xbf16>, tensor<1x4x?xf32>) -> tensor<1x4x?x8xf32>
  %k1 = repo.rotate %k by(%zk) {rope = #repo.rope<theta = 1.0e4, dim = 8>}
     : (tensor<1x2x?x8xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x8xf32>
  %0 = repo.attention %q1, %k1, %v into %o
     : (tensor<1x4x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xbf16>, tensor<1x4x?x8xbf16>) -> tensor<1x4x?x8xbf16>
  return %0 : tensor<1x4x?x8xbf16>
}

// f64 has no tiles: its definition is the oracle.
// CHECK-LABEL: @f64
// CHECK: repo.attention
func.func @f64(%q: tensor<1x2x?x8xf64>, %o: tensor<1x2x?x8xf64>) -> tensor<1x2x?x8xf64> {
  %0 = repo.attention %q, %q, %q into %o
     : (tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>) -> tensor<1x2x?x8xf64>
  return %0 : tensor<1x2x?x8xf64>
}
