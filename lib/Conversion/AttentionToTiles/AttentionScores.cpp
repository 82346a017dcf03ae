//===- AttentionScores.cpp - Scores as the softmax takes them -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

/// Whether the softmax can take products as they are, and scale them on the way
/// to the exponential.
bool AttentionTiles::bySoftmaxUnit() {
  return !op.getBias() && !op.getSoftcap() && op.getScaleValue() > 0;
}

double AttentionTiles::getExponentScale() {
  return bySoftmaxUnit() ? op.getScaleValue() * M_LOG2E : 1;
}

/// Bias or mask of the block, from a tile of keys on: [1, heads, queries,
/// keys], with the dimensions of 1 that it has.
Value AttentionTiles::sliceScoreOperand(Value operand, Value firstKey) {
  auto type = cast<MemRefType>(operand.getType());
  SmallVector<OpFoldResult> offsets = {batch, head, b.getIndexAttr(0),
                                       firstKey},
                            sizes = {b.getIndexAttr(1),
                                     b.getIndexAttr(packedHeads), queries,
                                     sub(keys, firstKey)},
                            strides(4, b.getIndexAttr(1));
  for (auto [size, offset, wanted] :
       llvm::zip_equal(type.getShape(), offsets, sizes))
    if (size == 1) {
      offset = b.getIndexAttr(0);
      wanted = b.getIndexAttr(1);
    }
  return memref::SubViewOp::create(b, loc, operand, offsets, sizes, strides);
}

/// The element of a slice for a row and a column (an i32) of a fragment; 0 from
/// column `end` on, if there is one: those are no keys.
Value AttentionTiles::loadScoreOperand(OpBuilder &nested, Location at,
                                       Value slice, Value row, Value column,
                                       Value end) {
  auto type = cast<MemRefType>(slice.getType());
  auto load = [&](OpBuilder &inner, Location loc) -> Value {
    Place place = getPlace(inner, loc, row);
    Value zero = arith::ConstantIndexOp::create(inner, loc, 0);
    SmallVector<Value> indices = {zero, place.head, place.query,
                                  ElementBuilder(inner, loc).toIndex(column)};
    for (auto [i, index] : llvm::enumerate(indices))
      if (type.getDimSize(i) == 1)
        index = zero;
    return memref::LoadOp::create(inner, loc, slice, indices);
  };
  if (!end)
    return load(nested, at);
  Value exists =
      arith::CmpIOp::create(nested, at, arith::CmpIPredicate::slt, column, end);
  auto branch = scf::IfOp::create(
      nested, at, exists,
      [&](OpBuilder &inner, Location loc) {
        scf::YieldOp::create(inner, loc, load(inner, loc));
      },
      [&](OpBuilder &inner, Location loc) {
        Value zero = arith::ConstantOp::create(
            inner, loc, inner.getZeroAttr(type.getElementType()));
        scf::YieldOp::create(inner, loc, zero);
      });
  return branch.getResult(0);
}

