//===- Pipelines.td - The pipelines, for their documentation -*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Pages are made of these definitions, no code: lib/Pipelines registers the
// pipelines. A test holds both against each other.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_PIPELINES_PIPELINES_TD
#define REPO_PIPELINES_PIPELINES_TD

include "mlir/Pass/PassBase.td"

def EntryPipeline : Pass<"repo-entry-pipeline", "::mlir::ModuleOp"> {
  let summary = "public functions get buffers and a C interface";
  let description = [{
    Level 1 of every path: `repo-materialize-destinations`, then `repo-emit-c-interface`, while
    the repo ops still say which sizes are equal.

    Before:

    ```mlir
    func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32>
    ```

    After (shortened):

    ```mlir
    func.func private @f.body(%context: !llvm.ptr, %x: memref<?x4xf32, strided<[?, 1], offset: ?>>,
                              %out: memref<?x4xf32, strided<[?, 1], offset: ?>>)
    llvm.func @f(%context: !llvm.ptr, %tensors: !llvm.ptr, %count: i32) -> i32
    llvm.mlir.global constant @repo_library_info
    ```
  }];
  let options = [Option<"features", "features", "std::string", "\"\"",
                        "CPU features for the manifest, separated by spaces">];
}

def ReferencePipeline : Pass<"repo-reference-pipeline", "::mlir::ModuleOp"> {
  let summary = "every op by its definition, to the LLVM dialect";
  let description = [{
    `repo-entry-pipeline`, `repo-decompose`, `repo-lower-to-llvm`. Slow by design: it runs the
    definition, in f64 it is the oracle of the tests.

    Before: a module with repo ops on tensors. After: the LLVM dialect, loops around scalar
    arithmetic and calls of libm, and the runtime's table of functions.
  }];
  let options = [Option<"features", "features", "std::string", "\"\"",
                        "CPU features for the manifest, separated by spaces">];
}

def CPUPipeline : Pass<"repo-cpu-pipeline", "::mlir::ModuleOp"> {
  let summary = "tiled and vectorised, to the LLVM dialect";
  let description = [{
    Three stages between the entries and the lowering, each of which `repo-compile
    --stop-after=` prints:

    - schedule: `repo-split-rotation`, `repo-select-strategy`;
    - tile: `repo-tile-attention`, `repo-tile-rotation`, `repo-decompose` of what is not tiled,
      `repo-expand-trigonometry`, `repo-fuse-elementwise`, `repo-fuse-epilogues`, `repo-reassociate-sums`,
      `repo-parallelize`;
    - vector: bufferization, `repo-lower-online-attention`, `repo-vectorize-contractions`.

    Before:

    ```mlir
    %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %init {causal, rope = #r} : ...
    ```

    After tile (shortened):

    ```mlir
    %o = scf.forall (%b, %h, %t) in (...) shared_outs(%out = %init) -> ... {
      scf.for %j = %lo to %full step %c256 ... { repo.online_attention ... }
      scf.for %j = %full to %hi step %c64 ... { repo.online_attention ... {band = array<i64: -1, 0>} }
    }
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"x86-64-v3\"", "native or a CPU name of LLVM">,
    Option<"features", "features", "std::string", "\"\"", "changes, such as +amx-bf16">];
}

def NVVMPipeline : Pass<"repo-nvvm-pipeline", "::mlir::ModuleOp"> {
  let summary = "kernels for NVIDIA GPUs, to the NVVM dialect";
  let description = [{
    Destinations, every op by its definition, kernels in a `gpu.module` and launches on the host
    (`repo-map-to-kernels`), kernels in the NVVM dialect. The host's code stays as it is.

    Before: a module with repo ops on tensors. After (shortened):

    ```mlir
    gpu.module @kernels {
      llvm.func @f_kernel0(...) attributes {gpu.kernel, nvvm.kernel} { ... nvvm.read.ptx.sreg.tid.x ... }
    }
    gpu.launch_func @kernels::@f_kernel0 blocks in (...) threads in (...) args(...)
    ```
  }];
}

def LowerToLLVMPipeline : Pass<"repo-lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "tensors of upstream dialects to the LLVM dialect";
  let description = [{
    One-shot bufferization, parallel loops as tasks of the runtime (`repo-outline-parallel`),
    memory from stack or workspace (`repo-plan-workspace`), loops, LLVM. Knows no op of the
    repo dialect: any module whose functions have the runtime's context as argument 0.

    Before:

    ```mlir
    %y = linalg.generic ... ins(%x : tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) { ... }
    ```

    After: `llvm.func` with loops as branches.
  }];
}

#endif // REPO_PIPELINES_PIPELINES_TD
