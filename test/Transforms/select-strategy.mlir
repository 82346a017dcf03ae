// RUN: repo-opt %s --repo-select-strategy | FileCheck %s
// RUN: repo-opt %s --repo-select-strategy="lanes=8 cache-bytes=262144" | FileCheck %s --check-prefix=SMALL
// RUN: repo-opt %s --repo-select-strategy=report=true -o /dev/null 2>&1 | FileCheck %s --check-prefix=REPORT
// RUN: repo-opt %s --repo-select-strategy --repo-tile-attention | FileCheck %s --check-prefix=TILED

// Sizes that are not known: the registers and the cache decide.
// CHECK-LABEL: @dynamic
// CHECK: strategy = #repo.attention_strategy<query_block = 96, key_block = 256, edge_block = 64, split = 512, split_queries = 16, query_tile = 48>
// SMALL-LABEL: @dynamic
// SMALL: strategy = #repo.attention_strategy<query_block = 48, key_block = 64, edge_block = 64, split = 512, split_queries = 16, query_tile = 24>
// REPORT: remark: attention in blocks of 96 queries, 48 at a time, by 256 keys (64 at an edge), chunks of 512 keys for up to 16 queries a head, from 16 lanes and 1024 KB of cache
func.func @dynamic(%q: tensor<1x2x?x256xf32>, %k: tensor<1x2x?x256xf32>, %v: tensor<1x2x?x128xf32>,
                   %init: tensor<1x2x?x128xf32>) -> tensor<1x2x?x128xf32> {
  %o = repo.attention %q, %k, %v into %init
     : (tensor<1x2x?x256xf32>, tensor<1x2x?x256xf32>, tensor<1x2x?x128xf32>, tensor<1x2x?x128xf32>) -> tensor<1x2x?x128xf32>
  return %o : tensor<1x2x?x128xf32>
}

// One query against 20 keys: no larger blocks than there is work.
// CHECK-LABEL: @short
// CHECK: strategy = #repo.attention_strategy<query_block = 16, key_block = 24, edge_block = 24, split = 512, split_queries = 16>
// SMALL-LABEL: @short
// SMALL: strategy = #repo.attention_strategy<query_block = 8, key_block = 24, edge_block = 24, split = 512, split_queries = 16>
// REPORT: remark: attention in blocks of 16 queries by 24 keys
func.func @short(%q: tensor<1x2x1x64xf32>, %k: tensor<1x2x20x64xf32>, %init: tensor<1x2x1x64xf32>) -> tensor<1x2x1x64xf32> {
  %o = repo.attention %q, %k, %k into %init
     : (tensor<1x2x1x64xf32>, tensor<1x2x20x64xf32>, tensor<1x2x20x64xf32>, tensor<1x2x1x64xf32>) -> tensor<1x2x1x64xf32>
  return %o : tensor<1x2x1x64xf32>
}

// What the IR says holds, and the tiling follows it.
// CHECK-LABEL: @given
// CHECK: strategy = #repo.attention_strategy<query_block = 32, key_block = 40, edge_block = 8>
// REPORT: remark: attention in blocks of 32 queries by 40 keys (8 at an edge), as the op says
// TILED-LABEL: @given
// TILED: scf.forall
// TILED: repo.online_attention {{.*}}max_keys = 40 : i64{{.*}}(tensor<64x32xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<32x64xf32>
// TILED: repo.online_attention {{.*}}max_keys = 8 : i64{{.*}}(tensor<64x32xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<32x64xf32>
func.func @given(%q: tensor<1x2x?x64xf32>, %k: tensor<1x2x?x64xf32>, %init: tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32> {
  %o = repo.attention %q, %k, %k into %init
       {strategy = #repo.attention_strategy<query_block = 32, key_block = 40, edge_block = 8>}
     : (tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>, tensor<1x2x?x64xf32>) -> tensor<1x2x?x64xf32>
  return %o : tensor<1x2x?x64xf32>
}
