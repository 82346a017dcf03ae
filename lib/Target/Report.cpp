//===- Report.cpp - What --report says ------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Report.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/DiagnosticHandler.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/Function.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::repo;

void mlir::repo::reportOps(ModuleOp module, const CompileOptions &options) {
  auto skipped = [&](StringRef pass) {
    return options.pipeline == "reference" || !options.chip.empty() ||
           llvm::is_contained(options.skip, pass);
  };
  module.walk([&](Operation *op) {
    if (!isa_and_present<RepoDialect>(op->getDialect()))
      return;
    // Where its strategy is chosen the choice is reported.
    if (!options.chip.empty() && isa<AttentionOp, AssignPositionsOp>(op))
      return;
    StringRef form = "by its definition: structured ops";
    if (isa<AttentionOp>(op)) {
      if (!skipped("repo-tile-attention"))
        return;
      form = "by its definition: scores of all queries and keys in memory";
    } else if (isa<RotateOp>(op) && !skipped("repo-tile-rotation")) {
      bool read = llvm::any_of(op->getUsers(), llvm::IsaPred<AttentionOp>);
      form = read && !skipped("repo-tile-attention")
                 ? "where attention reads it, a block of rows at a time"
                 : "in parallel blocks of rows, a row at a time";
    } else if (isa<AssignPositionsOp, LinearPositionsOp>(op) &&
               !skipped("repo-vectorize-contractions")) {
      form = "as contractions on vectors, and what is between them in parallel "
             "rows";
    } else if (isa<CacheAppendOp>(op)) {
      form = "in place, the new rows alone";
    } else if (isa<CacheViewOp>(op)) {
      bool read = llvm::all_of(op->getUsers(), llvm::IsaPred<AttentionOp>) &&
                  options.pipeline != "reference";
      form = read ? "where attention reads it, from its pages"
                  : "as a gather of pages into memory of its own";
    }
    op->emitRemark() << op->getName().stripDialect() << " " << form;
  });
}

namespace {
/// Listens to the register allocator; everything else goes its way.
struct SpillHandler : llvm::DiagnosticHandler {
  explicit SpillHandler(std::vector<std::string> &lines) : lines(lines) {}

  bool isMissedOptRemarkEnabled(StringRef pass) const override {
    return pass == "regalloc";
  }
  bool isAnyRemarkEnabled() const override { return true; }

  bool handleDiagnostics(const llvm::DiagnosticInfo &info) override {
    auto *remark = dyn_cast<llvm::DiagnosticInfoOptimizationBase>(&info);
    if (!remark)
      return false;
    if (remark->getPassName() != "regalloc" ||
        remark->getRemarkName() != "SpillReloadCopies")
      return true;
    unsigned spills = 0, reloads = 0;
    for (const auto &argument : remark->getArgs()) {
      unsigned count;
      if (StringRef(argument.Val).getAsInteger(10, count))
        continue;
      StringRef key = argument.Key;
      spills += key == "NumSpills" || key == "NumFoldedSpills" ? count : 0;
      reloads += key == "NumReloads" || key == "NumFoldedReloads" ? count : 0;
    }
    if (spills || reloads)
      lines.push_back(llvm::formatv("`{0}`: {1} spills, {2} reloads",
                                    remark->getFunction().getName(), spills,
                                    reloads));
    return true;
  }

  std::vector<std::string> &lines;
};
} // namespace

SpillReport::SpillReport(llvm::LLVMContext &context) {
  context.setDiagnosticHandler(std::make_unique<SpillHandler>(lines));
}

void SpillReport::emit(ModuleOp module) const {
  if (lines.empty())
    module.emitRemark("no value waits on the stack for a register");
  for (const std::string &line : lines)
    module.emitRemark() << line;
}
