//===- CodeGen.cpp - LLVM's optimiser and back ends -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CodeGen.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Passes/PassBuilder.h"

using namespace mlir;

void mlir::repo::optimizeModule(
    llvm::Module &module, llvm::TargetMachine &machine,
    llvm::function_ref<void(llvm::ModulePassManager &)> addLast) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
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

LogicalResult mlir::repo::emitMachineCode(Operation *source, llvm::Module &code,
                                          llvm::TargetMachine &machine,
                                          llvm::CodeGenFileType kind,
                                          std::string &output) {
  SmallString<0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, kind))
    return source->emitError("the target cannot emit this kind of file");
  passes.run(code);
  output.assign(bytes.begin(), bytes.end());
  return success();
}
