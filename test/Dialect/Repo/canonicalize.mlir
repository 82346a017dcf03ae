// RUN: repo-opt %s --canonicalize --split-input-file | FileCheck %s

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @blend_of_positions
// CHECK-SAME: %[[Z:.*]]: tensor<2x4x?xf32>
func.func @blend_of_positions(%z: tensor<2x4x?xf32>, %i: tensor<1x1x?xf32>) -> tensor<2x4x?xf32> {
  // CHECK-NEXT: return %[[Z]]
  %0 = repo.blend_positions %z, %i {weight = 0.0 : f64} : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
  return %0 : tensor<2x4x?xf32>
}

// -----

// CHECK-LABEL: func @blend_of_index
// CHECK-SAME: %{{.*}}: tensor<2x4x?xf32>, %[[I:.*]]: tensor<2x4x?xf32>
func.func @blend_of_index(%z: tensor<2x4x?xf32>, %i: tensor<2x4x?xf32>) -> tensor<2x4x?xf32> {
  // CHECK-NEXT: return %[[I]]
  %0 = repo.blend_positions %z, %i {weight = 1.0 : f64} : (tensor<2x4x?xf32>, tensor<2x4x?xf32>) -> tensor<2x4x?xf32>
  return %0 : tensor<2x4x?xf32>
}

// -----

// CHECK-LABEL: func @blend_of_broadcast_index
// CHECK-SAME: %[[Z:.*]]: tensor<2x4x?xf32>, %{{.*}}: index, %[[AT:.*]]: index
func.func @blend_of_broadcast_index(%z: tensor<2x4x?xf32>, %n: index, %at: index) -> tensor<2x4x?xf32> {
  // CHECK: %[[N:.*]] = tensor.dim %[[Z]]
  // CHECK: %[[I:.*]] = repo.index_positions sizes(%[[N]]) offset(%[[AT]]) : (index, index) -> tensor<2x4x?xf32>
  // CHECK: return %[[I]]
  %i = repo.index_positions sizes(%n) offset(%at) : (index, index) -> tensor<1x1x?xf32>
  %0 = repo.blend_positions %z, %i {weight = 1.0 : f64} : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
  return %0 : tensor<2x4x?xf32>
}

// -----

// A blend of both stays, and so does an index that cannot take the shape.
// CHECK-LABEL: func @blend_kept
func.func @blend_kept(%z: tensor<2x4x?xf32>, %i: tensor<1x1x?xf32>, %n: index, %at: tensor<1xi32>)
    -> (tensor<2x4x?xf32>, tensor<2x4x?xf32>) {
  // CHECK: repo.blend_positions
  // CHECK: repo.blend_positions
  %0 = repo.blend_positions %z, %i {weight = 0.5 : f64} : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
  %j = repo.index_positions sizes(%n) offset(%at) : (index, tensor<1xi32>) -> tensor<1x1x?xf32>
  %1 = repo.blend_positions %z, %j {weight = 1.0 : f64} : (tensor<2x4x?xf32>, tensor<1x1x?xf32>) -> tensor<2x4x?xf32>
  return %0, %1 : tensor<2x4x?xf32>, tensor<2x4x?xf32>
}

// -----

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @rotate_by_zero
// CHECK-SAME: %[[X:.*]]: tensor<1x2x3x4xf32>
func.func @rotate_by_zero(%x: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: return %[[X]]
  %z = arith.constant dense<0.0> : tensor<1x1x3xf32>
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x1x3xf32>) -> tensor<1x2x3x4xf32>
  return %y : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @rotate_by_zero_fill
// CHECK-SAME: %[[X:.*]]: tensor<1x2x?x4xf32>
func.func @rotate_by_zero_fill(%x: tensor<1x2x?x4xf32>, %n: index) -> tensor<1x2x?x4xf32> {
  // CHECK-NEXT: return %[[X]]
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%n) : tensor<1x2x?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x2x?xf32>) -> tensor<1x2x?xf32>
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x?x4xf32>, tensor<1x2x?xf32>) -> tensor<1x2x?x4xf32>
  return %y : tensor<1x2x?x4xf32>
}

// -----

