// RUN: repo-opt %s --repo-tile-attention="query-block=16 key-block=64 edge-block=32" | FileCheck %s

// A causal mask: blocks every query sees whole, large then small, then the diagonal, padded.
// CHECK-LABEL: @causal
// CHECK-NOT: repo.attention
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (1, 2, %{{.*}}) shared_outs
// CHECK: %[[WHOLE:.*]]:3 = scf.for %
// CHECK: repo.online_attention %{{.*}}, %{{.*}}, %{{.*}} into
// CHECK-NOT: band
// CHECK: scf.yield
// CHECK: %[[SMALL:.*]]:3 = scf.for {{.*}} iter_args(%{{.*}} = %[[WHOLE]]#0, %{{.*}} = %[[WHOLE]]#1, %{{.*}} = %[[WHOLE]]#2)
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[SMALL]]#0, %{{.*}} = %[[SMALL]]#1, %{{.*}} = %[[SMALL]]#2)
// CHECK: repo.online_attention {{.*}} offset(%{{.*}}) limit(%{{.*}}) into {{.*}} {band = array<i64: -1, 0>
// CHECK-NOT: scf.for %
// CHECK: tensor.parallel_insert_slice
func.func @causal(%q: tensor<1x2x?x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %o: tensor<1x2x?x8xf32>)
    -> tensor<1x2x?x8xf32> {
  %0 = repo.attention %q, %k, %v into %o {causal}
     : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %0 : tensor<1x2x?x8xf32>
}

// A window cuts blocks at both ends.
// CHECK-LABEL: @window
// CHECK-COUNT-4: scf.for %
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

// f64 has no tiles: its definition is the oracle.
// CHECK-LABEL: @f64
// CHECK: repo.attention
func.func @f64(%q: tensor<1x2x?x8xf64>, %o: tensor<1x2x?x8xf64>) -> tensor<1x2x?x8xf64> {
  %0 = repo.attention %q, %q, %q into %o
     : (tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>, tensor<1x2x?x8xf64>) -> tensor<1x2x?x8xf64>
  return %0 : tensor<1x2x?x8xf64>
}
