// Launches become calls of the runtime, with pointers to the parameters.

// RUN: repo-opt %s --repo-convert-launches --split-input-file --verify-diagnostics | FileCheck %s

module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @k(%p: !llvm.ptr, %q: !llvm.ptr, %o: i64, %n: i64, %s: i64, %i: i64) attributes {gpu.kernel, nvvm.kernel} {
      llvm.return
    }
  }
  // CHECK: llvm.mlir.global external constant @repo_kernel_images
  // CHECK-LABEL: func.func @f(
  // CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr, %{{.*}}: memref<?xf32>
  // Pointers, offset, size and stride of the buffer, and the number.
  // CHECK: llvm.alloca %{{.*}} x !llvm.array<6 x ptr>
  // CHECK: llvm.getelementptr %{{.*}}[0, 4, 0] : (!llvm.ptr) -> !llvm.ptr, !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  // CHECK: llvm.zext %{{.*}} : i32 to i64
  // CHECK: %[[KERNEL:.*]] = llvm.mlir.addressof @repo_kernel.k
  // CHECK: %[[TABLE:.*]] = llvm.load %[[CONTEXT]]
  // CHECK: %[[SLOT:.*]] = llvm.getelementptr %[[TABLE]][48]
  // CHECK: %[[LAUNCH:.*]] = llvm.load %[[SLOT]]
  // CHECK: llvm.call %[[LAUNCH]](%[[CONTEXT]], %[[KERNEL]], %{{.*}}, %{{.*}})
  // CHECK-NOT: gpu.module
  func.func @f(%context: !llvm.ptr, %x: memref<?xf32>, %n: index, %shared: i32) {
    %c1 = arith.constant 1 : index
    gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%n, %c1, %c1) dynamic_shared_memory_size %shared args(%x : memref<?xf32>, %n : index)
    return
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @k() attributes {gpu.kernel, nvvm.kernel} {
      llvm.return
    }
  }
  func.func @f(%n: index) {
    // expected-error @+1 {{expected a launch in a function with the context as argument 0}}
    gpu.launch_func @kernels::@k blocks in (%n, %n, %n) threads in (%n, %n, %n)
    return
  }
}
