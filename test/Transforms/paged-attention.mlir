// RUN: repo-opt %s --repo-split-keys --repo-tile-attention | FileCheck %s

// A paged cache is read from its pages: a block of keys stays in one page, and the cache is never put together. A task takes
// heads that lie side by side in a page, page by page, as many of them as leave 64 tasks.

#one = #repo.attention_strategy<query_block = 16, key_block = 256, edge_block = 64, unit = vector, pack_bytes = 8388608, split = 512, split_queries = 16>
#many = #repo.attention_strategy<query_block = 48, key_block = 256, edge_block = 64, unit = vector, pack_bytes = 8388608>

// CHECK-LABEL: @decode
// CHECK-SAME: %{{.*}}: tensor<2x4x1x64xf32>, %[[KEYS:.*]]: tensor<?x4x48x64xf32>, %[[VALUES:.*]]: tensor<?x4x48x64xf32>, %[[TABLE:.*]]: tensor<2x?xi32>
// CHECK-NOT: repo.cache_view
// CHECK: %c64 = arith.constant 64 : index
// CHECK: %[[SHARE:.*]] = arith.divui %{{.*}}, %c64
// CHECK: %[[MOST:.*]] = arith.minsi %[[SHARE]]
// CHECK: arith.maxsi %{{.*}}, %[[MOST]]
// CHECK: scf.forall {{.*}} in (2, %{{.*}}, %{{.*}})
// CHECK: arith.constant 48 : index
// CHECK: scf.for {{.*}} step %c48
// CHECK: scf.for %[[HEAD:[a-z0-9]*]] = {{.*}} -> (tensor<4x1x64xf32>, tensor<4x1xf32>, tensor<4x1xf32>)
// CHECK: tensor.extract %[[TABLE]][
// CHECK: %[[PAGE:.*]] = arith.select
// CHECK: %[[ROW:.*]] = arith.remui
// CHECK: tensor.extract_slice %[[KEYS]][%[[PAGE]], %{{.*}}, %[[ROW]], 0] [1, 1, %{{.*}}, 64]
// CHECK: tensor.extract_slice %[[VALUES]]
// CHECK: repo.online_attention
// CHECK-NOT: repo.cache_view
func.func @decode(%q: tensor<2x4x1x64xf32>, %kp: tensor<?x4x48x64xf32>, %vp: tensor<?x4x48x64xf32>,
                  %table: tensor<2x?xi32>, %lengths: tensor<2xi32>) -> tensor<2x4x1x64xf32> {
  %k = repo.cache_view %kp table(%table) lengths(%lengths)
    : (tensor<?x4x48x64xf32>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x64xf32>
  %v = repo.cache_view %vp table(%table) lengths(%lengths)
    : (tensor<?x4x48x64xf32>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x64xf32>
  %init = tensor.empty() : tensor<2x4x1x64xf32>
  %o = repo.attention %q, %k, %v lengths(%lengths) into %init {strategy = #one}
    : (tensor<2x4x1x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x?x64xf32>, tensor<2xi32>, tensor<2x4x1x64xf32>) -> tensor<2x4x1x64xf32>
  return %o : tensor<2x4x1x64xf32>
}

// Many queries: heads are packed out of their pages, 48 rows a task.
// CHECK-LABEL: @prefill
// CHECK-SAME: %{{.*}}: tensor<2x4x99x64xf32>, %[[KEYS:.*]]: tensor<?x4x48x64xf32>, %[[VALUES:.*]]: tensor<?x4x48x64xf32>
// CHECK-NOT: repo.cache_view
// CHECK: scf.forall
// CHECK: tensor.extract_slice %[[KEYS]]
// CHECK: tensor.extract_slice %[[VALUES]]
// CHECK: tensor.parallel_insert_slice
// CHECK-NOT: repo.cache_view
func.func @prefill(%q: tensor<2x4x99x64xf32>, %kp: tensor<?x4x48x64xf32>, %vp: tensor<?x4x48x64xf32>,
                   %table: tensor<2x?xi32>, %lengths: tensor<2xi32>, %at: tensor<2xi32>) -> tensor<2x4x99x64xf32> {
  %k = repo.cache_view %kp table(%table) lengths(%lengths)
    : (tensor<?x4x48x64xf32>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x64xf32>
  %v = repo.cache_view %vp table(%table) lengths(%lengths)
    : (tensor<?x4x48x64xf32>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x64xf32>
  %init = tensor.empty() : tensor<2x4x99x64xf32>
  %o = repo.attention %q, %k, %v lengths(%lengths) offset(%at) into %init {causal, strategy = #many}
    : (tensor<2x4x99x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x?x64xf32>, tensor<2xi32>, tensor<2xi32>, tensor<2x4x99x64xf32>) -> tensor<2x4x99x64xf32>
  return %o : tensor<2x4x99x64xf32>
}

// Rows past the length of the view are zeros: attention that may see them reads the view.
// CHECK-LABEL: @zeros
// CHECK: repo.cache_view
func.func @zeros(%q: tensor<2x4x1x64xf32>, %kp: tensor<?x4x48x64xf32>, %v: tensor<2x4x?x64xf32>,
                 %table: tensor<2x?xi32>, %lengths: tensor<2xi32>) -> tensor<2x4x1x64xf32> {
  %k = repo.cache_view %kp table(%table) lengths(%lengths)
    : (tensor<?x4x48x64xf32>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x64xf32>
  %init = tensor.empty() : tensor<2x4x1x64xf32>
  %o = repo.attention %q, %k, %v into %init {strategy = #one}
    : (tensor<2x4x1x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x?x64xf32>, tensor<2x4x1x64xf32>) -> tensor<2x4x1x64xf32>
  return %o : tensor<2x4x1x64xf32>
}
