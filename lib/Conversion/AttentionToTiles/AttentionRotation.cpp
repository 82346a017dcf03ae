//===- AttentionRotation.cpp - Queries that turn --------------------------===//
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

/// The positions of the rows, of heads 1, Hkv or Hq.
Value AttentionTiles::loadPositions(Value firstRow) {
  Value positions = op.getQueryPositions();
  int64_t heads = cast<ShapedType>(positions.getType()).getDimSize(1);
  bool perQueryHead = heads == op.getNumQueryHeads();
  Value first = heads == 1 ? index(0) : perQueryHead ? head : keyHead;
  FragmentType rows = rowType(b.getF32Type());
  if (!packedQueries)
    return LoadRowsOp::create(b, loc, rows, sliceRows(positions, first),
                              firstRow, queries);
  return map({}, rows,
             [&](OpBuilder &nested, Location at,
                 ValueRange in) -> SmallVector<Value> {
               Place place = getPlace(
                   nested, at, ElementBuilder(nested, at).toIndex(in[0]));
               Value positionHead = first;
               if (heads > 1 && perQueryHead)
                 positionHead =
                     arith::AddIOp::create(nested, at, first, place.head);
               return {memref::LoadOp::create(
                   nested, at, positions,
                   ValueRange{batch, positionHead, place.query})};
             })
      .front();
}

/// Angles are reduced in turns: with c = omega / 2 pi as a sum of two floats,
/// t = z c - round(z c) is exact but for the last bits of c, and 2 pi t is in
/// [-pi, pi], where the approximate sine is good.
Value AttentionTiles::rotate(Value input, Value firstRow) {
  if (!op.getQueryPositions())
    return input;
  Value z = loadPositions(firstRow);
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
  ElementBuilder s(b, loc);
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
