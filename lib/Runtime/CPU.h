//===- CPU.h - The features of this host ------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CPU_H
#define REPO_LIB_RUNTIME_CPU_H

#include <string>

namespace repo_rt {
/// Those of `features` (LLVM's names, spaces between) that this host lacks;
/// asks the kernel for the matrix unit where they name it. Empty: all are
/// there.
std::string findMissingFeatures(const char *features);
} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CPU_H
