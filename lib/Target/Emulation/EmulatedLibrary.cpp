//===- EmulatedLibrary.cpp - Kernels as a library of the host -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Target/EmulatedLibrary.h"
#include "../CodeGen.h"
#include "../HalfConversions.h"
#include "../Link.h"
#include "Emulation.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::repo;

LogicalResult
mlir::repo::compileEmulatedLibrary(StringRef text,
                                   const EmulatedLibraryOptions &options,
                                   std::string &library, std::string &error) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> code =
      llvm::parseAssemblyString(text, diagnostic, context);
  if (!code) {
    error = "line " + std::to_string(diagnostic.getLineNo()) + ": " +
            diagnostic.getMessage().str();
    return failure();
  }
  std::unique_ptr<llvm::TargetMachine> machine =
      createHostMachine(options.target, error);
  if (!machine ||
      failed(::repo::emulation::emulateKernels(*code, "repo_kernels", error)))
    return failure();
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : *code) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", "x86-64");
    function.addFnAttr("target-features", options.target.getFeatureString());
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimizeModule(*code, *machine);
  if (failed(addHalfConversions(*code))) {
    error = "cannot add conversions to 16-bit floats";
    return failure();
  }
  std::string object;
  if (failed(emitMachineCode(*code, *machine, llvm::CodeGenFileType::ObjectFile,
                             object))) {
    error = "the target cannot emit this kind of file";
    return failure();
  }
  return linkSharedLibrary(object, library, error);
}
