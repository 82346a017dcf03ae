//===- MergeFunctions.cpp - One function instead of several equal ones ----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/Passes.h"
#include "llvm/ADT/DenseMap.h"

namespace mlir::repo {
#define GEN_PASS_DEF_MERGEFUNCTIONS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// What equal functions have in common: the names, attributes and types of
/// their ops, in order. Operands are left to the comparison.
static llvm::hash_code hashFunction(FunctionOpInterface function) {
  llvm::hash_code hash = hash_value(function.getFunctionType());
  function->walk([&](Operation *op) {
    if (op != function.getOperation())
      hash = llvm::hash_combine(hash,
                                OperationEquivalence::computeHash(
                                    op, OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::IgnoreLocations));
  });
  return hash;
}

/// Whether one function can stand for the other: all but the name agrees.
static bool areEqual(FunctionOpInterface a, FunctionOpInterface b) {
  auto attributes = [](FunctionOpInterface function) {
    NamedAttrList list(function->getAttrs());
    list.erase(SymbolTable::getSymbolAttrName());
    return list.getDictionary(function.getContext());
  };
  return a->getName() == b->getName() && attributes(a) == attributes(b) &&
         OperationEquivalence::isRegionEquivalentTo(
             &a.getFunctionBody(), &b.getFunctionBody(),
             OperationEquivalence::IgnoreLocations);
}

/// Whether nothing outside of the library knows the function.
static bool isLocal(FunctionOpInterface function) {
  auto lowered = dyn_cast<LLVM::LLVMFuncOp>(function.getOperation());
  return function.isPrivate() ||
         (lowered && lowered.getLinkage() == LLVM::Linkage::Internal);
}

namespace {
struct MergeFunctions : repo::impl::MergeFunctionsBase<MergeFunctions> {
  /// Finds equal private functions and replaces them by the first; false where
  /// there are none.
  bool merge() {
    llvm::DenseMap<size_t, SmallVector<FunctionOpInterface, 1>> kept;
    llvm::DenseMap<StringAttr, StringAttr> replacements;
    SmallVector<FunctionOpInterface> equal;
    for (auto function : getOperation().getOps<FunctionOpInterface>()) {
      if (!isLocal(function) || function.isExternal())
        continue;
      auto &candidates = kept[hashFunction(function)];
      auto same = llvm::find_if(candidates, [&](FunctionOpInterface other) {
        return areEqual(function, other);
      });
      if (same == candidates.end()) {
        candidates.push_back(function);
        continue;
      }
      replacements[SymbolTable::getSymbolName(function)] =
          SymbolTable::getSymbolName(*same);
      equal.push_back(function);
    }
    if (equal.empty())
      return false;
    for (FunctionOpInterface function : equal)
      function.erase();
    numMerged += equal.size();
    AttrTypeReplacer replacer;
    replacer.addReplacement(
        [&](FlatSymbolRefAttr symbol) -> std::optional<Attribute> {
          auto it = replacements.find(symbol.getAttr());
          if (it == replacements.end())
            return std::nullopt;
          return FlatSymbolRefAttr::get(it->second);
        });
    replacer.recursivelyReplaceElementsIn(getOperation());
    return true;
  }

  void runOnOperation() override {
    // Callers of functions that were merged may have become equal.
    while (merge())
      ;
  }
};
} // namespace
