//===- RowReads.cpp - Rows of queries, keys and values as vectors ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowLowering.h"

using namespace mlir;
using namespace mlir::repo;

bool RowLowering::readsPairs(Value rows) {
  return getElementTypeOrSelf(rows).isBF16() &&
         cast<ShapedType>(rows.getType()).getDimSize(1) % (2 * lanes) == 0;
}

Value RowLowering::loadPair(Value rows, Value row, int64_t vector) {
  auto pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  return vector::LoadOp::create(b, loc, pairs, rows,
                                ValueRange{row, index(vector * lanes)});
}

RowLowering::Vectors RowLowering::loadRow(Value rows, Value row, int64_t from,
                                          int64_t count) {
  Vectors result;
  if (!readsPairs(rows)) {
    for (int64_t i = 0; i < count; ++i)
      result.push_back(load(rows, {row, index((from + i) * lanes)}));
    return result;
  }
  VectorType floats = this->floats(lanes),
             ints = VectorType::get({lanes}, b.getI32Type());
  for (int64_t i = 0; i < count; i += 2) {
    Value x =
        vector::BitCastOp::create(b, loc, ints, loadPair(rows, row, from + i));
    Value even = arith::ShLIOp::create(b, loc, x, v.integer(16));
    Value odd = arith::AndIOp::create(b, loc, x, v.integer(~0xffff));
    for (Value half : {even, odd})
      result.push_back(arith::BitcastOp::create(b, loc, floats, half));
  }
  return result;
}

void RowLowering::prefetchRow(Value rows, Value row, int64_t from,
                              unsigned hint) {
  constexpr int64_t lineBits = 512;
  auto type = cast<MemRefType>(rows.getType());
  int64_t line = lineBits / type.getElementTypeBitWidth();
  for (int64_t at = from; at < type.getDimSize(1); at += line)
    memref::PrefetchOp::create(b, loc, rows, ValueRange{row, index(at)},
                               /*isWrite=*/false, hint, /*isDataCache=*/true);
}

void RowLowering::prefetchNextLines(Value rows, Value row) {
  if (queries > 1 || !getElementTypeOrSelf(rows).isF32())
    return;
  constexpr int64_t line = 16;
  for (int64_t at = line; at <= cast<MemRefType>(rows.getType()).getDimSize(1);
       at += line)
    memref::PrefetchOp::create(b, loc, rows, ValueRange{row, index(at)},
                               /*isWrite=*/false, /*localityHint=*/3,
                               /*isDataCache=*/true);
}

void RowLowering::prefetchNeighbours() {
  for (Value rows : {op.getQuery(), op.getAccumulator()})
    if (rows.getDefiningOp<memref::SubViewOp>())
      for (int64_t row = 0; row < queries; ++row)
        prefetchRow(rows, index(queries + row), 0, /*hint=*/2);
}

RowLowering::Vectors RowLowering::loadTwoRows(Value rows, Value first,
                                              Value second, int64_t from,
                                              int64_t count) {
  // Low or high elements within 128 bits: one instruction.
  constexpr int64_t half = 4;
  SmallVector<int64_t> low, high;
  for (int64_t at = 0; at < 2 * lanes; at += 2 * half)
    for (int64_t i = at; i < at + half; ++i)
      for (int64_t row : {0, 1}) {
        low.push_back(row * 2 * lanes + i);
        high.push_back(row * 2 * lanes + i + half);
      }
  auto words = VectorType::get({2 * lanes}, b.getI16Type()),
       pairs = VectorType::get({2 * lanes}, b.getBF16Type());
  Vectors result;
  for (int64_t i = 0; i < count; i += 2) {
    Value x = arith::BitcastOp::create(b, loc, words,
                                       loadPair(rows, first, from + i)),
          y = arith::BitcastOp::create(b, loc, words,
                                       loadPair(rows, second, from + i));
    for (ArrayRef<int64_t> mask : {low, high})
      result.push_back(arith::BitcastOp::create(
          b, loc, pairs, vector::ShuffleOp::create(b, loc, x, y, mask)));
  }
  return result;
}

RowLowering::Order RowLowering::orderOfPairs() {
  Order order;
  for (int64_t half : {0, 1})
    for (int64_t lane = 0; lane < lanes; ++lane)
      order.push_back(multipliesPairs ? lane / 4 * 8 + half * 4 + lane % 4
                                      : 2 * lane + half);
  return order;
}

void RowLowering::reorder(Value from, Value to, int64_t columns,
                          const Order &order) {
  auto low = ArrayRef(order).take_front(lanes),
       high = ArrayRef(order).drop_front(lanes);
  eachQuery([&](Value query) {
    for (int64_t i = 0; i < columns; i += 2) {
      SmallVector<Value> first = {query, index(i * lanes)},
                         second = {query, index((i + 1) * lanes)};
      Value x = load(from, first), y = load(from, second);
      store(vector::ShuffleOp::create(b, loc, x, y, low), to, first);
      store(vector::ShuffleOp::create(b, loc, x, y, high), to, second);
    }
  });
}

void RowLowering::orderQueries() {
  ordered = op.getQuery();
  if (!readsPairs(op.getKey()))
    return;
  if (!multipliesPairs) {
    ordered = alloc({queries, headSize});
    reorder(op.getQuery(), ordered, headSize / lanes, orderOfPairs());
    return;
  }
  if (sharing == 1)
    return;
  // Parts of the queries that share a vector.
  ordered = memref::AllocOp::create(
      b, loc,
      MemRefType::get({queries / sharing, sharing * headSize}, b.getBF16Type()),
      b.getI64IntegerAttr(64));
  auto type = VectorType::get({2 * part}, b.getBF16Type());
  loop(index(0), index(queries / sharing), 1, [&](Value group) {
    Value first = arith::MulIOp::create(b, loc, group, index(sharing));
    for (int64_t at = 0; at < headSize; at += 2 * part)
      for (int64_t i = 0; i < sharing; ++i)
        store(vector::LoadOp::create(b, loc, type, op.getQuery(),
                                     ValueRange{plus(first, i), index(at)}),
              ordered, {group, index(at * sharing + i * 2 * part)});
  });
}
