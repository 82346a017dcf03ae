// RUN: repo-opt %s --pass-pipeline='builtin.module(gpu.module(repo-convert-math-to-nvvm))' | FileCheck %s

gpu.module @kernels {
  // CHECK-LABEL: gpu.func @functions
  gpu.func @functions(%x: f32, %d: f64, %out: memref<?xf32>) kernel {
    // CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"
    %0 = math.exp2 %x : f32
    // CHECK: llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"
    %1 = math.log2 %0 : f32
    // CHECK: llvm.call_intrinsic "llvm.nvvm.sin.approx.ftz.f"
    %2 = math.sin %1 : f32
    // CHECK: llvm.call_intrinsic "llvm.nvvm.cos.approx.ftz.f"
    %3 = math.cos %2 : f32
    %one = arith.constant 1.0 : f32
    // A reciprocal that must be exact stays a division.
    // CHECK: llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"(%{{[0-9]+}})
    // CHECK: arith.divf {{.*}} fastmath<arcp>
    %4 = arith.divf %one, %3 fastmath<afn> : f32
    %5 = arith.divf %one, %4 : f32
    // CHECK: math.exp2 %{{.*}} : f64
    %6 = math.exp2 %d : f64
    %7 = arith.truncf %6 : f64 to f32
    %8 = arith.addf %7, %5 : f32
    // One instruction each.
    // CHECK: llvm.intr.maxnum
    // CHECK: llvm.intr.minnum
    %9 = arith.maxnumf %8, %x : f32
    %10 = arith.minnumf %9, %4 : f32
    %c0 = arith.constant 0 : index
    memref.store %10, %out[%c0] : memref<?xf32>
    gpu.return
  }
}
