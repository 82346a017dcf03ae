//===- UseSpecialFunctions.cpp - Functions of the hardware ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "repo/Conversion/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::repo {
#define GEN_PASS_DEF_USESPECIALFUNCTIONS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// Whether all that is computed from `value` is rounded to 16 bits.
static bool isRoundedLater(Value value, llvm::DenseSet<Value> &seen) {
  if (!seen.insert(value).second)
    return true;
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    if (isa<arith::TruncFOp>(user))
      return user->getResult(0).getType().getIntOrFloatBitWidth() <= 16;
    // A comparison can turn a small error into a large one.
    return isMemoryEffectFree(user) && user->getNumRegions() == 0 &&
           user->getNumResults() == 1 && user->getResult(0).getType().isF32() &&
           isRoundedLater(user->getResult(0), seen);
  });
}

/// x less whole turns, in [-pi, pi]; the number of turns is rounded by adding
/// 1.5 * 2^23. 2 pi is a sum of three floats.
static Value reduceTurns(OpBuilder &b, Location loc, Value x) {
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  auto fma = [&](Value p, Value q, Value r) -> Value {
    return math::FmaOp::create(b, loc, p, q, r);
  };
  Value magic = number(12582912.0);
  Value turns = arith::SubFOp::create(
      b, loc, fma(x, number(0.5 / llvm::numbers::pi), magic), magic);
  Value r = fma(turns, number(-6.283185482025146484375), x);
  r = fma(turns, number(1.74845560007347293e-7), r);
  return fma(turns, number(6.86049772e-15), r);
}

static void replace(Operation *op) {
  OpBuilder b(op);
  Location loc = op->getLoc();
  auto flags =
      arith::FastMathFlagsAttr::get(b.getContext(), arith::FastMathFlags::afn);
  Value x = op->getOperand(0), value;
  if (isa<arith::DivFOp>(op))
    value = arith::DivFOp::create(b, loc, x, op->getOperand(1), flags);
  else if (isa<math::SinOp>(op))
    value = math::SinOp::create(b, loc, reduceTurns(b, loc, x), flags);
  else if (isa<math::CosOp>(op))
    value = math::CosOp::create(b, loc, reduceTurns(b, loc, x), flags);
  else if (isa<math::Exp2Op>(op))
    value = math::Exp2Op::create(b, loc, x, flags);
  else
    value = math::Exp2Op::create(
        b, loc,
        arith::MulFOp::create(
            b, loc, x,
            arith::ConstantOp::create(b, loc,
                                      b.getF32FloatAttr(llvm::numbers::log2e))),
        flags);
  op->getResult(0).replaceAllUsesWith(value);
  op->erase();
}

namespace {
struct UseSpecialFunctions
    : repo::impl::UseSpecialFunctionsBase<UseSpecialFunctions> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](linalg::GenericOp generic) {
      for (Operation &op : *generic.getBody()) {
        llvm::DenseSet<Value> seen;
        if (isa<math::SinOp, math::CosOp, math::ExpOp, math::Exp2Op,
                arith::DivFOp>(op) &&
            op.getResult(0).getType().isF32() &&
            isRoundedLater(op.getResult(0), seen))
          ops.push_back(&op);
      }
    });
    for (Operation *op : ops)
      replace(op);
    numFunctions += ops.size();
  }
};
} // namespace
