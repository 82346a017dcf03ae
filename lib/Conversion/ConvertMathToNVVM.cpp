//===- ConvertMathToNVVM.cpp - Functions the hardware has -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "repo/Conversion/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTMATHTONVVM
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// The intrinsic of the special-function unit that computes an f32 op, or "".
static StringRef getIntrinsic(Operation *op) {
  if (op->getNumResults() != 1 || !op->getResult(0).getType().isF32())
    return "";
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](math::Exp2Op) { return "llvm.nvvm.ex2.approx.ftz.f"; })
      .Case([](math::Log2Op) { return "llvm.nvvm.lg2.approx.ftz.f"; })
      .Case([](math::SinOp) { return "llvm.nvvm.sin.approx.ftz.f"; })
      .Case([](math::CosOp) { return "llvm.nvvm.cos.approx.ftz.f"; })
      // A reciprocal, times the numerator.
      .Case([](arith::DivFOp division) {
        return bitEnumContainsAny(division.getFastmath(),
                                  arith::FastMathFlags::afn)
                   ? "llvm.nvvm.rcp.approx.ftz.f"
                   : "";
      })
      .Default([](Operation *) { return ""; });
}

/// Several divisions by the same number may be one, and products: a unit in the
/// last place more.
static void shareReciprocals(gpu::GPUModuleOp module) {
  module.walk([](arith::DivFOp op) {
    if (op.getType().isF32())
      op.setFastmath(op.getFastmath() | arith::FastMathFlags::arcp);
  });
}

/// A maximum or minimum is one instruction, which upstream's expansion of arith
/// makes four.
template <typename Op, typename Intrinsic>
static void convertExtremum(gpu::GPUModuleOp module) {
  SmallVector<Op> ops;
  module.walk([&](Op op) {
    if (op.getType().isF32())
      ops.push_back(op);
  });
  for (Op op : ops) {
    OpBuilder builder(op);
    Value result =
        Intrinsic::create(builder, op.getLoc(), op.getLhs(), op.getRhs());
    op.replaceAllUsesWith(result);
    op.erase();
  }
}

namespace {
struct ConvertMathToNVVM
    : repo::impl::ConvertMathToNVVMBase<ConvertMathToNVVM> {
  void runOnOperation() override {
    shareReciprocals(getOperation());
    convertExtremum<arith::MaxNumFOp, LLVM::MaxNumOp>(getOperation());
    convertExtremum<arith::MinNumFOp, LLVM::MinNumOp>(getOperation());
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (!getIntrinsic(op).empty())
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder builder(op);
      auto call = LLVM::CallIntrinsicOp::create(
          builder, op->getLoc(), op->getResult(0).getType(),
          builder.getStringAttr(getIntrinsic(op)),
          ValueRange(op->getOperands()).take_back(1));
      Value result = call.getResult(0);
      if (auto division = dyn_cast<arith::DivFOp>(op);
          division && !matchPattern(division.getLhs(), m_OneFloat()))
        result = arith::MulFOp::create(builder, op->getLoc(), division.getLhs(),
                                       result);
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  }
};
} // namespace
