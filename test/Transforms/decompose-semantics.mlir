// RUN: repo-opt %s --repo-decompose | %run_decomposed | FileCheck %s

// Every op on numbers small enough to check by hand.

func.func private @printMemrefF32(tensor<*xf32>)

func.func @index_positions() {
  %at = arith.constant dense<[3, -1]> : tensor<2xi32>
  %n = arith.constant 2 : index
  %z = repo.index_positions sizes(%n) offset(%at) : (index, tensor<2xi32>) -> tensor<2x1x?xf32>
  %u = tensor.cast %z : tensor<2x1x?xf32> to tensor<*xf32>
  call @printMemrefF32(%u) : (tensor<*xf32>) -> ()
  return
}

func.func @main() {
  // CHECK-LABEL: sizes = [2, 1, 2]
  // CHECK: 3, 4
  // CHECK: -1, 0
  call @index_positions() : () -> ()
  return
}