Value AttentionTiles::finishScores(Value products, Value firstRow,
                                   Value firstKey, TileEdge edge) {
  int64_t columns = cast<FragmentType>(products.getType()).getColumns();
  Value bias, mask, end;
  if (op.getBias())
    bias = sliceScoreOperand(op.getBias(), firstKey);
  if (op.getMask())
    mask = sliceScoreOperand(op.getMask(), firstKey);
  if (edge == TileEdge::end && (bias || mask))
    end = arith::IndexCastOp::create(
        b, loc, b.getI32Type(),
        max(index(0), min(sub(keys, firstKey), index(columns))));
  auto load = [&](OpBuilder &nested, Location at, Value slice, ValueRange in) {
    Value row = arith::AddIOp::create(
        nested, at, firstRow, ElementBuilder(nested, at).toIndex(in[1]));
    return loadScoreOperand(nested, at, slice, row, in[2], end);
  };
  Value scores = products;
  if (!bySoftmaxUnit())
    scores =
        map(products, products.getType(),
            [&](OpBuilder &nested, Location at,
                ValueRange in) -> SmallVector<Value> {
              ElementBuilder s(nested, at);
              double scale = op.getScaleValue();
              Value x;
              if (op.getSoftcap()) {
                // tanh(x) = 1 - 2 / (e^2x + 1).
                double cap = op.getSoftcap()->convertToDouble();
                Value e = s.exp2(s.scale(in[0], 2 * M_LOG2E * scale / cap));
                Value half = s.reciprocal(s.add(e, s.number(1)));
                x = s.fma(half, s.number(-2 * cap * M_LOG2E),
                          s.number(cap * M_LOG2E));
              } else {
                x = s.scale(in[0], scale * M_LOG2E);
              }
              if (bias) {
                Value y = load(nested, at, bias, in);
                if (y.getType() != nested.getF32Type())
                  y = arith::ExtFOp::create(nested, at, nested.getF32Type(), y);
                x = s.add(x, s.scale(y, M_LOG2E));
              }
              return {x};
            })
            .front();
  // Behind the bias, as a bias that is hidden may be NaN, too.
  if (mask)
    scores = map(scores, scores.getType(),
                 [&](OpBuilder &nested, Location at,
                     ValueRange in) -> SmallVector<Value> {
                   ElementBuilder s(nested, at);
                   return {s.select(load(nested, at, mask, in), in[0],
                                    s.number(-infinity))};
                 })
                 .front();
  return edge != TileEdge::none ? maskScores(scores, firstRow, firstKey)
                                : scores;
}

Value AttentionTiles::maskScores(Value scores, Value firstRow, Value firstKey) {
  FragmentType rows = rowType(b.getI32Type());
  int64_t columns = cast<FragmentType>(scores.getType()).getColumns();
  // The first and the last visible column of every row.
  SmallVector<Value> bounds = map(
      {}, {rows, rows},
      [&](OpBuilder &nested, Location at, ValueRange in) -> SmallVector<Value> {
        ElementBuilder s(nested, at);
        auto constant = [&](int64_t value) -> Value {
          return arith::ConstantIndexOp::create(nested, at, value);
        };
        auto plus = [&](Value x, Value y) -> Value {
          return arith::AddIOp::create(nested, at, x, y);
        };
        Value row = plus(firstRow, s.toIndex(in[0]));
        if (packedQueries)
          row = getPlace(nested, at, row).query;
        Value place = plus(offset, row);
        Value last = plus(limit, constant(-1)), first = constant(0);
        if (band.second >= 0)
          last = arith::MinSIOp::create(
              nested, at, last,
              plus(place, constant(std::min(band.second, int64_t(1) << 40))));
        if (band.first >= 0)
          first =
              plus(place, constant(-std::min(band.first, int64_t(1) << 40)));
        auto column = [&](Value key) -> Value {
          Value relative = arith::SubIOp::create(nested, at, key, firstKey);
          relative = arith::MaxSIOp::create(nested, at, relative, constant(-1));
          relative =
              arith::MinSIOp::create(nested, at, relative, constant(columns));
          return arith::IndexCastOp::create(nested, at, nested.getI32Type(),
                                            relative);
        };
        return {column(first), column(last)};
      });
  return map({scores, bounds[0], bounds[1]}, scores.getType(),
             [&](OpBuilder &nested, Location at,
                 ValueRange in) -> SmallVector<Value> {
               ElementBuilder s(nested, at);
               auto compare = [&](arith::CmpIPredicate predicate, Value x,
                                  Value y) -> Value {
                 return arith::CmpIOp::create(nested, at, predicate, x, y);
               };
               Value x =
                   s.select(compare(arith::CmpIPredicate::sle, in[4], in[2]),
                            in[0], s.number(-infinity));
               if (band.first >= 0)
                 x = s.select(compare(arith::CmpIPredicate::sge, in[4], in[1]),
                              x, s.number(-infinity));
               return {x};
             })
      .front();
}
