// RUN: repo-opt %s --split-input-file --verify-diagnostics

// One case per numbered constraint of the ops' documentation.

//===----------------------------------------------------------------------===//
// assign_positions
//===----------------------------------------------------------------------===//

func.func @assign_positions_c1_gate(%h: tensor<1x5x8xf32>, %g: tensor<4x9xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expected dimension 1 (d) of `gate` to be 8 as in `hidden`, got 9}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<1x5x8xf32>, tensor<4x9xf32>, tensor<4x8xf32>, tensor<2x4xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @assign_positions_c1_content(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<3x8xf32>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expected dimension 0 (k) of `content` to be 4 as in `gate`, got 3}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<3x8xf32>, tensor<2x4xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @assign_positions_c1_heads(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (k) of `heads` to be 4 as in `gate`, got 5}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x5xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @assign_positions_c1_rank(%h: tensor<5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expected `hidden` to have rank 3, got 2}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @assign_positions_c1_result(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expected the result to be 'tensor<1x2x5xf32>', got 'tensor<1x2x6xf32>'}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>) -> tensor<1x2x6xf32>
  return
}

// -----

func.func @assign_positions_c2(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expected the result to be 'tensor<1x2x5xf32>', got 'tensor<1x2x5xf64>'}}
  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%w)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>) -> tensor<1x2x5xf64>
  return
}

// -----

func.func @assign_positions_c2_output(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %w: tensor<2x4xf32>, %z: tensor<1x2x5xf64>) {
  // expected-error @+1 {{expected `output` to have element type 'f32', got 'f64'}}
  %0 = repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf64>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @assign_positions_c3(%h: memref<1x5x8xf32>, %g: memref<4x8xf32>, %w: tensor<2x4xf32>, %z: memref<1x2x5xf32>) {
  // expected-error @+1 {{expected tensors or buffers, got a mixture}}
  repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
     : (memref<1x5x8xf32>, memref<4x8xf32>, memref<4x8xf32>, tensor<2x4xf32>, memref<1x2x5xf32>) -> ()
  return
}

// -----

func.func @assign_positions_c3_output(%h: memref<1x5x8xf32>, %g: memref<4x8xf32>, %w: memref<2x4xf32>) {
  // expected-error @+1 {{expected an output beside buffers}}
  repo.assign_positions %h gate(%g) content(%g) heads(%w)
     : (memref<1x5x8xf32>, memref<4x8xf32>, memref<4x8xf32>, memref<2x4xf32>) -> ()
  return
}

// -----

func.func @assign_positions_c3_results(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %w: tensor<2x4xf32>, %z: tensor<1x2x5xf32>) {
  // expected-error @+1 {{expected 1 results, got 0}}
  repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf32>) -> ()
  return
}

// -----

//===----------------------------------------------------------------------===//
// linear_positions
//===----------------------------------------------------------------------===//

