//===- Register.cpp - The pipelines by name -------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "repo/Conversion/Passes.h"
#include "repo/Pipelines/Pipelines.h"
#include "repo/Target/TargetDescription.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Options of the CPU pipeline.
struct CPUPipelineOptions : PassPipelineOptions<CPUPipelineOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::init("x86-64-v3"),
                          llvm::cl::desc("native or a CPU name of LLVM")};
  Option<std::string> features{*this, "features",
                               llvm::cl::desc("changes, such as +amx-bf16")};
};
} // namespace

void mlir::repo::registerPipelines() {
  static PassPipelineRegistration<EntryOptions> entry(
      "repo-entry-pipeline", "public functions get buffers and a C interface",
      buildEntryPipeline);
  static PassPipelineRegistration<> lower(
      "repo-lower-to-llvm", "tensors of upstream dialects to the LLVM dialect",
      buildLowerToLLVMPipeline);
  static PassPipelineRegistration<EntryOptions> reference(
      "repo-reference-pipeline",
      "every op by its definition, to the LLVM dialect",
      [](OpPassManager &pm, const EntryOptions &options) {
        buildEntryPipeline(pm, options);
        buildDecomposePipeline(pm);
        buildLowerToLLVMPipeline(pm);
      });
  static PassPipelineRegistration<NVVMOptions> nvvm(
      "repo-nvvm-pipeline", "kernels for NVIDIA GPUs, to the NVVM dialect",
      [](OpPassManager &pm, const NVVMOptions &options) {
        pm.addPass(createMaterializeDestinations());
        buildNVVMSchedulePipeline(pm, options);
        buildNVVMTilePipeline(pm, options);
        buildNVVMKernelPipeline(pm);
        buildLowerKernelsPipeline(pm);
      });
  static PassPipelineRegistration<CPUPipelineOptions> cpu(
      "repo-cpu-pipeline", "tiled and vectorised, to the LLVM dialect",
      [](OpPassManager &pm, const CPUPipelineOptions &options) {
        std::string error;
        auto target = describeTarget(options.cpu, options.features, error);
        if (failed(target))
          llvm::report_fatal_error(StringRef(error), /*gen_crash_diag=*/false);
        EntryOptions entries;
        entries.features = target->getFeatureList();
        CPUOptions cpu;
        cpu.target = *target;
        buildCPUPackingPipeline(pm, cpu);
        buildEntryPipeline(pm, entries);
        buildCPUSchedulePipeline(pm, cpu);
        buildCPUTilePipeline(pm, cpu);
        buildCPUVectorPipeline(pm, cpu);
        buildLowerBuffersPipeline(pm);
      });
}
