//===- KernelSymbol.h - Names of kernels in PTX -----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_KERNELSYMBOL_H
#define REPO_CONVERSION_KERNELSYMBOL_H

#include "mlir/Support/LLVM.h"
#include <algorithm>
#include <string>

namespace mlir::repo {

/// The name of a kernel in PTX, which has no points in names: NAME.body, the
/// function behind an entry, counts as NAME.
inline std::string getKernelSymbol(StringRef name) {
  auto [entry, rest] = name.split(".body");
  std::string symbol = (entry + rest).str();
  std::replace(symbol.begin(), symbol.end(), '.', '_');
  return symbol;
}

} // namespace mlir::repo

#endif // REPO_CONVERSION_KERNELSYMBOL_H
