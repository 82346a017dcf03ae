// RUN: repo-opt %s --repo-decompose --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-decompose --split-input-file | mlir-opt --split-input-file -o /dev/null
// RUN: repo-opt %s --repo-decompose --split-input-file --one-shot-bufferize --canonicalize | FileCheck %s --check-prefix=BUFFERS

// Plain attention is five structured ops after the scores.
// CHECK-LABEL: func @plain
// CHECK-SAME: %[[Q:[a-z0-9]*]]: tensor<1x2x3x4xf32>, %[[K:[a-z0-9]*]]: tensor<1x2x5x4xf32>, %[[V:[a-z0-9]*]]: tensor<1x2x5x6xf32>, %[[OUT:[a-z0-9]*]]: tensor<1x2x3x6xf32>
func.func @plain(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x5x4xf32>, %v: tensor<1x2x5x6xf32>,
                 %out: tensor<1x2x3x6xf32>) -> tensor<1x2x3x6xf32> {
  // CHECK: %[[S0:.*]] = linalg.generic {{.*}}"reduction"]} ins(%[[Q]], %[[K]] :
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} outs(%[[S0]] : tensor<1x2x3x5xf32>)
  // CHECK: arith.constant 5.000000e-01
  // CHECK: %[[MAX:.*]] = linalg.generic {{.*}}"reduction"]} ins(%[[S]]
  // CHECK: arith.maxnumf
  // CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[MAX]] : {{.*}}) outs(%[[S]]
  // CHECK: math.exp
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}}"reduction"]} ins(%[[P]]
  // CHECK: %[[ACC:.*]] = linalg.generic {{.*}}"reduction"]} ins(%[[P]], %[[V]]
  // CHECK: %[[O:.*]] = linalg.generic {{.*}} ins(%[[ACC]], %[[SUM]] : {{.*}}) outs(%[[OUT]]
  // CHECK: arith.divf
  // CHECK: return %[[O]]
  // The scores become logits and probabilities in place.
  // BUFFERS-LABEL: func @plain
  // BUFFERS-COUNT-1: memref.alloc{{.*}} memref<1x2x3x5xf32>
  // BUFFERS-NOT: memref<1x2x3x5xf32>{{$}}
  %o = repo.attention %q, %k, %v into %out
     : (tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x6xf32>, tensor<1x2x3x6xf32>) -> tensor<1x2x3x6xf32>
  return %o : tensor<1x2x3x6xf32>
}

// -----

// Grouped heads: the queries are expanded, keys and values not repeated.
// CHECK-LABEL: func @grouped
func.func @grouped(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x2x?x8xbf16>, %v: tensor<?x2x?x8xbf16>,
                   %zq: tensor<?x4x?xf32>, %zk: tensor<?x2x?xf32>,
                   %out: tensor<?x4x?x8xbf16>, %lse: tensor<?x4x?xf32>) -> (tensor<?x4x?x8xbf16>, tensor<?x4x?xf32>) {
  // CHECK: tensor.expand_shape %{{.*}} {{\[}}[0], [1, 2], [3], [4]] {{.*}} into tensor<?x2x2x?x8xbf16>
  // CHECK: tensor.expand_shape %{{.*}} {{\[}}[0], [1, 2], [3]] {{.*}} into tensor<?x2x2x?xf32>
  // CHECK: linalg.generic {{.*}}"reduction"]} ins(%{{.*}}, %{{.*}} : tensor<?x2x2x?x8xf32>, tensor<?x2x?x8xf32>) outs(%{{.*}} : tensor<?x2x2x?x?xf32>)
  // CHECK: linalg.generic {{.*}}"reduction"]} ins(%{{.*}}, %{{.*}} : tensor<?x2x2x?x?xf32>, tensor<?x2x?x8xbf16>) outs(%{{.*}} : tensor<?x2x2x?x8xf32>)
  // CHECK: tensor.collapse_shape %{{.*}} into tensor<?x4x?x8xf32>
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  // CHECK: math.log
  %o:2 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %out, %lse
       {causal, rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<?x4x?x8xbf16>, tensor<?x2x?x8xbf16>, tensor<?x2x?x8xbf16>, tensor<?x4x?xf32>, tensor<?x2x?xf32>,
        tensor<?x4x?x8xbf16>, tensor<?x4x?xf32>) -> (tensor<?x4x?x8xbf16>, tensor<?x4x?xf32>)
  return %o#0, %o#1 : tensor<?x4x?x8xbf16>, tensor<?x4x?xf32>
}

