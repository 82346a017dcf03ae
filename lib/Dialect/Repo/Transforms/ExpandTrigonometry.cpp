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

/// sin(x) or cos(x). With n = round(x / pi) and r = x - n pi in [-pi/2, pi/2],
/// they are sin(r) and cos(r), both negative where n is odd: nothing has to be
/// selected, as it would by quadrants. The lowest bit of n + 1.5 * 2^23 says
/// so. Polynomials: minimax on that range, absolute error 5e-9 and 3e-10.
static Value expand(OpBuilder &b, Location loc, Value x, bool cosine) {
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  };
  auto fma = [&](Value p, Value q, Value r) -> Value {
    return math::FmaOp::create(b, loc, p, q, r);
  };
  Type i32 = b.getI32Type(), f32 = b.getF32Type();
  Value magic = number(12582912.0);
  Value shifted = fma(x, number(0.31830988618379067), magic);
  Value n = arith::SubFOp::create(b, loc, shifted, magic);
  // pi as a sum of two floats; the first product leaves no rounding error.
  Value r = fma(n, number(-3.1415927410125732421875), x);
  r = fma(n, number(8.74227765734758577e-8), r);

  Value square = arith::MulFOp::create(b, loc, r, r);
  auto polynomial = [&](ArrayRef<double> coefficients) {
    Value value = number(coefficients.front());
    for (double c : coefficients.drop_front())
      value = fma(value, square, number(c));
    return value;
  };
  Value value;
  if (cosine) {
    value = polynomial({-2.60756621e-7, 2.47618081e-5, -1.38884021e-3,
                        4.16666406e-2, -4.99999995e-1, 1.0});
  } else {
    value = polynomial(
        {2.59990321e-6, -1.98065471e-4, 8.33301636e-3, -1.66666571e-1});
    value = fma(arith::MulFOp::create(b, loc, value, square), r, r);
  }

  Value sign = arith::ShLIOp::create(
      b, loc, arith::BitcastOp::create(b, loc, i32, shifted),
      arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(31)));
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
