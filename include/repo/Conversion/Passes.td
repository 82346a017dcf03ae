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

def ScheduleAttentionMma : Pass<"repo-schedule-attention-mma", "::mlir::ModuleOp"> {
  let summary = "attention on buffers to tiles for tensor cores";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` of unit `mma`
    (mma.sync, from sm_80 on) or `wgmma` (products of warpgroups, sm_90a) into a launch whose
    blocks have `query_block` queries of a head each. Queries are copied to shared memory,
    loaded into registers and rotated there; keys and values stream through `stages`
    buffers; the softmax runs in registers, in base 2. Tiles of keys that a mask cuts are
    loops of their own before and behind the loop over tiles that every query sees whole.

    A boolean mask is read in every tile. Values that it hides from all queries of a block may be NaN, and a weight of 0
    would not keep that out: kernels before that of attention make a table of what each block sees, and what it does not see
    is not copied. That holds for all three schedules.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = mma, ...>} : (memref<1x16x?x128xbf16, ...>, ...)
    ```

    After (shortened):

    ```mlir
    gpu.launch blocks(%head, %batch, %block) in (...) threads(%t, ...) in (%c128, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      ...
      %q1 = repo_tile.map_pairs half %q0, %z {dim = 128} ... // rotate
      %full:3 = scf.for %j = %first to %last_full step %c1 iter_args(%acc = ..., %max = ..., %sum = ...) {
        nvvm.cp.async.wait.group 0
        gpu.barrier
        repo_tile.copy_async %k[%next] rows(%from to %to) into %keys[%other] ...
        %s = repo_tile.mma %q1, %keys[%stage], %zero {transpose_b} ...
        %max1 = repo_tile.reduce maximum %s, %max ...
        %p = repo_tile.map %s, %max1 ...            // 2^(s - max)
        %p1 = repo_tile.convert %p ...
        %acc1 = repo_tile.mma %p1, %values[%stage], %scaled ...
        scf.yield ...
      }
      %edge:3 = scf.for %j = %last_full to %last step %c1 iter_args(...) { ... -inf where a key is not visible ... }
      repo_tile.store ...
    }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def ScheduleAttentionSpecialized : Pass<"repo-schedule-attention-specialized", "::mlir::ModuleOp"> {
  let summary = "attention on buffers to tiles, with warpgroups that copy and warpgroups that multiply";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` that has `producers` (wgmma, sm_90a) into a launch whose
    blocks have a warpgroup that feeds the copy engine beside those that multiply, 64 queries each. Tensor maps of queries,
    keys and values are made on the host. Full and empty barriers go with every stage. A multiplying
    warpgroup starts the scores of a tile and the weighted sums of the tile before, computes the softmax while the second is under way,
    and takes turns with the other one. Queries are rotated in shared memory before the first product.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = wgmma, ..., producers = 1>} : (memref<1x16x?x128xbf16, ...>, ...)
    ```

    After (shortened):

    ```mlir
    %map = nvgpu.tma.create.descriptor %k box[...] ...
    gpu.launch blocks(%head, %batch, %block) in (...) threads(%t, ...) in (%c384, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      repo_tile.init_barriers %keys_full, %keys_empty, ...
      repo_tile.warp_specialize
      role(%producer) warpgroups = 1, registers = 56 {
        scf.for %i = %c0 to %count step %c1 {
          repo_tile.wait %keys_empty[%stage] phase(%before)
          repo_tile.copy_tensor %map[%batch, %head, %c0, %row, %c0] into %keys[%stage] arrive %keys_full
          ...
        }
      }
      role(%consumer) warpgroups = 2, registers = 224 {
        %full:4 = scf.for %i = %c1 to %count step %c1 iter_args(%acc = ..., %max = ..., %sum = ..., %p = ...) {
          repo_tile.wait %keys_full[%stage] phase(%phase)
          %s0 = repo_tile.mma_async %queries[%consumer], %keys[%stage] {transpose_b} ...
          repo_tile.wait %values_full[%stage_before] phase(%phase_before)
          %o0 = repo_tile.mma_async %p, %values[%stage_before] init(%acc : ...) ...
          %s = repo_tile.wait_mma %s0 {left = 1} ...
          repo_tile.arrive %keys_empty[%stage]
          ...                                             // softmax: %weights, %sum1, %alpha
          %o = repo_tile.wait_mma %o0 after(%sum1 : ...) {left = 0} ...
          repo_tile.arrive %values_empty[%stage_before]
          ...
        }
      }
    }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::nvgpu::NVGPUDialect", "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def ScheduleAttentionDecode : Pass<"repo-schedule-attention-decode", "::mlir::ModuleOp"> {
  let summary = "attention of few queries on buffers, keys split over warps";
  let description = [{
    Turns `repo.attention` on buffers with a `#repo.kernel_strategy` of `split_keys` into two
    kernels. In the first every warp takes `split_keys` keys of a KV head for all queries of the
    heads that share it, which are the rows of its matrices: keys and values stream through
    stages of its own, `stages` deep, straight from a cache or by the table of its pages. The
    second merges the softmaxes of the parts.

    Before:

    ```mlir
    repo.attention %q, %k, %v query_positions(%zq) offset(%at) into %out {rope = #r, causal,
        kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4,
                                                warps = 4, split_keys = 64>}
      : (memref<?x16x1x128xbf16>, memref<?x4x?x128xbf16>, ...)
    ```

    After (shortened):

    ```mlir
    %max, %sum, %acc = memref.alloc(%batches, %parts, %c4) ...
    gpu.launch blocks(%block, %head, %batch) in (%blocks, %c4, %batches) threads(...) in (%c128, %c1, %c1) {
      ...
      %found:3 = scf.for %tile = %first to %last step %c1 iter_args(...) {
        nvvm.cp.async.wait.group 2
        nvvm.bar.warp.sync %all
        repo_tile.copy_async %k[%row] rows(%from to %to) into %keys[%stage] {threads = 32, warp} ...
        ...
      }
      repo_tile.store %found#0, %acc[...] ...
    }
    scf.parallel (%b, %h, %n, %e) = ... { ... sums over parts, each times 2^(max - largest max) ... }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def SchedulePositions : Pass<"repo-schedule-positions", "::mlir::ModuleOp"> {
  let summary = "assignment of positions on buffers to tiles for tensor cores";
  let description = [{
    Turns `repo.assign_positions` on buffers with a `#repo.position_strategy` of unit `mma` (mma.sync, from sm_80
    on) or `wgmma` (products of warpgroups, sm_90a) into a launch whose blocks have `token_block` tokens and
    `column_block` columns each of gate and content, and a loop behind it. Tokens and weights stream through
    `stages` buffers, 64 channels at a time. silu(g) c is made in registers in f32, and multiplied as a sum of
    operands of 16 bits, three of bf16 or two of f16, so that positions are as good as by f32 (with f16 as long as
    silu(g) c is within its range). What a block's columns add to the positions is a part; the loop sums up the parts in order.

    Before:

    ```mlir
    repo.assign_positions %h gate(%g) content(%c) heads(%w) into %z
        {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>}
      : (memref<1x?x2048xbf16, ...>, memref<256x2048xbf16>, memref<256x2048xbf16>, memref<16x256xbf16>, memref<1x16x?xf32>) -> ()
    ```

    After (shortened):

    ```mlir
    %parts = memref.alloc(%batches, %tokens) : memref<4x?x?x16xf32>
    gpu.launch blocks(%part, %block, %batch) in (%c4, %blocks, %batches) threads(%t, ...) in (%c128, %c1, %c1)
        dynamic_shared_memory_size %bytes {
      ...
      %sums = scf.for %step = %c0 to %c32 step %c1 iter_args(%before = %zeros) {
        nvvm.cp.async.wait.group 1
        gpu.barrier
        repo_tile.copy_async %next_tokens[%token] rows(%c0 to %tokens) into %token_stages[%other] ...
        ...
        nvvm.cp.async.commit.group
        %a = repo_tile.load_shared %token_stages[%stage, %row] ...
        %next = repo_tile.mma %a, %weight_stages[%stage], %before {transpose_b} ...
        scf.yield %next
      }
      %gate, %content = repo_tile.split %sums ...
      %r = repo_tile.map %gate, %content ...            // silu(g) c
      %high, %rest = repo_tile.map %r ...
      %a0 = repo_tile.convert %high ...
      %z0 = repo_tile.mma %a0, %heads[%c0], %zeros {transpose_b} ...
      ...                                               // so the rest, and what is left of that
      repo_tile.store %z2, %part_of_it[%row] below(%tokens) ...
    }
    scf.parallel (%b, %h, %n) = ... { ... sums of %parts[0 .. 3, %b, %n, %h] into %z[%b, %h, %n] ... }
    ```
  }];
  let statistics = [Statistic<"numScheduled", "num-scheduled", "Number of kernels made">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect", "::mlir::gpu::GPUDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::mlir::repo::tile::RepoTileDialect"];
}

