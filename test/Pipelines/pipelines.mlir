// Each pipeline by its name, from an op to what it promises: LLVM for a CPU, kernels in the NVVM dialect with the
// launches that start them.

// RUN: repo-opt %s --repo-reference-pipeline | FileCheck %s --check-prefixes=CPU,PLAIN
// RUN: repo-opt %s --repo-cpu-pipeline | FileCheck %s --check-prefixes=CPU,FAST
// RUN: repo-opt %s --repo-cpu-pipeline --repo-lower-to-llvm | FileCheck %s --check-prefixes=CPU,FAST
// RUN: repo-opt %s --repo-decompose --convert-elementwise-to-linalg --repo-entry-pipeline | FileCheck %s --check-prefix=ENTRY
// RUN: repo-opt %s --repo-nvvm-pipeline | FileCheck %s --check-prefix=NVVM

// CPU-NOT: repo.
// CPU-DAG: llvm.func @positions(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i32) -> i32
// CPU-DAG: llvm.func internal @positions.body(
// PLAIN-NOT: @positions.body.task
// FAST-DAG: llvm.func internal @positions.body.task{{[0-9]+}}(
// FAST-DAG: llvm.mlir.addressof @positions.body.task

// The interface is LLVM; what the entry computes is left to the pipeline that follows.
// ENTRY-DAG: llvm.func @positions(
// ENTRY-DAG: func.func private @positions.body(%{{.*}}: !llvm.ptr, %{{.*}}: memref<1x64x128xf32, strided<[?, ?, 1], offset: ?>>
// ENTRY: linalg.generic

// NVVM: func.func @positions(
// NVVM: gpu.launch_func @kernels::@positions_
// NVVM: gpu.module @kernels
// NVVM: llvm.func @positions_{{.*}} attributes {gpu.kernel,
// NVVM-NOT: repo.
// NVVM: nvvm.read.ptx.sreg.tid.x

func.func @positions(%h: tensor<1x64x128xf32>, %gate: tensor<32x128xf32>, %content: tensor<32x128xf32>,
                     %heads: tensor<4x32xf32>) -> tensor<1x4x64xf32> {
  %z = repo.assign_positions %h gate(%gate) content(%content) heads(%heads)
      : (tensor<1x64x128xf32>, tensor<32x128xf32>, tensor<32x128xf32>, tensor<4x32xf32>) -> tensor<1x4x64xf32>
  return %z : tensor<1x4x64xf32>
}
