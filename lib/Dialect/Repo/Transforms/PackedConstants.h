//===- PackedConstants.h - Values that follow from constants ----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the passes around packed weights share: which values of a function
// depend on its packed constants alone, and the functions in the order of their
// calls.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TRANSFORMS_PACKEDCONSTANTS_H
#define REPO_LIB_TRANSFORMS_PACKEDCONSTANTS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::repo {

/// Whether `value` is an argument of a function with the attribute.
bool isArgumentWith(Value value, StringRef attribute);

/// Whether `value` is an argument with `repo.packed`, or computed without side
/// effects from such arguments and literals alone.
bool isPackedConstant(Value value);

/// The functions with a body that `function` calls, directly or not, callees
/// before their callers; without `function` itself.
SmallVector<func::FuncOp> getCallees(func::FuncOp function);

/// The function in the same module that `call` calls, or null.
func::FuncOp getCallee(func::CallOp call);

} // namespace mlir::repo

#endif // REPO_LIB_TRANSFORMS_PACKEDCONSTANTS_H
