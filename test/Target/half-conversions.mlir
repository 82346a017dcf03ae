// A library brings the conversions that its target has no instructions for.
// RUN: split-file %s %t
// RUN: repo-compile %t/half.mlir -o %t/half.so --cpu=x86-64
// RUN: llvm-nm -D --undefined-only %t/half.so | count 0
// RUN: repo-compile %t/half.mlir -o - --cpu=x86-64 --emit=asm | FileCheck %s
// RUN: repo-compile %t/single.mlir -o - --cpu=x86-64 --emit=asm | FileCheck %s --check-prefix=NONE

// CHECK: __truncdfhf2:
// NONE: f.call:
// NONE-NOT: __truncdfhf2

//--- half.mlir
func.func @f(%x: tensor<?xf64>) -> (tensor<?xf16>, tensor<?xbf16>) {
  %0 = arith.truncf %x : tensor<?xf64> to tensor<?xf16>
  %1 = arith.truncf %x : tensor<?xf64> to tensor<?xbf16>
  return %0, %1 : tensor<?xf16>, tensor<?xbf16>
}

//--- single.mlir
func.func @f(%x: tensor<?xf64>) -> tensor<?xf32> {
  %0 = arith.truncf %x : tensor<?xf64> to tensor<?xf32>
  return %0 : tensor<?xf32>
}
