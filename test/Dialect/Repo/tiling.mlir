// RUN: repo-opt %s -split-input-file -transform-interpreter -canonicalize -cse | FileCheck %s

// The tiles of upstream's drivers: query heads in groups that share a KV head, rows that know where they are among
// the keys, rotations and positions computed where the tile needs them.

// CHECK: #[[KV:.+]] = affine_map<(d0) -> (d0 floordiv 2)>
// CHECK: #[[AT:.+]] = affine_map<(d0, d1)[s0] -> (-d0 + d1 * 64 + s0)>
// CHECK-LABEL: func @grouped
// CHECK: scf.forall (%[[B:.+]], %[[H:.+]], %[[N:.+]]) in
// CHECK: %[[HEAD:.+]] = affine.apply #{{.+}}(%[[H]])
// CHECK: %[[ROW:.+]] = affine.apply #{{.+}}(%[[N]])
// CHECK: %[[ROWS:.+]] = affine.min
// CHECK: extract_slice %{{.+}}[%[[B]], %[[HEAD]], %[[ROW]], 0] [1, 2, %[[ROWS]], 32]
// CHECK: %[[KV_HEAD:.+]] = affine.apply #[[KV]](%[[H]])
// CHECK: extract_slice %{{.+}}[%[[B]], %[[KV_HEAD]], 0, 0] [1, 1, %{{.+}}, 32]
// CHECK: extract_slice %{{.+}}[%[[B]], %[[KV_HEAD]], 0, 0] [1, 1, %{{.+}}, 32]
// CHECK: extract_slice %{{.+}}[%[[B]], %[[HEAD]], %[[ROW]]] [1, 2, %[[ROWS]]] [1, 1, 1] : tensor<?x8x?xf32>
// CHECK: extract_slice %{{.+}}[%[[B]], %[[KV_HEAD]], 0] [1, 1, %{{.+}}] [1, 1, 1] : tensor<?x2x?xf32>
// CHECK: extract_slice %{{.+}}[0, %[[HEAD]], %[[ROW]], 0] [1, 2, %[[ROWS]], %{{.+}}] [1, 1, 1, 1] : tensor<1x8x?x?xf32>
// CHECK: %[[OFFSET:.+]] = affine.apply #[[AT]](%{{.+}}, %[[N]])
// CHECK: repo.attention {{.+}} offset(%[[OFFSET]]) into {{.+}} {causal
// CHECK-COUNT-2: tensor.parallel_insert_slice
#rope = #repo.rope<theta = 1.0E+4, dim = 32>
module attributes {transform.with_named_sequence} {
  func.func @grouped(%q: tensor<?x8x?x32xf32>, %k: tensor<?x2x?x32xf32>, %v: tensor<?x2x?x32xf32>,
                     %zq: tensor<?x8x?xf32>, %zk: tensor<?x2x?xf32>, %bias: tensor<1x8x?x?xf32>,
                     %out: tensor<?x8x?x32xf32>, %lse: tensor<?x8x?xf32>)
      -> (tensor<?x8x?x32xf32>, tensor<?x8x?xf32>) {
    %o:2 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) bias(%bias) into %out, %lse
           {causal, rope = #rope}
         : (tensor<?x8x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x2x?x32xf32>, tensor<?x8x?xf32>,
            tensor<?x2x?xf32>, tensor<1x8x?x?xf32>, tensor<?x8x?x32xf32>, tensor<?x8x?xf32>)
        -> (tensor<?x8x?x32xf32>, tensor<?x8x?xf32>)
    return %o#0, %o#1 : tensor<?x8x?x32xf32>, tensor<?x8x?xf32>
  }
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["repo.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tile, %loop = transform.structured.tile_using_forall %op tile_sizes [1, 2, 64]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// An offset for each of the batch moves on with the rows.

// CHECK-LABEL: func @per_batch
// CHECK: scf.for %[[N:[a-z0-9]+]] = %
// CHECK: %[[I:.+]] = arith.index_cast %[[N]] : index to i32
// CHECK: %[[ROWS:.+]] = tensor.splat %[[I]] : tensor<2xi32>
// CHECK: %[[AT:.+]] = arith.addi %{{.+}}, %[[ROWS]] : tensor<2xi32>
// CHECK: repo.attention {{.+}} lengths(%{{.+}}) offset(%[[AT]])
module attributes {transform.with_named_sequence} {
  func.func @per_batch(%q: tensor<2x4x128x32xf32>, %k: tensor<2x4x?x32xf32>, %v: tensor<2x4x?x32xf32>,
                       %lengths: tensor<2xi32>, %at: tensor<2xi32>, %out: tensor<2x4x128x32xf32>)
      -> tensor<2x4x128x32xf32> {
    %o = repo.attention %q, %k, %v lengths(%lengths) offset(%at) into %out {window = array<i64: 16, 0>}
         : (tensor<2x4x128x32xf32>, tensor<2x4x?x32xf32>, tensor<2x4x?x32xf32>, tensor<2xi32>, tensor<2xi32>,
            tensor<2x4x128x32xf32>) -> tensor<2x4x128x32xf32>
    return %o : tensor<2x4x128x32xf32>
  }
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["repo.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tile, %loop = transform.structured.tile_using_for %op tile_sizes [0, 0, 32]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A rotation, and the positions it turns by, move into the loop over its rows.

// CHECK-LABEL: func @fused
// CHECK: scf.for
// CHECK: %[[Z:.+]] = repo.assign_positions {{.+}} -> tensor<1x4x32xf32>
// CHECK: %[[BLEND:.+]] = repo.blend_positions %[[Z]]
// CHECK: repo.rotate %{{.+}} by(%[[BLEND]])
// CHECK: tensor.insert_slice
module attributes {transform.with_named_sequence} {
  func.func @fused(%x: tensor<1x4x128x32xf32>, %h: tensor<1x128x64xf32>, %gate: tensor<16x64xf32>,
                   %content: tensor<16x64xf32>, %heads: tensor<4x16xf32>, %i: tensor<1x1x128xf32>)
      -> tensor<1x4x128x32xf32> {
    %z = repo.assign_positions %h gate(%gate) content(%content) heads(%heads)
       : (tensor<1x128x64xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<4x16xf32>) -> tensor<1x4x128xf32>
    %blend = repo.blend_positions %z, %i {weight = 2.5e-01 : f64}
       : (tensor<1x4x128xf32>, tensor<1x1x128xf32>) -> tensor<1x4x128xf32>
    %r = repo.rotate %x by(%blend) {rope = #repo.rope<theta = 1.0E+4, dim = 32>}
       : (tensor<1x4x128x32xf32>, tensor<1x4x128xf32>) -> tensor<1x4x128x32xf32>
    return %r : tensor<1x4x128x32xf32>
  }
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["repo.rotate"]} in %root : (!transform.any_op) -> !transform.any_op
    %tile, %loop = transform.structured.fuse %op tile_sizes [0, 0, 32]
        : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
