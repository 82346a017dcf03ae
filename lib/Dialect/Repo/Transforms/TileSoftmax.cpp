//===- TileSoftmax.cpp - The softmax of a block on tiles ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileSoftmax.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <limits>

using namespace mlir;
using namespace mlir::repo;

static constexpr double log2e = 1.4426950408889634;
static constexpr double infinity = std::numeric_limits<double>::infinity();

/// Four rows of a group, on their way.
struct TileSoftmax::Batch {
  Value first;      // the first of them in the group
  Value query;      // and in the block
  Value tile, line; // the tile of 16 rows they are in, and where
  Value top;        // their maxima, each in four lanes
  Value sum;        // of the weights of one row
  std::array<Value, 4> tops;
};

TileSoftmax::TileSoftmax(OpBuilder &builder, OnlineAttentionOp op,
                         Target target)
    : IndexBuilder(builder, op.getLoc()), op(op), target(target),
      v(builder, op.getLoc(), 16),
      keys(cast<MemRefType>(op.getKey().getType()).getDimSize(0) * 16) {}

Value TileSoftmax::load(Value buffer, ValueRange indices, int64_t width) {
  return vector::LoadOp::create(
      b, loc, VectorType::get({width}, b.getF32Type()), buffer, indices);
}

void TileSoftmax::allocate(int64_t numPanels) {
  Type f32 = b.getF32Type(), bf16 = b.getBF16Type();
  IntegerAttr alignment = b.getI64IntegerAttr(64);
  int64_t queries = cast<MemRefType>(op.getQuery().getType()).getDimSize(0);
  alphas = memref::AllocOp::create(b, loc, MemRefType::get({queries}, f32),
                                   alignment);
  rowSums = memref::AllocOp::create(b, loc, MemRefType::get({32, 16}, f32),
                                    alignment);
  Value start = index(0);
  for (int64_t panel = 0; panel < numPanels; ++panel) {
    Value memory = memref::AllocOp::create(
        b, loc, MemRefType::get({keys * 32 * 4}, b.getI8Type()), alignment);
    scores.push_back(memref::ViewOp::create(
        b, loc, MemRefType::get({keys / 16, 2, 16, 16}, f32), memory, start,
        ValueRange()));
    // Of the four tiles of a pair of keys the first two.
    weights.push_back(memref::ViewOp::create(
        b, loc, MemRefType::get({keys / 32, 4, 16, 32}, bf16), memory, start,
        ValueRange()));
  }
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

Value TileSoftmax::loadSpread(Value buffer, Value at) {
  Value four = load(buffer, at, 4);
  return shuffle(four, four, {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
}

void TileSoftmax::storeSpread(Value spread, Value buffer, Value at) {
  store(shuffle(spread, spread, {0, 4, 8, 12}), buffer, at);
}

Value TileSoftmax::reduce(ArrayRef<Value> rows,
                          function_ref<Value(Value, Value)> combine) {
  auto halves = [&](Value x, Value y) {
    return combine(
        shuffle(x, y, {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}),
        shuffle(
            x, y,
            {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31}));
  };
  Value x = halves(rows[0], rows[1]), y = halves(rows[2], rows[3]);
  Value z = combine(
      shuffle(x, y, {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27}),
      shuffle(x, y,
              {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31}));
  z = combine(
      z, shuffle(z, z, {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13}));
  return combine(
      z, shuffle(z, z, {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14}));
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value TileSoftmax::callIntrinsic(StringRef name, Type type,
                                 ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, loc, type, b.getStringAttr(name),
                                       operands)
      .getResult(0);
}

/// 2^x for x <= 0 to 1e-4, which is little beside the rounding to bf16; 0 for
/// -inf. The fraction's polynomial is 1 at 0.
Value TileSoftmax::exp2(Value x) {
  auto polynomial = [&](Value fraction, ArrayRef<double> coefficients) {
    Value result = v.number(coefficients[0]);
    for (double coefficient : coefficients.drop_front())
      result = v.fma(result, fraction, v.number(coefficient));
    return result;
  };
  if (target.avx512) {
    auto constant = [&](Type type, int64_t value) -> Value {
      return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value));
    };
    Value all = constant(b.getI16Type(), -1),
          toFloor = constant(b.getI32Type(), 1),
          current = constant(b.getI32Type(), 4);
    // x - floor(x), and y * 2^floor(x).
    Value fraction = callIntrinsic("llvm.x86.avx512.mask.reduce.ps.512",
                                   x.getType(), {x, toFloor, x, all, current});
    Value y = polynomial(fraction,
                         {7.706704400e-2, 2.276449877e-1, 6.951167878e-1, 1.0});
    return callIntrinsic("llvm.x86.avx512.mask.scalef.ps.512", x.getType(),
                         {y, x, y, all, current});
  }
  Value low = v.number(-126.0);
  Value below =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, low);
  x = arith::SelectOp::create(b, loc, below, low, x);
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  Value magic = v.number(12582912.0);
  Value shifted = v.add(x, magic);
  Value fraction = v.sub(x, v.sub(shifted, magic));
  Value y = polynomial(fraction,
                       {5.500892866e-2, 2.422109601e-1, 6.932829276e-1, 1.0});
  auto ints = cast<VectorType>(x.getType()).clone(b.getI32Type());
  Value exponent = arith::ShLIOp::create(
      b, loc, arith::BitcastOp::create(b, loc, ints, shifted), v.integer(23));
  Value bits = arith::AddIOp::create(
      b, loc, arith::BitcastOp::create(b, loc, ints, y), exponent);
  Value result = arith::BitcastOp::create(b, loc, x.getType(), bits);
  return arith::SelectOp::create(b, loc, below, v.number(0.0), result);
}

