//===- FragmentBuilder.h - Fragments of a kernel ----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_TILESCHEDULE_FRAGMENTBUILDER_H
#define REPO_LIB_CONVERSION_TILESCHEDULE_FRAGMENTBUILDER_H

#include "mlir/Dialect/Math/IR/Math.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"
#include "repo/Support/IndexBuilder.h"
#include <limits>

namespace mlir::repo {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// Arithmetic on f32 within the region of a map. Products may be fused with
/// sums.
struct ElementBuilder {
  ElementBuilder(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}
  Value number(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  }
  Value i32(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
  }
  Value add(Value x, Value y) {
    return arith::AddFOp::create(b, loc, x, y, contract());
  }
  Value sub(Value x, Value y) {
    return arith::SubFOp::create(b, loc, x, y, contract());
  }
  Value mul(Value x, Value y) {
    return arith::MulFOp::create(b, loc, x, y, contract());
  }
  Value scale(Value x, double y) { return mul(x, number(y)); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, loc, x, y, z);
  }
  Value exp2(Value x) { return math::Exp2Op::create(b, loc, x); }
  /// 1 / x by the special-function unit.
  Value reciprocal(Value x) {
    auto approximate = arith::FastMathFlagsAttr::get(b.getContext(),
                                                     arith::FastMathFlags::afn);
    return arith::DivFOp::create(b, loc, number(1), x, approximate);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value isEqual(Value x, double y) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, x,
                                 number(y));
  }
  Value toIndex(Value x) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), x);
  }
  arith::FastMathFlagsAttr contract() {
    return arith::FastMathFlagsAttr::get(b.getContext(),
                                         arith::FastMathFlags::contract);
  }
  OpBuilder &b;
  Location loc;
};

/// Builds fragments of one matrix unit, of `rows` rows each, and what a kernel
/// does with their elements.
class FragmentBuilder : public IndexBuilder {
public:
  FragmentBuilder(OpBuilder &builder, Location loc, MatrixUnit unit,
                  int64_t rows, Type element)
      : IndexBuilder(builder, loc), element(element), unit(unit), rows(rows) {}

  /// Sums of products; the left factor of one; a number a row.
  tile::FragmentType accumulatorType(int64_t columns);
  tile::FragmentType operandType(int64_t columns);
  tile::FragmentType rowType(Type element);

  using Body =
      llvm::function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)>;
  /// See repo_tile.map.
  SmallVector<Value> map(ValueRange inputs, TypeRange results, Body body);
  Value fill(tile::FragmentType type, double value);

  /// Of operands.
  Type element;

private:
  MatrixUnit unit;
  int64_t rows;
};

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_TILESCHEDULE_FRAGMENTBUILDER_H
