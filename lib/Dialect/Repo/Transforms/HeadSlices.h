//===- HeadSlices.h - Slices of heads, and products of blocks ---*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the loops over the blocks of a gradient are written with: rows and
// columns of a head in a tensor of any layout, and products of blocks.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_HEADSLICES_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_HEADSLICES_H

#include "AttentionTiling.h"

namespace mlir::repo {

/// Where dimension `dim` of an op is in a tensor.
inline unsigned positionOf(AffineMap map, unsigned dim) {
  return *map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
}

/// Blocks are sliced out of heads, and out of local tensors, by a builder.
class HeadSlices {
protected:
  /// `columns`: of a register tile.
  HeadSlices(RewriterBase &rewriter, Location loc, int64_t columns)
      : b(rewriter), loc(loc), index(rewriter, loc), f32(rewriter.getF32Type()),
        columns(columns) {}

  using Dim = AttentionBackwardOp::Dim;
  /// The rows of one head.
  struct Head {
    Value tensor;
    AffineMap map;
    Value batch, head;
    unsigned rows;
    int64_t width;
  };
  struct Slice {
    SmallVector<OpFoldResult> offsets, sizes, strides;
  };

  OpFoldResult attr(int64_t value) { return b.getIndexAttr(value); }
  Value size(Value tensor, AffineMap map, unsigned dim) {
    return getValueOrCreateConstantIndexOp(
        b, loc, tensor::getMixedSize(b, loc, tensor, positionOf(map, dim)));
  }
  Value filled(ArrayRef<int64_t> shape, double value) {
    return zeroed(tensor::EmptyOp::create(b, loc, shape, f32), value);
  }
  Value zeroed(Value tensor, double value = 0) {
    Value number = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
    return linalg::FillOp::create(b, loc, number, tensor).getResult(0);
  }
  /// Columns of so many in pieces of a register tile, which `body` adds to the
  /// state: (first column, number of columns, state).
  SmallVector<Value> overColumns(
      int64_t width, ValueRange state,
      function_ref<SmallVector<Value>(OpFoldResult, int64_t, ValueRange)> body);

  /// Columns [column, + width) of rows [start, + count) of a head.
  Slice sliceOf(const Head &head, Value start, OpFoldResult count,
                OpFoldResult column, int64_t width);
  /// The same as [count, width], or with a leading 1.
  Value rows(const Head &head, Value start, OpFoldResult count,
             OpFoldResult column, int64_t width, bool leading = false);
  /// All rows of heads [first, first + count) of a tensor, in its own layout.
  Slice headsOf(Value tensor, AffineMap map, Value batch, Value first,
                int64_t count);
  Value extract(Value tensor, const Slice &slice, ArrayRef<int64_t> shape);
  Value columnsOf(Value tensor, ArrayRef<OpFoldResult> sizes,
                  OpFoldResult column, ArrayRef<int64_t> shape);
  /// [1, rows, columns] transposed.
  Value transposed(Value matrix);
  /// out[n, p, l] += sum_i x[n, i] w[p, i, l], or out[p, n, l].
  Value product(Value x, Value w, Value out, bool rowsFirst);

  SmallVector<Value>
  loop(Value from, Value to, int64_t step, ValueRange state,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);

  RewriterBase &b;
  Location loc;
  IndexBuilder index;
  Type f32;
  int64_t columns;
};

} // namespace mlir::repo

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_HEADSLICES_H