func.func @linear_positions_c1(%h: tensor<1x5x8xf32>, %w: tensor<2x7xf32>) {
  // expected-error @+1 {{expected dimension 1 (d) of `heads` to be 8 as in `hidden`, got 7}}
  %0 = repo.linear_positions %h heads(%w) : (tensor<1x5x8xf32>, tensor<2x7xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @linear_positions_c1_result(%h: tensor<1x5x8xf32>, %w: tensor<2x8xf32>) {
  // expected-error @+1 {{expected the result to be 'tensor<1x2x5xf32>', got 'tensor<1x3x5xf32>'}}
  %0 = repo.linear_positions %h heads(%w) : (tensor<1x5x8xf32>, tensor<2x8xf32>) -> tensor<1x3x5xf32>
  return
}

// -----

func.func @linear_positions_c2(%h: tensor<1x5x8xf64>, %w: tensor<2x8xf32>) {
  // expected-error @+1 {{expected the result to be 'tensor<1x2x5xf64>', got 'tensor<1x2x5xf32>'}}
  %0 = repo.linear_positions %h heads(%w) : (tensor<1x5x8xf64>, tensor<2x8xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// index_positions
//===----------------------------------------------------------------------===//

func.func @index_positions_c1_rank() {
  // expected-error @+1 {{expected positions of rank 3, got 2}}
  %0 = repo.index_positions : () -> tensor<1x4xf32>
  return
}

// -----

func.func @index_positions_c1_sizes(%n: index) {
  // expected-error @+1 {{expected one size for each of 2 dynamic dimensions, got 1}}
  %0 = repo.index_positions sizes(%n) : (index) -> tensor<?x1x?xf32>
  return
}

// -----

func.func @index_positions_c2(%o: tensor<3xi32>) {
  // expected-error @+1 {{expected `offset` to have 2 elements, got 3}}
  %0 = repo.index_positions offset(%o) : (tensor<3xi32>) -> tensor<2x1x4xf32>
  return
}

// -----

func.func @index_positions_c2_rank(%o: tensor<2x1xi32>) {
  // expected-error @+1 {{expected `offset` to have rank 1, got 2}}
  %0 = repo.index_positions offset(%o) : (tensor<2x1xi32>) -> tensor<2x1x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// blend_positions
//===----------------------------------------------------------------------===//

func.func @blend_positions_c1(%z: tensor<2x4x5xf32>, %i: tensor<1x1x6xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `index` to be 5 as in `positions`, got 6}}
  %0 = repo.blend_positions %z, %i {weight = 0.5 : f64} : (tensor<2x4x5xf32>, tensor<1x1x6xf32>) -> tensor<2x4x5xf32>
  return
}

// -----

func.func @blend_positions_c1_heads(%z: tensor<2x4x5xf32>, %i: tensor<1x2x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `index` to be 4 as in `positions`, got 2}}
  %0 = repo.blend_positions %z, %i {weight = 0.5 : f64} : (tensor<2x4x5xf32>, tensor<1x2x5xf32>) -> tensor<2x4x5xf32>
  return
}

// -----

func.func @blend_positions_c1_result(%z: tensor<2x4x5xf32>, %i: tensor<1x1x5xf32>) {
  // expected-error @+1 {{expected the result to be 'tensor<2x4x5xf32>', got 'tensor<2x4x6xf32>'}}
  %0 = repo.blend_positions %z, %i {weight = 0.5 : f64} : (tensor<2x4x5xf32>, tensor<1x1x5xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @blend_positions_c2(%z: tensor<2x4x5xf32>, %i: tensor<1x1x5xf64>) {
  // expected-error @+1 {{expected `index` to have element type 'f32', got 'f64'}}
  %0 = repo.blend_positions %z, %i {weight = 0.5 : f64} : (tensor<2x4x5xf32>, tensor<1x1x5xf64>) -> tensor<2x4x5xf32>
  return
}

// -----

func.func @blend_positions_c3(%z: tensor<2x4x5xf32>, %i: tensor<1x1x5xf32>) {
  // expected-error @+1 {{expected `weight` to be finite, got inf}}
  %0 = repo.blend_positions %z, %i {weight = 0x7FF0000000000000 : f64} : (tensor<2x4x5xf32>, tensor<1x1x5xf32>) -> tensor<2x4x5xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// rotate
//===----------------------------------------------------------------------===//

func.func @rotate_c1_tokens(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x4xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `positions` to be 3 as in `input`, got 4}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x4xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c1_heads(%x: tensor<1x2x3x8xf32>, %z: tensor<1x3x3xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `positions` to be 2 as in `input`, got 3}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x3x3xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c1_layout(%x: tensor<1x2x3x8xf32>, %z: tensor<1x1x3xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `positions` to be 2 as in `input`, got 3}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>, layout = affine_map<(b, h, n, d) -> (b, n, h, d)>}
     : (tensor<1x2x3x8xf32>, tensor<1x1x3xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c1_rank(%x: tensor<2x3x8xf32>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected `input` to have rank 4, got 3}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<2x3x8xf32>, tensor<1x2x3xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

func.func @rotate_c2(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected the result to have the shape of the input, 'tensor<1x2x3x8xf32>', got 'tensor<1x2x4x8xf32>'}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>) -> tensor<1x2x4x8xf32>
  return
}

// -----

func.func @rotate_c3(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected `dim` of the rope to be at most the head size 8, got 16}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 16>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c3_dynamic(%x: tensor<1x2x3x?xf32>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected the head size to be static}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x?xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x?xf32>
  return
}

// -----

func.func @rotate_c4(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{expected `omega` to hold 4 frequencies, got 8}}
  %0 = repo.rotate %x by(%z) omega(%w) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>, tensor<8xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c4_heads(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{expected dimension 0 (h) of `omega` to be 2 as in `input`, got 3}}
  %0 = repo.rotate %x by(%z) omega(%w) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>, tensor<3x4xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c4_rank(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>, %w: tensor<1x2x4xf32>) {
  // expected-error @+1 {{expected `omega` to have rank 1 or 2, got 3}}
  %0 = repo.rotate %x by(%z) omega(%w) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>, tensor<1x2x4xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c5_positions(%x: tensor<1x2x3x8xf64>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected `positions` to have element type 'f64', got 'f32'}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf64>, tensor<1x2x3xf32>) -> tensor<1x2x3x8xf64>
  return
}

