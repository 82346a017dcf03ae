// RUN: repo-opt %s --repo-decompose | %run_decomposed | FileCheck %s

// The gradients on numbers small enough to check by hand, lowered by upstream passes alone.

func.func private @printMemrefF32(tensor<*xf32> {bufferization.access = "read"}) attributes {llvm.emit_c_interface}

// Two keys of weights 1/4 and 3/4 (logits 0 and ln 3), values 4 and 8: output 7. With upstream 1:
// d_value = (1/4, 3/4); ds = p (v - 7) = (-3/4, 3/4); d_query = ds . k = 3/4 ln(3)/2; d_key = ds q.
// The third key does not exist and holds no numbers.
func.func @attention() {
  %q = arith.constant dense<2.0> : tensor<1x1x1x1xf32>
  %k = arith.constant dense<[[[[0.0], [0.549306144], [0x7FC00000]]]]> : tensor<1x1x3x1xf32>
  %v = arith.constant dense<[[[[4.0], [8.0], [0x7F800000]]]]> : tensor<1x1x3x1xf32>
  %o = arith.constant dense<7.0> : tensor<1x1x1x1xf32>
  %lse = arith.constant dense<1.38629436> : tensor<1x1x1xf32>
  %up = arith.constant dense<1.0> : tensor<1x1x1x1xf32>
  %length = arith.constant dense<2> : tensor<1xi32>
  %dq = tensor.empty() : tensor<1x1x1x1xf32>
  %dk = tensor.empty() : tensor<1x1x3x1xf32>
  %r:3 = repo.attention_backward %q, %k, %v output(%o) lse(%lse) upstream(%up) lengths(%length) into %dq, %dk, %dk
     : (tensor<1x1x1x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x1x1xf32>, tensor<1x1x1xf32>,
        tensor<1x1x1x1xf32>, tensor<1xi32>, tensor<1x1x1x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>)
       -> (tensor<1x1x1x1xf32>, tensor<1x1x3x1xf32>, tensor<1x1x3x1xf32>)
  %u = tensor.cast %r#0 : tensor<1x1x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %uk = tensor.cast %r#1 : tensor<1x1x3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%uk) : (tensor<*xf32>) -> ()
  %uv = tensor.cast %r#2 : tensor<1x1x3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%uv) : (tensor<*xf32>) -> ()
  return
}

// A quarter turn: y = (-2, 1) of x = (1, 2). dx = R^T g = (g2, -g1), dz = g2 y1 - g1 y2.
func.func @rotate() {
  %y = arith.constant dense<[[[[-2.0, 1.0]]]]> : tensor<1x1x1x2xf32>
  %g = arith.constant dense<[[[[3.0, 5.0]]]]> : tensor<1x1x1x2xf32>
  %z = arith.constant dense<1.57079637> : tensor<1x1x1xf32>
  %r:2 = repo.rotate_backward %y by(%z) upstream(%g) {rope = #repo.rope<theta = 1.0E+2, dim = 2>}
     : (tensor<1x1x1x2xf32>, tensor<1x1x1xf32>, tensor<1x1x1x2xf32>) -> (tensor<1x1x1x2xf32>, tensor<1x1x1xf32>)
  %u = tensor.cast %r#0 : tensor<1x1x1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %uz = tensor.cast %r#1 : tensor<1x1x1xf32> to tensor<*xf32>
  call @printMemrefF32(%uz) : (tensor<*xf32>) -> ()
  return
}

// g = 0: silu = 0, its slope 1/2. With c = 3, heads = 2 and dz = 1: dg = 2 * 3 / 2, all else 0.
func.func @positions() {
  %h = arith.constant dense<[[[0.0, 3.0]]]> : tensor<1x1x2xf32>
  %gate = arith.constant dense<[[1.0, 0.0]]> : tensor<1x2xf32>
  %content = arith.constant dense<[[0.0, 1.0]]> : tensor<1x2xf32>
  %heads = arith.constant dense<2.0> : tensor<1x1xf32>
  %dz = arith.constant dense<1.0> : tensor<1x1x1xf32>
  %r:4 = repo.assign_positions_backward %h gate(%gate) content(%content) heads(%heads) upstream(%dz)
     : (tensor<1x1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x1xf32>, tensor<1x1x1xf32>)
       -> (tensor<1x1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x1xf32>)
  %u = tensor.cast %r#0 : tensor<1x1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  %ug = tensor.cast %r#1 : tensor<1x2xf32> to tensor<*xf32>
  call @printMemrefF32(%ug) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  // CHECK: [0.41198]
  // CHECK: [-1.5],
  // CHECK-NEXT: [1.5],
  // CHECK-NEXT: [0]
  // CHECK: [0.25],
  // CHECK-NEXT: [0.75],
  // CHECK-NEXT: [0]
  call @attention() : () -> ()
  // CHECK: [5, -3]
  // CHECK: [-13]
  call @rotate() : () -> ()
  // CHECK: [3, 0]
  // CHECK: [0, 9]
  call @positions() : () -> ()
  return
}
