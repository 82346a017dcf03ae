//===- EmulateTiles.h - Tile instructions on any CPU ------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Code for the matrix unit (AMX) runs on a CPU without one: the intrinsics
// become calls of functions that do what the instructions do, to the bit, on
// tiles in memory. For tests, and for looking at such code under a debugger.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATETILES_H
#define REPO_LIB_TARGET_EMULATETILES_H

#include "mlir/Support/LLVM.h"

namespace llvm {
class Module;
} // namespace llvm

namespace mlir {
namespace repo {

/// Rewrites the tile intrinsics of `module` and adds what they call. On failure
/// `error` says which one is not known. To be called before optimization.
LogicalResult emulateTiles(llvm::Module &module, std::string &error);

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_TARGET_EMULATETILES_H
