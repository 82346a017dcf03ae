//===- KernelPasses.td - Loops and products of a GPU -------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_KERNELPASSES_TD
#define REPO_CONVERSION_KERNELPASSES_TD

include "mlir/Pass/PassBase.td"

def FuseRows : Pass<"repo-fuse-rows", "::mlir::ModuleOp"> {
  let summary = "make passes over the same rows of buffers one loop over rows";
  let description = [{
    A row is what a buffer holds for one index of some of its dimensions: the channels of a
    token. Structured ops on buffers (elementwise ones, reductions along rows), and parallel
    loops that copy rows elsewhere, join one `scf.forall` over rows where one reads
    what another wrote in the same row, and nothing in between minds. Buffers that
    only these ops use shrink to a row in the memory of a block of threads. An op alone
    becomes such a loop too.

    A norm, the rotation of its rows and the write to a cache so become one pass over memory. Sizes of a
    row are static; products of matrices stay.

    Before:

    ```mlir
    %s = memref.alloc(%n) : memref<?xf32>
    linalg.fill ins(%zero : f32) outs(%s : memref<?xf32>)
    linalg.generic {indexing_maps = [(n, c) -> (n, c), (n, c) -> (n)], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x2048xf32>) outs(%s : memref<?xf32>) { ... sum of squares ... }
    linalg.generic {indexing_maps = [(n, c) -> (n, c), (n, c) -> (n), (n, c) -> (n, c)], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : memref<?x2048xf32>, memref<?xf32>) outs(%y : memref<?x2048xbf16>) { ... scale ... }
    ```

    After (shortened):

    ```mlir
    scf.forall (%i) in (%n) {
      %s = memref.alloc() : memref<1xf32, #gpu.address_space<workgroup>>
      %row = memref.subview %x[%i, 0] [1, 2048] [1, 1] : ...
      %out = memref.subview %y[%i, 0] [1, 2048] [1, 1] : ...
      linalg.fill ins(%zero : f32) outs(%s : ...)
      linalg.generic {...} ins(%row : ...) outs(%s : ...) { ... }
      linalg.generic {...} ins(%row, %s : ...) outs(%out : ...) { ... }
    } {mapping = [#gpu.block<x>]}
    ```
  }];
  let options = [Option<"report", "report", "bool", "false", "say how many ops a loop holds">];
  let statistics = [Statistic<"numLoops", "num-loops", "Number of loops over rows made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::gpu::GPUDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def DistributeRows : Pass<"repo-distribute-rows", "::mlir::ModuleOp"> {
  let summary = "let the threads of a block share a row";
  let description = [{
    A `scf.forall` over blocks (as `repo-fuse-rows` makes them) becomes a launch. A row is a block's; a thread
    takes units of neighbouring elements, 16 bytes of the smallest type, every `threads`th.
    Sums of a row meet by shuffles in warps and through shared memory between them, in
    one order; a reduction with several results per row has a warp per result. Values that
    a thread read or wrote stay in its registers for the ops behind; what other threads
    need is in shared memory, behind a barrier. Where every thread only needs what
    it has, units of all rows are numbered through.

    Rows of buffers from outside may begin anywhere: a kernel looks at their addresses and
    accesses single elements where they are no multiples of 16 bytes.

    Before: as above. After (shortened):

    ```mlir
    gpu.launch blocks(%i, ...) in (%gx = %n, ...) threads(%t, ...) in (%bx = %c256, ...) workgroup(%parts : memref<8xf32, ...>) {
      %v = vector.load %row[%c0, %8t] {alignment = 16 : i64} : ..., vector<8xf32>
      ...
      %other, %valid = gpu.shuffle xor %sum, %c16, %c32 : f32
      ...
      gpu.barrier
      ...
      vector.store %scaled, %out[%c0, %8t] {alignment = 16 : i64} : ..., vector<8xbf16>
    }
    ```
  }];
  let options = [Option<"threads", "threads", "int64_t", "256", "the most threads of a block, a multiple of 32">];
  let statistics = [Statistic<"numKernels", "num-kernels", "Number of launches made">];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
}

def MapToKernels : Pass<"repo-map-to-kernels", "::mlir::ModuleOp"> {
  let summary = "turn loops on buffers into launches of GPU kernels";
  let description = [{
    Every `scf.parallel` directly in a function becomes a `gpu.launch` with a thread per
    iteration; nested ones run in order. Other code that reads or writes buffers (a loop
    over batches around a copy) becomes a launch of one block: its threads walk through it
    together and share the parallel loops inside, with a barrier behind each. What
    computes sizes stays on the host; a number read from a buffer that nobody writes is
    read by each kernel that needs it. Constant data is fetched inside the kernel, so that
    outlining puts a copy into the kernels' module.

    Before:

    ```mlir
    scf.parallel (%i, %j) = (%c0, %c0) to (%n, %m) step (%c1, %c1) {
      ...
    }
    ```

    After (shortened):

    ```mlir
    %count = arith.muli %n, %m : index
    %grid = arith.ceildivui %count, %c256 : index
    gpu.launch blocks(%bx, ...) in (%gx = %grid, ...) threads(%tx, ...) in (%sx = %c256, ...)
        module(@kernels) function(@f_kernel0) {
      %flat = ... %bx * %sx + %tx
      scf.if %flat < %count { ... }
    }
    ```
  }];
  let options = [Option<"threads", "threads", "int64_t", "256", "threads of a block">];
  let statistics = [Statistic<"numKernels", "num-kernels", "Number of launches made">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect",
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def ConvertKernelsToNVVM : Pass<"repo-convert-kernels-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "convert kernels to the NVVM and LLVM dialects";
  let description = [{
    Converts a `gpu.module` on buffers and branches. Unlike upstream's
    `convert-gpu-to-nvvm` it calls no library: `math` ops become LLVM's intrinsics, for
    which the NVPTX backend has code (`fma`, `floor`, `fabs`, `sqrt`) or of which the
    emission of PTX says that it has none.

    Before: `%1 = gpu.thread_id x` and `%3 = math.fma %0, %1, %2 : f32`. After:
    `nvvm.read.ptx.sreg.tid.x` and `llvm.intr.fma`.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

def ConvertContractionsToGemm : Pass<"repo-convert-contractions-to-gemm", "::mlir::func::FuncOp"> {
  let summary = "let the library of the device multiply matrices";
  let description = [{
    Contractions of `[..., M, K]` and `[N, K]` or `[K, N]` on buffers, of bf16, f16 or f32 with sums in f32,
    become `repo.gemm`. Where zeros are written to the result just before, the product
    overwrites it instead. Other contractions stay, and become kernels.

    Before:

    ```mlir
    linalg.fill ins(%zero : f32) outs(%y : memref<?x?x512xf32>)
    linalg.contract indexing_maps = [(b, n, o, i) -> (b, n, i), (b, n, o, i) -> (o, i), (b, n, o, i) -> (b, n, o)]
      ins(%h, %w : memref<?x?x2048xbf16>, memref<512x2048xbf16>) outs(%y : memref<?x?x512xf32>)
    ```

    After: `repo.gemm %h, %w into %y {transpose_b} : ...`
  }];
  let statistics = [Statistic<"numProducts", "num-products", "Number of contractions that became products">];
  let dependentDialects = ["::mlir::repo::RepoDialect"];
}

def ConvertGemms : Pass<"repo-convert-gemms", "::mlir::ModuleOp"> {
  let summary = "turn matrix products into calls of the runtime";
  let description = [{
    `repo.gemm` becomes a call of `gemm` through the table of the context, with the numbers of
    `struct repo_rt_gemm`: addresses, sizes and strides.

    Before: `repo.gemm %a, %b into %c : ...`. After (shortened):

    ```mlir
    llvm.store %rows, %numbers ...
    llvm.call %gemm(%context, %numbers)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect"];
}

def ConvertAsserts : Pass<"repo-convert-asserts", "::mlir::ModuleOp"> {
  let summary = "let what the host finds wrong end the entry";
  let description = [{
    `cf.assert` in a function with a context becomes a call of the runtime where the
    condition does not hold: the entry ends with the message as its error, before
    any kernel is launched.

    Before: `cf.assert %fits, "expected ..."`. After (shortened):

    ```mlir
    scf.if %fails {
      llvm.call %refuse(%context, %message)
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::scf::SCFDialect"];
}

def ConvertMathToNVVM : Pass<"repo-convert-math-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "2^x, log2 x, sine and cosine by the special-function unit";
  let description = [{
    f32 `math.exp2`, `math.log2`, `math.sin` and `math.cos`, and reciprocals that may be approximate
    (`arith.divf` of 1 with `afn`), and maxima and minima (`arith.maxnumf`), become the approximate instructions of the hardware: relative error 2^-22 (2^x), absolute error 2^-22 (log2 x near
    1) and 2^-20.9 (sine and cosine of angles in [-pi, pi]); denormals are 0. What needs more was made
    arithmetic before, by `repo-approximate-math` and `repo-expand-trigonometry`.

    Before: `%1 = math.exp2 %0 : f32`. After:
    `%1 = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"(%0) : (f32) -> f32`.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def ConvertLaunches : Pass<"repo-convert-launches", "::mlir::ModuleOp"> {
  let summary = "turn launches of kernels into calls of the runtime";
  let description = [{
    A launch becomes a call through the table of the context: of `launch`, with the
    kernel (its name, and the images of the library's kernels, which are added when the
    library is made), grid, block and shared memory, and pointers to the parameters. A
    tensor map (`nvgpu.tma.create.descriptor`) is encoded by the runtime before the
    launch, and its 128 bytes are the parameter. The kernels are no longer needed here
    and go.

    Before:

    ```mlir
    gpu.launch_func @kernels::@f_kernel0 blocks in (%n, %c1, %c1) threads in (%c256, %c1, %c1)
      args(%x : memref<?xf32>)
    ```

    After (shortened):

    ```mlir
    llvm.store %x, %record
    %kernel = llvm.mlir.addressof @repo_kernel.f_kernel0
    llvm.call %launch(%context, %kernel, %sizes, %parameters)
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::memref::MemRefDialect"];
}

def PromoteAccumulators : Pass<"repo-promote-accumulators", "::mlir::ModuleOp"> {
  let summary = "keep the element a loop accumulates into in a register";
  let description = [{
    A loop that reads and writes the same element in every iteration, and touches its
    buffer nowhere else, carries it instead. Buffers of different allocations and
    arguments share no memory.

    Before:

    ```mlir
    scf.for %k = %c0 to %n step %c1 {
      %0 = memref.load %x[%k] : memref<?xf32>
      %1 = memref.load %y[%i] : memref<?xf32>
      %2 = arith.addf %1, %0 : f32
      memref.store %2, %y[%i] : memref<?xf32>
    }
    ```

    After:

    ```mlir
    %0 = memref.load %y[%i] : memref<?xf32>
    %1 = scf.for %k = %c0 to %n step %c1 iter_args(%sum = %0) -> (f32) {
      %2 = memref.load %x[%k] : memref<?xf32>
      %3 = arith.addf %sum, %2 : f32
      scf.yield %3 : f32
    }
    memref.store %1, %y[%i] : memref<?xf32>
    ```
  }];
  let statistics = [Statistic<"numAccumulators", "num-accumulators",
                              "Number of elements carried by loops">];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def UseSpecialFunctions : Pass<"repo-use-special-functions"> {
  let summary = "let the hardware compute functions whose results are rounded to 16 bits";
  let description = [{
    Inside of structured ops, `math.sin`, `math.cos`, `math.exp`, `math.exp2` and `arith.divf` of f32 become
    approximate ones (`fastmath<afn>`), which are instructions of a GPU, where all
    that is computed from them is rounded to bf16 or f16. Their errors, 2^-20 of a turn or two units in the last
    place, vanish there. Angles are reduced to one turn before, with 2 pi in three floats: the
    instructions are exact near zero alone. What stays in f32, or is compared, is left
    to `repo-expand-trigonometry` and `repo-approximate-math`, which leave the approximate ones.

    Before:

    ```mlir
    %1 = math.sin %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    ```

    After (shortened):

    ```mlir
    %turns = ... round(%0 / 2 pi) ...
    %r = ... %0 - %turns * 2 pi ...
    %1 = math.sin %r fastmath<afn> : f32
    %2 = arith.truncf %1 : f32 to bf16
    ```
  }];
  let statistics = [Statistic<"numFunctions", "num-functions", "Number of functions the hardware computes">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

#endif // REPO_CONVERSION_KERNELPASSES_TD
