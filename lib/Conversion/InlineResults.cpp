//===- InlineResults.cpp - Functions that return new buffers --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_INLINERESULTS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// The caller cannot provide a buffer whose size it does not know.
static bool returnsUnknownSize(func::FuncOp function) {
  return llvm::any_of(function.getResultTypes(), [](Type type) {
    auto buffer = dyn_cast<MemRefType>(type);
    return buffer && !buffer.hasStaticShape();
  });
}

/// Replaces a call by the body of the function, which is one block.
static void inlineCall(func::CallOp call, func::FuncOp callee) {
  OpBuilder builder(call);
  IRMapping mapping;
  Block &body = callee.getBody().front();
  mapping.map(body.getArguments(), call.getOperands());
  for (Operation &op : body.without_terminator())
    builder.clone(op, mapping);
  auto results =
      llvm::map_to_vector(body.getTerminator()->getOperands(),
                          [&](Value value) { return mapping.lookup(value); });
  call.replaceAllUsesWith(results);
  call.erase();
}

namespace {
class Inliner {
public:
  Inliner(ModuleOp module) : symbols(module) {}

  /// Inlines in the functions that `function` calls, then in `function`.
  LogicalResult run(func::FuncOp function) {
    if (!running.insert(function).second)
      return function.emitError(
                 "expected a function that returns buffers of unknown size "
                 "not to call itself: `")
             << function.getName() << "`";
    if (done.insert(function).second) {
      SmallVector<func::CallOp> calls;
      function.walk([&](func::CallOp call) { calls.push_back(call); });
      for (func::CallOp call : calls) {
        auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
        if (!callee || callee.isExternal() || !returnsUnknownSize(callee))
          continue;
        if (failed(run(callee)))
          return failure();
        if (!callee.getBody().hasOneBlock())
          return callee.emitError("expected the body of `")
                 << callee.getName() << "` to be one block";
        inlineCall(call, callee);
        inlined.insert(callee);
      }
    }
    running.erase(function);
    return success();
  }

  void eraseInlined(ModuleOp module) {
    for (func::FuncOp function : inlined)
      if (function.isPrivate() &&
          SymbolTable::symbolKnownUseEmpty(function, module))
        function.erase();
  }

  llvm::SetVector<func::FuncOp> inlined;

private:
  SymbolTable symbols;
  llvm::SmallPtrSet<Operation *, 8> running, done;
};

struct InlineResults : repo::impl::InlineResultsBase<InlineResults> {
  void runOnOperation() override {
    Inliner inliner(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(inliner.run(function)))
        return signalPassFailure();
    numInlined += inliner.inlined.size();
    inliner.eraseInlined(getOperation());
  }
};
} // namespace
