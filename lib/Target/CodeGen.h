//===- CodeGen.h - LLVM's optimiser and back ends ---------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the CPU's and the GPU's emission share.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_CODEGEN_H
#define REPO_LIB_TARGET_CODEGEN_H

#include "mlir/IR/Operation.h"
#include "repo/Target/TargetDescription.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"
#include "llvm/Support/CodeGen.h"
#include "llvm/Target/TargetMachine.h"
#include <string>

namespace mlir::repo {

/// A machine for code of the host with the features of `target`.
std::unique_ptr<llvm::TargetMachine>
createHostMachine(const TargetDescription &target, std::string &error);

/// Runs LLVM's O3 pipeline, then the passes that `addLast` adds.
void optimizeModule(
    llvm::Module &module, llvm::TargetMachine &machine,
    llvm::function_ref<void(llvm::ModulePassManager &)> addLast = {});

/// Emits assembly or an object.
LogicalResult emitMachineCode(llvm::Module &code, llvm::TargetMachine &machine,
                              llvm::CodeGenFileType kind, std::string &output);

/// Emits assembly or an object; failures are diagnostics of `source`.
LogicalResult emitMachineCode(Operation *source, llvm::Module &code,
                              llvm::TargetMachine &machine,
                              llvm::CodeGenFileType kind, std::string &output);

} // namespace mlir::repo

#endif // REPO_LIB_TARGET_CODEGEN_H
