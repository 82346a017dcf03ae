//===- LowerContractionsAMX.cpp - Contractions on tiles -------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// out[.., n, p, l] += sum_ir x[.., n, i, r] * w[p, i, l, r] with panels of 16
// columns by 2 products. A block of rows times a block of products of x is
// rounded to tiles of bf16 in the second-level cache; two panels of weights
// meet all of it before the next two come. Four tiles of sums take one load per
// product. Rows past the end are zeros on the way in and not written on the way
// out.
//
//===----------------------------------------------------------------------===//

#include "MatrixTiles.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Support/LoopBuilder.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_LOWERCONTRACTIONSAMX
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Rows of a block, and the most products of one: 256 KB of x.
static constexpr int64_t blockRows = 256, mostProducts = 512;

static unsigned dimAt(AffineMap map, unsigned fromEnd) {
  return map.getDimPosition(map.getNumResults() - fromEnd);
}

static bool hasInnerStrides(Value value, ArrayRef<int64_t> expected) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(cast<MemRefType>(value.getType())
                       .getStridesAndOffset(strides, offset)) &&
         ArrayRef(strides).take_back(expected.size()) == expected;
}

/// Whether `op` is such a contraction.
static bool suitsTiles(linalg::LinalgOp op) {
  if (!op.hasPureBufferSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2 || op.getNumReductionLoops() != 2)
    return false;
  Value x = op.getDpsInputs()[0], w = op.getDpsInputs()[1],
        out = op.getDpsInits()[0];
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!llvm::all_of(maps,
                    [](AffineMap map) { return map.isProjectedPermutation(); }))
    return false;
  ArrayRef<int64_t> panels = cast<MemRefType>(w.getType()).getShape();
  Type element = getElementTypeOrSelf(x);
  if (panels.size() != 4 || panels[2] != 16 || panels[3] != 2 ||
      ShapedType::isDynamic(panels[1]) || panels[1] % 16 != 0 ||
      !getElementTypeOrSelf(w).isBF16() || !getElementTypeOrSelf(out).isF32() ||
      !(element.isF32() || element.isBF16()) ||
      !hasInnerStrides(w, {32, 2, 1}) || !hasInnerStrides(x, {2, 1}) ||
      !hasInnerStrides(out, {1}) || maps[0].getNumResults() < 3)
    return false;
  // x [.., n, i, r], out [.., n, p, l].
  return dimAt(maps[0], 1) == dimAt(maps[1], 1) &&
         dimAt(maps[0], 2) == dimAt(maps[1], 3) &&
         dimAt(maps[2], 1) == dimAt(maps[1], 2) &&
         dimAt(maps[2], 2) == dimAt(maps[1], 4) &&
         dimAt(maps[2], 3) == dimAt(maps[0], 3) &&
         maps[0].getNumResults() == maps[2].getNumResults();
}

namespace {
class TileContraction : LoopBuilder {
public:
  TileContraction(OpBuilder &builder, linalg::LinalgOp op)
      : LoopBuilder(builder, op.getLoc()), op(op), tiles(builder, loc),
        x(op.getDpsInputs()[0]), w(op.getDpsInputs()[1]),
        out(op.getDpsInits()[0]), maps(op.getIndexingMapsArray()),
        position(op.getNumLoops()) {}

  void run() {
    b.setInsertionPoint(op);
    for (Range &range : op.createLoopRanges(b, loc))
      sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    ArrayRef<int64_t> shape = cast<MemRefType>(w.getType()).getShape();
    panels = sizes[dimAt(maps[1], 4)];
    products = shape[1] * 2;
    blockProducts = mostProducts;
    while (products % blockProducts)
      blockProducts -= 32;
    n = dimAt(maps[0], 3);
    IntegerAttr alignment = b.getI64IntegerAttr(64);
    factor = memref::AllocOp::create(
        b, loc,
        MemRefType::get({blockRows / 16, blockProducts / 32, 16, 32},
                        b.getBF16Type()),
        alignment);
    sums = memref::AllocOp::create(
        b, loc, MemRefType::get({2, 16, 2, 16}, b.getF32Type()), alignment);
    outer(0);
    op->erase();
  }

private:
  /// Loops over the dimensions before n.
  void outer(unsigned level) {
    if (level + 3 < maps[0].getNumResults()) {
      unsigned dim = maps[0].getDimPosition(level);
      return loop(index(0), sizes[dim], 1, [&](Value iv) {
        position[dim] = iv;
        outer(level + 1);
      });
    }
    loop(index(0), sizes[n], blockRows, [&](Value row) {
      Value left = sub(sizes[n], row);
      Value rows = min(left, index(blockRows));
      Value pairs = arith::CeilDivSIOp::create(b, loc, rows, index(32));
      loop(index(0), index(products), blockProducts, [&](Value product) {
        roundRows(row, rows, pairs, product);
        Value odd = rem(panels, 2);
        Value even = sub(panels, odd);
        eachPanels(index(0), even, 2, row, rows, pairs, product);
        eachPanels(even, panels, 1, row, rows, pairs, product);
      });
    });
  }

  SmallVector<Value> at(AffineMap map, Value row, ValueRange rest) {
    SmallVector<Value> result;
    for (unsigned i = 0; i + 3 < map.getNumResults(); ++i)
      result.push_back(position[map.getDimPosition(i)]);
    result.push_back(row);
    llvm::append_range(result, rest);
    return result;
  }