def LowerTilesToLoops : Pass<"repo-lower-tiles-to-loops", "::mlir::ModuleOp"> {
  let summary = "kernels of tiles to sequential loops: what the tile dialect means";
  let description = [{
    A launch with ops of the repo_tile dialect becomes loops over its blocks, and in a block over its warps (warpgroups, where
    a layout is one of theirs), one behind the other. Fragments and shared buffers become buffers without layout or swizzle,
    ops loops over their elements, copies and products are complete at once, and barriers, waits and fences vanish.
    So the arithmetic of a schedule runs on any CPU, without threads (`repo-compile --target=cuda --emulate=tiles`).

    A warp, or warpgroup, sees of others what they copied, and what those before it stored. Roles of warps and the copy engine
    have no sequential meaning: kernels with them run on the emulator.

    Before:

    ```mlir
    gpu.launch blocks(%x, %y, %z) in (...) threads(%t, ...) in (%c128, %c1, %c1) dynamic_shared_memory_size %bytes {
      %b = repo_tile.shared_buffer {offset = 0} : memref<2x1x64x64xbf16, #gpu.address_space<workgroup>>
      ...
      nvvm.cp.async.wait.group 1
      gpu.barrier
      %s = repo_tile.mma %a, %b[%stage], %init {transpose_b} : !repo_tile.fragment<16x64xbf16, mma_a>, ...
    }
    ```

    After (shortened):

    ```mlir
    %b = memref.alloc() : memref<2x64x64xbf16>
    %s = memref.alloc() : memref<16x64xf32>
    scf.for %z ... scf.for %y ... scf.for %x = %c0 to ... step %c1 {
      scf.for %t = %c0 to %c128 step %c32 {
        ...
        memref.copy %init, %s
        scf.for %i ... scf.for %j ... scf.for %k = %c0 to %c64 step %c1 {
          // s[i, j] += a[i, k] b[stage, j, k]
        }
      }
    }
    ```
  }];
  let statistics = [Statistic<"numLaunches", "num-launches", "Number of kernels made loops">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"];
}

def ConvertTilesToNVVM : Pass<"repo-convert-tiles-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "say what each thread does for an op of the repo_tile dialect";
  let description = [{
    Fragments become the registers of a thread, shared buffers 32-bit offsets into the dynamic
    shared memory (an external array, aligned to 1024 bytes), multiplications `ldmatrix` and
    `mma.sync`, copies `cp.async`. Regions of `repo_tile.map` are inlined once per element. Loops
    that carry fragments carry their registers.

    Before:

    ```mlir
    %s1 = repo_tile.reduce sum %p, %s0
      : !repo_tile.fragment<16x8xf32, mma_acc>, !repo_tile.fragment<16xf32, mma_row>
    ```

    After, with four registers of `%p` and two of `%s0` (the second row shortened):

    ```mlir
    %0 = arith.addf %p0, %p1 : f32
    %1 = nvvm.shfl.sync bfly %all, %0, %c1, %c31 : f32 -> f32
    %2 = arith.addf %0, %1 : f32
    %3 = nvvm.shfl.sync bfly %all, %2, %c2, %c31 : f32 -> f32
    %4 = arith.addf %2, %3 : f32
    %5 = arith.addf %s00, %4 : f32
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"];
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
