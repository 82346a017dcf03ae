// RUN: repo-opt %s --pass-pipeline='builtin.module(func.func(repo-convert-contractions-to-gemm))' | FileCheck %s
// RUN: repo-opt %s --pass-pipeline='builtin.module(func.func(repo-convert-contractions-to-gemm), repo-convert-gemms)' \
// RUN: | FileCheck %s --check-prefix=CALL

#in = affine_map<(b, n, o, i) -> (b, n, i)>
#out_in = affine_map<(b, n, o, i) -> (o, i)>
#in_out = affine_map<(b, n, o, i) -> (i, o)>
#out = affine_map<(b, n, o, i) -> (b, n, o)>

// Zeros that nothing else reads are not written.
// CHECK-LABEL: func.func @linear
// CHECK-NOT: linalg.fill
// CHECK: repo.gemm %arg1, %arg2 into %arg3 {transpose_b}
// CALL-LABEL: func.func @linear
// CALL: %[[NUMBERS:.*]] = llvm.alloca %{{.*}} x !llvm.array<16 x i64>
// CALL: %[[SLOT:.*]] = llvm.getelementptr %{{.*}}[72]
// CALL: %[[GEMM:.*]] = llvm.load %[[SLOT]]
// CALL: llvm.call %[[GEMM]](%arg0, %[[NUMBERS]])
func.func @linear(%ctx: !llvm.ptr, %h: memref<?x?x64xbf16>, %w: memref<32x64xbf16>, %y: memref<?x?x32xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?x?x32xf32>)
  linalg.contract indexing_maps = [#in, #out_in, #out] ins(%h, %w : memref<?x?x64xbf16>, memref<32x64xbf16>)
    outs(%y : memref<?x?x32xf32>)
  return
}

// CHECK-LABEL: func.func @accumulates
// CHECK: linalg.fill
// CHECK: memref.load
// CHECK: repo.gemm %arg1, %arg2 into %arg3 {accumulate}
func.func @accumulates(%ctx: !llvm.ptr, %h: memref<?x?x64xf32>, %w: memref<64x32xf32>, %y: memref<?x?x32xf32>) -> f32 {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  linalg.fill ins(%zero : f32) outs(%y : memref<?x?x32xf32>)
  %0 = memref.load %y[%c0, %c0, %c0] : memref<?x?x32xf32>
  linalg.contract indexing_maps = [#in, #in_out, #out] ins(%h, %w : memref<?x?x64xf32>, memref<64x32xf32>)
    outs(%y : memref<?x?x32xf32>)
  return %0 : f32
}

// Operands of two types, and rows whose elements lie apart, stay.
// CHECK-LABEL: func.func @stays
// CHECK-NOT: repo.gemm
// CHECK-COUNT-2: linalg.contract
func.func @stays(%ctx: !llvm.ptr, %h: memref<?x?x64xf32>, %w: memref<32x64xbf16>, %y: memref<?x?x32xf32>,
                 %t: memref<32x64xf32, strided<[1, 32]>>) {
  linalg.contract indexing_maps = [#in, #out_in, #out] ins(%h, %w : memref<?x?x64xf32>, memref<32x64xbf16>)
    outs(%y : memref<?x?x32xf32>)
  linalg.contract indexing_maps = [#in, #out_in, #out]
    ins(%h, %t : memref<?x?x64xf32>, memref<32x64xf32, strided<[1, 32]>>) outs(%y : memref<?x?x32xf32>)
  return
}
