// RUN: repo-opt %s --repo-split-keys | FileCheck %s

#split = #repo.attention_strategy<query_block = 16, key_block = 256, edge_block = 64, split = 512, split_queries = 2>

// One query: chunks of 512 keys of a KV head, for all 4 heads that share it, then the chunks in their order.
// CHECK-LABEL: @decode
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<1x8x1x64xf32>, %[[K:[a-z0-9]*]]: tensor<1x2x?x64xbf16>
// CHECK-NOT: scf.if
// CHECK: %[[PART:.*]]:3 = scf.forall (%{{.*}}, %[[HEAD:.*]], %{{.*}}) in (1, 2, %{{.*}}) shared_outs
// CHECK: scf.for
// The keys are read where they are.
// CHECK: tensor.extract_slice %[[K]][%{{.*}}, %[[HEAD]], %{{.*}}, 0] [1, 1, %{{.*}}, 64]
// CHECK: repo.online_attention {{.*}}max_keys = 512 : i64{{.*}} : (tensor<4x64xf32>, tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<4x64xf32>
// CHECK: scf.forall.in_parallel
// CHECK: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (1, 8, 1) shared_outs
// CHECK: math.exp2
// CHECK-NOT: repo.attention
func.func @decode(%q: tensor<1x8x1x64xf32>, %k: tensor<1x2x?x64xbf16>, %v: tensor<1x2x?x64xbf16>,
                  %o: tensor<1x8x1x64xf32>) -> tensor<1x8x1x64xf32> {
  %0 = repo.attention %q, %k, %v into %o {causal, strategy = #split}
     : (tensor<1x8x1x64xf32>, tensor<1x2x?x64xbf16>, tensor<1x2x?x64xbf16>, tensor<1x8x1x64xf32>) -> tensor<1x8x1x64xf32>
  return %0 : tensor<1x8x1x64xf32>
}

// A number of queries that is not known is tested at run time; each way writes the result itself.
// CHECK-LABEL: @dynamic
// CHECK-SAME: %[[OUT:[a-z0-9]*]]: memref<1x8x?x64xf32>
// CHECK: %[[FEW:.*]] = arith.cmpi ule, %{{.*}}, %c2
// CHECK: scf.if %[[FEW]] {
// CHECK: repo.online_attention
// CHECK: bufferization.materialize_in_destination %{{.*}} in restrict writable %[[OUT]]
// CHECK: } else {
// CHECK: %[[O:.*]] = repo.attention {{.*}} {strategy = #repo.attention_strategy<query_block = 16, key_block = 256, edge_block = 64>}
// CHECK: bufferization.materialize_in_destination %[[O]] in restrict writable %[[OUT]]
func.func @dynamic(%q: tensor<1x8x?x64xf32>, %k: tensor<1x8x?x64xf32>, %v: tensor<1x8x?x64xf32>, %n: index,
                   %out: memref<1x8x?x64xf32>) {
  %e = tensor.empty(%n) : tensor<1x8x?x64xf32>
  %0 = repo.attention %q, %k, %v into %e {strategy = #split}
     : (tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>) -> tensor<1x8x?x64xf32>
  bufferization.materialize_in_destination %0 in restrict writable %out : (tensor<1x8x?x64xf32>, memref<1x8x?x64xf32>) -> ()
  return
}

// More queries than that: not split. A bias: the rows of all heads of a group.
// CHECK-LABEL: @many
// CHECK: = repo.attention %
// CHECK-NOT: = repo.attention %
// CHECK: %[[ROWS:.*]] = scf.for {{.*}} -> (tensor<1x512xf32>)
// CHECK: %[[BIAS:.*]] = tensor.extract_slice %[[ROWS]]
// CHECK: repo.online_attention {{.*}} bias(%[[BIAS]])
func.func @many(%q: tensor<1x8x3x64xf32>, %q1: tensor<1x8x1x64xf32>, %k: tensor<1x8x?x64xf32>, %bias: tensor<1x1x1x?xf32>)
    -> (tensor<1x8x3x64xf32>, tensor<1x8x1x64xf32>) {
  %0 = repo.attention %q, %k, %k into %q {strategy = #split}
     : (tensor<1x8x3x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x3x64xf32>) -> tensor<1x8x3x64xf32>
  %1 = repo.attention %q1, %k, %k bias(%bias) into %q1 {strategy = #split}
     : (tensor<1x8x1x64xf32>, tensor<1x8x?x64xf32>, tensor<1x8x?x64xf32>, tensor<1x1x1x?xf32>, tensor<1x8x1x64xf32>) -> tensor<1x8x1x64xf32>
  return %0, %1 : tensor<1x8x3x64xf32>, tensor<1x8x1x64xf32>
}
