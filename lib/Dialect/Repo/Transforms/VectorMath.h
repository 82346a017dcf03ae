//===- VectorMath.h - Arithmetic on vectors of f32 --------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORMATH_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir {
namespace repo {

/// Builds ops on vectors of `lanes` f32, with an exp2 of our own: what upstream
/// and LLVM make of math.exp2 calls a library per element.
class VectorMath {
public:
  VectorMath(OpBuilder &builder, Location loc, int64_t lanes)
      : b(builder), loc(loc),
        floats(VectorType::get({lanes}, builder.getF32Type())),
        ints(VectorType::get({lanes}, builder.getI32Type())) {}

  Value number(double value) {
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(floats, static_cast<float>(value)));
  }
  Value integer(int32_t value) {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(ints, value));
  }
  /// first, first + 1, ...
  Value iota(int32_t first) {
    SmallVector<int32_t> values;
    for (int64_t i = 0; i < ints.getNumElements(); ++i)
      values.push_back(first + i);
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(ints, ArrayRef<int32_t>(values)));
  }
  Value splatInt(Value scalar) {
    return vector::BroadcastOp::create(b, loc, ints, scalar);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value fma(Value x, Value y, Value z) {
    return vector::FMAOp::create(b, loc, x, y, z);
  }
  /// The larger one, `y` where they cannot be compared: one instruction.
  Value max(Value x, Value y) {
    Value larger =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, y);
    return arith::SelectOp::create(b, loc, larger, x, y);
  }

  /// 2^x for x <= 0, to 2 units in the last place; NaN stays NaN. Below -126
  /// the result may be 2^-126, at -inf too: a caller that needs 0 there selects
  /// it. The integer part goes into the exponent, a polynomial of degree 5
  /// (minimax, 1 at 0, relative error 9e-8) takes the rest.
  Value exp2(Value x) {
    // Sixteen lanes are AVX-512.
    return floats.getNumElements() == 16 ? exp2InSevenSteps(x) : exp2ByBits(x);
  }

  /// Whether exp2 is 0 at -inf.
  bool hasExactZero() const { return floats.getNumElements() == 16; }

private:
  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value result = number(coefficients[0]);
    for (double coefficient : coefficients.drop_front())
      result = fma(result, x, number(coefficient));
    return result;
  }

  Value exp2ByBits(Value x) {
    Value low = number(-126.0);
    Value below =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, low);
    x = arith::SelectOp::create(b, loc, below, low, x);
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    Value magic = number(12582912.0);
    Value shifted = add(x, magic);
    Value fraction = sub(x, sub(shifted, magic));
    Value result =
        polynomial(fraction, {1.32647273e-3, 9.67151299e-3, 5.55073358e-2,
                              2.40222424e-1, 6.93147004e-1, 1.0});
    Value exponent = arith::ShLIOp::create(
        b, loc, arith::BitcastOp::create(b, loc, ints, shifted), integer(23));
    Value bits = arith::BitcastOp::create(b, loc, ints, result);
    return arith::BitcastOp::create(
        b, loc, floats, arith::AddIOp::create(b, loc, bits, exponent));
  }

  /// AVX-512 has instructions for both ends: x - floor(x), which is 0 at -inf,
  /// and y * 2^floor(x).
  Value exp2InSevenSteps(Value x) {
    auto constant = [&](IntegerAttr value) -> Value {
      return LLVM::ConstantOp::create(b, loc, value);
    };
    auto call = [&](StringRef name, ValueRange operands) -> Value {
      return LLVM::CallIntrinsicOp::create(b, loc, floats,
                                           b.getStringAttr(name), operands)
          .getResult(0);
    };
    Value all = constant(b.getI16IntegerAttr(-1));
    Value asSet = constant(b.getI32IntegerAttr(4)); // the rounding at hand
    Value down = constant(b.getI32IntegerAttr(9));  // without exceptions
    Value fraction =
        call("llvm.x86.avx512.mask.reduce.ps.512", {x, down, x, all, asSet});
    Value result =
        polynomial(fraction, {1.86713017e-3, 9.01702978e-3, 5.57999127e-2,
                              2.40164444e-1, 6.93151295e-1, 1.0});
    return call("llvm.x86.avx512.mask.scalef.ps.512",
                {result, x, result, all, asSet});
  }

  OpBuilder &b;
  Location loc;
  VectorType floats, ints;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORMATH_H
