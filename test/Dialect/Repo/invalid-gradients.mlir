// RUN: repo-opt %s --split-input-file --verify-diagnostics

// One case per numbered constraint of the documentation of the gradients' ops.

func.func @assign_positions_backward_c1_gate(%h: tensor<1x5x8xf32>, %g: tensor<4x9xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>, %dz: tensor<1x2x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (d) of `gate` to be 8 as in `hidden`, got 9}}
  %0:4 = repo.assign_positions_backward %h gate(%g) content(%c) heads(%w) upstream(%dz)
     : (tensor<1x5x8xf32>, tensor<4x9xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf32>) -> (tensor<1x5x8xf32>, tensor<4x9xf32>, tensor<4x8xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @assign_positions_backward_c1_upstream(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>, %dz: tensor<1x3x5xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `upstream` to be 2 as in `heads`, got 3}}
  %0:4 = repo.assign_positions_backward %h gate(%g) content(%c) heads(%w) upstream(%dz)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x3x5xf32>) -> (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @assign_positions_backward_c2(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>, %dz: tensor<1x2x5xf64>) {
  // expected-error @+1 {{expected `upstream` to have element type 'f32', got 'f64'}}
  %0:4 = repo.assign_positions_backward %h gate(%g) content(%c) heads(%w) upstream(%dz)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf64>) -> (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @assign_positions_backward_c3(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %c: tensor<4x8xf32>, %w: tensor<2x4xf32>, %dz: tensor<1x2x5xf32>) {
  // expected-error @+1 {{expected `d_gate` to be 'tensor<4x8xf32>', got 'tensor<4x8xbf16>'}}
  %0:4 = repo.assign_positions_backward %h gate(%g) content(%c) heads(%w) upstream(%dz)
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf32>) -> (tensor<1x5x8xf32>, tensor<4x8xbf16>, tensor<4x8xf32>, tensor<2x4xf32>)
  return
}

// -----

func.func @rotate_backward_c1(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x7x6xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `upstream` to be 5 as in `output`, got 7}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<1x2x7x6xf32>) -> (tensor<1x2x7x6xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @rotate_backward_c1_positions(%y: tensor<1x2x5x6xf32>, %z: tensor<1x3x5xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `positions` to be 2 as in `output`, got 3}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x3x5xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x3x5xf32>)
  return
}

// -----

func.func @rotate_backward_c2_input(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected `d_input` to have the shape of `upstream`, 'tensor<1x2x5x6xf32>', got 'tensor<1x2x5x4xf32>'}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x4xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @rotate_backward_c2_positions(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected `d_positions` to be 'tensor<1x2x5xf32>', got 'tensor<1x1x5xf32>'}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x1x5xf32>)
  return
}

// -----

func.func @rotate_backward_c3(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected `dim` of the rope to be at most the head size 6, got 8}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @rotate_backward_c3_static(%y: tensor<1x2x5x?xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x5x?xf32>) {
  // expected-error @+1 {{expected the head size to be static}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x?xf32>, tensor<1x2x5xf32>, tensor<1x2x5x?xf32>) -> (tensor<1x2x5x?xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @rotate_backward_c4(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %w: tensor<3xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected `omega` to hold 2 frequencies, got 3}}
  %0:2 = repo.rotate_backward %y by(%z) omega(%w) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<3xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @rotate_backward_c5(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf64>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected `positions` to have element type 'f32', got 'f64'}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf64>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x2x5xf64>)
  return
}

// -----

func.func @rotate_backward_c6(%y: tensor<1x2x5x6xf32>, %z: tensor<1x2x5xf32>, %g: tensor<1x2x5x6xf32>) {
  // expected-error @+1 {{expected the layout of `output` to order its 4 dimensions of 4}}
  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+4, dim = 4>, layout = affine_map<(b, h, n, d) -> (b, n, h, h)>}
     : (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>, tensor<1x2x5x6xf32>) -> (tensor<1x2x5x6xf32>, tensor<1x2x5xf32>)
  return
}

// -----

