// RUN: repo-opt %s --repo-merge-functions --split-input-file | FileCheck %s

// Callers of equal functions become equal in turn.

// CHECK-LABEL: func.func private @f.task0
// CHECK-NOT: @g.task0
// CHECK: func.func private @f.body
// CHECK-NOT: @g.body
func.func private @f.task0(%x: f32) -> f32 {
  %0 = arith.addf %x, %x : f32
  return %0 : f32
}
func.func private @g.task0(%y: f32) -> f32 {
  %0 = arith.addf %y, %y : f32
  return %0 : f32
}
func.func private @f.body(%x: f32) -> f32 {
  %0 = func.call @f.task0(%x) : (f32) -> f32
  return %0 : f32
}
func.func private @g.body(%x: f32) -> f32 {
  %0 = func.call @g.task0(%x) : (f32) -> f32
  return %0 : f32
}
// CHECK-LABEL: func.func @entry
// CHECK: call @f.body
// CHECK: call @f.body
// CHECK: constant @f.task0
func.func @entry(%x: f32) -> (f32, f32, (f32) -> f32) {
  %0 = func.call @f.body(%x) : (f32) -> f32
  %1 = func.call @g.body(%x) : (f32) -> f32
  %2 = func.constant @g.task0 : (f32) -> f32
  return %0, %1, %2 : f32, f32, (f32) -> f32
}

// -----

// Another op, operand, constant, type or attribute is another function; so is what others see.
// CHECK-LABEL: func.func private @add
// CHECK: func.func private @subtract
// CHECK: func.func private @reversed
// CHECK: func.func private @one
// CHECK: func.func private @two
// CHECK: func.func private @wide
// CHECK: func.func private @kept
// CHECK: func.func @public
// CHECK: func.func private @declared
// CHECK: func.func private @declared_too
func.func private @add(%x: f32, %y: f32) -> f32 {
  %0 = arith.addf %x, %y : f32
  return %0 : f32
}
func.func private @subtract(%x: f32, %y: f32) -> f32 {
  %0 = arith.subf %x, %y : f32
  return %0 : f32
}
func.func private @reversed(%x: f32, %y: f32) -> f32 {
  %0 = arith.subf %y, %x : f32
  return %0 : f32
}
func.func private @one() -> i32 {
  %0 = arith.constant 1 : i32
  return %0 : i32
}
func.func private @two() -> i32 {
  %0 = arith.constant 2 : i32
  return %0 : i32
}
func.func private @wide(%x: f64, %y: f64) -> f64 {
  %0 = arith.addf %x, %y : f64
  return %0 : f64
}
func.func private @kept(%x: f32, %y: f32) -> f32 attributes {no_inline} {
  %0 = arith.addf %x, %y : f32
  return %0 : f32
}
func.func @public(%x: f32, %y: f32) -> f32 {
  %0 = arith.addf %x, %y : f32
  return %0 : f32
}
func.func private @declared(f32) -> f32
func.func private @declared_too(f32) -> f32

// Functions of the LLVM dialect: internal ones alone.
// CHECK-LABEL: llvm.func @entry(
// CHECK: llvm.mlir.addressof @first_call
// CHECK: llvm.mlir.addressof @first_call
// CHECK: llvm.mlir.addressof @exported
// CHECK-NOT: @second_call
llvm.func @entry(%to: !llvm.ptr) {
  %0 = llvm.mlir.addressof @first_call : !llvm.ptr
  %1 = llvm.mlir.addressof @second_call : !llvm.ptr
  %2 = llvm.mlir.addressof @exported : !llvm.ptr
  llvm.store %0, %to : !llvm.ptr, !llvm.ptr
  llvm.store %1, %to : !llvm.ptr, !llvm.ptr
  llvm.store %2, %to : !llvm.ptr, !llvm.ptr
  llvm.return
}
llvm.func internal @first_call(%0: !llvm.ptr) {
  llvm.return
}
llvm.func internal @second_call(%0: !llvm.ptr) {
  llvm.return
}
llvm.func @exported(%0: !llvm.ptr) {
  llvm.return
}

// -----

// Kernels and the constants they use, wherever they are launched.

// CHECK-LABEL: func.func @launches
// CHECK: gpu.launch_func @kernels::@first
// CHECK: gpu.launch_func @kernels::@first
// CHECK: gpu.module @kernels
// CHECK-COUNT-1: memref.global
// CHECK-COUNT-1: gpu.func
// CHECK-NOT: gpu.func
module attributes {gpu.container_module} {
  func.func @launches(%n: index, %x: memref<2xf32>) {
    gpu.launch_func @kernels::@first blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%x : memref<2xf32>)
    gpu.launch_func @kernels::@second blocks in (%n, %n, %n) threads in (%n, %n, %n) args(%x : memref<2xf32>)
    return
  }
  gpu.module @kernels {
    memref.global "private" constant @a : memref<2xf32> = dense<[1.0, 2.0]>
    memref.global "private" constant @b : memref<2xf32> = dense<[1.0, 2.0]>
    gpu.func @first(%x: memref<2xf32>) kernel {
      %0 = memref.get_global @a : memref<2xf32>
      linalg.copy ins(%0 : memref<2xf32>) outs(%x : memref<2xf32>)
      gpu.return
    }
    gpu.func @second(%x: memref<2xf32>) kernel {
      %0 = memref.get_global @b : memref<2xf32>
      linalg.copy ins(%0 : memref<2xf32>) outs(%x : memref<2xf32>)
      gpu.return
    }
  }
}