  /// The block of x as tiles of bf16.
  void roundRows(Value first, Value rows, Value pairs, Value product) {
    auto type = cast<MemRefType>(x.getType());
    // [.., n, i, r] as [.., n, k].
    SmallVector<ReassociationIndices> groups;
    for (int64_t i = 0; i + 1 < type.getRank(); ++i)
      groups.push_back({i});
    groups.back().push_back(type.getRank() - 1);
    Value matrix = memref::CollapseShapeOp::create(b, loc, x, groups);
    auto longType = VectorType::get({32}, type.getElementType());
    auto shortType = VectorType::get({32}, b.getBF16Type());
    Value zeros = arith::ConstantOp::create(b, loc, b.getZeroAttr(shortType));
    loop(index(0), mul(pairs, 32), 1, [&](Value row) {
      Value tile = floorDiv(row, 16);
      Value line = rem(row, 16);
      Value exists = compare(arith::CmpIPredicate::slt, row, rows);
      auto choice = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      auto write = [&](function_ref<Value(Value)> value) {
        loop(index(0), index(blockProducts / 32), 1, [&](Value k) {
          vector::StoreOp::create(b, loc, value(k), factor,
                                  ValueRange{tile, k, line, index(0)});
        });
      };
      b.setInsertionPointToStart(choice.thenBlock());
      write([&](Value k) -> Value {
        Value from = add(product, mul(k, 32));
        Value v = vector::LoadOp::create(b, loc, longType, matrix,
                                         at(maps[0], add(first, row), from));
        if (longType != shortType)
          v = arith::TruncFOp::create(b, loc, shortType, v);
        return v;
      });
      b.setInsertionPointToStart(choice.elseBlock());
      write([&](Value) { return zeros; });
    });
  }

  /// `columns` panels at a time of [from, to) times the block.
  void eachPanels(Value from, Value to, int64_t columns, Value first,
                  Value rows, Value pairs, Value product) {
    Value count = sub(to, from);
    loop(index(0), count, columns, [&](Value panel) {
      panel = add(panel, from);
      loop(index(0), pairs, 1, [&](Value pair) {
        multiply(panel, columns, pair, product);
        Value row = mul(pair, 32);
        Value left = sub(rows, row);
        loop(index(0), min(left, index(32)), 1, [&](Value line) {
          addRow(add(first, add(row, line)), line, panel, columns);
        });
      });
    });
  }

  /// 32 rows by `columns` panels: a load per product, in this order.
  void multiply(Value panel, int64_t columns, Value pair, Value product) {
    Value sum[2][2], right[2];
    for (auto &row : sum)
      for (int64_t c = 0; c < columns; ++c)
        row[c] = tiles.zero();
    Value pairProduct = floorDiv(product, 2);
    for (int64_t k = 0; k < blockProducts / 32; ++k)
      for (int64_t r = 0; r < 2; ++r) {
        Value left = tiles.loadLeft(
            factor, {add(mul(pair, 2), r), index(k), index(0), index(0)});
        for (int64_t c = 0; c < columns; ++c) {
          if (r == 0)
            right[c] =
                tiles.loadRight(w, {add(panel, c), add(pairProduct, 16 * k),
                                    index(0), index(0)});
          sum[r][c] = tiles.multiply(left, right[c], sum[r][c]);
        }
      }
    Value stride = index(32);
    for (int64_t r = 0; r < 2; ++r)
      for (int64_t c = 0; c < columns; ++c)
        amx::TileStoreOp::create(
            b, loc, sums, ValueRange{index(r), index(0), index(c), index(0)},
            sum[r][c], stride);
  }

  void addRow(Value row, Value line, Value panel, int64_t columns) {
    auto type = VectorType::get({16}, b.getF32Type());
    Value tile = floorDiv(line, 16);
    Value inTile = rem(line, 16);
    for (int64_t c = 0; c < columns; ++c) {
      SmallVector<Value> place = at(maps[2], row, {add(panel, c), index(0)});
      Value old = vector::LoadOp::create(b, loc, type, out, place);
      Value sum = vector::LoadOp::create(
          b, loc, type, sums, ValueRange{tile, inTile, index(c), index(0)});
      vector::StoreOp::create(b, loc, arith::AddFOp::create(b, loc, old, sum),
                              out, place);
    }
  }

  linalg::LinalgOp op;
  MatrixTiles tiles;
  Value x, w, out;
  SmallVector<AffineMap> maps;
  SmallVector<Value> position, sizes;
  unsigned n = 0;
  int64_t products = 0, blockProducts = 0;
  Value panels; // their number
  Value factor; // tiles of x, [row / 16][product / 32][16][32]
  Value sums;   // of 32 rows by two panels
};

struct LowerContractionsAMX
    : repo::impl::LowerContractionsAMXBase<LowerContractionsAMX> {
  using LowerContractionsAMXBase::LowerContractionsAMXBase;
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (suitsTiles(op))
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      OpBuilder builder(op);
      if (report)
        op->emitRemark("contraction is on tiles of the matrix unit");
      TileContraction(builder, op).run();
      ++numLowered;
    }
  }
};
} // namespace
