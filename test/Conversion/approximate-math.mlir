// f32 exponentials, logarithms and tanh become arithmetic; f64 stays. Values, near
// the ends of the range too.

// RUN: repo-opt %s --repo-approximate-math | FileCheck %s
// RUN: repo-opt %s --repo-approximate-math | mlir-opt --convert-scf-to-cf --convert-math-to-llvm --convert-to-llvm --reconcile-unrealized-casts | mlir-runner --entry-point-result=void --shared-libs=%mlir_c_runner_utils | FileCheck %s --check-prefix=VALUE

// CHECK-LABEL: func @f
// CHECK-NOT: math.exp
// CHECK-NOT: math.log
// CHECK-NOT: math.tanh
// CHECK: return
func.func @f(%x: f32) -> (f32, f32, f32) attributes {no_inline} {
  %e = math.exp %x : f32
  %l = math.log %x : f32
  %t = math.tanh %x : f32
  return %e, %l, %t : f32, f32, f32
}

// CHECK-LABEL: func @wide
// CHECK: math.exp %{{.*}} : f64
func.func @wide(%x: f64) -> f64 {
  %e = math.exp %x : f64
  return %e : f64
}

func.func private @printF32(f32)
func.func private @printNewline()

func.func @show(%x: f32) {
  %r:3 = func.call @f(%x) : (f32) -> (f32, f32, f32)
  func.call @printF32(%r#0) : (f32) -> ()
  func.call @printNewline() : () -> ()
  func.call @printF32(%r#1) : (f32) -> ()
  func.call @printNewline() : () -> ()
  func.call @printF32(%r#2) : (f32) -> ()
  func.call @printNewline() : () -> ()
  return
}

func.func @main() {
  %one = arith.constant 1.0 : f32
  %minus = arith.constant -20.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  // VALUE: 2.71828
  // VALUE: 0{{$}}
  // VALUE: 0.761594
  func.call @show(%one) : (f32) -> ()
  // VALUE: 2.06115e-09
  // VALUE: nan
  // VALUE: -1{{$}}
  func.call @show(%minus) : (f32) -> ()
  // VALUE: 0{{$}}
  // VALUE: nan
  // VALUE: -1
  func.call @show(%lowest) : (f32) -> ()
  return
}
