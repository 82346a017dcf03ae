// RUN: repo-opt %s --repo-decompose | %run_decomposed | FileCheck %s

// Every op on numbers small enough to check by hand, lowered by upstream passes
// alone.

func.func private @printMemrefF32(tensor<*xf32> {bufferization.access = "read"}) attributes {llvm.emit_c_interface}

// silu(1) = 0.731059, silu(2) = 1.761594
func.func @assign_positions() {
  %h = arith.constant dense<[[[1.0, 0.0], [0.0, 2.0]]]> : tensor<1x2x2xf32>
  %gate = arith.constant dense<[[1.0, 1.0]]> : tensor<1x2xf32>
  %content = arith.constant dense<[[2.0, 0.5]]> : tensor<1x2xf32>
  %heads = arith.constant dense<[[1.0], [-2.0]]> : tensor<2x1xf32>
  %z = repo.assign_positions %h gate(%gate) content(%content) heads(%heads)
     : (tensor<1x2x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>, tensor<2x1xf32>) -> tensor<1x2x2xf32>
  %u = tensor.cast %z : tensor<1x2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

func.func @linear_positions() {
  %h = arith.constant dense<[[[1.0, 2.0]], [[3.0, -1.0]]]> : tensor<2x1x2xf32>
  %heads = arith.constant dense<[[10.0, 1.0]]> : tensor<1x2xf32>
  %z = repo.linear_positions %h heads(%heads) : (tensor<2x1x2xf32>, tensor<1x2xf32>) -> tensor<2x1x1xf32>
  %u = tensor.cast %z : tensor<2x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

func.func @index_and_blend() {
  %at = arith.constant dense<[3, -1]> : tensor<2xi32>
  %n = arith.constant 2 : index
  %i = repo.index_positions sizes(%n) offset(%at) : (index, tensor<2xi32>) -> tensor<2x1x?xf32>
  %u = tensor.cast %i : tensor<2x1x?xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %z = arith.constant dense<[[[8.0, 8.0]], [[4.0, 4.0]]]> : tensor<2x1x2xf32>
  %zd = tensor.cast %z : tensor<2x1x2xf32> to tensor<2x1x?xf32>
  %b = repo.blend_positions %zd, %i {weight = 0.25 : f64}
     : (tensor<2x1x?xf32>, tensor<2x1x?xf32>) -> tensor<2x1x?xf32>
  %ub = tensor.cast %b : tensor<2x1x?xf32> to tensor<*xf32>
  call @printMemrefF32(%ub) : (tensor<*xf32>) -> ()
  return
}

// Angles pi/2 * (1, 0.1) for theta = 100; channel 4 stays.
func.func @rotate() {
  %x = arith.constant dense<[[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]> : tensor<1x1x1x5xf32>
  %z = arith.constant dense<1.57079637> : tensor<1x1x1xf32>
  %half = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x1x1x5xf32>, tensor<1x1x1xf32>) -> tensor<1x1x1x5xf32>
  %u = tensor.cast %half : tensor<1x1x1x5xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %w = arith.constant dense<[2.0, 1.0]> : tensor<2xf32>
  %interleaved = repo.rotate %x by(%z) omega(%w)
     {rope = #repo.rope<theta = 1.0E+2, dim = 4, layout = interleaved,
                        scaling = #repo.yarn<factor = 1.0, original = 8, attention_factor = 2.0>>}
     : (tensor<1x1x1x5xf32>, tensor<1x1x1xf32>, tensor<2xf32>) -> tensor<1x1x1x5xf32>
  %ui = tensor.cast %interleaved : tensor<1x1x1x5xf32> to tensor<*xf32>
  call @printMemrefF32(%ui) : (tensor<*xf32>) -> ()
  return
}

// Two query heads on one KV head. Logits of head 0: 0 for every key; of head 1:
// ln 3 for key 1. Causal with an offset of -1: query 0 sees nothing. Key 2 does
// not exist and holds no number.
func.func @attention() {
  %q = arith.constant dense<[[[[0.0], [0.0], [0.0]], [[1.0], [1.0], [1.0]]]]> : tensor<1x2x3x1xf32>
  %k = arith.constant dense<[[[[0.0], [1.09861229], [0x7FC00000]]]]> : tensor<1x1x3x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0], [0x7F800000]]]]> : tensor<1x1x3x1xf32>
  %length = arith.constant dense<2> : tensor<1xi32>
  %offset = arith.constant -1 : index
  %out = tensor.empty() : tensor<1x2x3x1xf32>
  %lse = tensor.empty() : tensor<1x2x3xf32>
  %r:2 = repo.attention %q, %k, %v lengths(%length) offset(%offset) into %out, %lse {causal}
     : (tensor<1x2x3x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>, tensor<1xi32>, index,
        tensor<1x2x3x1xf32>, tensor<1x2x3xf32>) -> (tensor<1x2x3x1xf32>, tensor<1x2x3xf32>)
  %u = tensor.cast %r#0 : tensor<1x2x3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %ul = tensor.cast %r#1 : tensor<1x2x3xf32> to tensor<*xf32>
  call @printMemrefF32(%ul) : (tensor<*xf32>) -> ()
  return
}