// A magnitude, or another element type, is still to be applied.
// CHECK-LABEL: func @rotate_by_zero_kept
func.func @rotate_by_zero_kept(%x: tensor<1x2x3x4xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xbf16>) {
  // CHECK-COUNT-2: repo.rotate
  %z = arith.constant dense<0.0> : tensor<1x1x3xf32>
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64>>}
     : (tensor<1x2x3x4xf32>, tensor<1x1x3xf32>) -> tensor<1x2x3x4xf32>
  %y1 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x1x3xf32>) -> tensor<1x2x3x4xbf16>
  return %y, %y1 : tensor<1x2x3x4xf32>, tensor<1x2x3x4xbf16>
}

// -----

// CHECK-LABEL: func @compose
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<1x2x3x4xf32>, %[[A:[a-z0-9]*]]: tensor<1x2x3xf32>, %[[B:[a-z0-9]*]]: tensor<1x1x3xf32>
func.func @compose(%x: tensor<1x2x3x4xf32>, %a: tensor<1x2x3xf32>, %b: tensor<1x1x3xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK: %[[SHARED:.*]] = tensor.collapse_shape %[[B]]
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[A]], %[[SHARED]]
  // CHECK: arith.addf
  // CHECK: %[[Y:.*]] = repo.rotate %[[X]] by(%[[SUM]])
  // CHECK-NOT: repo.rotate
  // CHECK: return %[[Y]]
  %0 = repo.rotate %x by(%a) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  %1 = repo.rotate %0 by(%b) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x1x3xf32>) -> tensor<1x2x3x4xf32>
  return %1 : tensor<1x2x3x4xf32>
}

// -----

