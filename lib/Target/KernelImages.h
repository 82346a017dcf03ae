//===- KernelImages.h - Kernels inside of a library -------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_KERNELIMAGES_H
#define REPO_LIB_TARGET_KERNELIMAGES_H

#include "mlir/IR/BuiltinOps.h"
#include "repo/Target/Compile.h"
#include "llvm/IR/Module.h"

namespace mlir::repo {

/// The code of a module's kernels (level 5), for a library.
struct KernelImages {
  struct Image {
    std::string bytes, chip;
    bool isPTX;
  };
  std::vector<Image> images;
  /// Or kernels rewritten for the host.
  std::unique_ptr<llvm::Module> emulated;
};

/// A cubin for every chip, and PTX of the first for later ones; or what the
/// emulator runs. Failures are diagnostics of the module.
LogicalResult makeKernelImages(ModuleOp module, const CompileOptions &options,
                               llvm::LLVMContext &context,
                               KernelImages &images);

/// Defines `repo_kernel_images` in the host's code.
LogicalResult addKernelImages(llvm::Module &host, KernelImages images,
                              std::string &error);

} // namespace mlir::repo

#endif // REPO_LIB_TARGET_KERNELIMAGES_H
