//===- NVPTX.h - Kernels to PTX and cubin -----------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_NVPTX_H
#define REPO_LIB_TARGET_NVPTX_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include <string>

namespace mlir::repo {

/// Optimises the kernels of `module` (level 5) for `chip`, such as sm_90a.
/// Failures are diagnostics of the module.
std::unique_ptr<llvm::Module> translateKernels(ModuleOp module, StringRef chip,
                                               llvm::LLVMContext &context);

/// The PTX of translated kernels.
LogicalResult emitPTX(ModuleOp module, llvm::Module &code, StringRef chip,
                      std::string &ptx);

/// Assembles PTX by ptxas. What it says is read: spills, serialised matrix
/// instructions and unresolved functions are errors. `report` makes a remark
/// of the resources of every kernel.
LogicalResult assemblePTX(ModuleOp module, StringRef ptx, StringRef chip,
                          bool report, std::string &cubin);

} // namespace mlir::repo

#endif // REPO_LIB_TARGET_NVPTX_H