// Only the difference of positions counts: query and key at 5 do not turn against
// each other, a key half a turn away has the opposite sign.
func.func @attention_positions() {
  %q = arith.constant dense<[[[[1.0, 0.0]]]]> : tensor<1x1x1x2xf32>
  %k = arith.constant dense<[[[[1.0, 0.0], [1.0, 0.0]]]]> : tensor<1x1x2x2xf32>
  %v = arith.constant dense<[[[[1.0], [0.0]]]]> : tensor<1x1x2x1xf32>
  %zq = arith.constant dense<5.0> : tensor<1x1x1xf32>
  %zk = arith.constant dense<[[[5.0, 8.14159265]]]> : tensor<1x1x2xf32>
  %out = tensor.empty() : tensor<1x1x1x1xf32>
  // 1 / (1 + exp(-2 * 0.549306)) = 3/4
  %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %out
     {rope = #repo.rope<theta = 1.0E+4, dim = 2>, scale = 0.549306144 : f64}
     : (tensor<1x1x1x2xf32>, tensor<1x1x2x2xf32>, tensor<1x1x2x1xf32>, tensor<1x1x1xf32>, tensor<1x1x2xf32>,
        tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  %u = tensor.cast %o : tensor<1x1x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

// Two blocks of one key each: logits 0 and then 2 in base 2. Row 1 never sees a
// key, and the value of the second key is hidden from all rows there.
func.func @online_attention() {
  %q = arith.constant dense<[[1.0], [1.0]]> : tensor<2x1xf32>
  %k0 = arith.constant dense<[[0.0]]> : tensor<1x1xf32>
  %k1 = arith.constant dense<[[1.38629436]]> : tensor<1x1xf32>
  %v0 = arith.constant dense<[[5.0]]> : tensor<1x1xf32>
  %v1 = arith.constant dense<[[10.0]]> : tensor<1x1xf32>
  %mask = arith.constant dense<[[true], [false]]> : tensor<2x1xi1>
  %zero = arith.constant dense<0.0> : tensor<2x1xf32>
  %none = arith.constant dense<0xFF800000> : tensor<2xf32>
  %sum = arith.constant dense<0.0> : tensor<2xf32>
  %a:3 = repo.online_attention %q, %k0, %v0 mask(%mask) into %zero, %none, %sum {scale = 1.0 : f64}
     : (tensor<2x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<2x1xi1>, tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
       -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
  %b:3 = repo.online_attention %q, %k1, %v1 mask(%mask) into %a#0, %a#1, %a#2 {scale = 1.0 : f64}
     : (tensor<2x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<2x1xi1>, tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
       -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
  // 5 / 4 + 10, 2, 1 / 4 + 1
  %u0 = tensor.cast %b#0 : tensor<2x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u0) : (tensor<*xf32>) -> ()
  %u1 = tensor.cast %b#1 : tensor<2xf32> to tensor<*xf32>
  call @printMemrefF32(%u1) : (tensor<*xf32>) -> ()
  %u2 = tensor.cast %b#2 : tensor<2xf32> to tensor<*xf32>
  call @printMemrefF32(%u2) : (tensor<*xf32>) -> ()
  return
}

// Batch 0 appends at row 1, batch 1 at row 2, where only one of two rows fits.
func.func @cache_append() {
  %k = arith.constant dense<[[[[1.0], [2.0]]], [[[3.0], [4.0]]]]> : tensor<2x1x2x1xf32>
  %at = arith.constant dense<[1, 2]> : tensor<2xi32>
  %cache = arith.constant dense<0.0> : tensor<2x1x3x1xf32>
  %r:2 = repo.cache_append %k, %k at(%at) into %cache, %cache
     : (tensor<2x1x2x1xf32>, tensor<2x1x2x1xf32>, tensor<2xi32>, tensor<2x1x3x1xf32>, tensor<2x1x3x1xf32>)
       -> (tensor<2x1x3x1xf32>, tensor<2x1x3x1xf32>)
  %u = tensor.collapse_shape %r#1 [[0, 1], [2, 3]] : tensor<2x1x3x1xf32> into tensor<2x3xf32>
  %c = tensor.cast %u : tensor<2x3xf32> to tensor<*xf32>
  call @printMemrefF32(%c) : (tensor<*xf32>) -> ()
  return
}

// Pages of two rows. Batch 0 writes rows 1 and 2: pages 2 and 0; batch 1 has no
// second page. Then all of it is read back, batch 0 up to row 2.
func.func @cache_paged() {
  %k = arith.constant dense<[[[[1.0], [2.0]]], [[[3.0], [4.0]]]]> : tensor<2x1x2x1xf32>
  %at = arith.constant dense<[1, 1]> : tensor<2xi32>
  %table = arith.constant dense<[[2, 0], [1, -1]]> : tensor<2x2xi32>
  %pages = arith.constant dense<9.0> : tensor<3x1x2x1xf32>
  %r:2 = repo.cache_append %k, %k at(%at) table(%table) into %pages, %pages
     : (tensor<2x1x2x1xf32>, tensor<2x1x2x1xf32>, tensor<2xi32>, tensor<2x2xi32>, tensor<3x1x2x1xf32>, tensor<3x1x2x1xf32>)
       -> (tensor<3x1x2x1xf32>, tensor<3x1x2x1xf32>)
  %u = tensor.collapse_shape %r#0 [[0, 1], [2, 3]] : tensor<3x1x2x1xf32> into tensor<3x2xf32>
  %c = tensor.cast %u : tensor<3x2xf32> to tensor<*xf32>
  call @printMemrefF32(%c) : (tensor<*xf32>) -> ()
  %lengths = arith.constant dense<[3, 4]> : tensor<2xi32>
  %view = repo.cache_view %r#0 table(%table) lengths(%lengths)
     : (tensor<3x1x2x1xf32>, tensor<2x2xi32>, tensor<2xi32>) -> tensor<2x1x4x1xf32>
  %uv = tensor.collapse_shape %view [[0, 1], [2, 3]] : tensor<2x1x4x1xf32> into tensor<2x4xf32>
  %cv = tensor.cast %uv : tensor<2x4xf32> to tensor<*xf32>
  call @printMemrefF32(%cv) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  // CHECK: sizes = [1, 2, 2]
  // CHECK: 1.46212, 1.76159
  // CHECK: -2.92423, -3.52319
  call @assign_positions() : () -> ()
  // CHECK: sizes = [2, 1, 1]
  // CHECK: 12
  // CHECK: 29
  call @linear_positions() : () -> ()
  // CHECK: sizes = [2, 1, 2]
  // CHECK: 3, 4
  // CHECK: -1, 0
  // CHECK: sizes = [2, 1, 2]
  // CHECK: 6.75, 7
  // CHECK: 2.75, 3
  call @index_and_blend() : () -> ()
  // cos(0.157080) = 0.987688, sin(0.157080) = 0.156434
  // CHECK: sizes = [1, 1, 1, 5]
  // CHECK: {{\[}}-3, 1.34964, 1, 4.26362, 5]
  // CHECK: {{\[}}-2, -4, -8, 6, 5]
  call @rotate() : () -> ()
  // CHECK: sizes = [1, 2, 3, 1]
  // CHECK: [0],
  // CHECK: [4],
  // CHECK: [6]
  // CHECK: [0],
  // CHECK: [4],
  // CHECK: [7]
  // CHECK: sizes = [1, 2, 3]
  // CHECK: {{\[}}-inf, 0, 0.693147],
  // CHECK: {{\[}}-inf, 0, 1.38629]
  call @attention() : () -> ()
  // CHECK: sizes = [1, 1, 1, 1]
  // CHECK: 0.75
  call @attention_positions() : () -> ()
  // CHECK: sizes = [2, 1]
  // CHECK: [11.25],
  // CHECK: [0]
  // CHECK: [2, -inf]
  // CHECK: [1.25, 0]
  call @online_attention() : () -> ()
  // CHECK: sizes = [2, 3]
  // CHECK: [0, 1, 2],
  // CHECK: [0, 0, 3]
  call @cache_append() : () -> ()
  // CHECK: sizes = [3, 2]
  // CHECK: [2, 9],
  // CHECK: [9, 3],
  // CHECK: [9, 1]
  // CHECK: sizes = [2, 4]
  // CHECK: [9, 1, 2, 0],
  // CHECK: [9, 3, 0, 0]
  call @cache_paged() : () -> ()
  return
}
