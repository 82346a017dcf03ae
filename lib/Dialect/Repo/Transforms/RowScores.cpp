//===- RowScores.cpp - Scores of few queries and their softmax ------------===//
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

RowLowering::Vectors RowLowering::sumNeighbours(ArrayRef<Value> rows,
                                                int64_t width, int64_t round) {
  // Two rounds within quarters of 128 bits, then quarter by quarter. Every
  // shuffle is one instruction, and the sums of a part end in the order of the
  // rows.
  constexpr int64_t quarter = 4;
  SmallVector<int64_t> low, high;
  auto take = [&](int64_t lowest, int64_t highest, int64_t operand) {
    low.push_back(operand * lanes + lowest);
    high.push_back(operand * lanes + highest);
  };
  if (round == 0)
    for (int64_t at = 0; at < lanes; at += quarter)
      for (int64_t lane : {at, at + 1})
        for (int64_t operand : {0, 1})
          take(lane, lane + 2, operand);
  else if (round == 1)
    for (int64_t at = 0; at < lanes; at += quarter)
      for (int64_t operand : {0, 1})
        for (int64_t lane : {at, at + 1})
          take(lane, lane + 2, operand);
  else
    for (int64_t start = 0; start < lanes; start += width)
      for (int64_t operand : {0, 1})
        for (int64_t at = start; at < start + width; at += 2 * quarter)
          for (int64_t lane = at; lane < at + quarter; ++lane)
            take(lane, lane + quarter, operand);
  Vectors next;
  for (size_t i = 0; i < rows.size(); i += 2)
    next.push_back(
        v.add(vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], low),
              vector::ShuffleOp::create(b, loc, rows[i], rows[i + 1], high)));
  return next;
}

Value RowLowering::sumEach(Vectors rows, int64_t width, int64_t round) {
  for (; rows.size() > 1; ++round)
    rows = sumNeighbours(rows, width, round);
  return rows[0];
}

RowLowering::Vectors RowLowering::queryVectors(int64_t row) {
  Vectors result;
  if (multipliesPairs)
    for (int64_t i = 0; i < sharing * headSize / lanes; i += 2)
      result.push_back(loadPair(ordered, index(row), i));
  else
    for (int64_t i = 0; i < headSize; i += lanes)
      result.push_back(load(ordered, {index(row), index(i)}));
  return result;
}

RowLowering::Vectors RowLowering::keyVectors(Value key) {
  if (!multipliesPairs)
    return loadRow(op.getKey(), key, 0, headSize / lanes);
  SmallVector<int64_t> repeated;
  for (int64_t lane = 0; lane < lanes; ++lane)
    repeated.push_back(lane % part);
  auto type = VectorType::get({2 * part}, b.getBF16Type());
  Vectors result;
  for (int64_t at = 0; at < headSize; at += 2 * part) {
    Value x = vector::LoadOp::create(b, loc, type, op.getKey(),
                                     ValueRange{key, index(at)});
    if (sharing > 1) {
      x = vector::BitCastOp::create(b, loc, floats(part), x);
      x = vector::ShuffleOp::create(b, loc, x, x, repeated);
      x = vector::BitCastOp::create(
          b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), x);
    }
    result.push_back(x);
  }
  return result;
}

Value RowLowering::multiplyAdd(Value x, Value y, Value sum) {
  if (!multipliesPairs)
    return v.fma(x, y, sum);
  return LLVM::CallIntrinsicOp::create(
             b, loc, sum.getType(),
             b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps." +
                             std::to_string(32 * lanes)),
             ValueRange{sum, x, y})
      .getResult(0);
}

void RowLowering::products(Value key, Value row, ArrayRef<Vectors> rows) {
  Vectors ks = keyVectors(key), whole;
  prefetchNextLines(op.getKey(), key);
  if (asksAhead())
    prefetchRow(op.getValue(), key, 0, /*hint=*/2);
  for (const Vectors &qs : rows) {
    // Few rows: two chains of sums each, for the latency.
    Vectors sums(rows.size() == 1 ? 2 : 1, v.number(0.0));
    for (auto [i, q, k] : llvm::enumerate(qs, ks)) {
      Value &sum = sums[i % sums.size()];
      sum = multiplyAdd(k, q, sum);
    }
    whole.push_back(sums.size() == 1 ? sums[0] : v.add(sums[0], sums[1]));
  }
  // A store costs more than adding neighbours, beside multiplications.
  for (int64_t round = 0; round < roundsOfKey(); ++round)
    whole = sumNeighbours(whole, lanes, round);
  for (auto [i, sum] : llvm::enumerate(whole))
    store(sum, partial, {index(i), row, index(0)});
}

