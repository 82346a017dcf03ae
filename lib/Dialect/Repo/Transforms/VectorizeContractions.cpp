//===- VectorizeContractions.cpp - Rows times rows, on vectors ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_VECTORIZECONTRACTIONS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

namespace {
/// The dimensions of a contraction `out[.., n, o] += sum_i x[.., n, i] * w[..,
/// o, i]`.
struct RowsTimesRows {
  unsigned n, o, i;
  /// The other loops.
  SmallVector<unsigned> outer;
};
} // namespace

static std::optional<unsigned> getDim(AffineExpr expr) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dim.getPosition();
  return std::nullopt;
}

static bool hasUnitInnerStride(Value value) {
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(value.getType());
  return type.getRank() > 0 &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

static std::optional<RowsTimesRows> match(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2 || op.getNumReductionLoops() != 1)
    return std::nullopt;
  auto isFloat = [](Value value) {
    Type type = getElementTypeOrSelf(value);
    return type.isF32() || type.isBF16() || type.isF16();
  };
  Value x = op.getDpsInputs()[0], w = op.getDpsInputs()[1],
        out = op.getDpsInits()[0];
  if (!isFloat(x) || !isFloat(w) || !getElementTypeOrSelf(out).isF32() ||
      !hasUnitInnerStride(x) || !hasUnitInnerStride(w))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (AffineMap map : maps)
    if (!map.isProjectedPermutation())
      return std::nullopt;
  RowsTimesRows dims;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  dims.i = reductions[0];
  if (getDim(maps[0].getResults().back()) != dims.i ||
      getDim(maps[1].getResults().back()) != dims.i)
    return std::nullopt;
  // n is the last loop of the output that only x has, o the last that only w
  // has.
  auto uses = [](AffineMap map, unsigned dim) {
    return map.isFunctionOfDim(dim);
  };
  std::optional<unsigned> n, o;
  for (AffineExpr expr : maps[2].getResults()) {
    unsigned dim = *getDim(expr);
    if (uses(maps[0], dim) && !uses(maps[1], dim))
      n = dim;
    if (uses(maps[1], dim) && !uses(maps[0], dim))
      o = dim;
  }
  if (!n || !o)
    return std::nullopt;
  dims.n = *n;
  dims.o = *o;
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    if (dim != dims.n && dim != dims.o && dim != dims.i)
      dims.outer.push_back(dim);
  return dims;
}

namespace {
class ContractionLowering {
public:
  ContractionLowering(OpBuilder &builder, linalg::LinalgOp op,
                      RowsTimesRows dims, int64_t lanes)
      : b(builder), loc(op.getLoc()), op(op), dims(dims), lanes(lanes),
        x(op.getDpsInputs()[0]), w(op.getDpsInputs()[1]),
        out(op.getDpsInits()[0]), maps(op.getIndexingMapsArray()),
        position(op.getNumLoops()) {}

  void run() {
    b.setInsertionPoint(op);
    zero = index(0);
    SmallVector<Range> ranges = op.createLoopRanges(b, loc);
    for (Range &range : ranges)
      sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    emitOuter(0);
    op->erase();
  }

private:
  static constexpr int64_t tile = 4;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value plus(Value base, int64_t offset) {
    return offset
               ? arith::AddIOp::create(b, loc, base, index(offset)).getResult()
               : base;
  }
  void loop(Value from, Value to, int64_t step,
            function_ref<void(Value)> body) {
    scf::ForOp::create(b, loc, from, to, index(step), ValueRange(),
                       [&](OpBuilder &, Location loc, Value iv, ValueRange) {
                         OpBuilder::InsertionGuard guard(b);
                         b.setInsertionPointToEnd(iv.getParentBlock());
                         body(iv);
                         scf::YieldOp::create(b, loc);
                       });
  }
  /// Loops over `dim` in steps of a tile, then one by one.
  void tiled(unsigned dim, function_ref<void(int64_t)> body) {
    Value rest = arith::RemUIOp::create(b, loc, sizes[dim], index(tile));
    Value whole = arith::SubIOp::create(b, loc, sizes[dim], rest);
    loop(zero, whole, tile, [&](Value iv) {
      position[dim] = iv;
      body(tile);
    });
    loop(whole, sizes[dim], 1, [&](Value iv) {
      position[dim] = iv;
      body(1);
    });
  }
  void emitOuter(size_t depth) {
    if (depth < dims.outer.size()) {
      unsigned dim = dims.outer[depth];
      loop(zero, sizes[dim], 1, [&](Value iv) {
        position[dim] = iv;
        emitOuter(depth + 1);
      });
      return;
    }
    tiled(dims.o, [&](int64_t columns) {
      tiled(dims.n, [&](int64_t rows) { emitTile(rows, columns); });
    });
  }

