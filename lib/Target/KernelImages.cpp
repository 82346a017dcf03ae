//===- KernelImages.cpp - Kernels inside of a library ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelImages.h"
#include "Emulation/Emulation.h"
#include "NVPTX.h"
#include "llvm/IR/Constants.h"
#include "llvm/Linker/Linker.h"

using namespace mlir;
using namespace mlir::repo;

static constexpr StringLiteral imagesName = "repo_kernel_images",
                               emulatedName = "repo_kernels";
// Formats of struct repo_rt_kernel_image.
enum : int32_t { cubinFormat = 0, ptxFormat = 1, emulatedFormat = 2 };

LogicalResult mlir::repo::makeKernelImages(ModuleOp module,
                                           const CompileOptions &options,
                                           llvm::LLVMContext &context,
                                           KernelImages &images) {
  if (options.emulate) {
    images.emulated = translateKernels(module, options.chip, context);
    std::string error;
    if (!images.emulated)
      return failure();
    if (failed(::repo::emulation::emulateKernels(*images.emulated, emulatedName,
                                                 error)))
      return module.emitError() << error;
    return success();
  }
  std::vector<std::string> chips = {options.chip};
  llvm::append_range(chips, options.moreChips);
  for (const std::string &chip : chips) {
    llvm::LLVMContext own;
    std::unique_ptr<llvm::Module> code = translateKernels(module, chip, own);
    KernelImages::Image ptx{"", chip, true}, cubin{"", chip, false};
    if (!code || failed(emitPTX(module, *code, chip, ptx.bytes)) ||
        failed(
            assemblePTX(module, ptx.bytes, chip, options.report, cubin.bytes)))
      return failure();
    images.images.push_back(std::move(cubin));
    // Code for one architecture alone (sm_90a) is of no use to later ones.
    if (&chip == &chips.front() && !StringRef(chip).ends_with("a"))
      images.images.push_back(std::move(ptx));
  }
  return success();
}

LogicalResult mlir::repo::addKernelImages(llvm::Module &host,
                                          KernelImages images,
                                          std::string &error) {
  llvm::LLVMContext &context = host.getContext();
  llvm::Type *i32 = llvm::Type::getInt32Ty(context),
             *i64 = llvm::Type::getInt64Ty(context);
  auto makeGlobal = [&](llvm::Constant *value, const Twine &name) {
    return new llvm::GlobalVariable(host, value->getType(), /*isConstant=*/true,
                                    llvm::GlobalValue::InternalLinkage, value,
                                    name);
  };
  auto number = [](llvm::Type *type, int64_t value) {
    return llvm::ConstantInt::get(type, uint64_t(value));
  };
  SmallVector<llvm::Constant *> records;
  auto addRecord = [&](llvm::Constant *data, int32_t format, StringRef chip) {
    int32_t architecture = 0;
    StringRef digits = chip;
    digits.consume_front("sm_");
    digits.consumeInteger(10, architecture);
    records.push_back(llvm::ConstantStruct::getAnon(
        {data, number(i32, format), number(i32, architecture),
         number(i32, digits == "a"), number(i32, 0)}));
  };
  if (images.emulated) {
    images.emulated->setTargetTriple(host.getTargetTriple());
    images.emulated->setDataLayout(host.getDataLayout());
    if (llvm::Linker::linkModules(host, std::move(images.emulated))) {
      error = "cannot link emulated kernels to the host's code";
      return failure();
    }
    llvm::GlobalVariable *image = host.getNamedGlobal(emulatedName);
    image->setLinkage(llvm::GlobalValue::InternalLinkage);
    addRecord(image, emulatedFormat, "");
  }
  for (const KernelImages::Image &image : images.images) {
    // PTX is text that ends with NUL.
    llvm::GlobalVariable *data = makeGlobal(
        llvm::ConstantDataArray::getString(context, image.bytes, image.isPTX),
        imagesName + "." + image.chip);
    data->setAlignment(llvm::Align(64));
    addRecord(data, image.isPTX ? ptxFormat : cubinFormat, image.chip);
  }
  auto *type = llvm::ArrayType::get(records.front()->getType(), records.size());
  llvm::Constant *table = makeGlobal(llvm::ConstantArray::get(type, records),
                                     imagesName + ".table");
  llvm::GlobalVariable *all =
      makeGlobal(llvm::ConstantStruct::getAnon(
                     {number(i64, records.size()), table, number(i64, 0)}),
                 imagesName + ".all");
  all->setConstant(false);
  if (llvm::GlobalVariable *declared = host.getNamedGlobal(imagesName)) {
    declared->replaceAllUsesWith(all);
    declared->eraseFromParent();
  }
  return success();
}
