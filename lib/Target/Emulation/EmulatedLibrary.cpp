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
#include "Mutations.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::repo;

static std::unique_ptr<llvm::Module>
parse(StringRef text, llvm::LLVMContext &context, std::string &error) {
  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> code =
      llvm::parseAssemblyString(text, diagnostic, context);
  if (!code)
    error = "line " + std::to_string(diagnostic.getLineNo()) + ": " +
            diagnostic.getMessage().str();
  return code;
}

LogicalResult mlir::repo::listKernelMutations(StringRef text,
                                              std::string &lines,
                                              std::string &error) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = parse(text, context, error);
  if (!code)
    return failure();
  for (const std::string &line : ::repo::emulation::listMutations(*code))
    lines += line + "\n";
  return success();
}

LogicalResult
mlir::repo::compileEmulatedLibrary(StringRef text,
                                   const EmulatedLibraryOptions &options,
                                   std::string &library, std::string &error) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = parse(text, context, error);
  if (!code)
    return failure();
  if (options.mutation >= 0 &&
      !::repo::emulation::mutate(*code, unsigned(options.mutation))) {
    error = "there is no mutation " + std::to_string(options.mutation);
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
