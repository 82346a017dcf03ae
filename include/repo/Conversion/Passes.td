//===- Passes.td - From tensors to the C interface ---------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_PASSES
#define REPO_CONVERSION_PASSES

include "mlir/Pass/PassBase.td"

include "repo/Conversion/KernelPasses.td"
include "repo/Conversion/TilePasses.td"

def MaterializeDestinations : Pass<"repo-materialize-destinations", "::mlir::ModuleOp"> {
  let summary = "turn tensor arguments and results of public functions into buffers";
  let description = [{
    A public function on tensors becomes one on strided buffers: inputs are read by
    `bufferization.to_tensor restrict`, each result is written to a buffer argument by
    `bufferization.materialize_in_destination`, so that bufferization copies nothing. The
    execution context becomes argument 0. An argument with `repo.inout = R` is read and
    written in place, and result R has no buffer of its own. Boolean tensors cross the
    boundary as bytes. Arguments or results with `repo.packed` cross it as one tensor of
    bytes, in which they lie side by side, each from a multiple of 64 bytes on.

    Before:

    ```mlir
    func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
      %0 = math.exp %x : tensor<?xf32>
      return %0 : tensor<?xf32>
    }
    ```

    After:

    ```mlir
    func.func @f(%ctx: !llvm.ptr, %x: memref<?xf32, strided<[1], offset: ?>>,
                 %out: memref<?xf32, strided<[1], offset: ?>>) {
      %0 = bufferization.to_tensor %x restrict : memref<?xf32, strided<[1], offset: ?>> to tensor<?xf32>
      %1 = math.exp %0 : tensor<?xf32>
      bufferization.materialize_in_destination %1 in restrict writable %out
        : (tensor<?xf32>, memref<?xf32, strided<[1], offset: ?>>) -> ()
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect",
    "::mlir::tensor::TensorDialect"];
}

def EmitCInterface : Pass<"repo-emit-c-interface", "::mlir::ModuleOp"> {
  let summary = "emit the C entry of every function with a context";
  let description = [{
    For every function made by `repo-materialize-destinations`, renames it to
    `NAME.body` and emits `int32_t NAME(repo_rt_context *, DLTensor *const *, int32_t)`.
    The entry passes a table that describes its arguments (names, element types, sizes,
    equal symbolic sizes) to the runtime, which checks the tensors against it, and calls
    the body with buffers made of them.

    Two dynamic sizes get the same symbol if the ops of the function need them to be
    equal (their indexing maps say so); the runtime refuses tensors in which they differ. The size
    of an output that no input has is compared when it is computed, before the output is written.

    Beside a function `NAME_pack` that writes packed weights, `int64_t NAME_pack_size(void)` tells
    their size in bytes; the manifest lists their parts: which entry makes each
    (`NAME_pack_partK`), of which constants, where it lies.

    Before:

    ```mlir
    func.func @f(%ctx: !llvm.ptr, %x: memref<?x4xf32, ...>, %out: memref<?x4xf32, ...>)
    ```

    After (shortened):

    ```mlir
    llvm.func @f(%ctx: !llvm.ptr, %tensors: !llvm.ptr, %count: i32) -> i32 {
      ... %status = llvm.call %run(%ctx, %signature, %tensors, %count, %call) ...
    }
    ```
  }];
  let options = [
    Option<"target", "target", "std::string", "\"cpu\"", "the target that the manifest names">,
    Option<"features", "features", "std::string", "\"\"",
           "the CPU features the code needs, separated by spaces">,
    Option<"compiler", "compiler", "std::string", "\"repo 0.1.0\"",
           "the compiler that the manifest names">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

def Bufferize : Pass<"repo-bufferize", "::mlir::ModuleOp"> {
  let summary = "one-shot bufferization as this project needs it";
  let description = [{
    Upstream's one-shot bufferization of a module with function boundaries. Copies
    become `linalg.copy`, which is vectorised and needs no library function, where
    `memref.copy` of strided buffers calls one. Buffers are not freed: see
    `repo-plan-workspace`.

    Before:

    ```mlir
    %y = linalg.generic ... ins(%x : tensor<?xf32>) outs(%e : tensor<?xf32>) { ... }
    bufferization.materialize_in_destination %y in restrict writable %out : ...
    ```

    After:

    ```mlir
    linalg.generic ... ins(%x : memref<?xf32, ...>) outs(%out : memref<?xf32, ...>) { ... }
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
}

def MergeFunctions : Pass<"repo-merge-functions", "::mlir::ModuleOp"> {
  let summary = "keep one of several equal private functions";
  let description = [{
    Private functions, and internal ones of the LLVM dialect, that differ in nothing but their name and
    locations become one.
    After `repo-outline-parallel` the tasks of contractions of one shape are such
    functions: a whole model holds few shapes, so that its compile time follows from
    these and not from the number of contractions. Repeated until nothing is equal,
    because callers of merged functions may have become so. Declarations are kept.
    Equal kernels and constants of a `gpu.module` become one too: assembling each takes
    a tenth of a second or more.

    Before:

    ```mlir
    func.func private @f.task0(%x: index) -> index { return %x : index }
    func.func private @g.task0(%x: index) -> index { return %x : index }
    func.func @f(%x: index) -> (index, index) {
      %0 = func.call @f.task0(%x) : (index) -> index
      %1 = func.call @g.task0(%x) : (index) -> index
      return %0, %1 : index, index
    }
    ```

    After: both calls are of `@f.task0`.
  }];
  let statistics = [Statistic<"numMerged", "num-merged", "Number of functions replaced by an equal one">];
}

def InlineResults : Pass<"repo-inline-results", "::mlir::ModuleOp"> {
  let summary = "inline functions that return buffers of unknown size";
  let description = [{
    A function that returns a buffer whose size its caller does not know cannot be given that
    buffer: its body takes the place of the call. Functions whose results are written to
    arguments, or have static sizes, stay.

    Before:

    ```mlir
    func.func private @double(%x: memref<?xf32>) -> memref<?xf32> { ... %y = memref.alloc(%n) ... }
    func.func @f(%x: memref<?xf32>, %out: memref<?xf32>) {
      %y = call @double(%x) : (memref<?xf32>) -> memref<?xf32>
      ...
    }
    ```

    After:

    ```mlir
    func.func @f(%x: memref<?xf32>, %out: memref<?xf32>) {
      %y = memref.alloc(%n) : memref<?xf32>
      ...
    }
    ```
  }];
  let statistics = [Statistic<"numInlined", "num-inlined", "Number of functions inlined">];
}

def OutlineParallel : Pass<"repo-outline-parallel", "::mlir::ModuleOp"> {
  let summary = "turn parallel loops into tasks of the runtime's thread pool";
  let description = [{
    Moves the body of every outermost `scf.forall` on buffers into a function
    `NAME.taskK(index, arguments)`, and calls the parallel-for of the context (argument 0
    of the function) on it. Values from outside are passed in a struct on the caller's
    stack; constants are cloned. Inner loops become ordinary loops, and so do loops whose
    body allocates by sizes known only at run time or calls a function: tasks have no
    workspace.

    Before:

    ```mlir
    func.func @f(%ctx: !llvm.ptr, %n: index, %x: memref<?xf32>) {
      scf.forall (%i) in (%n) { ... }
      return
    }
    ```

    After (shortened):

    ```mlir
    func.func private @f.task0(%i: i64, %arguments: !llvm.ptr) { ... }
    func.func @f(%ctx: !llvm.ptr, %n: index, %x: memref<?xf32>) {
      ... llvm.call %parallel_for(%ctx, %n64, %task0, %arguments) ...
      return
    }
    ```
  }];
  let statistics = [
    Statistic<"numTasks", "num-tasks", "Number of parallel loops outlined">,
    Statistic<"numSequential", "num-sequential",
              "Number of parallel loops that run in order">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect",
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def PlanWorkspace : Pass<"repo-plan-workspace", "::mlir::ModuleOp"> {
  let summary = "take buffers from the stack or the workspace of the context";
  let description = [{
    Replaces `memref.alloc`. Inside a task: by a stack buffer (the size must be static,
    at most `max-stack-bytes`). Elsewhere: by memory of the workspace of the context,
    which is given back when the function, or the iteration of the loop that allocated
    it, ends. A workspace that cannot be had ends the entry with an error.

    Before:

    ```mlir
    scf.for %i = %c0 to %n step %c1 {
      %x = memref.alloc(%n) : memref<?xf32>
      ...
    }
    ```

    After (shortened):

    ```mlir
    scf.for %i = %c0 to %n step %c1 {
      %mark = llvm.call %mark_function(%ctx) ...
      %memory = llvm.call %take(%ctx, %bytes) ...
      %x = memref.view ... : memref<?xf32>
      ...
      llvm.call %release(%ctx, %mark) ...
    }
    ```
  }];
  let options = [Option<"maxStackBytes", "max-stack-bytes", "int64_t", "1048576",
                        "the largest buffer a task may have on its stack">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect",
    "::mlir::arith::ArithDialect"];
}

def ApproximateMath : Pass<"repo-approximate-math"> {
  let summary = "exponentials, logarithms and tanh of f32 as arithmetic";
  let description = [{
    Replaces f32 `math.exp` and `math.exp2` by polynomials within two units in the last
    place over the whole range, `math.log`, `math.log2` and `math.tanh` by upstream's (a
    few units), and the rounding functions they use by intrinsics every target has. A GPU
    has no library to call: an unresolved function in a kernel is an error of the build,
    not of the run.

    Before: `%1 = math.exp %0 : f32`. After: about 20 `arith` and `math.fma` ops.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"];
}

#endif // REPO_CONVERSION_PASSES
