//===- Pipelines.h - The pipelines of the compiler --------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A pipeline is a list of passes without logic of its own. Both CPU pipelines
// begin with the entries and end with the lowering:
//
//   entries   tensor functions get buffers and a C interface (level 1)
//   ...       repo ops become linalg, scf and vector ops on tensors (2 to 4)
//   lowering  buffers, tasks, LLVM (5)
//
//===----------------------------------------------------------------------===//

#ifndef REPO_PIPELINES_PIPELINES_H
#define REPO_PIPELINES_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "repo/Target/TargetDescription.h"

namespace mlir {
namespace repo {

/// What the manifest of the library says of its target.
struct EntryOptions : PassPipelineOptions<EntryOptions> {
  Option<std::string> features{
      *this, "features", llvm::cl::desc("CPU features, separated by spaces")};
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("cpu, cuda or emulator"),
                             llvm::cl::init("cpu")};
};

/// Level 1: public functions on tensors become functions on buffers with a C
/// interface. Runs while the repo ops are there: they say which sizes are
/// equal.
void buildEntryPipeline(OpPassManager &pm, const EntryOptions &options);

/// Tensors to buffers, in place.
void buildBufferizePipeline(OpPassManager &pm);

/// From buffers to the LLVM dialect: tasks, workspace, loops. Vectors stay
/// vectors; linalg ops that nobody vectorised become loops.
void buildLowerBuffersPipeline(OpPassManager &pm);

/// Both: from tensors of upstream dialects (linalg, scf, vector, ...) to the
/// LLVM dialect.
void buildLowerToLLVMPipeline(OpPassManager &pm);

/// The reference path between entries and lowering: every op by its definition.
void buildDecomposePipeline(OpPassManager &pm);

/// How the CPU path compiles.
struct CPUOptions {
  TargetDescription target;
  /// Entries are called with packed weights alone.
  bool packedOnly = false;
  /// Say by remarks what was decided, and why.
  bool report = false;
  /// Optional passes to leave out, by their flags: results stay the same.
  std::vector<std::string> skip;
};

/// The flags of the passes that the CPU path can do without.
ArrayRef<StringRef> getOptionalCPUPasses();

/// Before the entries: constants are packed once, by functions of their own.
void buildCPUPackingPipeline(OpPassManager &pm, const CPUOptions &options);

/// The CPU path between entries and the lowering of buffers, in three stages:
/// fused and scheduled; tiled; bufferized, with vectors.
void buildCPUSchedulePipeline(OpPassManager &pm, const CPUOptions &options);
void buildCPUTilePipeline(OpPassManager &pm, const CPUOptions &options);
void buildCPUVectorPipeline(OpPassManager &pm, const CPUOptions &options);

/// How the NVIDIA path compiles.
struct NVVMOptions : PassPipelineOptions<NVVMOptions> {
  Option<std::string> chip{*this, "chip", llvm::cl::init("sm_80"),
                           llvm::cl::desc("a GPU, such as sm_80 or sm_90a")};
  Option<bool> report{*this, "report", llvm::cl::init(false),
                      llvm::cl::desc("say by remarks what was decided")};
  Option<bool> gemms{*this, "gemms", llvm::cl::init(false),
                     llvm::cl::desc("plain products by cuBLASLt, which is "
                                    "opened at run time")};
  Option<bool> rows{*this, "rows", llvm::cl::init(true),
                    llvm::cl::desc("passes over rows as kernels of their "
                                   "own")};
};

/// The NVIDIA path behind the entries, in four stages: attention and positions
/// that the matrix units take have strategies, every other op its definition;
/// on buffers, with scheduled ops as launches of tile ops; all work in kernels
/// of a gpu.module, launches on the host; kernels in the NVVM and LLVM
/// dialects. The host's code stays as it is.
void buildNVVMSchedulePipeline(OpPassManager &pm, const NVVMOptions &options);
void buildNVVMTilePipeline(OpPassManager &pm, const NVVMOptions &options);
void buildNVVMKernelPipeline(OpPassManager &pm);
void buildLowerKernelsPipeline(OpPassManager &pm);

/// From loops that repo-lower-tiles-to-loops made to the LLVM dialect of the
/// host.
void buildLowerTileLoopsPipeline(OpPassManager &pm);

/// From kernels to the LLVM dialect of the host: launches call the runtime, and
/// kernels go; they were translated before.
void buildLowerHostPipeline(OpPassManager &pm);

/// Registers repo-entry-pipeline, repo-reference-pipeline, repo-cpu-pipeline,
/// repo-nvvm-pipeline and repo-lower-to-llvm.
void registerPipelines();

} // namespace repo
} // namespace mlir

#endif // REPO_PIPELINES_PIPELINES_H
