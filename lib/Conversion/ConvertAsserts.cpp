//===- ConvertAsserts.cpp - What the host finds wrong ends the entry ------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTASSERTS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

/// The constant text of a message, one for all that say the same.
static LLVM::GlobalOp getText(ModuleOp module, SymbolTable &symbols,
                              llvm::StringMap<LLVM::GlobalOp> &texts,
                              StringRef message) {
  LLVM::GlobalOp &text = texts[message];
  if (text)
    return text;
  OpBuilder builder(module.getContext());
  std::string bytes = message.str() + '\0';
  text = LLVM::GlobalOp::create(
      builder, module.getLoc(),
      LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size()),
      /*isConstant=*/true, LLVM::Linkage::Internal, "repo_message",
      builder.getStringAttr(bytes));
  symbols.insert(text);
  return text;
}

namespace {
struct ConvertAsserts : repo::impl::ConvertAssertsBase<ConvertAsserts> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    llvm::StringMap<LLVM::GlobalOp> texts;
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    SmallVector<cf::AssertOp> asserts;
    module.walk([&](cf::AssertOp op) {
      auto function = op->getParentOfType<FunctionOpInterface>();
      if (function && function.getNumArguments() != 0 &&
          function.getArgument(0).getType() == pointer)
        asserts.push_back(op);
    });
    for (cf::AssertOp op : asserts) {
      OpBuilder b(op);
      Location loc = op.getLoc();
      auto function = op->getParentOfType<FunctionOpInterface>();
      Value yes = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
      Value fails = arith::XOrIOp::create(b, loc, op.getArg(), yes);
      auto branch = scf::IfOp::create(b, loc, fails);
      b.setInsertionPoint(branch.thenYield());
      Value text = LLVM::AddressOfOp::create(
          b, loc, pointer,
          getText(module, symbols, texts, op.getMsg()).getSymName());
      callRuntime(b, loc, function.getArgument(0), RuntimeFunction::refuse,
                  Type(), {text});
      op.erase();
    }
  }
};
} // namespace