// -----

func.func @rotate_c5_omega(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>, %w: tensor<4xf64>) {
  // expected-error @+1 {{expected `omega` to have element type 'f32', got 'f64'}}
  %0 = repo.rotate %x by(%z) omega(%w) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>, tensor<4xf64>) -> tensor<1x2x3x8xf32>
  return
}

// -----

func.func @rotate_c6(%x: tensor<1x2x3x8xf32>, %z: tensor<1x2x3xf32>) {
  // expected-error @+1 {{expected the layout of `input` to order its 4 dimensions of 4, got affine_map<(d0, d1, d2, d3) -> (d0, d0, d2, d3)>}}
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 8>, layout = affine_map<(b, h, n, d) -> (b, b, n, d)>}
     : (tensor<1x2x3x8xf32>, tensor<1x2x3xf32>) -> tensor<1x2x3x8xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

func.func @attention_c1_head_size(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x9xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 3 (d) of `key` to be 8 as in `query`, got 9}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x9xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_batch(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<2x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (b) of `value` to be 1 as in `query`, got 2}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<2x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_keys(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x7x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 2 (m) of `value` to be 6 as in `key`, got 7}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x7x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_value_heads(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x1x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `value` to have 2 heads as `key`, got 1}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x1x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_output_heads(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x2x3x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `output` to be 4 as in `query`, got 2}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x2x3x5xf32>) -> tensor<1x2x3x5xf32>
  return
}

// -----

func.func @attention_c1_output(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x8xf32>) {
  // expected-error @+1 {{expected dimension 3 (e) of `output` to be 5 as in `value`, got 8}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x8xf32>) -> tensor<1x4x3x8xf32>
  return
}

// -----

func.func @attention_c1_lse(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>, %l: tensor<1x4x6xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `lse` to be 3 as in `query`, got 6}}
  %0:2 = repo.attention %q, %k, %v into %o, %l
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>, tensor<1x4x6xf32>) -> (tensor<1x4x3x5xf32>, tensor<1x4x6xf32>)
  return
}

// -----

