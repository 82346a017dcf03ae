//===- AttentionSoftmax.cpp - Fragments of attention kernels --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {
/// Arithmetic on f32 within the region of a map. Products may be fused with
/// sums.
struct Scalars {
  Scalars(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}
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
} // namespace

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

FragmentType AttentionTiles::accumulatorType(int64_t columns) {
  bool mma = strategy.getUnit() == MatrixUnit::mma;
  return FragmentType::get(op.getContext(), {strategy.getRows(), columns},
                           Float32Type::get(op.getContext()),
                           mma ? Layout::mma_acc : Layout::wgmma_acc);
}
FragmentType AttentionTiles::operandType(int64_t columns) {
  bool mma = strategy.getUnit() == MatrixUnit::mma;
  return FragmentType::get(op.getContext(), {strategy.getRows(), columns},
                           element, mma ? Layout::mma_a : Layout::wgmma_a);
}
FragmentType AttentionTiles::rowType(Type type) {
  return accumulatorType(8).getRowType(type);
}

SmallVector<Value> AttentionTiles::map(ValueRange inputs, TypeRange results,
                                       Body body) {
  auto mapOp = MapOp::create(b, loc, results, inputs);
  Block &block = mapOp.getBody().emplaceBlock();
  for (Value input : inputs)
    block.addArgument(cast<FragmentType>(input.getType()).getElementType(),
                      loc);
  block.addArguments({b.getI32Type(), b.getI32Type()}, {loc, loc});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&block);
  YieldOp::create(b, loc, body(b, loc, block.getArguments()));
  return mapOp.getResults();
}

Value AttentionTiles::fill(FragmentType type, double value) {
  return map({}, type,
             [&](OpBuilder &nested, Location at,
                 ValueRange) -> SmallVector<Value> {
               return {Scalars(nested, at).number(value)};
             })
      .front();
}

/// The first element of a vector in memory, for all rows.
Value AttentionTiles::fillRows(Value vector) {
  return map({}, rowType(b.getF32Type()),
             [&](OpBuilder &nested, Location at,
                 ValueRange) -> SmallVector<Value> {
               Value zero = arith::ConstantIndexOp::create(nested, at, 0);
               return {memref::LoadOp::create(nested, at, vector, zero)};
             })
      .front();
}

