//===- ExpandTrigonometry.cpp - Sine and cosine as arithmetic -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_EXPANDTRIGONOMETRY
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

/// sin(x) or cos(x). With n = round(x * 2/pi) and r = x - n pi/2 in [-pi/4,
/// pi/4], the quadrant n mod 4 says which of sin(r), cos(r) it is, and its
/// sign; cos(x) is sin(x + pi/2), one quadrant on. The quadrant comes from the
/// low bits of n + 1.5 * 2^23. Polynomials: Taylor series cut where the next
/// term is below 2e-8.
static Value expand(OpBuilder &b, Location loc, Value x, bool cosine) {
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  auto integer = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  };
  auto fma = [&](Value p, Value q, Value r) -> Value {
    return math::FmaOp::create(b, loc, p, q, r);
  };
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  Value magic = number(12582912.0);
  Value shifted = fma(x, number(0.63661977236758134), magic);
  Value n = arith::SubFOp::create(b, loc, shifted, magic);
  // pi/2 as a sum of three floats.
  Value r = fma(n, number(-1.57079637050628662109375), x);
  r = fma(n, number(4.37113900018624283e-8), r);
  r = fma(n, number(1.71512443e-15), r);
  Value quadrant = arith::BitcastOp::create(b, loc, i32, shifted);
  if (cosine)
    quadrant = arith::AddIOp::create(b, loc, quadrant, integer(1));

  Value square = arith::MulFOp::create(b, loc, r, r);
  Value s = number(2.7557319e-6);
  for (double c : {-1.9841270e-4, 8.3333333e-3, -1.6666667e-1})
    s = fma(s, square, number(c));
  s = fma(arith::MulFOp::create(b, loc, s, square), r, r);
  Value c = number(-2.7557319e-7);
  for (double k : {2.4801587e-5, -1.3888889e-3, 4.1666667e-2, -0.5, 1.0})
    c = fma(c, square, number(k));

  Value one = integer(1);
  Value odd = arith::CmpIOp::create(
      b, loc, arith::CmpIPredicate::ne,
      arith::AndIOp::create(b, loc, quadrant, one), integer(0));
  Value value = arith::SelectOp::create(b, loc, odd, c, s);
  // Quadrants 2 and 3 are negative: flip the sign bit.
  Value sign = arith::ShLIOp::create(
      b, loc, arith::AndIOp::create(b, loc, quadrant, integer(2)), integer(30));
  Value bits = arith::BitcastOp::create(b, loc, i32, value);
  return arith::BitcastOp::create(b, loc, f32,
                                  arith::XOrIOp::create(b, loc, bits, sign));
}

namespace {
struct ExpandTrigonometry
    : repo::impl::ExpandTrigonometryBase<ExpandTrigonometry> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      auto flags = dyn_cast<arith::ArithFastMathInterface>(op);
      if (isa<math::SinOp, math::CosOp>(op) &&
          op->getResult(0).getType().isF32() &&
          // The hardware's will do.
          !bitEnumContainsAny(flags.getFastMathFlagsAttr().getValue(),
                              arith::FastMathFlags::afn))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder builder(op);
      Value value = expand(builder, op->getLoc(), op->getOperand(0),
                           isa<math::CosOp>(op));
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
  }
};
} // namespace