func.func @attention_c1_bias(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %bias: tensor<1x4x1x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 3 (m) of `bias` to be 6 as in `key`, got 5}}
  %0 = repo.attention %q, %k, %v bias(%bias) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x1x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_mask_heads(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %mask: tensor<1x2x3x6xi1>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `mask` to be 4 as in `query`, got 2}}
  %0 = repo.attention %q, %k, %v mask(%mask) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x2x3x6xi1>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_bias_rank(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %bias: tensor<3x6xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `bias` to have rank 4, got 2}}
  %0 = repo.attention %q, %k, %v bias(%bias) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<3x6xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c1_rank(%q: tensor<4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `query` to have rank 4, got 3}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c2_static_heads(%q: tensor<1x?x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected the numbers of heads to be static}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x?x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c2_static_head_size(%q: tensor<1x4x3x?xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected the head size to be static}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x?xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c2_multiple(%q: tensor<1x4x3x8xf32>, %k: tensor<1x3x6x8xf32>, %v: tensor<1x3x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected the number of query heads to be a multiple of the number of KV heads, got 4 and 3}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x3x6x8xf32>, tensor<1x3x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c3_rope(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `rope` beside `query_positions`}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c3_heads(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %key_positions: tensor<1x3x6xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `key_positions` to have 1, 2 or 4 heads, got 3}}
  %0 = repo.attention %q, %k, %v key_positions(%key_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x3x6xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c3_rank(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<4x3xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `query_positions` to have rank 3, got 2}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<4x3xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c4(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x2x3xf32>, %key_positions: tensor<1x4x6xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `query_positions` per query head (4) beside `key_positions` per query head}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) key_positions(%key_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x2x3xf32>, tensor<1x4x6xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c4_absent(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %key_positions: tensor<1x4x6xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `query_positions` per query head (4) beside `key_positions` per query head}}
  %0 = repo.attention %q, %k, %v key_positions(%key_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x6xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c5_dim(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `dim` of the rope to be at most the head size 8, got 16}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 16>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c5_omega(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf32>, %omega: tensor<3xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `omega` to hold 4 frequencies, got 3}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) omega(%omega) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf32>, tensor<3xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c5_omega_heads(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf32>, %omega: tensor<4x4xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `omega` to have 2 heads, got 4}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) omega(%omega) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf32>, tensor<4x4xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c5_omega_rope(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %omega: tensor<4xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `rope` beside `omega`}}
  %0 = repo.attention %q, %k, %v omega(%omega) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<4xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c6_positions(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf64>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `query_positions` to have element type 'f32', got 'f64'}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf64>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c6_key_positions(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf64>, %key_positions: tensor<1x2x6xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `key_positions` to have element type 'f64', got 'f32'}}
  %0 = repo.attention %q, %k, %v key_positions(%key_positions) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf64>, tensor<1x2x6xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c6_omega(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %query_positions: tensor<1x4x3xf32>, %omega: tensor<4xf64>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `omega` to have element type 'f32', got 'f64'}}
  %0 = repo.attention %q, %k, %v query_positions(%query_positions) omega(%omega) into %o {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3xf32>, tensor<4xf64>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c6_lse(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>, %l: tensor<1x4x3xbf16>) {
  // expected-error @+1 {{expected `lse` to have element type 'f32', got 'bf16'}}
  %0:2 = repo.attention %q, %k, %v into %o, %l
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>, tensor<1x4x3xbf16>) -> (tensor<1x4x3x5xf32>, tensor<1x4x3xbf16>)
  return
}

// -----

func.func @attention_c7(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `window` to be [left, right], got 1 numbers}}
  %0 = repo.attention %q, %k, %v into %o {window = array<i64: 3>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c7_bound(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected the bounds of `window` to be at least -1, got -2}}
  %0 = repo.attention %q, %k, %v into %o {window = array<i64: 3, -2>}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c8_scale(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `scale` to be finite, got nan}}
  %0 = repo.attention %q, %k, %v into %o {scale = 0x7FF8000000000000 : f64}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c8_softcap(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `softcap` to be finite and positive, got 0}}
  %0 = repo.attention %q, %k, %v into %o {softcap = 0.0 : f64}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c9_lengths(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %lengths: tensor<2xi32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (b) of `lengths` to be 1 as in `query`, got 2}}
  %0 = repo.attention %q, %k, %v lengths(%lengths) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<2xi32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c9_offset(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %offset: tensor<2xi32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (b) of `offset` to be 1 as in `query`, got 2}}
  %0 = repo.attention %q, %k, %v offset(%offset) into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<2xi32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c9_needs_offset(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %lengths: tensor<1xi32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected `offset` beside `lengths` with a causal mask or window where the 3 queries and 6 keys differ in number}}
  %0 = repo.attention %q, %k, %v lengths(%lengths) into %o {causal}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1xi32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c10_results(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>, %l: tensor<1x4x3xf32>) {
  // expected-error @+1 {{expected 2 results, got 1}}
  %0 = repo.attention %q, %k, %v into %o, %l
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>, tensor<1x4x3xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c10_type(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected result 0 to have the type of its destination, 'tensor<1x4x3x5xf32>', got 'tensor<1x4x3x5xbf16>'}}
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xbf16>
  return
}

