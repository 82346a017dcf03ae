//===- IndexBuilder.h - Arithmetic on indices -------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What lowerings that write loops and addresses say over and over, in the words
// of upstream's ArithBuilder, which knows neither constants nor divisions.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_SUPPORT_INDEXBUILDER_H
#define REPO_SUPPORT_INDEXBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::repo {

/// Builds arithmetic on values of type index at the place of `b`. Quotients and
/// remainders are of numbers without a sign, minimum and maximum of numbers
/// with one: the end of a range may lie before zero.
class IndexBuilder {
public:
  IndexBuilder(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  /// `x` itself where `y` is 0.
  Value add(Value x, int64_t y) { return y ? add(x, index(y)) : x; }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) { return mul(x, index(y)); }
  Value floorDiv(Value x, Value y) {
    return arith::DivUIOp::create(b, loc, x, y);
  }
  Value floorDiv(Value x, int64_t y) { return floorDiv(x, index(y)); }
  Value ceilDiv(Value x, int64_t y) {
    return floorDiv(add(x, index(y - 1)), y);
  }
  Value rem(Value x, Value y) { return arith::RemUIOp::create(b, loc, x, y); }
  Value rem(Value x, int64_t y) { return rem(x, index(y)); }
  Value min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  /// From an integer.
  Value toIndex(Value x) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), x);
  }
  Value toI32(Value x) {
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), x);
  }

  OpBuilder &b;
  Location loc;
};

} // namespace mlir::repo

#endif // REPO_SUPPORT_INDEXBUILDER_H
