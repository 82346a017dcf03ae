//===- NamedDims.h - Structured ops over named dimensions -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The decompositions write formulas such as `s[b, h, n, m] = sum_d q[b, h, n,
// d] k[b, h, m, d]` over operands that leave out some of the dimensions, or
// order them differently. Here a tensor carries the names of its dimensions,
// and a linalg.generic is made from operands and a body: its iteration space is
// the union of the names, what the results lack is reduced.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_NAMEDDIMS_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_NAMEDDIMS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace mlir {
namespace repo {

/// A tensor whose dimensions are named, by small numbers.
struct NamedTensor {
  Value value;
  SmallVector<unsigned> dims;

  explicit operator bool() const { return bool(value); }
  bool has(unsigned dim) const { return llvm::is_contained(dims, dim); }
  Type getElementType() const { return getElementTypeOrSelf(value); }
};

/// Scalar arithmetic in the body of a structured op.
class ScalarBuilder {
public:
  ScalarBuilder(OpBuilder &builder, Location loc, FloatType type,
                ArrayRef<unsigned> loops = {})
      : builder(builder), loc(loc), type(type), loops(loops) {}

  OpBuilder &builder;
  Location loc;
  /// The type of the arithmetic.
  FloatType type;

  /// The index of dimension `dim` in the iteration space.
  Value index(unsigned dim);
  Value number(double value);
  Value integer(int64_t value);
  /// Between float types, either way.
  Value cast(Value value, Type to);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  /// `factor * a`, or `a` where the factor is 1.
  Value scale(Value a, double factor);
  /// The larger one; a NaN loses against a number.
  Value max(Value a, Value b);
  Value isEqual(Value a, Value b);
  Value select(Value condition, Value ifTrue, Value ifFalse);
  /// Conjunction; a null value is `true`.
  Value both(Value a, Value b);

private:
  ArrayRef<unsigned> loops;
};

/// Builds structured ops over named dimensions, whose sizes it learns from the
/// operands it is shown.
class NamedBuilder {
public:
  NamedBuilder(OpBuilder &builder, Location loc, FloatType compute)
      : builder(builder), loc(loc), compute(compute) {}

  /// A dimension of size 1 that is not one of the iteration space.
  static constexpr unsigned broadcast = ~0u;

  OpBuilder &builder;
  Location loc;
  FloatType compute;

  /// Names the dimensions of `value`. Those named `broadcast` are dropped; a
  /// null value stays null.
  NamedTensor name(Value value, ArrayRef<unsigned> dims);
  /// By an indexing map: results that are constants broadcast.
  NamedTensor name(Value value, AffineMap map);
  /// Splits dimension `dim` into an outer dimension and an inner one of size
  /// `innerSize`. The size of `dim` is static.
  NamedTensor split(const NamedTensor &tensor, unsigned dim, unsigned outer,
                    unsigned inner, int64_t innerSize);
  /// The converse: `inner` directly follows `outer`.
  NamedTensor merge(const NamedTensor &tensor, unsigned outer, unsigned inner,
                    unsigned dim);

  void setSize(unsigned dim, OpFoldResult size);
  OpFoldResult size(unsigned dim);
  Value sizeValue(unsigned dim);
  /// Whether one of the dimensions is statically 0.
  bool isEmpty(ArrayRef<unsigned> dims);

  NamedTensor empty(ArrayRef<unsigned> dims, Type elementType);
  /// A tensor of the compute type.
  NamedTensor fill(ArrayRef<unsigned> dims, double value);

  /// What a structured op computes from one element of each operand. Floats are
  /// handed over in the compute type and rounded to the type of the output.
  using Body = function_ref<SmallVector<Value>(ScalarBuilder &, ValueRange ins,
                                               ValueRange outs)>;
  SmallVector<NamedTensor> generic(ArrayRef<NamedTensor> ins,
                                   ArrayRef<NamedTensor> outs, Body body);
  /// One output.
  NamedTensor map(ArrayRef<NamedTensor> ins, const NamedTensor &out,
                  function_ref<Value(ScalarBuilder &, ValueRange ins)> body);
  /// `out + sum of a * b` over the dimensions that `out` lacks.
  NamedTensor contract(const NamedTensor &a, const NamedTensor &b,
                       const NamedTensor &out);

private:
  DenseMap<unsigned, OpFoldResult> sizes;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_NAMEDDIMS_H
