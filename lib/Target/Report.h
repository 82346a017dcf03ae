//===- Report.h - What --report says --------------------------------*- C++
//-*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_REPORT_H
#define REPO_LIB_TARGET_REPORT_H

#include "repo/Target/Compile.h"
#include "llvm/IR/LLVMContext.h"

namespace mlir {
namespace repo {

/// Remarks on the ops, after the schedule, that have no strategy attribute to
/// speak for them: in which form each is computed. Attention is reported by the
/// pass that chooses its blocks.
void reportOps(ModuleOp module, const CompileOptions &options);

/// From now on gathers, from the register allocator, in which functions of
/// `context` values wait on the stack.
class SpillReport {
public:
  explicit SpillReport(llvm::LLVMContext &context);
  /// A remark per function, or one that there is none.
  void emit(ModuleOp module) const;

private:
  std::vector<std::string> lines;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_TARGET_REPORT_H
