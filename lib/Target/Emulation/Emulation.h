//===- Emulation.h - Kernels rewritten for the host -------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATION_EMULATION_H
#define REPO_LIB_TARGET_EMULATION_EMULATION_H

#include "llvm/IR/Module.h"
#include "llvm/Support/LogicalResult.h"
#include <string>

namespace repo::emulation {

/// Turns kernels, LLVM IR as the NVPTX back end gets it, into code of the host
/// that calls the emulator (repo/Emulator/emulator.h). The module then has a
/// constant `imageName`, a repo_emulator_image. Triple and data layout are the
/// caller's to set.
llvm::LogicalResult emulateKernels(llvm::Module &code,
                                   llvm::StringRef imageName,
                                   std::string &error);

} // namespace repo::emulation

#endif // REPO_LIB_TARGET_EMULATION_EMULATION_H
