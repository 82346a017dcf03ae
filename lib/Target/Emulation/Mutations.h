//===- Mutations.h - Kernels with one mistake -------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATION_MUTATIONS_H
#define REPO_LIB_TARGET_EMULATION_MUTATIONS_H

#include "llvm/IR/Module.h"
#include <string>
#include <vector>

namespace repo::emulation {

/// The mistakes that can be made in a kernel, one line each: a wait, fence,
/// barrier, arrival or commit that is left out; a phase or a number of groups
/// that is off by one.
std::vector<std::string> listMutations(llvm::Module &code);

/// Makes mistake number `index` of that list; false where there is none.
bool mutate(llvm::Module &code, unsigned index);

} // namespace repo::emulation

#endif // REPO_LIB_TARGET_EMULATION_MUTATIONS_H
