//===- ApproximateMath.cpp - Transcendental functions as arithmetic -------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "repo/Conversion/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::repo {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

namespace {
/// e^x or 2^x in f32, within two ulps: x = n ln 2 + r (or (n + r / ln 2)) with
/// |r| <= ln 2 / 2, ln 2 in two parts so that r keeps its digits; a polynomial
/// of r times 2^n, in two factors, for results that are not normal. The
/// upstream approximation takes ln 2 in one part, and 2^x as e^(x ln 2), which
/// costs digits that grow with |x|.
template <typename OpTy> struct ExpandExponential : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    constexpr bool binary = std::is_same_v<OpTy, math::Exp2Op>;
    Type type = op.getType();
    if (!getElementTypeOrSelf(type).isF32() || isa<TensorType>(type) ||
        // The hardware's will do.
        bitEnumContainsAny(op.getFastmath(), arith::FastMathFlags::afn))
      return failure();
    Location loc = op.getLoc();
    Type intType = b.getI32Type();
    if (auto vector = dyn_cast<VectorType>(type))
      intType = vector.clone(intType);
    auto splat = [&](Type of, Attribute value) -> Value {
      if (auto vector = dyn_cast<VectorType>(of))
        value = DenseElementsAttr::get(vector, value);
      return arith::ConstantOp::create(b, loc, cast<TypedAttr>(value));
    };
    auto number = [&](double value) {
      return splat(type, b.getF32FloatAttr(value));
    };
    auto integer = [&](int32_t value) {
      return splat(intType, b.getI32IntegerAttr(value));
    };
    auto fma = [&](Value x, Value y, Value z) -> Value {
      return math::FmaOp::create(b, loc, x, y, z);
    };
    auto powerOfTwo = [&](Value n) -> Value {
      Value biased = arith::AddIOp::create(b, loc, n, integer(127));
      Value bits = arith::ShLIOp::create(b, loc, biased, integer(23));
      return arith::BitcastOp::create(b, loc, type, bits);
    };
    // Outside, the result is 0 or infinite; NaN is put back at the end.
    Value x = arith::MaxNumFOp::create(b, loc, op.getOperand(),
                                       number(binary ? -151 : -104));
    x = arith::MinNumFOp::create(b, loc, x, number(binary ? 129 : 89));
    Value n, r;
    if (binary) {
      n = math::RoundEvenOp::create(b, loc, x);
      r = arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, x, n),
                                number(llvm::numbers::ln2));
    } else {
      n = math::RoundEvenOp::create(
          b, loc,
          arith::MulFOp::create(b, loc, x, number(llvm::numbers::log2e)));
      r = fma(n, number(-0.693359375), x);
      r = fma(n, number(2.12194440054690583e-4), r);
    }
    Value p = number(1.9875691500e-4);
    for (double coefficient :
         {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
          5.0000001201e-1})
      p = fma(p, r, number(coefficient));
    p = fma(arith::MulFOp::create(b, loc, r, r), p, r);
    p = arith::AddFOp::create(b, loc, p, number(1));
    Value exponent = arith::FPToSIOp::create(b, loc, intType, n);
    Value half = arith::ShRSIOp::create(b, loc, exponent, integer(1));
    Value rest = arith::SubIOp::create(b, loc, exponent, half);
    p = arith::MulFOp::create(b, loc, p, powerOfTwo(half));
    p = arith::MulFOp::create(b, loc, p, powerOfTwo(rest));
    Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO,
                                        op.getOperand(), op.getOperand());
    b.replaceOpWithNewOp<arith::SelectOp>(op, isNaN, op.getOperand(), p);
    return success();
  }
};

struct ApproximateMath : repo::impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    auto isApproximated = [](StringRef name) {
      return llvm::is_contained({math::LogOp::getOperationName(),
                                 math::Log2Op::getOperationName(),
                                 math::TanhOp::getOperationName()},
                                name);
    };
    RewritePatternSet patterns(&getContext());
    patterns
        .add<ExpandExponential<math::ExpOp>, ExpandExponential<math::Exp2Op>>(
            &getContext());
    populateMathF32ExpansionPatterns(patterns, [&](StringRef name) {
      return isApproximated(name) || name == math::ExpOp::getOperationName() ||
             name == math::Exp2Op::getOperationName();
    });
    populateMathPolynomialApproximationPatterns(patterns, isApproximated);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