// -----

func.func @attention_c10_buffers(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: memref<1x4x3x5xf32>) {
  // expected-error @+1 {{expected tensors or buffers, got a mixture}}
  repo.attention %q, %k, %v into %o
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, memref<1x4x3x5xf32>) -> ()
  return
}

// -----

func.func @attention_c11_count(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected 4 layouts, got 1}}
  %0 = repo.attention %q, %k, %v into %o {layouts = [affine_map<(b, h, n, m, d, e) -> (b, h, n, d)>]}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

func.func @attention_c11_key(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x6x8xf32>, %v: tensor<1x2x6x5xf32>, %o: tensor<1x4x3x5xf32>) {
  // expected-error @+1 {{expected the layout of `key` to order its 4 dimensions of 6, got affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d4)>}}
  %0 = repo.attention %q, %k, %v into %o {layouts = [affine_map<(b, h, n, m, d, e) -> (b, h, n, d)>, affine_map<(b, h, n, m, d, e) -> (b, h, n, d)>, affine_map<(b, h, n, m, d, e) -> (b, h, m, e)>, affine_map<(b, h, n, m, d, e) -> (b, h, n, e)>]}
     : (tensor<1x4x3x8xf32>, tensor<1x2x6x8xf32>, tensor<1x2x6x5xf32>, tensor<1x4x3x5xf32>) -> tensor<1x4x3x5xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// online_attention
//===----------------------------------------------------------------------===//

func.func @online_attention_c1(%q: tensor<2x8xf32>, %k: tensor<6x7xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected dimension 1 (d) of `key` to be 8 as in `query`, got 7}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x7xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c1_max(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<3xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected dimension 0 (n) of `maximum` to be 2 as in `query`, got 3}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<3xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<3xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c1_mask(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %mask: tensor<2x5xi1>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected dimension 1 (m) of `mask` to be 6 as in `key`, got 5}}
  %0:3 = repo.online_attention %q, %k, %v mask(%mask) into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x5xi1>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c2(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf64>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `accumulator` to have element type 'f32', got 'f64'}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf64>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf64>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c2_sum(%q: tensor<2x8xf32>, %k: tensor<6x8xf64>, %v: tensor<6x4xf32>, %a: tensor<2x4xf64>, %m: tensor<2xf64>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `sum` to have element type 'f64', got 'f32'}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf64>, tensor<6x4xf32>, tensor<2x4xf64>, tensor<2xf64>, tensor<2xf32>) -> (tensor<2x4xf64>, tensor<2xf64>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c3_offset(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `offset` beside `band`}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {band = array<i64: -1, 0>, scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c3(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %offset: index, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `band` to be [left, right], got 3 numbers}}
  %0:3 = repo.online_attention %q, %k, %v offset(%offset) into %a, %m, %s {band = array<i64: -1, 0, 1>, scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, index, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c3_bound(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %offset: index, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected the bounds of `band` to be at least -1, got -3}}
  %0:3 = repo.online_attention %q, %k, %v offset(%offset) into %a, %m, %s {band = array<i64: -3, 0>, scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, index, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c4_softcap(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `softcap` to be finite and positive, got -1}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {softcap = -1.0 : f64, scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c4_scale(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `scale` to be finite, got inf}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 0x7FF0000000000000 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c5(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected 3 results, got 2}}
  %0:2 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c5_type(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected result 1 to have the type of its destination, 'tensor<2xf32>', got 'tensor<?xf32>'}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<?xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c6(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected the layout of `query` to order its 2 dimensions of 4, got affine_map<(d0, d1, d2, d3) -> (d0, d1)>}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {layouts = [affine_map<(n, m, d, e) -> (n, m)>, affine_map<(n, m, d, e) -> (m, d)>, affine_map<(n, m, d, e) -> (m, e)>, affine_map<(n, m, d, e) -> (n, e)>], scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

func.func @online_attention_c7(%q: tensor<2x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x4xf32>, %a: tensor<2x4xf32>, %m: tensor<2xf32>, %s: tensor<2xf32>) {
  // expected-error @+1 {{expected `max_keys` to be positive and at least the number of keys, got 5}}
  %0:3 = repo.online_attention %q, %k, %v into %a, %m, %s {max_keys = 5 : i64, scale = 1.0 : f64}
     : (tensor<2x8xf32>, tensor<6x8xf32>, tensor<6x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// cache_append
//===----------------------------------------------------------------------===//

func.func @cache_append_c1_key(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x7xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 3 (d) of `key_cache` to be 8 as in `key`, got 7}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x7xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x7xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c1_value(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x4x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `value` to be 3 as in `key`, got 4}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x4x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c1_capacity(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x8x5xf32>) {
  // expected-error @+1 {{expected dimension 2 (row) of `value_cache` to be 9 as in `key_cache`, got 8}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x8x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x8x5xf32>)
  return
}

// -----

func.func @cache_append_c1_batch(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<3x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (b) of `key_cache` to be 2 as in `key`, got 3}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<3x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<3x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c1_pages(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %t: tensor<2x4xi32>, %kc: tensor<7x4x9x8xf32>, %vc: tensor<6x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (pages) of `value_cache` to be 7 as in `key_cache`, got 6}}
  %0:2 = repo.cache_append %k, %v at(%at) table(%t) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4xi32>, tensor<7x4x9x8xf32>, tensor<6x4x9x5xf32>) -> (tensor<7x4x9x8xf32>, tensor<6x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c1_rank(%k: tensor<4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected `key` to have rank 4, got 3}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c2_rope(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x1x3xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected `rope` beside `positions`}}
  %0:2 = repo.cache_append %k, %v positions(%positions) at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x1x3xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c2_dim(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x1x3xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected `dim` of the rope to be at most the head size 8, got 10}}
  %0:2 = repo.cache_append %k, %v positions(%positions) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 10>}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x1x3xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c2_heads(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x2x3xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `positions` to be 4 as in `key`, got 2}}
  %0:2 = repo.cache_append %k, %v positions(%positions) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x2x3xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c2_type(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x1x3xf64>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected `positions` to have element type 'f32', got 'f64'}}
  %0:2 = repo.cache_append %k, %v positions(%positions) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x1x3xf64>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c3(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x1x3xf32>, %omega: tensor<5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected `omega` to hold 4 frequencies, got 5}}
  %0:2 = repo.cache_append %k, %v positions(%positions) omega(%omega) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x1x3xf32>, tensor<5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c3_heads(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %positions: tensor<2x1x3xf32>, %omega: tensor<2x4xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (h) of `omega` to be 4 as in `key`, got 2}}
  %0:2 = repo.cache_append %k, %v positions(%positions) omega(%omega) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2x1x3xf32>, tensor<2x4xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c4_at(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<3xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected dimension 0 (b) of `at` to be 2 as in `key`, got 3}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<3xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c4_table(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %t: tensor<2xi32>, %kc: tensor<7x4x9x8xf32>, %vc: tensor<7x4x9x5xf32>) {
  // expected-error @+1 {{expected `table` to have rank 2, got 1}}
  %0:2 = repo.cache_append %k, %v at(%at) table(%t) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2xi32>, tensor<7x4x9x8xf32>, tensor<7x4x9x5xf32>) -> (tensor<7x4x9x8xf32>, tensor<7x4x9x5xf32>)
  return
}

