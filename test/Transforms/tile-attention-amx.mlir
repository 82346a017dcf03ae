// RUN: repo-opt %s --repo-select-strategy="matrix-unit=true" --repo-tile-attention-amx | FileCheck %s
// RUN: repo-opt %s --repo-select-strategy --repo-tile-attention-amx | FileCheck %s --check-prefix=VECTOR

// RUN: repo-opt %s --repo-select-strategy="pairs=true" --repo-tile-attention-amx | FileCheck %s --check-prefix=PAIRS

// Vectors that multiply pairs take the same panels, in blocks of 64 queries.
// PAIRS-COUNT-2: linalg.pack
// PAIRS: repo.online_attention {{.*}} : (tensor<64x64xbf16>, tensor<8x32x16x2xbf16>, tensor<5x64x16x2xbf16>, tensor<64x80xf32>

// Without a matrix unit nothing changes.
// VECTOR-NOT: unit = amx
// VECTOR: repo.attention

// Keys and values of some heads are packed, then blocks of queries in parallel.
// CHECK-LABEL: @causal
// CHECK: scf.forall
// CHECK: %[[K:.*]] = linalg.pack {{.*}} inner_dims_pos = [0, 1] inner_tiles = [16, 2] {{.*}} -> tensor<2x32x16x2xbf16>
// CHECK: %[[V:.*]] = linalg.pack {{.*}} outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [16, 2] {{.*}} -> tensor<5x16x16x2xbf16>
// CHECK: tensor.parallel_insert_slice %[[K]]
// CHECK: tensor.parallel_insert_slice %[[V]]
// CHECK: scf.forall
// Head sizes are padded to whole tiles: 40 to 64, 72 to 80.
// CHECK: scf.for
// CHECK: repo.online_attention {{.*}} into {{.*}} : (tensor<128x64xbf16>, tensor<8x32x16x2xbf16>, tensor<5x64x16x2xbf16>, tensor<128x80xf32>
// Masks are in the blocks at the edge alone.
// CHECK: scf.for
// CHECK: repo.online_attention {{.*}} offset({{.*}}) limit({{.*}}) {{.*}}band = array<i64: -1, 0>{{.*}} : (tensor<128x64xbf16>, tensor<4x32x16x2xbf16>
// CHECK-NOT: repo.attention
func.func @causal(%q: tensor<1x4x?x40xbf16>, %k: tensor<1x2x?x40xbf16>, %v: tensor<1x2x?x72xbf16>,
                  %init: tensor<1x4x?x72xbf16>) -> tensor<1x4x?x72xbf16> {
  %o = repo.attention %q, %k, %v into %init {causal}
     : (tensor<1x4x?x40xbf16>, tensor<1x2x?x40xbf16>, tensor<1x2x?x72xbf16>, tensor<1x4x?x72xbf16>) -> tensor<1x4x?x72xbf16>
  return %o : tensor<1x4x?x72xbf16>
}