Value RowLowering::biasOf(Value firstQuery, Value firstKey) {
  if (joined == 1)
    return load(op.getBias(), {firstQuery, firstKey});
  Value bias = v.number(0.0);
  for (int64_t i = 0; i < joined; ++i)
    bias = vector::InsertStridedSliceOp::create(
        b, loc, load(op.getBias(), {plus(firstQuery, i), firstKey}, part), bias,
        /*offsets=*/ArrayRef<int64_t>{i * part},
        /*strides=*/ArrayRef<int64_t>{1});
  return bias;
}

RowLowering::Vectors RowLowering::scores(Value inTile, Value firstQuery,
                                         Value first, Value count) {
  Vectors result;
  double scale = op.getScale().convertToDouble();
  // The bias comes between the scale and the base of the exponential.
  double factor = op.getBias() ? 1.0 : log2e;
  SmallVector<int32_t> keyOfLane;
  for (int64_t lane = 0; lane < lanes; ++lane)
    keyOfLane.push_back(lane % part);
  // From key by key to query by query.
  SmallVector<int64_t> byQuery;
  for (int64_t lane = 0; lane < lanes; ++lane)
    byQuery.push_back(lane % part * joined + lane / part);
  Value left = v.splatInt(toI32(count));
  for (int64_t at = 0; at < keyTile; at += part) {
    Vectors rows;
    for (int64_t key = at; key < at + part; ++key)
      rows.push_back(load(partial, {inTile, index(key), index(0)}));
    Value s = sumEach(rows, lanes / sharing, roundsOfKey());
    if (roundsOfKey())
      s = vector::ShuffleOp::create(b, loc, s, s, byQuery);
    if (op.getSoftcap()) {
      double cap = op.getSoftcap()->convertToDouble();
      s = v.mul(s, v.number(scale / cap));
      s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap * factor));
    } else {
      s = v.mul(s, v.number(scale * factor));
    }
    if (op.getBias())
      s = v.mul(v.add(s, biasOf(firstQuery, plus(first, at))), v.number(log2e));
    Value key = arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(VectorType::get({lanes}, b.getI32Type()),
                               ArrayRef<int32_t>(keyOfLane)));
    Value exists =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, key, left);
    result.push_back(
        arith::SelectOp::create(b, loc, exists, s, v.number(-infinity)));
    for (int32_t &key : keyOfLane)
      key += part;
  }
  return result;
}

Value RowLowering::combineParts(Value x,
                                function_ref<Value(Value, Value)> combine) {
  for (int64_t width = part / 2; width > 0; width /= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back(lane / part * part + (lane + width) % part);
    x = combine(x, vector::ShuffleOp::create(b, loc, x, x, other));
  }
  return x;
}

void RowLowering::softmax(Value group, Vectors scores) {
  SmallVector<Value> start = {group, index(0)};
  Value top = scores[0];
  for (Value s : ArrayRef(scores).drop_front())
    top = v.max(top, s);
  top = combineParts(top, [&](Value x, Value y) { return v.max(x, y); });
  Value old = load(maxima, start);
  top = v.max(top, old);
  store(top, maxima, start);
  // While no key was seen the maximum is -inf; 0 stands for it.
  auto isHidden = [&](Value x) -> Value {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, x,
                                 v.number(-infinity));
  };
  Value base =
      arith::SelectOp::create(b, loc, isHidden(top), v.number(0.0), top);
  Value alpha = v.exp2(v.sub(old, base));
  store(alpha, alphas, start);
  Value sum;
  for (auto [i, s] : llvm::enumerate(scores)) {
    Value p = v.exp2(v.sub(s, base));
    if (!v.hasExactZero())
      p = arith::SelectOp::create(b, loc, isHidden(s), v.number(0.0), p);
    sum = i ? v.add(sum, p) : p;
    if (multipliesPairs)
      p = arith::TruncFOp::create(b, loc,
                                  VectorType::get({lanes}, b.getBF16Type()), p);
    store(p, weights, {group, index(i * lanes)});
  }
  sum = combineParts(sum, [&](Value x, Value y) { return v.add(x, y); });
  store(v.fma(load(sums, start), alpha, sum), sums, start);
}
