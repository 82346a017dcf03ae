//===- Link.h - Objects to shared libraries ---------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_LINK_H
#define REPO_LIB_TARGET_LINK_H

#include "mlir/Support/LLVM.h"
#include <string>

namespace mlir::repo {

/// Links the bytes of one object file to the bytes of a shared library, in
/// process. The same object gives the same library.
LogicalResult linkSharedLibrary(StringRef object, std::string &library,
                                std::string &error);

} // namespace mlir::repo

#endif // REPO_LIB_TARGET_LINK_H
