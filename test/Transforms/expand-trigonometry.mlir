// RUN: repo-opt %s --repo-expand-trigonometry | FileCheck %s
// RUN: repo-opt %s --repo-expand-trigonometry | mlir-opt --convert-math-to-llvm --convert-to-llvm --reconcile-unrealized-casts \
// RUN:   | mlir-runner -entry-point-result=void -shared-libs=%mlir_c_runner_utils | FileCheck %s --check-prefix=VALUES

// CHECK-LABEL: @print
// CHECK-NOT: math.sin
// CHECK-NOT: math.cos
// CHECK: math.fma
func.func @print(%x: f32) {
  %s = math.sin %x : f32
  %c = math.cos %x : f32
  vector.print %s : f32
  vector.print %c : f32
  return
}

func.func @main() {
  // VALUES: 0
  // VALUES-NEXT: 1
  %0 = arith.constant 0.0 : f32
  func.call @print(%0) : (f32) -> ()
  // sin(-100.5), cos(-100.5)
  // VALUES-NEXT: 0.0309
  // VALUES-NEXT: 0.9995
  %1 = arith.constant -100.5 : f32
  func.call @print(%1) : (f32) -> ()
  // sin(1000000), cos(1000000)
  // VALUES-NEXT: -0.34999
  // VALUES-NEXT: 0.93675
  %2 = arith.constant 1.0e6 : f32
  func.call @print(%2) : (f32) -> ()
  return
}
