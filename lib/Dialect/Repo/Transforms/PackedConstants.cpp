//===- PackedConstants.cpp - Values that follow from constants ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PackedConstants.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

bool repo::isArgumentWith(Value value, StringRef attribute) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return false;
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function && argument.getOwner()->isEntryBlock() &&
         function.getArgAttr(argument.getArgNumber(), attribute);
}

bool repo::isPackedConstant(Value value) {
  if (isArgumentWith(value, RepoDialect::kPackedAttrName))
    return true;
  Operation *op = value.getDefiningOp();
  if (!op || !isMemoryEffectFree(op) || isa<func::CallOp>(op))
    return false;
  bool depends = false;
  for (Value operand : op->getOperands()) {
    Operation *definition = operand.getDefiningOp();
    // Literals, and destinations of static size.
    if (definition && definition->getNumOperands() == 0 &&
        isMemoryEffectFree(definition))
      continue;
    if (!isPackedConstant(operand))
      return false;
    depends = true;
  }
  return depends;
}

func::FuncOp repo::getCallee(func::CallOp call) {
  auto module = call->getParentOfType<ModuleOp>();
  auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
  return callee && !callee.isExternal() ? callee : func::FuncOp();
}

static void visitCallees(func::FuncOp function,
                         SetVector<func::FuncOp> &visited,
                         SmallVectorImpl<func::FuncOp> &order) {
  function.walk([&](func::CallOp call) {
    func::FuncOp callee = getCallee(call);
    if (!callee || !visited.insert(callee))
      return;
    visitCallees(callee, visited, order);
    order.push_back(callee);
  });
}

SmallVector<func::FuncOp> repo::getCallees(func::FuncOp function) {
  SetVector<func::FuncOp> visited;
  visited.insert(function);
  SmallVector<func::FuncOp> order;
  visitCallees(function, visited, order);
  return order;
}