// -----

func.func @cache_append_c5(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected 2 results, got 1}}
  %0:1 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>)
  return
}

// -----

func.func @cache_append_c5_type(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected result 1 to have the type of its destination, 'tensor<2x4x9x5xf32>', got 'tensor<2x4x9x5xf16>'}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf16>)
  return
}

// -----

func.func @cache_append_c6(%k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x5xf32>, %at: tensor<2xi32>, %kc: tensor<2x4x9x8xf32>, %vc: tensor<2x4x9x5xf32>) {
  // expected-error @+1 {{expected the layout of `value` to order its 4 dimensions of 5, got affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>}}
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc {layouts = [affine_map<(b, h, n, d, e) -> (b, h, n, d)>, affine_map<(b, h, n, d, e) -> (b, h, n, d)>]}
     : (tensor<2x4x3x8xf32>, tensor<2x4x3x5xf32>, tensor<2xi32>, tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>) -> (tensor<2x4x9x8xf32>, tensor<2x4x9x5xf32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// cache_view
//===----------------------------------------------------------------------===//

func.func @cache_view_c1_rank(%p: tensor<7x4x16x8xbf16>, %t: tensor<2xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected `table` to have rank 2, got 1}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2xi32>, tensor<2xi32>) -> tensor<2x4x48x8xbf16>
  return
}

