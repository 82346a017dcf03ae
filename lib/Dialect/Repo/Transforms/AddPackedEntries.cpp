//===- AddPackedEntries.cpp - Entries with packed constants ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PackedConstants.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_ADDPACKEDENTRIES
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// The arguments with `repo.constant` of public functions, and those of private
/// functions that every call takes from such arguments.
static DenseSet<Value> findConstants(ModuleOp module) {
  DenseSet<Value> constants;
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isExternal())
      for (BlockArgument argument : function.getArguments())
        if (function.isPrivate() ||
            function.getArgAttr(argument.getArgNumber(),
                                RepoDialect::kConstantAttrName))
          constants.insert(argument);
  bool changed = true;
  while (changed) {
    changed = false;
    module.walk([&](func::CallOp call) {
      if (func::FuncOp callee = getCallee(call); callee && callee.isPrivate())
        for (auto [argument, operand] :
             llvm::zip(callee.getArguments(), call.getOperands()))
          if (!constants.contains(operand))
            changed |= constants.erase(argument);
    });
  }
  return constants;
}

/// Whether a contraction reads one of `constants`.
static bool hasConstantContraction(func::FuncOp entry,
                                   const DenseSet<Value> &constants) {
  SmallVector<func::FuncOp> functions = getCallees(entry);
  functions.push_back(entry);
  for (func::FuncOp function : functions) {
    WalkResult result = function.walk([&](Operation *op) {
      auto contraction = dyn_cast<linalg::LinalgOp>(op);
      bool contracts =
          isa<AssignPositionsOp>(op) ||
          (contraction && linalg::isaContractionOpInterface(contraction));
      return contracts && llvm::any_of(op->getOperands(),
                                       [&](Value operand) {
                                         return constants.contains(operand);
                                       })
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return true;
  }
  return false;
}

/// Clones `function` under another name; constants become packed.
static func::FuncOp cloneFunction(func::FuncOp function, const Twine &name,
                                  const DenseSet<Value> &constants,
                                  SymbolTable &symbols) {
  func::FuncOp copy = function.clone();
  copy.setName(name.str());
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    if (!constants.contains(argument))
      continue;
    copy.removeArgAttr(i, RepoDialect::kConstantAttrName);
    copy.setArgAttr(i, RepoDialect::kPackedAttrName,
                    UnitAttr::get(copy.getContext()));
  }
  symbols.insert(copy, std::next(Block::iterator(function)));
  return copy;
}

namespace {
struct AddPackedEntries : repo::impl::AddPackedEntriesBase<AddPackedEntries> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    DenseSet<Value> constants = findConstants(getOperation());
    // Copies of private functions, shared by the entries that call them.
    llvm::MapVector<func::FuncOp, func::FuncOp> copies;
    for (auto entry : llvm::to_vector(getOperation().getOps<func::FuncOp>())) {
      if (!entry.isPublic() || entry.isExternal())
        continue;
      if (!hasConstantContraction(entry, constants))
        continue;
      std::string name = (entry.getName() + "_packed").str();
      for (StringRef suffix : {"_packed", "_pack", "_pack_size"})
        if (symbols.lookup((entry.getName() + suffix).str())) {
          entry.emitError("expected no function `")
              << entry.getName() << suffix << "` beside `" << entry.getName()
              << "`, whose packed form takes that name";
          return signalPassFailure();
        }
      func::FuncOp packed = cloneFunction(entry, name, constants, symbols);
      // Packed arguments will move; the others keep their names.
      for (unsigned i = 0, e = packed.getNumArguments(); i != e; ++i)
        if (!packed.getArgAttr(i, RepoDialect::kNameAttrName))
          packed.setArgAttr(i, RepoDialect::kNameAttrName,
                            StringAttr::get(&getContext(), "arg" + Twine(i)));
      SmallVector<func::FuncOp> callees = getCallees(entry);
      for (func::FuncOp callee : callees)
        if (!copies.count(callee)) {
          func::FuncOp copy = cloneFunction(
              callee, callee.getName() + ".packed", constants, symbols);
          copy.setPrivate();
          copies[callee] = copy;
        }
      auto redirect = [&](func::FuncOp caller) {
        caller.walk([&](func::CallOp call) {
          if (auto it = copies.find(getCallee(call)); it != copies.end())
            call.setCallee(it->second.getName());
        });
      };
      redirect(packed);
      for (func::FuncOp callee : callees)
        redirect(copies[callee]);
      ++numEntries;
    }
  }
};
} // namespace
