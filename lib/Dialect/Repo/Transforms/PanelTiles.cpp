//===- PanelTiles.cpp - Tiles whose lanes are columns ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionLowering.h"
#include "VectorPairs.h"
#include "VectorTranspose.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

/// A row of a panel: of pairs, vectors of bf16 as they lie.
SmallVector<Value> ContractionLowering::loadPanelRow(Value i, int64_t vectors) {
  auto wide = VectorType::get({2 * lanes}, b.getBF16Type());
  SmallVector<Value> row;
  for (int64_t vector = 0; vector < vectors; ++vector) {
    SmallVector<Value> at = indices(maps[1], 0, vector * lanes, i);
    if (dims.pair)
      row.push_back(vector::LoadOp::create(b, loc, wide, w, at));
    else if (!expandsByParts())
      row.push_back(loadVector(w, at));
    else if (vector % 2 == 0)
      row.append(expandByParts(vector::LoadOp::create(b, loc, wide, w, at)));
  }
  return row;
}

/// bf16 is the high half of f32: zeros come below the low, or high, elements of
/// each 128 bits.
SmallVector<Value> ContractionLowering::expandByParts(Value x) {
  auto words = VectorType::get({2 * lanes}, b.getI16Type());
  Value zero = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(words, APInt(16, 0)));
  x = arith::BitcastOp::create(b, loc, words, x);
  SmallVector<Value> parts;
  for (int64_t part : {0, 4}) {
    SmallVector<int64_t> mask;
    for (int64_t at = part; at < 2 * lanes; at += 8)
      for (int64_t k = at; k < at + 4; ++k)
        mask.append({k, 2 * lanes + k});
    parts.push_back(vector::BitCastOp::create(
        b, loc, vectorType, vector::ShuffleOp::create(b, loc, zero, x, mask)));
  }
  return parts;
}

/// Sums of columns expanded by parts, in the order of the output.
void ContractionLowering::orderColumns(MutableArrayRef<Value> sums) {
  for (size_t i = 0; i < sums.size(); i += 2) {
    Value low = sums[i], high = sums[i + 1];
    for (int64_t half : {0, 1}) {
      SmallVector<int64_t> mask;
      for (int64_t at = 0; at < lanes; ++at) {
        int64_t column = half * lanes + at;
        mask.push_back(column / 8 * 4 + column % 4 +
                       (column % 8 < 4 ? 0 : lanes));
      }
      sums[i + half] = vector::ShuffleOp::create(b, loc, low, high, mask);
    }
  }
}

/// What a row of a panel meets: an element of x in every lane, or a pair.
Value ContractionLowering::broadcastElement(int64_t row, Value i) {
  SmallVector<Value> at = indices(maps[0], row, 0, i);
  if (!dims.pair)
    return vector::BroadcastOp::create(b, loc, vectorType, loadElement(x, at));
  return broadcastPair(b, loc, x, at, lanes);
}

Value ContractionLowering::multiplyAdd(Value element, Value row, Value sum) {
  if (!dims.pair)
    return math::FmaOp::create(b, loc, element, row, sum);
  return addPairProducts(b, loc, sum, row, element);
}