  SmallVector<Value> indices(AffineMap map, int64_t row, int64_t column,
                             Value i) {
    SmallVector<Value> result;
    for (AffineExpr expr : map.getResults()) {
      unsigned dim = *getDim(expr);
      result.push_back(dim == dims.i   ? i
                       : dim == dims.n ? plus(position[dim], row)
                       : dim == dims.o ? plus(position[dim], column)
                                       : position[dim]);
    }
    return result;
  }
  Value load(Value buffer, ValueRange at, int64_t width) {
    Type element = getElementTypeOrSelf(buffer);
    Value value;
    if (width == 1)
      value = memref::LoadOp::create(b, loc, buffer, at);
    else
      value = vector::LoadOp::create(b, loc, VectorType::get({width}, element),
                                     buffer, at);
    if (element.isF32())
      return value;
    Type wide = b.getF32Type();
    if (width != 1)
      wide = VectorType::get({width}, wide);
    return arith::ExtFOp::create(b, loc, wide, value);
  }

  /// The sums of `rows` by `columns` products over [from, to), `width` at a
  /// time.
  SmallVector<Value> sum(int64_t rows, int64_t columns, Value from, Value to,
                         int64_t width, ValueRange init) {
    auto loop = scf::ForOp::create(
        b, loc, from, to, index(width), init,
        [&](OpBuilder &, Location loc, Value i, ValueRange sums) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(i.getParentBlock());
          SmallVector<Value> next(sums), xs, ws;
          for (int64_t row = 0; row < rows; ++row)
            xs.push_back(load(x, indices(maps[0], row, 0, i), width));
          for (int64_t column = 0; column < columns; ++column)
            ws.push_back(load(w, indices(maps[1], 0, column, i), width));
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column < columns; ++column) {
              Value &acc = next[row * columns + column];
              acc = math::FmaOp::create(b, loc, xs[row], ws[column], acc);
            }
          scf::YieldOp::create(b, loc, next);
        });
    return SmallVector<Value>(loop.getResults());
  }

  void emitTile(int64_t rows, int64_t columns) {
    Value size = sizes[dims.i];
    Value rest = arith::RemUIOp::create(b, loc, size, index(lanes));
    Value whole = arith::SubIOp::create(b, loc, size, rest);
    auto type = VectorType::get({lanes}, b.getF32Type());
    Value zeros =
        arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, 0.0f));
    SmallVector<Value> vectors = sum(rows, columns, zero, whole, lanes,
                                     SmallVector<Value>(rows * columns, zeros));
    SmallVector<Value> sums;
    for (Value vector : vectors)
      sums.push_back(vector::ReductionOp::create(
          b, loc, vector::CombiningKind::ADD, vector));
    sums = sum(rows, columns, whole, size, 1, sums);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        SmallVector<Value> at = indices(maps[2], row, column, zero);
        Value old = memref::LoadOp::create(b, loc, out, at);
        Value result =
            arith::AddFOp::create(b, loc, old, sums[row * columns + column]);
        memref::StoreOp::create(b, loc, result, out, at);
      }
  }

  OpBuilder &b;
  Location loc;
  linalg::LinalgOp op;
  RowsTimesRows dims;
  int64_t lanes;
  Value x, w, out, zero;
  SmallVector<AffineMap> maps;
  SmallVector<Value> position, sizes;
};

struct VectorizeContractions
    : repo::impl::VectorizeContractionsBase<VectorizeContractions> {
  using VectorizeContractionsBase::VectorizeContractionsBase;
  void runOnOperation() override {
    SmallVector<std::pair<linalg::LinalgOp, RowsTimesRows>> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (std::optional<RowsTimesRows> dims = match(op))
        ops.push_back({op, *dims});
    });
    for (auto &[op, dims] : ops) {
      OpBuilder builder(op);
      if (report)
        op->emitRemark("contraction is vectorised: 4 by 4 rows, ")
            << int64_t(lanes) << " lanes";
      ContractionLowering(builder, op, dims, lanes).run();
      ++numVectorized;
    }
  }
};
} // namespace
