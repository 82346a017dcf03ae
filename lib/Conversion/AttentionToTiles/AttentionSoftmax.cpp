//===- AttentionSoftmax.cpp - Fragments of attention kernels --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <cmath>

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

Value AttentionTiles::scaleRows(Value matrix, Value rows) {
  return map({matrix, rows}, matrix.getType(),
             [](OpBuilder &nested, Location at,
                ValueRange in) -> SmallVector<Value> {
               return {ElementBuilder(nested, at).mul(in[0], in[1])};
             })
      .front();
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

SoftmaxState AttentionTiles::start(int64_t columns) {
  FragmentType rows = rowType(b.getF32Type());
  return {fill(accumulatorType(columns), 0), fill(rows, -infinity),
          fill(rows, 0)};
}

Value AttentionTiles::weigh(Value scores, SoftmaxState &state, Value *alpha) {
  double factor = getExponentScale();
  Type rows = state.maximum.getType();
  Value maximum =
      ReduceOp::create(b, loc, rows, Combiner::maximum, scores, state.maximum);
  // A row that has seen no key has maximum -inf, and weights 2^(-inf - 0).
  SmallVector<Value> scaled = map(
      {state.maximum, maximum, state.sum}, {rows, rows, rows},
      [&](OpBuilder &nested, Location at, ValueRange in) -> SmallVector<Value> {
        ElementBuilder s(nested, at);
        Value shift = s.select(s.isEqual(in[1], -infinity), s.number(0),
                               s.scale(in[1], factor));
        Value ratio = s.exp2(s.sub(s.scale(in[0], factor), shift));
        return {shift, ratio, s.mul(in[2], ratio)};
      });
  Value weights =
      map({scores, scaled[0]}, scores.getType(),
          [&](OpBuilder &nested, Location at,
              ValueRange in) -> SmallVector<Value> {
            ElementBuilder s(nested, at);
            Value minus = arith::NegFOp::create(nested, at, in[1]);
            return {s.exp2(factor == 1
                               ? s.add(in[0], minus)
                               : s.fma(in[0], s.number(factor), minus))};
          })
          .front();
  state.maximum = maximum;
  state.sum = ReduceOp::create(b, loc, rows, Combiner::sum, weights, scaled[2]);
  if (alpha)
    *alpha = scaled[1];
  else
    state.accumulator = scaleRows(state.accumulator, scaled[1]);
  return weights;
}

void AttentionTiles::finish(const SoftmaxState &state, Value firstRow) {
  double factor = getExponentScale();
  FragmentType rows = rowType(b.getF32Type());
  SmallVector<Value> results = map(
      {state.maximum, state.sum}, {rows, rows},
      [&](OpBuilder &nested, Location at, ValueRange in) -> SmallVector<Value> {
        ElementBuilder s(nested, at);
        Value inverse =
            s.select(s.isEqual(in[1], 0), s.number(0), s.reciprocal(in[1]));
        Value log = math::Log2Op::create(nested, at, in[1]);
        Value lse = s.scale(s.add(s.scale(in[0], factor), log), 1 / M_LOG2E);
        return {inverse, lse};
      });
  Value out = scaleRows(state.accumulator, results[0]);
  StoreOp::create(b, loc, out, sliceOutput(), firstRow, queries);
  if (Value lse = op.getLse())
    StoreOp::create(b, loc, results[1], sliceRows(lse, head), firstRow,
                    queries);
}