/// 32 numbers rounded to bf16.
Value TileSoftmax::toShort(Value low, Value high) {
  auto type = VectorType::get({32}, b.getBF16Type());
  if (target.avx512bf16)
    return callIntrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", type,
                         {high, low});
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, 32));
  return arith::TruncFOp::create(b, loc, type, shuffle(low, high, all));
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// The factor on the products, in base 2 where nothing is added to them.
static double getFactor(OnlineAttentionOp op) {
  double scale = op.getScale().convertToDouble();
  double factor = op.getSoftcap() || op.getBias() ? scale : scale * log2e;
  return std::abs(factor - 1) < 1e-12 ? 1 : factor;
}

bool TileSoftmax::changesScores() {
  return getFactor(op) != 1 || op.getSoftcap() || op.getBias() ||
         op.getBand() || op.getLimit();
}

Value TileSoftmax::mask(Value score, int64_t keyTile, Value query) {
  Value visible;
  auto both = [&](Value condition) {
    visible =
        visible ? arith::AndIOp::create(b, loc, visible, condition).getResult()
                : condition;
  };
  auto toI32 = [&](Value value) {
    return v.splatInt(
        arith::IndexCastOp::create(b, loc, b.getI32Type(), value));
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  };
  Value key = v.iota(16 * keyTile);
  if (op.getLimit())
    both(compare(arith::CmpIPredicate::slt, key, toI32(op.getLimit())));
  auto [left, right] = op.getBandBounds();
  // Huge bounds are none: they would overflow.
  constexpr int64_t unbounded = int64_t(1) << 30;
  if (op.getBand() && (left >= 0 || right >= 0)) {
    Value place = arith::AddIOp::create(b, loc, query, op.getOffset());
    Value distance = arith::SubIOp::create(b, loc, key, toI32(place));
    if (right >= 0 && right < unbounded)
      both(compare(arith::CmpIPredicate::sle, distance, v.integer(right)));
    if (left >= 0 && left < unbounded)
      both(compare(arith::CmpIPredicate::sge, distance, v.integer(-left)));
  }
  if (!visible)
    return score;
  return arith::SelectOp::create(b, loc, visible, score, v.number(-infinity));
}

Value TileSoftmax::changed(Value s, int64_t keyTile, Value query) {
  double factor = getFactor(op);
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToDouble();
    s = v.mul(s, v.number(factor / cap));
    s = v.mul(math::TanhOp::create(b, loc, s), v.number(cap));
  } else if (factor != 1) {
    s = v.mul(s, v.number(factor));
  }
  if (op.getBias())
    s = v.add(s, load(op.getBias(), {query, index(16 * keyTile)}));
  if (op.getSoftcap() || op.getBias())
    s = v.mul(s, v.number(log2e));
  return mask(s, keyTile, query);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

SmallVector<Value> TileSoftmax::scoreAt(int64_t keyTile, const Batch &batch,
                                        int64_t row) {
  return {index(keyTile), batch.tile, add(batch.line, row), index(0)};
}