// Different ropes do not compose, and with a magnitude two rotations scale twice.
// CHECK-LABEL: func @compose_kept
func.func @compose_kept(%x: tensor<1x2x3x4xf32>, %a: tensor<1x2x3xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  // CHECK-COUNT-4: repo.rotate
  %0 = repo.rotate %x by(%a) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  %1 = repo.rotate %0 by(%a) {rope = #repo.rope<theta = 1.0E+4, dim = 4, layout = interleaved>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  %2 = repo.rotate %x by(%a) {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  %3 = repo.rotate %2 by(%a) {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  return %1, %3 : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}

// -----

// Position interpolation: z / 4 is linear scaling by 4.
// CHECK: #[[ROPE:.*]] = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.linear<factor = 4.0>>
// CHECK-LABEL: func @scaled_positions
// CHECK-SAME: %{{.*}}: tensor<1x2x3x4xf32>, %[[Z:[a-z0-9]*]]: tensor<1x2x3xf32>
func.func @scaled_positions(%x: tensor<1x2x3x4xf32>, %z: tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK: repo.rotate %{{.*}} by(%[[Z]]) {rope = #[[ROPE]]}
  %quarter = arith.constant dense<0.25> : tensor<1x2x3xf32>
  %zs = arith.mulf %z, %quarter : tensor<1x2x3xf32>
  %y = repo.rotate %x by(%zs) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  return %y : tensor<1x2x3x4xf32>
}

// -----

// A scale undoes linear scaling. Written as a linalg.generic.
#id = affine_map<(b, h, n) -> (b, h, n)>
// CHECK: #[[ROPE:.*]] = #repo.rope<theta = 1.0E+4, dim = 4>
// CHECK-LABEL: func @unscaled_positions
// CHECK-SAME: %{{.*}}: tensor<1x2x3x4xf32>, %[[Z:[a-z0-9]*]]: tensor<1x2x3xf32>
func.func @unscaled_positions(%x: tensor<1x2x3x4xf32>, %z: tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK: repo.rotate %{{.*}} by(%[[Z]]) {rope = #[[ROPE]]}
  %four = arith.constant 4.0 : f32
  %empty = tensor.empty() : tensor<1x2x3xf32>
  %zs = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<1x2x3xf32>) outs(%empty : tensor<1x2x3xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.mulf %four, %in : f32
    linalg.yield %0 : f32
  } -> tensor<1x2x3xf32>
  %y = repo.rotate %x by(%zs) {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.linear<factor = 4.0>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  return %y : tensor<1x2x3x4xf32>
}

// -----

// Other rules are not linear in the frequency, an operand is not ours to scale,
// and a negative factor has no attribute.
// CHECK-LABEL: func @scaled_kept
func.func @scaled_kept(%x: tensor<1x2x3x4xf32>, %z: tensor<1x2x3xf32>, %w: tensor<2xf32>)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  // CHECK-COUNT-2: arith.mulf
  %half = arith.constant dense<0.5> : tensor<1x2x3xf32>
  %zs = arith.mulf %z, %half : tensor<1x2x3xf32>
  %minus = arith.constant dense<-0.5> : tensor<1x2x3xf32>
  %zm = arith.mulf %z, %minus : tensor<1x2x3xf32>
  %0 = repo.rotate %x by(%zs) {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  %1 = repo.rotate %x by(%zs) omega(%w) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>, tensor<2xf32>) -> tensor<1x2x3x4xf32>
  %2 = repo.rotate %x by(%zm) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32>
  return %0, %1, %2 : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}

// -----

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @constant_positions
func.func @constant_positions(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x5x4xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} into %{{[a-z0-9]*}} :
  %zq = arith.constant dense<7.0> : tensor<1x2x3xf32>
  %zk = arith.constant dense<7.0> : tensor<1x1x5xf32>
  %r = repo.attention %q, %k, %k query_positions(%zq) key_positions(%zk) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x3xf32>, tensor<1x1x5xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// The magnitude 1.5 of both sides joins the scale 1/2.
// CHECK-LABEL: func @constant_positions_magnitude
func.func @constant_positions_magnitude(%q: tensor<1x2x3x4xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: repo.attention {{.*}} into %{{[a-z0-9]*}} {scale = 1.125{{0*}}e+00 : f64}
  %z = arith.constant dense<7.0> : tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%z) key_positions(%z) into %o
       {rope = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64, attention_factor = 1.5>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// It cannot where it covers a part of the head; nor do different constants cancel.
// CHECK-LABEL: func @constant_positions_kept
func.func @constant_positions_kept(%q: tensor<1x2x3x4xf32>, %o: tensor<1x2x3x4xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  // CHECK-COUNT-2: query_positions({{.*}}) key_positions
  %z = arith.constant dense<7.0> : tensor<1x1x3xf32>
  %y = arith.constant dense<6.0> : tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%z) key_positions(%z) into %o
       {rope = #repo.rope<theta = 1.0E+4, dim = 2, scaling = #repo.yarn<factor = 2.0, original = 64, attention_factor = 1.5>>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  %s = repo.attention %q, %q, %q query_positions(%z) key_positions(%y) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r, %s : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @zero_query_positions
func.func @zero_query_positions(%q: tensor<1x2x3x4xf32>, %zk: tensor<1x1x3xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} key_positions
  %z = arith.constant dense<0.0> : tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%z) key_positions(%zk) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// Keys that turn with each query head need the query's positions (C4).
// CHECK-LABEL: func @zero_query_positions_kept
func.func @zero_query_positions_kept(%q: tensor<1x2x3x4xf32>, %k: tensor<1x1x3x4xf32>, %zk: tensor<1x2x3xf32>, %o: tensor<1x2x3x4xf32>)
    -> tensor<1x2x3x4xf32> {
  // CHECK: query_positions
  %z = arith.constant dense<0.0> : tensor<1x2x3xf32>
  %r = repo.attention %q, %k, %k query_positions(%z) key_positions(%zk) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x1x3x4xf32>, tensor<1x1x3x4xf32>, tensor<1x2x3xf32>, tensor<1x2x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @equal_shifts
// CHECK-SAME: %[[ZQ:[a-z0-9]*]]: tensor<1x2x3xf32>, %[[ZK:[a-z0-9]*]]: tensor<1x1x3xf32>
func.func @equal_shifts(%q: tensor<1x2x3x4xf32>, %zq: tensor<1x2x3xf32>, %zk: tensor<1x1x3xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: query_positions(%[[ZQ]]) key_positions(%[[ZK]])
  %c = arith.constant dense<5.0> : tensor<1x2x3xf32>
  %d = arith.constant dense<5.0> : tensor<1x1x3xf32>
  %0 = arith.addf %zq, %c : tensor<1x2x3xf32>
  %1 = arith.addf %zk, %d : tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%0) key_positions(%1) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @equal_index_offsets
func.func @equal_index_offsets(%q: tensor<1x2x3x4xf32>, %at: tensor<1xi32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK: repo.index_positions : () -> tensor<1x1x3xf32>
  // CHECK-NOT: offset
  %0 = repo.index_positions offset(%at) : (tensor<1xi32>) -> tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%0) key_positions(%0) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// Keys count from 0, queries from 9 - 4.
// CHECK-LABEL: func @index_offsets
func.func @index_offsets(%q: tensor<1x2x1x4xf32>, %k: tensor<1x2x6x4xf32>, %o: tensor<1x2x1x4xf32>) -> tensor<1x2x1x4xf32> {
  // CHECK-DAG: %[[C5:.*]] = arith.constant 5 : index
  // CHECK-DAG: %[[ZQ:.*]] = repo.index_positions offset(%[[C5]]) : (index) -> tensor<1x1x1xf32>
  // CHECK-DAG: %[[ZK:.*]] = repo.index_positions : () -> tensor<1x1x6xf32>
  // CHECK: query_positions(%[[ZQ]]) key_positions(%[[ZK]])
  %c9 = arith.constant 9 : index
  %c4 = arith.constant 4 : index
  %0 = repo.index_positions offset(%c9) : (index) -> tensor<1x1x1xf32>
  %1 = repo.index_positions offset(%c4) : (index) -> tensor<1x1x6xf32>
  %r = repo.attention %q, %k, %k query_positions(%0) key_positions(%1) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x1x4xf32>, tensor<1x2x6x4xf32>, tensor<1x2x6x4xf32>, tensor<1x1x1xf32>, tensor<1x1x6xf32>, tensor<1x2x1x4xf32>)
       -> tensor<1x2x1x4xf32>
  return %r : tensor<1x2x1x4xf32>
}

// -----

// CHECK: #[[ROPE:.*]] = #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.linear<factor = 2.0>>
// CHECK-LABEL: func @equal_scales
// CHECK-SAME: %[[ZQ:[a-z0-9]*]]: tensor<1x2x3xf32>, %[[ZK:[a-z0-9]*]]: tensor<1x1x3xf32>
func.func @equal_scales(%q: tensor<1x2x3x4xf32>, %zq: tensor<1x2x3xf32>, %zk: tensor<1x1x3xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: query_positions(%[[ZQ]]) key_positions(%[[ZK]]) {{.*}}rope = #[[ROPE]]
  %c = arith.constant dense<0.5> : tensor<1x2x3xf32>
  %d = arith.constant dense<0.5> : tensor<1x1x3xf32>
  %0 = arith.mulf %zq, %c : tensor<1x2x3xf32>
  %1 = arith.mulf %zk, %d : tensor<1x1x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%0) key_positions(%1) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3xf32>, tensor<1x1x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @unequal_scales
func.func @unequal_scales(%q: tensor<1x2x3x4xf32>, %zq: tensor<1x2x3xf32>, %zk: tensor<1x2x3xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK: arith.mulf
  %c = arith.constant dense<0.5> : tensor<1x2x3xf32>
  %0 = arith.mulf %zq, %c : tensor<1x2x3xf32>
  %r = repo.attention %q, %q, %q query_positions(%0) key_positions(%zk) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3xf32>, tensor<1x2x3xf32>, tensor<1x2x3x4xf32>)
       -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-NOT: #repo.rope
// CHECK-LABEL: func @rope_without_positions
func.func @rope_without_positions(%q: tensor<1x2x3x4xf32>, %w: tensor<2xf32>, %o: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NOT: omega
  %r = repo.attention %q, %q, %q omega(%w) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<2xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %r : tensor<1x2x3x4xf32>
}

// -----

// CHECK-LABEL: func @unused_lse
func.func @unused_lse(%q: tensor<1x2x3x4xf32>, %o: tensor<1x2x3x4xf32>, %l: tensor<1x2x3xf32>) -> tensor<1x2x3x4xf32> {
  // CHECK-NEXT: %[[R:.*]] = repo.attention {{.*}} into %{{[a-z0-9]*}} {causal} : {{.*}} -> tensor<1x2x3x4xf32>
  // CHECK-NEXT: return %[[R]]
  %r:2 = repo.attention %q, %q, %q into %o, %l {causal}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3xf32>)
       -> (tensor<1x2x3x4xf32>, tensor<1x2x3xf32>)
  return %r#0 : tensor<1x2x3x4xf32>
}

// -----

//===----------------------------------------------------------------------===//
// Cache
//===----------------------------------------------------------------------===//

// CHECK-NOT: #repo.rope
// CHECK-LABEL: func @append_unrotated
func.func @append_unrotated(%k: tensor<1x2x3x4xf32>, %at: index, %c: tensor<1x2x9x4xf32>) -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>) {
  // CHECK-NEXT: repo.cache_append %{{[a-z0-9]*}}, %{{[a-z0-9]*}} at(
  %z = arith.constant dense<0.0> : tensor<1x1x3xf32>
  %r:2 = repo.cache_append %k, %k positions(%z) at(%at) into %c, %c {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x1x3xf32>, index, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
       -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
  return %r#0, %r#1 : tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>
}
