//===- HeadSlices.cpp - Slices of heads, and products of blocks -----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "HeadSlices.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Slices
//===----------------------------------------------------------------------===//

HeadSlices::Slice HeadSlices::sliceOf(const Head &head, Value start,
                                      OpFoldResult count, OpFoldResult column,
                                      int64_t width) {
  Slice slice;
  slice.strides.assign(4, attr(1));
  for (AffineExpr expr : head.map.getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    bool isRow = dim == head.rows;
    bool isUnit = dim == Dim::B || dim == Dim::H;
    slice.offsets.push_back(dim == Dim::B   ? OpFoldResult(head.batch)
                            : dim == Dim::H ? OpFoldResult(head.head)
                            : isRow         ? OpFoldResult(start)
                                            : column);
    slice.sizes.push_back(isUnit ? attr(1) : isRow ? count : attr(width));
  }
  return slice;
}

Value HeadSlices::extract(Value tensor, const Slice &slice,
                          ArrayRef<int64_t> shape) {
  return tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get(shape, f32), tensor, slice.offsets,
      slice.sizes, slice.strides);
}

Value HeadSlices::rows(const Head &head, Value start, OpFoldResult count,
                       OpFoldResult column, int64_t width, bool leading) {
  SmallVector<int64_t> shape = {
      getConstantIntValue(count).value_or(ShapedType::kDynamic), width};
  if (leading)
    shape.insert(shape.begin(), 1);
  return extract(head.tensor, sliceOf(head, start, count, column, width),
                 shape);
}

HeadSlices::Slice HeadSlices::headsOf(Value tensor, AffineMap map, Value batch,
                                      Value first, int64_t count) {
  Slice slice;
  slice.strides.assign(4, attr(1));
  for (auto [at, expr] : llvm::enumerate(map.getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    slice.offsets.push_back(dim == Dim::B   ? OpFoldResult(batch)
                            : dim == Dim::H ? OpFoldResult(first)
                                            : attr(0));
    slice.sizes.push_back(dim == Dim::B ? attr(1)
                          : dim == Dim::H
                              ? attr(count)
                              : tensor::getMixedSize(b, loc, tensor, at));
  }
  return slice;
}

/// A slice of a local tensor: all of it but for the last dimension.
Value HeadSlices::columnsOf(Value tensor, ArrayRef<OpFoldResult> sizes,
                            OpFoldResult column, ArrayRef<int64_t> shape) {
  Slice slice;
  slice.offsets.assign(sizes.size(), attr(0));
  slice.offsets.back() = column;
  slice.sizes.assign(sizes.begin(), sizes.end());
  slice.strides.assign(sizes.size(), attr(1));
  return extract(tensor, slice, shape);
}

Value HeadSlices::transposed(Value matrix) {
  ArrayRef<int64_t> shape = cast<ShapedType>(matrix.getType()).getShape();
  int64_t rows = shape[1], columns = shape[2];
  Value flat = columnsOf(matrix, {attr(1), attr(rows), attr(columns)}, attr(0),
                         {rows, columns});
  Value target =
      tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{columns, rows}, f32);
  Value turned =
      linalg::TransposeOp::create(b, loc, flat, target, ArrayRef<int64_t>{1, 0})
          .getResult()[0];
  return tensor::ExpandShapeOp::create(
      b, loc, RankedTensorType::get({1, columns, rows}, f32), turned,
      ArrayRef<ReassociationIndices>{{0, 1}, {2}});
}

//===----------------------------------------------------------------------===//
// Arithmetic of a block
//===----------------------------------------------------------------------===//

Value HeadSlices::product(Value x, Value w, Value out, bool rowsFirst) {
  enum { N, P, L, I };
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(4, dims, b.getContext());
  };
  AffineMap outMap = rowsFirst ? map({N, P, L}) : map({P, N, L});
  return linalg::ContractOp::create(
             b, loc, TypeRange(out.getType()), ValueRange{x, w},
             ValueRange(out),
             b.getAffineMapArrayAttr({map({N, I}), map({P, I, L}), outMap}))
      .getResult(0);
}

SmallVector<Value>
HeadSlices::loop(Value from, Value to, int64_t step, ValueRange state,
                 function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index.index(step), state,
      [&](OpBuilder &, Location loc, Value at, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(at.getParentBlock());
        SmallVector<Value> next = body(at, carried);
        scf::YieldOp::create(b, loc, next);
      });
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> HeadSlices::overColumns(
    int64_t width, ValueRange state,
    function_ref<SmallVector<Value>(OpFoldResult, int64_t, ValueRange)> body) {
  int64_t whole = width / columns * columns;
  SmallVector<Value> next(state);
  if (whole > columns)
    next = loop(index.index(0), index.index(whole), columns, next,
                [&](Value column, ValueRange state) {
                  return body(column, columns, state);
                });
  else if (whole)
    next = body(attr(0), whole, next);
  if (whole < width)
    next = body(attr(whole), width - whole, next);
  return next;
}
