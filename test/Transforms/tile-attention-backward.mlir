// RUN: repo-opt %s --repo-split-rotation --repo-tile-attention-backward="lanes=16 query-block=192" --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-tile-attention-backward="lanes=16 report=true" --split-input-file 2>&1 | FileCheck %s --check-prefix=REPORT

// Tasks are batches and KV heads, here of two query heads; then blocks of queries, then of the keys they see. No tensor has both
// queries and keys of a sequence.

// CHECK-LABEL: func @causal
// CHECK-NOT: tensor<{{.*}}?x?xf32>
// CHECK: repo.rotate
// CHECK: repo.rotate
// CHECK: scf.forall (%{{.*}}, %{{.*}}) in (1, 2)
// CHECK: scf.for
// CHECK: scf.for
// Each of the five products in pieces of 64 columns; scores and upstream . value first.
// CHECK: scf.for
// CHECK: scf.for {{.*}} -> (tensor<96x1x192xf32>)
// CHECK: linalg.contract {{.*}} -> tensor<?x1x64xf32>
// CHECK: scf.for {{.*}} -> (tensor<96x1x192xf32>)
// CHECK: linalg.contract {{.*}} -> tensor<?x1x64xf32>
// Positions are compared in blocks that the diagonal cuts.
// CHECK: scf.if
// CHECK: arith.cmpi sge, {{.*}} vector<64xi32>
// CHECK: math.exp2 {{.*}} vector<64xf32>
// CHECK: } else {
// CHECK-NOT: arith.cmpi
// CHECK: math.exp2 {{.*}} vector<64xf32>
// Values, keys, and queries from the transposed gradients of scores.
// CHECK: linalg.contract {{.*}} -> tensor<1x?x64xf32>
// CHECK: linalg.contract {{.*}} -> tensor<1x?x64xf32>
// CHECK: linalg.transpose
// CHECK: linalg.contract {{.*}} -> tensor<1x192x64xf32>
// CHECK-NOT: linalg.contract
// CHECK: tensor.parallel_insert_slice
// CHECK: repo.rotate_backward
// CHECK: repo.rotate_backward
// REPORT: remark: gradient of attention is not tiled: its rotation is not split off
#rope = #repo.rope<theta = 1.0E+4, dim = 128>
func.func @causal(%q: tensor<1x4x?x128xf32>, %k: tensor<1x2x?x128xf32>, %zq: tensor<1x4x?xf32>, %zk: tensor<1x2x?xf32>)
    -> (tensor<1x4x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>) {
  %0:5 = repo.attention_backward %q, %k, %k output(%q) lse(%zq) upstream(%q) query_positions(%zq) key_positions(%zk)
     into %q, %k, %k, %zq, %zk {causal, rope = #rope}
     : (tensor<1x4x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x4x?x128xf32>, tensor<1x4x?xf32>,
        tensor<1x4x?x128xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>, tensor<1x4x?x128xf32>, tensor<1x2x?x128xf32>,
        tensor<1x2x?x128xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>)
       -> (tensor<1x4x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>)
  return %0#0, %0#1, %0#2, %0#3, %0#4
    : tensor<1x4x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x2x?x128xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>
}

// -----

// REPORT: remark: gradient of attention is not tiled: its heads are not whole vectors
// CHECK-LABEL: func @odd
// CHECK: repo.attention_backward
func.func @odd(%q: tensor<1x2x?x20xf32>, %l: tensor<1x2x?xf32>) -> tensor<1x2x?x20xf32> {
  %0:3 = repo.attention_backward %q, %q, %q output(%q) lse(%l) upstream(%q) into %q, %q, %q
     : (tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?xf32>,
        tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>)
       -> (tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>, tensor<1x2x?x20xf32>)
  return %0#0 : tensor<1x2x?x20xf32>
}

// -----

// REPORT: remark: gradient of attention is not tiled: it has a bias or a mask
// CHECK-LABEL: func @masked
// CHECK: repo.attention_backward
func.func @masked(%q: tensor<1x2x?x32xf32>, %l: tensor<1x2x?xf32>, %m: tensor<1x2x?x?xi1>) -> tensor<1x2x?x32xf32> {
  %0:3 = repo.attention_backward %q, %q, %q output(%q) lse(%l) upstream(%q) mask(%m) into %q, %q, %q
     : (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?xf32>,
        tensor<1x2x?x32xf32>, tensor<1x2x?x?xi1>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>)
       -> (tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>, tensor<1x2x?x32xf32>)
  return %0#0 : tensor<1x2x?x32xf32>
}
