// Kernels become functions of the host.

// RUN: repo-opt %s --repo-emulate-kernels --split-input-file --verify-diagnostics | FileCheck %s

module attributes {gpu.container_module} {
  // CHECK: llvm.func @repo_emulator_barrier(!llvm.ptr)
  // CHECK: llvm.mlir.global private constant @kernels.table
  // CHECK: llvm.func internal @kernels.k.thread(%[[S:[a-z0-9]+]]: !llvm.ptr, %[[ARGUMENTS:[a-z0-9]+]]: !llvm.ptr)
  // CHECK:   llvm.load %[[ARGUMENTS]] : !llvm.ptr -> !llvm.struct<(struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>, i64)>
  // CHECK:   llvm.call @kernels.k(%[[S]],
  // CHECK: llvm.func internal @kernels.k(%[[STATE:[a-z0-9]+]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64) {
  // CHECK:   %[[TID:.*]] = llvm.getelementptr %[[STATE]][0]
  // CHECK:   llvm.load %[[TID]] : !llvm.ptr -> i32
  // CHECK:   %[[SIZE:.*]] = llvm.getelementptr %[[STATE]][3]
  // CHECK:   llvm.call @repo_emulator_barrier(%[[STATE]])
  // CHECK:   llvm.mlir.addressof @kernels.table
  gpu.module @kernels {
    llvm.mlir.global private constant @table(dense<[1.0, 2.0]> : tensor<2xf32>) : !llvm.array<2 x f32>
    llvm.func @k(%p: !llvm.ptr, %q: !llvm.ptr, %o: i64, %n: i64, %s: i64, %i: i64) attributes {gpu.kernel, nvvm.kernel} {
      %0 = nvvm.read.ptx.sreg.tid.x : i32
      %1 = nvvm.read.ptx.sreg.ntid.x : i32
      %2 = llvm.add %0, %1 : i32
      nvvm.barrier0
      %t = llvm.mlir.addressof @table : !llvm.ptr
      llvm.store %2, %q : i32, !llvm.ptr
      llvm.return
    }
  }
  // CHECK: func.func @f
  // CHECK:   %[[MEETS:[0-9]+]] = llvm.mlir.constant(1 : i32)
  // CHECK:   llvm.call @repo_emulator_launch({{.*}}, %[[MEETS]])
  // CHECK-NOT: gpu.module
  func.func @f(%x: memref<?xf32>, %n: index) {
    %c1 = arith.constant 1 : index
    gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%n, %c1, %c1) args(%x : memref<?xf32>, %n : index)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @k(%p: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
      // expected-error @+1 {{the emulator has no `nvvm.read.ptx.sreg.smid`}}
      %0 = nvvm.read.ptx.sreg.smid : i32
      llvm.store %0, %p : i32, !llvm.ptr
      llvm.return
    }
  }
}