// -----

// Everything that hides a key or changes a logit, in the documented order.
// CHECK-LABEL: func @options
func.func @options(%q: tensor<2x2x3x4xf32>, %k: tensor<2x2x5x4xf32>, %v: tensor<2x2x5x4xf32>,
                   %bias: tensor<1x2x1x5xf32>, %mask: tensor<2x1x3x5xi1>, %lengths: tensor<2xi32>,
                   %offset: tensor<2xi32>, %out: tensor<2x2x3x4xf32>) -> tensor<2x2x3x4xf32> {
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x5xf32>, tensor<2x3x5xi1>, tensor<2xi32>, tensor<2xi32>)
  // CHECK: ^bb0(%[[BIAS:.*]]: f32, %[[MASK:.*]]: i1, %[[LENGTH:.*]]: i32, %[[OFFSET:.*]]: i32, %{{.*}}: f32)
  // CHECK: math.tanh
  // CHECK: %[[X:.*]] = arith.addf %{{.*}}, %[[BIAS]]
  // CHECK: arith.index_cast %[[OFFSET]]
  // CHECK: arith.index_cast %[[LENGTH]]
  // CHECK: arith.cmpi slt
  // CHECK: arith.andi %[[MASK]]
  // causal bounds the right side of the window
  // CHECK: arith.constant 0 : index
  // CHECK: arith.cmpi sle
  // CHECK: arith.constant -7 : index
  // CHECK: arith.cmpi sge
  // CHECK: arith.select %{{.*}}, %[[X]]
  %o = repo.attention %q, %k, %v bias(%bias) mask(%mask) lengths(%lengths) offset(%offset) into %out
       {causal, window = array<i64: 7, 3>, softcap = 3.0 : f64, scale = 1.0 : f64}
     : (tensor<2x2x3x4xf32>, tensor<2x2x5x4xf32>, tensor<2x2x5x4xf32>, tensor<1x2x1x5xf32>, tensor<2x1x3x5xi1>,
        tensor<2xi32>, tensor<2xi32>, tensor<2x2x3x4xf32>) -> tensor<2x2x3x4xf32>
  return %o : tensor<2x2x3x4xf32>
}

// -----

#q = affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>
#k = affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>
#v = affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>
#o = affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>
// Layouts become indexing maps; nothing is transposed.
// CHECK: #[[BNHD:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>
// CHECK-LABEL: func @layouts
func.func @layouts(%q: tensor<1x3x2x4xf64>, %k: tensor<1x5x2x4xf64>, %v: tensor<1x5x2x6xf64>,
                   %out: tensor<1x3x2x6xf64>) -> tensor<1x3x2x6xf64> {
  // CHECK-NOT: transpose
  // CHECK: outs(%{{.*}} : tensor<1x2x3x5xf64>)
  // CHECK: linalg.generic {indexing_maps = [#[[BNHD]], {{.*}} outs(%{{.*}} : tensor<1x3x2x6xf64>)
  %o = repo.attention %q, %k, %v into %out {layouts = [#q, #k, #v, #o]}
     : (tensor<1x3x2x4xf64>, tensor<1x5x2x4xf64>, tensor<1x5x2x6xf64>, tensor<1x3x2x6xf64>) -> tensor<1x3x2x6xf64>
  return %o : tensor<1x3x2x6xf64>
}

// -----

// The attributes of functions go, those of others stay.
// CHECK-LABEL: func @attributes
// CHECK-SAME: (%{{[a-z0-9]*}}: tensor<4xf32> {bufferization.writable = true}) -> tensor<4xf32> {
func.func @attributes(%x: tensor<4xf32> {repo.name = "x", repo.constant, bufferization.writable = true})
    -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
