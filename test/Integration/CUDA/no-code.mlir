// What a GPU has no code for is one line, not a crash of the back end.

// RUN: not repo-compile %s --target=cuda --emit=ptx -o - 2>&1 | FileCheck %s
// CHECK: error: kernels need `llvm.exp.f64`, for which there is no code on a GPU

func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {
  %0 = math.exp %x : tensor<4xf64>
  return %0 : tensor<4xf64>
}
