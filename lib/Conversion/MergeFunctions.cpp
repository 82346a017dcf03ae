//===- MergeFunctions.cpp - One function instead of several equal ones ----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/Passes.h"
#include "llvm/ADT/DenseMap.h"

namespace mlir::repo {
#define GEN_PASS_DEF_MERGEFUNCTIONS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// What may be merged: functions that nothing outside of the library knows, and
/// the kernels and constants of a gpu.module.
static bool isCandidate(Operation *op) {
  if (auto global = dyn_cast<memref::GlobalOp>(op))
    return global.getConstant() && isa<gpu::GPUModuleOp>(op->getParentOp());
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function || function.isExternal())
    return false;
  auto lowered = dyn_cast<LLVM::LLVMFuncOp>(op);
  return isa<gpu::GPUFuncOp>(op) || function.isPrivate() ||
         (lowered && lowered.getLinkage() == LLVM::Linkage::Internal);
}

/// All that says what a symbol is, but its name.
static DictionaryAttr getMeaning(Operation *op) {
  NamedAttrList list(op->getAttrDictionary());
  list.erase(SymbolTable::getSymbolAttrName());
  return list.getDictionary(op->getContext());
}

/// What equal functions have in common: the names, attributes and types of
/// their ops, in order. Operands are left to the comparison.
static llvm::hash_code hashSymbol(Operation *symbol) {
  llvm::hash_code hash =
      llvm::hash_combine(symbol->getName(), getMeaning(symbol));
  symbol->walk([&](Operation *op) {
    if (op != symbol)
      hash = llvm::hash_combine(hash,
                                OperationEquivalence::computeHash(
                                    op, OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::ignoreHashValue,
                                    OperationEquivalence::IgnoreLocations));
  });
  return hash;
}

/// Whether one can stand for the other: all but the name agrees.
static bool areEqual(Operation *a, Operation *b) {
  if (a->getName() != b->getName() || getMeaning(a) != getMeaning(b))
    return false;
  return llvm::all_of(llvm::zip_equal(a->getRegions(), b->getRegions()),
                      [](auto regions) {
                        return OperationEquivalence::isRegionEquivalentTo(
                            &std::get<0>(regions), &std::get<1>(regions),
                            OperationEquivalence::IgnoreLocations);
                      });
}

/// Replaces the equal symbols of a table by the first of them; false where
/// there are none. `root` has all their users.
static bool merge(Operation *root, Operation *table, unsigned &numMerged) {
  llvm::DenseMap<size_t, SmallVector<Operation *, 1>> kept;
  llvm::DenseMap<StringAttr, StringAttr> replacements;
  SmallVector<Operation *> equal;
  for (Operation &op : table->getRegion(0).front()) {
    if (!isCandidate(&op))
      continue;
    auto &candidates = kept[hashSymbol(&op)];
    auto same = llvm::find_if(
        candidates, [&](Operation *other) { return areEqual(&op, other); });
    if (same == candidates.end()) {
      candidates.push_back(&op);
      continue;
    }
    replacements[SymbolTable::getSymbolName(&op)] =
        SymbolTable::getSymbolName(*same);
    equal.push_back(&op);
  }
  if (equal.empty())
    return false;
  for (Operation *op : equal)
    op->erase();
  numMerged += equal.size();
  // Symbols of a module within are named by its own, then theirs.
  StringAttr outer =
      table == root ? StringAttr() : SymbolTable::getSymbolName(table);
  AttrTypeReplacer inside, everywhere;
  inside.addReplacement(
      [&](FlatSymbolRefAttr symbol) -> std::optional<Attribute> {
        auto it = replacements.find(symbol.getAttr());
        if (it == replacements.end())
          return std::nullopt;
        return FlatSymbolRefAttr::get(it->second);
      });
  inside.recursivelyReplaceElementsIn(table);
  if (!outer)
    return true;
  everywhere.addReplacement(
      [&](SymbolRefAttr symbol) -> std::optional<Attribute> {
        auto it = replacements.find(symbol.getLeafReference());
        if (symbol.getRootReference() != outer || it == replacements.end())
          return std::nullopt;
        return SymbolRefAttr::get(outer, FlatSymbolRefAttr::get(it->second));
      });
  everywhere.recursivelyReplaceElementsIn(root);
  return true;
}

namespace {
struct MergeFunctions : repo::impl::MergeFunctionsBase<MergeFunctions> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<Operation *> tables = {module};
    llvm::append_range(tables, module.getOps<gpu::GPUModuleOp>());
    unsigned merged = 0;
    // Users of what was merged may have become equal.
    for (Operation *table : tables)
      while (merge(module, table, merged))
        ;
    numMerged += merged;
  }
};
} // namespace