// -----

func.func @cache_view_c1_batch(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the batch of the result to be 2, got 3}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<3x4x48x8xbf16>
  return
}

// -----

func.func @cache_view_c1_lengths(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<1xi32>) {
  // expected-error @+1 {{expected the batch of `lengths` to be 2, got 1}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<1xi32>) -> tensor<2x4x48x8xbf16>
  return
}

// -----

func.func @cache_view_c1_heads(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the heads of the result to be 4, got 5}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x5x48x8xbf16>
  return
}

// -----

func.func @cache_view_c1_head_size(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the head size of the result to be 8, got 9}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x4x48x9xbf16>
  return
}

// -----

func.func @cache_view_c1_rows(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the rows of the result to be 48, got 47}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x4x47x8xbf16>
  return
}

// -----

func.func @cache_view_c2_type(%p: tensor<7x4x16x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the result to have element type 'bf16', got 'f32'}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x16x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x4x48x8xf32>
  return
}

// -----

func.func @cache_view_c2_page(%p: tensor<7x4x?x8xbf16>, %t: tensor<2x3xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{expected the size of a page to be static}}
  %0 = repo.cache_view %p table(%t) lengths(%l) : (tensor<7x4x?x8xbf16>, tensor<2x3xi32>, tensor<2xi32>) -> tensor<2x4x48x8xbf16>
  return
}

// -----

func.func @gemm_c1_rows(%a: memref<4x8xbf16>, %b: memref<8x16xbf16>, %c: memref<5x16xf32>) {
  // expected-error @+1 {{expected `c` to have the rows of `a`, got 'memref<5x16xf32>' and 'memref<4x8xbf16>'}}
  repo.gemm %a, %b into %c : memref<4x8xbf16>, memref<8x16xbf16>, memref<5x16xf32>
  return
}

// -----

func.func @gemm_c1_columns(%a: memref<4x8xbf16>, %b: memref<8x16xbf16>, %c: memref<4x16xf32>) {
  // expected-error @+1 {{expected `b` to be a matrix from the columns of `a` to those of `c`, got 'memref<8x16xbf16>'}}
  repo.gemm %a, %b into %c {transpose_b} : memref<4x8xbf16>, memref<8x16xbf16>, memref<4x16xf32>
  return
}

// -----

func.func @gemm_c2(%a: memref<4x8xf16>, %b: memref<8x16xbf16>, %c: memref<4x16xf32>) {
  // expected-error @+1 {{expected `a` and `b` of one element type, got 'f16' and 'bf16'}}
  repo.gemm %a, %b into %c : memref<4x8xf16>, memref<8x16xbf16>, memref<4x16xf32>
  return
}

// -----

func.func @gemm_c3(%a: memref<4x8xbf16>, %b: memref<8x16xbf16, strided<[1, 8]>>, %c: memref<4x16xf32>) {
  // expected-error @+1 {{expected an innermost stride of 1, got 'memref<8x16xbf16, strided<[1, 8]>>'}}
  repo.gemm %a, %b into %c : memref<4x8xbf16>, memref<8x16xbf16, strided<[1, 8]>>, memref<4x16xf32>
  return
}
