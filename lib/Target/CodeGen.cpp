//===- CodeGen.cpp - LLVM's optimiser and back ends -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CodeGen.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/PassTimingInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Pass.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir;

std::unique_ptr<llvm::TargetMachine>
mlir::repo::createHostMachine(const TargetDescription &target,
                              std::string &error) {
  static const bool initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  const llvm::Target *backend =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return nullptr;
  llvm::TargetOptions targetOptions;
  targetOptions.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  // What nobody calls is dropped by the linker.
  targetOptions.FunctionSections = true;
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      triple, "x86-64", target.getFeatureString(), targetOptions,
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

void mlir::repo::optimizeModule(
    llvm::Module &module, llvm::TargetMachine &machine,
    llvm::function_ref<void(llvm::ModulePassManager &)> addLast) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassInstrumentationCallbacks callbacks;
  llvm::TimePassesHandler timer(llvm::TimePassesIsEnabled);
  timer.registerCallbacks(callbacks);
  llvm::PassBuilder builder(&machine, llvm::PipelineTuningOptions(),
                            std::nullopt, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  llvm::ModulePassManager passes =
      builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3);
  if (addLast)
    addLast(passes);
  passes.run(module, modules);
}

LogicalResult mlir::repo::emitMachineCode(llvm::Module &code,
                                          llvm::TargetMachine &machine,
                                          llvm::CodeGenFileType kind,
                                          std::string &output) {
  SmallString<0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, kind))
    return failure();
  passes.run(code);
  output.assign(bytes.begin(), bytes.end());
  return success();
}

LogicalResult mlir::repo::emitMachineCode(Operation *source, llvm::Module &code,
                                          llvm::TargetMachine &machine,
                                          llvm::CodeGenFileType kind,
                                          std::string &output) {
  if (failed(emitMachineCode(code, machine, kind, output)))
    return source->emitError("the target cannot emit this kind of file");
  return success();
}