func.func @attention_backward_c1_upstream(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x6x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected dimension 2 (n) of `upstream` to be 5 as in `query`, got 6}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x6x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c1_lse(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x2x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected dimension 1 (h) of `lse` to be 4 as in `query`, got 2}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x2x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c1_gradient(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x4x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected `d_key` to have the shape of its operand, 'tensor<1x2x7x6xf32>', got 'tensor<1x4x7x6xf32>'}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x4x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x4x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c2(%q: tensor<1x4x5x6xf32>, %k: tensor<1x3x7x6xf32>, %v: tensor<1x3x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x3x7x6xf32>, %d2: tensor<1x3x7x3xf32>) {
  // expected-error @+1 {{expected the number of query heads to be a multiple of the number of KV heads, got 4 and 3}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x3x7x6xf32>, tensor<1x3x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x3x7x6xf32>, tensor<1x3x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x3x7x6xf32>, tensor<1x3x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c3_rope(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zq: tensor<1x4x5xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>, %d3: tensor<1x4x5xf32>) {
  // expected-error @+1 {{expected `rope` beside `query_positions`}}
  %0:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) query_positions(%zq)
     into %d0, %d1, %d2, %d3
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf32>)
  return
}

// -----

func.func @attention_backward_c3_heads(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zq: tensor<1x3x5xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>, %d3: tensor<1x3x5xf32>) {
  // expected-error @+1 {{expected `query_positions` to have 1, 2 or 4 heads, got 3}}
  %0:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) query_positions(%zq)
     into %d0, %d1, %d2, %d3 {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x3x5xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x3x5xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x3x5xf32>)
  return
}

// -----

func.func @attention_backward_c4(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zk: tensor<1x4x7xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>, %d3: tensor<1x4x7xf32>) {
  // expected-error @+1 {{expected `query_positions` per query head (4) beside `key_positions` per query head}}
  %0:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) key_positions(%zk)
     into %d0, %d1, %d2, %d3 {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x7xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x7xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x7xf32>)
  return
}

// -----

func.func @attention_backward_c5(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zq: tensor<1x4x5xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>, %d3: tensor<1x4x5xf32>) {
  // expected-error @+1 {{expected `dim` of the rope to be at most the head size 6, got 8}}
  %0:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) query_positions(%zq)
     into %d0, %d1, %d2, %d3 {rope = #repo.rope<theta = 1.0E+4, dim = 8>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf32>)
  return
}

// -----

func.func @attention_backward_c6_lse(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf64>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected `lse` to have element type 'f32', got 'f64'}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf64>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c6_gradient(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zq: tensor<1x4x5xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>, %d3: tensor<1x4x5xf64>) {
  // expected-error @+1 {{expected `d_query_positions` to have element type 'f32', got 'f64'}}
  %0:4 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) query_positions(%zq)
     into %d0, %d1, %d2, %d3 {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf64>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5xf64>)
  return
}

// -----

func.func @attention_backward_c7(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected `window` to be [left, right], got 1 numbers}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2 {window = array<i64: 3>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c8(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected `softcap` to be finite and positive, got 0}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2 {softcap = 0.0 : f64}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c9(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %n: tensor<1xi32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected `offset` beside `lengths` with a causal mask or window where the 5 queries and 7 keys differ in number}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) lengths(%n)
     into %d0, %d1, %d2 {causal}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1xi32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c10_count(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %zq: tensor<1x4x5xf32>, %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected 4 destinations, got 3}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do) query_positions(%zq)
     into %d0, %d1, %d2 {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c10_results(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected result 0 to have the type of its destination, 'tensor<1x4x5x6xf32>', got 'tensor<1x4x5x6xbf16>'}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xbf16>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}

// -----

func.func @attention_backward_c11(%q: tensor<1x4x5x6xf32>, %k: tensor<1x2x7x6xf32>, %v: tensor<1x2x7x3xf32>, %o: tensor<1x4x5x3xf32>, %l: tensor<1x4x5xf32>, %do: tensor<1x4x5x3xf32>,
    %d0: tensor<1x4x5x6xf32>, %d1: tensor<1x2x7x6xf32>, %d2: tensor<1x2x7x3xf32>) {
  // expected-error @+1 {{expected the layout of `query` to order its 4 dimensions of 6}}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%do)
     into %d0, %d1, %d2 {layouts = [affine_map<(b, h, n, m, d, e) -> (b, h, n, n)>, affine_map<(b, h, n, m, d, e) -> (b, h, m, d)>,
       affine_map<(b, h, n, m, d, e) -> (b, h, m, e)>, affine_map<(b, h, n, m, d, e) -> (b, h, n, e)>]}
     : (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5xf32>, tensor<1x4x5x3xf32>, tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
       -> (tensor<1x4x5x6xf32>, tensor<1x2x7x6xf32>, tensor<1x2x7x3xf32>)
  return
}
