//===- DotTiles.cpp - Tiles whose lanes are products ----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionLowering.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::repo;

/// The columns from `first` on.
void ContractionLowering::emitDots(Value first) {
  blocks(index(dotDepth), [&](Value from, Value to) {
    tiled(dims.o, first, {getPanelVectors(), 1}, [&](int64_t columns) {
      tiled(dims.n, zero, {6, 2, 1},
            [&](int64_t rows) { emitDotTile(rows, columns, from, to); });
    });
  });
}

/// The sums of `rows` by `columns` products over [from, to), a vector or an
/// element at a time.
SmallVector<Value> ContractionLowering::sumDots(int64_t rows, int64_t columns,
                                                Value from, Value to,
                                                bool vectors, ValueRange init) {
  auto load = [&](Value buffer, ValueRange at) {
    return vectors ? loadVector(buffer, at) : loadElement(buffer, at);
  };
  return loop(from, to, vectors ? lanes : 1, init,
              [&](Value i, ValueRange sums) {
                SmallVector<Value> next(sums), xs, ws;
                for (int64_t row = 0; row < rows; ++row)
                  xs.push_back(load(x, indices(maps[0], row, 0, i)));
                for (int64_t column = 0; column < columns; ++column)
                  ws.push_back(load(w, indices(maps[1], 0, column, i)));
                for (int64_t row = 0; row < rows; ++row)
                  for (int64_t column = 0; column < columns; ++column) {
                    Value &sum = next[row * columns + column];
                    sum = math::FmaOp::create(b, loc, xs[row], ws[column], sum);
                  }
                return next;
              });
}

/// Adds the products over [from, to) to a tile of the output.
void ContractionLowering::emitDotTile(int64_t rows, int64_t columns, Value from,
                                      Value to) {
  Value whole = roundDown(from, to, lanes);
  SmallVector<Value> sums =
      sumDots(rows, columns, from, whole, /*vectors=*/true,
              SmallVector<Value>(rows * columns, zeros()));
  for (Value &sum : sums)
    sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sum);
  sums = sumDots(rows, columns, whole, to, /*vectors=*/false, sums);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      SmallVector<Value> at = indices(maps[2], row, column, zero);
      Value old = memref::LoadOp::create(b, loc, out, at);
      Value sum =
          arith::AddFOp::create(b, loc, old, sums[row * columns + column]);
      memref::StoreOp::create(b, loc, sum, out, at);
    }
}
