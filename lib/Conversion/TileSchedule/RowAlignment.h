//===- RowAlignment.h - Where rows of buffers may begin ---------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_TILESCHEDULE_ROWALIGNMENT_H
#define REPO_LIB_CONVERSION_TILESCHEDULE_ROWALIGNMENT_H

#include "mlir/IR/Builders.h"

namespace mlir::repo {

/// Asserts on the host that the rows of `buffer` begin at multiples of `bytes`,
/// which only the host can tell in time: a kernel that meets others takes its
/// process' device along. `name` is said where they do not.
void assertRowAlignment(OpBuilder &b, Location loc, Value buffer,
                        llvm::StringRef name, int64_t bytes);

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_TILESCHEDULE_ROWALIGNMENT_H