/// Asks for a line of row `i` of the panel, into the second-level cache.
void ContractionLowering::prefetch(Value i, Value line) {
  int64_t elements =
      cacheLine * 8 / getElementTypeOrSelf(w).getIntOrFloatBitWidth();
  SmallVector<Value> at = indices(maps[1], 0, 0, i);
  at.back() = add(at.back(), mul(line, elements));
  memref::PrefetchOp::create(b, loc, w, at, /*isWrite=*/false,
                             /*localityHint=*/2, /*isDataCache=*/true);
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

void ContractionLowering::emitPanels() {
  int64_t vectors = dims.panelWidth / lanes;
  // Rows that fit a tile meet a panel only once.
  Value rows = sizes[dims.n];
  Value few = arith::AndIOp::create(
      b, loc, compare(arith::CmpIPredicate::ule, rows, index(fewRows)),
      compare(arith::CmpIPredicate::ugt, rows, index(getTileRows(vectors))));
  Value depth = select(few, index(getShallowDepth()), index(2 * panelDepth));
  blocks(depth, [&](Value from, Value to) {
    tiled(dims.o, zero, {1}, [&](int64_t) {
      emitPanelRows(
          vectors, from, to, [&](Value i) { return loadPanelRow(i, vectors); },
          depth);
    });
  });
}

void ContractionLowering::emitCopiedPanels() {
  int64_t vectors = getPanelVectors();
  Value rest = tiled(dims.o, zero, {vectors * lanes}, [&](int64_t) {
    blocks(index(panelDepth), [&](Value from, Value to) {
      copyPanel(vectors, from, to);
      emitPanelRows(vectors, from, to, [&](Value i) {
        SmallVector<Value> row;
        for (int64_t at = 0; at < vectors * lanes; at += lanes)
          row.push_back(loadVector(panel, {sub(i, from), index(at)}));
        return row;
      });
    });
  });
  emitDots(rest);
}

/// All rows of x times a panel, which comes from memory where `depth` tells
/// how much of it at a time. The first rows, where they fill a tile, ask for
/// what comes next: fewer are as fast as memory and slowed by that, the
/// others find it in a cache. Those that follow ask for a line each of a row
/// of the next block, so that many rows do not wait for memory at its start.
void ContractionLowering::emitPanelRows(int64_t vectors, Value from, Value to,
                                        PanelLoad load, Value depth) {
  int64_t rows = getTileRows(vectors);
  SmallVector<int64_t> tiles = {rows};
  for (int64_t fewer : {4, 2, 1})
    if (fewer < tiles.back())
      tiles.push_back(fewer);
  Value first = zero;
  auto firstTile = [&](int64_t count, Value fits) {
    Value end = select(fits, index(count), zero);
    loop(zero, end, count, [&](Value iv) {
      position[dims.n] = iv;
      emitPanelTile(count, vectors, from, to, load, [&](Value i) {
        for (int64_t line = 0; line < getLines(); ++line)
          prefetch(add(i, getShallowDepth()), index(line));
      });
    });
    first = add(first, end);
  };
  if (depth) {
    Value fills =
        compare(arith::CmpIPredicate::uge, sizes[dims.n], index(rows));
    // Two rows alone at the end, as of eight, take long to expand: the first
    // and the last tile have four then. Of f32 four are faster than memory.
    if (rows == 6 && expandsByParts()) {
      Value twoLeft =
          compare(arith::CmpIPredicate::eq, rem(sizes[dims.n], rows), index(2));
      twoLeft = arith::AndIOp::create(b, loc, twoLeft, fills);
      firstTile(4, twoLeft);
      fills = arith::XOrIOp::create(b, loc, fills, twoLeft);
    }
    firstTile(rows, fills);
  }
  tiled(dims.n, first, tiles, [&](int64_t count) {
    if (!depth || count < rows)
      return emitPanelTile(count, vectors, from, to, load);
    Value line = floorDiv(position[dims.n], rows);
    line = rem(line, getLines());
    emitPanelTile(count, vectors, from, to, load,
                  [&](Value i) { prefetch(add(i, depth), line); });
  });
}

void ContractionLowering::emitPanelTile(int64_t rows, int64_t vectors,
                                        Value from, Value to, PanelLoad load,
                                        Ahead ahead) {
  // Sums start at zero in every block of products: their rounding errors do
  // not grow with the number of products.
  SmallVector<Value> sums(rows * vectors, zeros());
  sums = loop(from, to, 1, sums, [&](Value i, ValueRange before) {
    SmallVector<Value> next(before);
    if (ahead)
      ahead(i);
    SmallVector<Value> ws = load(i);
    for (int64_t row = 0; row < rows; ++row) {
      Value element = broadcastElement(row, i);
      for (int64_t vector = 0; vector < vectors; ++vector) {
        Value &sum = next[row * vectors + vector];
        sum = multiplyAdd(element, ws[vector], sum);
      }
    }
    return next;
  });
  if (expandsByParts())
    orderColumns(sums);
  auto store = [&](bool adds) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t vector = 0; vector < vectors; ++vector) {
        SmallVector<Value> at = indices(maps[2], row, vector * lanes, zero);
        Value sum = sums[row * vectors + vector];
        if (adds)
          sum = arith::AddFOp::create(b, loc, loadVector(out, at), sum);
        vector::StoreOp::create(b, loc, sum, out, at);
      }
  };
  if (!startsAtZero)
    return store(/*adds=*/true);
  Value isFirst = compare(arith::CmpIPredicate::eq, from, zero);
  auto choice = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(choice.thenBlock()->getTerminator());
  store(/*adds=*/false);
  b.setInsertionPoint(choice.elseBlock()->getTerminator());
  store(/*adds=*/true);
}

/// panel[i - from, column] = w[column, i], by squares of `lanes`.
void ContractionLowering::copyPanel(int64_t vectors, Value from, Value to) {
  Value whole = roundDown(from, to, lanes);
  Value column = position[dims.o];
  Value end = add(column, vectors * lanes);
  loop(column, end, lanes, [&](Value first) {
    position[dims.o] = first;
    Value at = sub(first, column);
    loop(from, whole, lanes, [&](Value i) {
      SmallVector<Value> square;
      for (int64_t row = 0; row < lanes; ++row)
        square.push_back(loadVector(w, indices(maps[1], 0, row, i)));
      transposeSquare(b, loc, square);
      Value base = sub(i, from);
      for (int64_t row = 0; row < lanes; ++row)
        vector::StoreOp::create(b, loc, square[row], panel,
                                ValueRange{add(base, row), at});
    });
    loop(whole, to, 1, [&](Value i) {
      loop(zero, index(lanes), 1, [&](Value row) {
        position[dims.o] = add(first, row);
        Value element = loadElement(w, indices(maps[1], 0, 0, i));
        memref::StoreOp::create(b, loc, element, panel,
                                ValueRange{sub(i, from), add(at, row)});
      });
    });
  });
  position[dims.o] = column;
}
