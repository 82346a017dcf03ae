//===- RowValues.cpp - Weighted sums of rows of values --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowLowering.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::repo;

Value RowLowering::weightPlace(int64_t query, Value key) {
  if (joined == 1)
    return key;
  // key / part * lanes + query % joined * part + key % part
  Value before = arith::DivUIOp::create(b, loc, key, index(part));
  before = arith::MulIOp::create(b, loc, before, index(lanes - part));
  return plus(plus(key, before), query % joined * part);
}

void RowLowering::addValues(Vectors &sums, Value first, Value key, Value count,
                            int64_t firstQuery, int64_t firstVector,
                            int64_t columns) {
  Vectors row;
  // The first pass touches all of a row, in the order of memory: what hardware
  // prefetches follows that.
  bool isFirst = firstQuery == 0 && firstVector == 0;
  auto touchRest = [&](Value key) {
    if (isFirst)
      prefetchRow(op.getValue(), plus(first, key), columns * lanes, /*hint=*/3);
  };
  if (multipliesPairs) {
    // Past the last key the weight is 0, and so it may be any row.
    Value second = min(plus(key, 1), minus(count, index(1)));
    row = loadTwoRows(op.getValue(), plus(first, key), plus(first, second),
                      firstVector, columns);
    touchRest(key);
    touchRest(second);
    if (isFirst && asksAhead())
      for (int64_t i : {0, 1})
        prefetchRow(op.getKey(), plus(plus(first, key), keyTile + i), 0,
                    /*hint=*/2);
  } else {
    row = loadRow(op.getValue(), plus(first, key), firstVector, columns);
    touchRest(key);
    if (isFirst)
      prefetchNextLines(op.getValue(), plus(first, key));
  }
  for (size_t i = 0; i < sums.size(); i += columns) {
    int64_t query = firstQuery + i / columns;
    SmallVector<Value> place = {index(query / joined), weightPlace(query, key)};
    Value weight;
    if (multipliesPairs) {
      weight = vector::LoadOp::create(
          b, loc, VectorType::get({2}, b.getBF16Type()), weights, place);
      weight = vector::BitCastOp::create(
          b, loc, VectorType::get({1}, b.getI32Type()), weight);
      weight = vector::BroadcastOp::create(
          b, loc, VectorType::get({lanes}, b.getI32Type()), weight);
      weight = vector::BitCastOp::create(
          b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), weight);
    } else {
      weight = broadcastElement(weights, place, lanes);
    }
    for (int64_t j = 0; j < columns; ++j)
      sums[i + j] = multiplyAdd(weight, row[j], sums[i + j]);
  }
}

void RowLowering::values(Value first, Value count, int64_t firstQuery,
                         int64_t rows, int64_t firstVector, int64_t columns) {
  auto place = [&](int64_t i) {
    return SmallVector<Value>{index(firstQuery + i / columns),
                              index((firstVector + i % columns) * lanes)};
  };
  Vectors sums;
  for (int64_t i = 0; i < rows * columns; ++i) {
    int64_t query = firstQuery + i / columns;
    Value alpha = broadcastElement(
        alphas, {index(query / joined), index(query % joined * part)}, lanes);
    sums.push_back(v.mul(load(op.getAccumulator(), place(i)), alpha));
  }
  sums = loop(index(0), count, multipliesPairs ? 2 : 1, sums,
              [&](Value key, ValueRange carried) {
                Vectors next(carried);
                addValues(next, first, key, count, firstQuery, firstVector,
                          columns);
                return next;
              });
  for (int64_t i = 0; i < rows * columns; ++i)
    store(sums[i], op.getAccumulator(), place(i));
}

void RowLowering::keepSumsInMemory() {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(
      b, loc, op.getAccumulator());
  address = arith::IndexCastOp::create(b, loc, b.getI64Type(), address);
  // No instruction, but for the compiler something that may write there.
  LLVM::InlineAsmOp::create(b, loc, TypeRange(), address, /*asm_string=*/"",
                            /*constraints=*/"r,~{memory}",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None,
                            LLVM::AsmDialectAttr(),
                            /*operand_attrs=*/ArrayAttr());
}