Value AttentionTiles::scaleRows(Value matrix, Value rows) {
  return map({matrix, rows}, matrix.getType(),
             [](OpBuilder &nested, Location at,
                ValueRange in) -> SmallVector<Value> {
               return {Scalars(nested, at).mul(in[0], in[1])};
             })
      .front();
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

/// Angles are reduced in turns: with c = omega / 2 pi as a sum of two floats,
/// t = z c - round(z c) is exact but for the last bits of c, and 2 pi t is in
/// [-pi, pi], where the approximate sine is good.
Value AttentionTiles::rotate(Value input, Value firstRow) {
  Value positions = op.getQueryPositions();
  if (!positions)
    return input;
  int64_t heads = cast<ShapedType>(positions.getType()).getDimSize(1);
  Value z;
  if (rowsAreHeads && heads == op.getNumQueryHeads()) {
    int64_t group = op.getGroupSize();
    z = LoadRowsOp::create(b, loc, rowType(b.getF32Type()),
                           sliceHeads(positions, AffineMap(), group), firstRow,
                           index(group));
  } else {
    Value positionHead = heads == 1                          ? index(0)
                         : heads == op.getNumKeyValueHeads() ? keyHead
                                                             : head;
    Value row = sliceRows(positions, positionHead);
    z = rowsAreHeads ? fillRows(row)
                     : LoadRowsOp::create(b, loc, rowType(b.getF32Type()), row,
                                          firstRow, queries)
                           .getResult();
  }
  RopeAttr rope = *op.getRope();
  auto pairing = rope.getLayout() == PairLayout::half ? Pairing::half
                                                      : Pairing::interleaved;
  auto pairs = MapPairsOp::create(b, loc, input.getType(), pairing, input, z,
                                  rope.getDim());
  Block &block = pairs.getBody().emplaceBlock();
  block.addArguments(
      {element, element, b.getF32Type(), b.getI32Type(), b.getI32Type()},
      SmallVector<Location>(5, loc));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&block);
  Scalars s(b, loc);
  Value pair = s.toIndex(block.getArgument(4));
  Value high, low;
  if (Value omega = op.getOmega()) {
    SmallVector<Value> indices = {pair};
    if (cast<MemRefType>(omega.getType()).getRank() == 2)
      indices.insert(indices.begin(), keyHead);
    Value w = memref::LoadOp::create(b, loc, omega, indices);
    double inverse = 1 / (2 * M_PI);
    high = arith::MulFOp::create(b, loc, w, s.number(inverse));
    Value minus = arith::NegFOp::create(b, loc, high);
    low = s.fma(w, s.number(inverse), minus);
    low = s.fma(w, s.number(inverse - double(float(inverse))), low);
  } else {
    high = memref::LoadOp::create(b, loc, frequencies,
                                  ValueRange{s.toIndex(s.i32(0)), pair});
    low = memref::LoadOp::create(b, loc, frequencies,
                                 ValueRange{s.toIndex(s.i32(1)), pair});
  }
  Value position = block.getArgument(2);
  // Adding and taking away 1.5 * 2^23 rounds to an integer.
  Value magic = s.number(12582912.0);
  Value turns = s.fma(position, high, magic);
  turns = arith::SubFOp::create(b, loc, turns, magic);
  Value rest = s.fma(position, high, arith::NegFOp::create(b, loc, turns));
  rest = s.fma(position, low, rest);
  Value angle = s.scale(rest, 2 * M_PI);
  Value cosine = math::CosOp::create(b, loc, angle),
        sine = math::SinOp::create(b, loc, angle);
  if (double magnitude = rope.getMagnitude(); magnitude != 1) {
    cosine = s.scale(cosine, magnitude);
    sine = s.scale(sine, magnitude);
  }
  auto wide = [&](Value x) -> Value {
    return arith::ExtFOp::create(b, loc, b.getF32Type(), x);
  };
  auto narrow = [&](Value x) -> Value {
    return arith::TruncFOp::create(b, loc, element, x);
  };
  Value x1 = wide(block.getArgument(0)), x2 = wide(block.getArgument(1));
  Value y1 = s.sub(s.mul(x1, cosine), s.mul(x2, sine));
  Value y2 = s.add(s.mul(x2, cosine), s.mul(x1, sine));
  YieldOp::create(b, loc, ValueRange{narrow(y1), narrow(y2)});
  return pairs.getResult();
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// Whether the softmax can take products as they are, and scale them on the way
/// to the exponential.
bool AttentionTiles::bySoftmaxUnit() {
  return !op.getBias() && !op.getSoftcap() && op.getScaleValue() > 0;
}

double AttentionTiles::getExponentScale() {
  return bySoftmaxUnit() ? op.getScaleValue() * M_LOG2E : 1;
}

Value AttentionTiles::addBias(OpBuilder &nested, Location at, Value score,
                              Value row, Value column, bool masked) {
  Scalars s(nested, at);
  auto type = cast<MemRefType>(op.getBias().getType());
  auto clamped = [&](Value place, Value size) -> Value {
    Value last = arith::SubIOp::create(
        nested, at, size, arith::ConstantIndexOp::create(nested, at, 1));
    return arith::MinSIOp::create(nested, at, place, last);
  };
  SmallVector<Value> indices = {batch, head, clamped(row, queries),
                                masked ? clamped(column, keys) : column};
  for (auto [i, place] : llvm::enumerate(indices))
    if (type.getDimSize(i) == 1)
      place = arith::ConstantIndexOp::create(nested, at, 0);
  Value bias = memref::LoadOp::create(nested, at, op.getBias(), indices);
  if (bias.getType() != nested.getF32Type())
    bias = arith::ExtFOp::create(nested, at, nested.getF32Type(), bias);
  return s.add(score, s.scale(bias, M_LOG2E));
}

Value AttentionTiles::finishScores(Value products, Value firstRow,
                                   Value firstKey, bool masked) {
  Value scores = products;
  if (!bySoftmaxUnit())
    scores = map(products, products.getType(),
                 [&](OpBuilder &nested, Location at,
                     ValueRange in) -> SmallVector<Value> {
                   Scalars s(nested, at);
                   double scale = op.getScaleValue();
                   Value x;
                   if (op.getSoftcap()) {
                     // tanh(x) = 1 - 2 / (e^2x + 1).
                     double cap = op.getSoftcap()->convertToDouble();
                     Value e =
                         s.exp2(s.scale(in[0], 2 * M_LOG2E * scale / cap));
                     Value half = s.reciprocal(s.add(e, s.number(1)));
                     x = s.fma(half, s.number(-2 * cap * M_LOG2E),
                               s.number(cap * M_LOG2E));
                   } else {
                     x = s.scale(in[0], scale * M_LOG2E);
                   }
                   if (op.getBias()) {
                     auto place = [&](Value first, Value relative) -> Value {
                       return arith::AddIOp::create(nested, at, first,
                                                    s.toIndex(relative));
                     };
                     x = addBias(nested, at, x, place(firstRow, in[1]),
                                 place(firstKey, in[2]), masked);
                   }
                   return {x};
                 })
                 .front();
  return masked ? maskScores(scores, firstRow, firstKey) : scores;
}

Value AttentionTiles::maskScores(Value scores, Value firstRow, Value firstKey) {
  FragmentType rows = rowType(b.getI32Type());
  int64_t columns = cast<FragmentType>(scores.getType()).getColumns();
  // The first and the last visible column of every row.
  SmallVector<Value> bounds = map(
      {}, {rows, rows},
      [&](OpBuilder &nested, Location at, ValueRange in) -> SmallVector<Value> {
        Scalars s(nested, at);
        auto constant = [&](int64_t value) -> Value {
          return arith::ConstantIndexOp::create(nested, at, value);
        };
        auto plus = [&](Value x, Value y) -> Value {
          return arith::AddIOp::create(nested, at, x, y);
        };
        Value place = rowsAreHeads
                          ? offset
                          : plus(offset, plus(firstRow, s.toIndex(in[0])));
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
               Scalars s(nested, at);
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
        Scalars s(nested, at);
        Value shift = s.select(s.isEqual(in[1], -infinity), s.number(0),
                               s.scale(in[1], factor));
        Value ratio = s.exp2(s.sub(s.scale(in[0], factor), shift));
        return {shift, ratio, s.mul(in[2], ratio)};
      });
  Value weights =
      map({scores, scaled[0]}, scores.getType(),
          [&](OpBuilder &nested, Location at,
              ValueRange in) -> SmallVector<Value> {
            Scalars s(nested, at);
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
        Scalars s(nested, at);
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
