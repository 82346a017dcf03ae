//===- NVPTX.cpp - Kernels to PTX -----------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NVPTX.h"
#include "CodeGen.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "repo/Conversion/KernelSymbol.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir;

static std::unique_ptr<llvm::TargetMachine>
createTargetMachine(ModuleOp module, StringRef chip) {
  static const bool initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *backend =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend) {
    module.emitError() << error;
    return nullptr;
  }
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      backend->createMCSubtargetInfo(triple, "", ""));
  unsigned number = 0;
  StringRef digits = chip;
  // Types and instructions of the kernels begin with sm_80.
  if (!known->isCPUStringValid(chip) || !digits.consume_front("sm_") ||
      digits.consumeInteger(10, number) || number < 80) {
    module.emitError() << "expected a chip from sm_80 on that LLVM knows, such "
                          "as sm_80 or sm_90a, got `"
                       << chip << "`";
    return nullptr;
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      triple, chip, "", options, std::nullopt, std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
}

/// The back end ends the process at an intrinsic it has no code for, so they
/// are looked for before.
static LogicalResult checkIntrinsics(ModuleOp module, llvm::Module &code) {
  for (llvm::Function &function : code) {
    if (!function.isDeclaration() || function.use_empty())
      continue;
    bool missing = !function.isIntrinsic();
    switch (function.getIntrinsicID()) {
    case llvm::Intrinsic::cos:
    case llvm::Intrinsic::sin:
    case llvm::Intrinsic::exp:
    case llvm::Intrinsic::exp2:
    case llvm::Intrinsic::log:
    case llvm::Intrinsic::log2:
    case llvm::Intrinsic::log10:
    case llvm::Intrinsic::tanh:
    case llvm::Intrinsic::pow:
      missing = true;
      break;
    default:
      break;
    }
    if (missing)
      return module.emitError("kernels need `")
             << function.getName().str()
             << "`, for which there is no code on a GPU";
  }
  return success();
}

std::unique_ptr<llvm::Module>
mlir::repo::translateKernels(ModuleOp module, StringRef chip,
                             llvm::LLVMContext &context) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(module, chip);
  if (!machine)
    return nullptr;
  auto kernels = module.getOps<gpu::GPUModuleOp>();
  if (kernels.empty()) {
    module.emitError("expected at least one function with work for a GPU");
    return nullptr;
  }
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(*kernels.begin(), context, "kernels");
  if (!code)
    return nullptr;
  for (llvm::Function &function : *code)
    if (!function.isDeclaration())
      function.setName(getKernelSymbol(function.getName()));
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  optimizeModule(*code, *machine);
  if (failed(checkIntrinsics(module, *code)))
    return nullptr;
  return code;
}

LogicalResult mlir::repo::emitPTX(ModuleOp module, llvm::Module &code,
                                  StringRef chip, std::string &ptx) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(module, chip);
  if (!machine)
    return failure();
  return emitMachineCode(module, code, *machine,
                         llvm::CodeGenFileType::AssemblyFile, ptx);
}
