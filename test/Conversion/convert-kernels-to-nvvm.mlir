// Kernels call no library: math ops stay intrinsics.

// RUN: repo-opt %s --pass-pipeline='builtin.module(gpu.module(repo-convert-kernels-to-nvvm))' | FileCheck %s

// CHECK-LABEL: llvm.func @k
// CHECK-SAME: nvvm.kernel
// CHECK: nvvm.read.ptx.sreg.tid.x
// CHECK: llvm.intr.floor
// CHECK: llvm.intr.fma
// CHECK-NOT: __nv
gpu.module @kernels {
  gpu.func @k(%x: memref<?xf32>) kernel {
    %i = gpu.thread_id x
    %v = memref.load %x[%i] : memref<?xf32>
    %f = math.floor %v : f32
    %r = math.fma %f, %v, %v : f32
    gpu.barrier
    memref.store %r, %x[%i] : memref<?xf32>
    gpu.return
  }
}