void TileSoftmax::findMaximum(Batch &batch, int64_t group) {
  Vectors maxima;
  for (int64_t row = 0; row < 4; ++row) {
    Value most;
    for (int64_t tile = 0; tile < keys / 16; ++tile) {
      SmallVector<Value> at = scoreAt(tile, batch, row);
      Value s = load(getScores(group), at);
      if (changesScores()) {
        s = changed(s, tile, add(batch.query, row));
        store(s, getScores(group), at);
      }
      most = most ? v.max(s, most) : s;
    }
    maxima.push_back(most);
  }
  Value block = reduce(maxima, [&](Value x, Value y) { return v.max(x, y); });
  Value old = loadSpread(op.getMaximum(), batch.query);
  Value top = v.max(block, old);
  storeSpread(top, op.getMaximum(), batch.query);
  // While no key was seen the maximum is -inf; 0 stands for it.
  if (op.getBand() || op.getLimit() || op.getBias()) {
    Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, top,
                                       v.number(-infinity));
    top = arith::SelectOp::create(b, loc, none, v.number(0.0), top);
  }
  storeSpread(exp2(v.sub(old, top)), alphas, batch.query);
  for (int64_t row = 0; row < 4; ++row)
    batch.tops[row] = shuffle(top, top, SmallVector<int64_t>(16, 4 * row));
}

void TileSoftmax::exponentials(Batch &batch, int64_t group, int64_t row,
                               int64_t part) {
  Vectors weight;
  for (int64_t half = 0; half < 2; ++half) {
    Value s = load(getScores(group), scoreAt(2 * part + half, batch, row));
    weight.push_back(exp2(v.sub(s, batch.tops[row])));
  }
  Value both = v.add(weight[0], weight[1]);
  batch.sum = part ? v.add(batch.sum, both) : both;
  if (part + 1 == keys / 32)
    store(batch.sum, rowSums, {add(batch.first, row), index(0)});
  store(toShort(weight[0], weight[1]), getWeights(group),
        {index(part), batch.tile, add(batch.line, row), index(0)});
}

void TileSoftmax::addSums(int64_t group, Value row) {
  Vectors sums;
  for (int64_t i = 0; i < 4; ++i)
    sums.push_back(load(rowSums, {add(row, i), index(0)}));
  Value total = reduce(sums, [&](Value x, Value y) { return v.add(x, y); });
  Value query = add(row, 32 * group);
  Value old = loadSpread(op.getSum(), query);
  storeSpread(v.fma(old, loadSpread(alphas, query), total), op.getSum(), query);
}

/// The same number, of which the optimiser knows nothing: it would keep all
/// scores of four rows in registers between the maximum and the exponentials,
/// and spill them, rather than read them again.
Value TileSoftmax::hide(Value value) {
  Type i64 = b.getI64Type();
  Value word = arith::IndexCastOp::create(b, loc, i64, value);
  auto hidden = LLVM::InlineAsmOp::create(
      b, loc, i64, word, /*asm_string=*/"", /*constraints=*/"=r,0",
      /*has_side_effects=*/false, /*is_align_stack=*/false,
      LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
  return arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                    hidden.getResult(0));
}

void TileSoftmax::rows(CodeSteps &steps, int64_t group,
                       std::function<Value()> row) {
  auto batch = std::make_shared<Batch>();
  steps.push_back([=] {
    Value first = row();
    batch->first = first;
    batch->query = add(first, 32 * group);
    batch->tile = arith::DivUIOp::create(b, loc, first, index(16));
    batch->line = arith::RemUIOp::create(b, loc, first, index(16));
    findMaximum(*batch, group);
    batch->line = hide(batch->line);
  });
  for (int64_t row = 0; row < 4; ++row)
    for (int64_t part = 0; part < keys / 32; ++part)
      steps.push_back([=] { exponentials(*batch, group, row, part); });
}

//===----------------------------------------------------------------------===//
// Accumulators
//===----------------------------------------------------------------------===//

Value TileSoftmax::hasGrown(int64_t group) {
  Value same;
  for (int64_t half = 0; half < 2; ++half) {
    Value alpha = load(alphas, index(32 * group + 16 * half));
    Value one = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, alpha,
                                      v.number(1.0));
    same = same ? arith::AndIOp::create(b, loc, same, one).getResult() : one;
  }
  Value all =
      vector::ReductionOp::create(b, loc, vector::CombiningKind::AND, same);
  Value yes = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
  return arith::XOrIOp::create(b, loc, all, yes);
}

void TileSoftmax::rescaleRow(int64_t group, Value row) {
  Value query = add(row, 32 * group);
  Value alpha = vector::BroadcastOp::create(
      b, loc, VectorType::get({16}, b.getF32Type()),
      memref::LoadOp::create(b, loc, alphas, query));
  auto type = cast<MemRefType>(op.getAccumulator().getType());
  for (int64_t e = 0; e < type.getDimSize(1); e += 16) {
    Value at[] = {query, index(e)};
    store(v.mul(load(op.getAccumulator(), at), alpha), op.getAccumulator(), at);
  }
}
