//===- ContractionTiles.cpp - Register tiles of contractions --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two kinds of tile. In a *panel tile* the lanes of a vector are columns of the
// output: a row of the panel times one element of x, broadcast, is added to the
// sums; nothing is reduced, and x is read element by element. Of panels with
// pairs of products a lane is a pair, the element of x too, and an instruction
// adds both products to the sum. In a *dot tile*
// the lanes are products of one sum: rows of both sides are read as vectors,
// each sum is reduced at the end. Dot tiles take weights as they are stored;
// they serve few rows of x, for which a panel would not pay. For many rows the
// weights are first copied to a panel, which stays in the second-level cache.
//
//===----------------------------------------------------------------------===//

#include "ContractionTiles.h"
#include "VectorTranspose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

static unsigned getDim(AffineExpr expr) {
  return cast<AffineDimExpr>(expr).getPosition();
}

static bool hasUnitInnerStride(Value value) {
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(value.getType());
  return type.getRank() > 0 &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

/// The loop of two products side by side, innermost in x and w.
static std::optional<unsigned> getPairDim(linalg::LinalgOp op, AffineMap xMap,
                                          AffineMap wMap) {
  unsigned last = getDim(wMap.getResults().back());
  ShapedType x = cast<ShapedType>(op.getDpsInputs()[0].getType()),
             w = cast<ShapedType>(op.getDpsInputs()[1].getType());
  auto inner = [](ShapedType type) {
    SmallVector<int64_t> strides;
    int64_t offset;
    return succeeded(
               cast<MemRefType>(type).getStridesAndOffset(strides, offset)) &&
           type.getRank() > 2 && type.getShape().back() == 2 &&
           ArrayRef(strides).take_back(2) == ArrayRef<int64_t>{2, 1};
  };
  if (op.getIteratorTypesArray()[last] != utils::IteratorType::reduction ||
      getDim(xMap.getResults().back()) != last || !inner(x) || !inner(w) ||
      !x.getElementType().isBF16() || !w.getElementType().isBF16())
    return std::nullopt;
  return last;
}

std::optional<Contraction> repo::matchContraction(linalg::LinalgOp op,
                                                  int64_t lanes, bool pairs) {
  if (!op.hasPureBufferSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2)
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
  if (!llvm::all_of(maps,
                    [](AffineMap map) { return map.isProjectedPermutation(); }))
    return std::nullopt;
  AffineMap xMap = maps[0], wMap = maps[1], outMap = maps[2];

  Contraction result;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  if (reductions.size() == 2 && pairs) {
    result.pair = getPairDim(op, xMap, wMap);
    if (!result.pair)
      return std::nullopt;
    llvm::erase(reductions, *result.pair);
    // What is left are maps without pairs.
    xMap = xMap.dropResult(xMap.getNumResults() - 1);
    wMap = wMap.dropResult(wMap.getNumResults() - 1);
  }
  if (reductions.size() != 1)
    return std::nullopt;
  result.i = reductions[0];
  if (getDim(xMap.getResults().back()) != result.i)
    return std::nullopt;
  // Columns, panels and their lanes are loops that only w and out have, n is
  // the last one that only x and out have and that runs more than once.
  SmallVector<unsigned> columns;
  std::optional<unsigned> n;
  auto outType = cast<ShapedType>(out.getType());
  for (auto [position, expr] : llvm::enumerate(outMap.getResults())) {
    unsigned dim = getDim(expr);
    bool inX = xMap.isFunctionOfDim(dim), inW = wMap.isFunctionOfDim(dim);
    // A loop over a single token of a sequence is none over rows: the batch is.
    if (inX && !inW && (!n || outType.getDimSize(position) != 1))
      n = dim;
    if (inW && !inX)
      columns.push_back(dim);
  }
  if (!n || columns.empty())
    return std::nullopt;
  result.n = *n;
  unsigned last = getDim(wMap.getResults().back());
  if (last == result.i) {
    if (result.pair)
      return std::nullopt;
    result.o = columns.back();
  } else {
    // [.., p, i, l] and out [.., p, l].
    unsigned rank = wMap.getNumResults();
    int64_t width = cast<ShapedType>(w.getType()).getDimSize(rank - 1);
    if (columns.size() < 2 || rank < 3 || last != columns.back() ||
        ShapedType::isDynamic(width) || width % lanes != 0 ||
        !hasUnitInnerStride(out) ||
        getDim(outMap.getResults().back()) != last ||
        getDim(wMap.getResult(rank - 2)) != result.i ||
        getDim(wMap.getResult(rank - 3)) != columns[columns.size() - 2])
      return std::nullopt;
    result.l = last;
    result.o = columns[columns.size() - 2];
    result.panelWidth = width;
  }
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    if (dim != result.n && dim != result.o && dim != result.i &&
        dim != result.pair && !(result.panelWidth && dim == result.l))
      result.outer.push_back(dim);
  return result;
}

//===----------------------------------------------------------------------===//
// Lowering
//===----------------------------------------------------------------------===//

namespace {
class ContractionLowering {
public:
  ContractionLowering(OpBuilder &builder, linalg::LinalgOp op,
                      const Contraction &dims, int64_t lanes)
      : b(builder), loc(op.getLoc()), op(op), dims(dims), lanes(lanes),
        x(op.getDpsInputs()[0]), w(op.getDpsInputs()[1]),
        out(op.getDpsInits()[0]), maps(op.getIndexingMapsArray()),
        position(op.getNumLoops()) {
    vectorType = VectorType::get({lanes}, b.getF32Type());
  }

  void run() {
    b.setInsertionPoint(op);
    zero = index(0);
    for (Range &range : op.createLoopRanges(b, loc))
      sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    if (dims.pair) {
      x = joinPairs(x, maps[0]);
      w = joinPairs(w, maps[1]);
    }
    if (dims.panelWidth) {
      position[dims.l] = zero;
      dropZeros();
    } else if (hasUnitInnerStride(out) && isInnermost(maps[2], dims.o)) {
      panel = memref::AllocOp::create(
          b, loc,
          MemRefType::get({panelDepth, getPanelVectors() * lanes},
                          b.getF32Type()));
    }
    emitOuter(0);
    op->erase();
  }

private:
  /// Products are summed over so many elements at a time. Those of a panel stay
  /// in the second-level cache (64 KB of 64 columns), those of the rows of a
  /// dot tile in the first.
  static constexpr int64_t panelDepth = 256, dotDepth = 1024;
  /// Weights in panels may come from memory, which few rows do not hide: up to
  /// so many take so much of a panel at a time, which stays in the first-level
  /// cache until the last of them has met it.
  static constexpr int64_t fewRows = 24, fewRowsBytes = 8192, cacheLine = 64;
  /// Bytes of a column of a panel's row.
  int64_t getElementBytes() const {
    return getElementTypeOrSelf(w).getIntOrFloatBitWidth() / 8 * getProducts();
  }
  /// Products side by side.
  int64_t getProducts() const { return dims.pair ? 2 : 1; }
  /// From so many rows of x on a copy of the weights pays.
  static constexpr int64_t minPanelRows = 24;

  int64_t getNumRegisters() const { return lanes >= 16 ? 32 : 16; }
  /// Vectors of a panel's row: 4, and 6 rows of x, make 24 sums in 32
  /// registers; 2 and 6 make 12 in 16.
  int64_t getPanelVectors() const { return getNumRegisters() / 8; }

  /// Zeros written right before in what the products are added to: the first
  /// of them are stored instead, which waits for no memory.
  void dropZeros() {
    auto type = cast<ShapedType>(w.getType());
    if (!type.hasStaticShape() || type.getNumElements() == 0)
      return;
    Operation *before = op->getPrevNode();
    while (before && isMemoryEffectFree(before))
      before = before->getPrevNode();
    auto fill = dyn_cast_or_null<linalg::FillOp>(before);
    if (!fill || fill.getDpsInits()[0] != op.getDpsInits()[0] ||
        !matchPattern(fill.getDpsInputs()[0], m_PosZeroFloat()))
      return;
    fill->erase();
    startsAtZero = true;
  }

  static bool isInnermost(AffineMap map, unsigned dim) {
    return getDim(map.getResults().back()) == dim;
  }

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value plus(Value base, int64_t offset) {
    return offset
               ? arith::AddIOp::create(b, loc, base, index(offset)).getResult()
               : base;
  }
  Value plus(Value a, Value c) { return arith::AddIOp::create(b, loc, a, c); }
  Value minus(Value a, Value c) { return arith::SubIOp::create(b, loc, a, c); }
  /// The end of the last whole tile.
  Value roundDown(Value from, Value to, int64_t tile) {
    Value rest = arith::RemUIOp::create(b, loc, minus(to, from), index(tile));
    return minus(to, rest);
  }

  void loop(Value from, Value to, Value step, function_ref<void(Value)> body) {
    scf::ForOp::create(b, loc, from, to, step, ValueRange(),
                       [&](OpBuilder &, Location loc, Value iv, ValueRange) {
                         OpBuilder::InsertionGuard guard(b);
                         b.setInsertionPointToEnd(iv.getParentBlock());
                         body(iv);
                         scf::YieldOp::create(b, loc);
                       });
  }
  /// Loops over `dim` from `from` in tiles of the first size, what is left in
  /// tiles of the next. Returns where the whole tiles end.
  Value tiled(unsigned dim, Value from, ArrayRef<int64_t> tiles,
              function_ref<void(int64_t)> body) {
    for (int64_t tile : tiles) {
      Value to = roundDown(from, sizes[dim], tile);
      loop(from, to, index(tile), [&](Value iv) {
        position[dim] = iv;
        body(tile);
      });
      from = to;
    }
    return from;
  }
  void blocks(Value depth, function_ref<void(Value, Value)> body) {
    Value size = sizes[dims.i];
    loop(zero, size, depth, [&](Value from) {
      body(from, arith::MinUIOp::create(b, loc, plus(from, depth), size));
    });
  }

  void emitOuter(size_t level) {
    if (level < dims.outer.size()) {
      unsigned dim = dims.outer[level];
      loop(zero, sizes[dim], index(1), [&](Value iv) {
        position[dim] = iv;
        emitOuter(level + 1);
      });
      return;
    }
    if (dims.panelWidth)
      return emitPanels();
    if (!panel)
      return emitDots(zero);
    Value many = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge,
                                       sizes[dims.n], index(minPanelRows));
    auto choice = scf::IfOp::create(b, loc, many, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(choice.thenBlock()->getTerminator());
    emitCopiedPanels();
    b.setInsertionPoint(choice.elseBlock()->getTerminator());
    emitDots(zero);
  }

  //===--------------------------------------------------------------------===//
  // Access
  //===--------------------------------------------------------------------===//

  /// The last two dimensions as one; `map` is that of the result.
  Value joinPairs(Value buffer, AffineMap &map) {
    int64_t rank = cast<MemRefType>(buffer.getType()).getRank();
    SmallVector<ReassociationIndices> groups;
    for (int64_t i = 0; i + 1 < rank; ++i)
      groups.push_back({i});
    groups.back().push_back(rank - 1);
    map = map.dropResult(rank - 1);
    return memref::CollapseShapeOp::create(b, loc, buffer, groups);
  }
  SmallVector<Value> indices(AffineMap map, int64_t row, int64_t column,
                             Value i) {
    SmallVector<Value> result;
    for (AffineExpr expr : map.getResults()) {
      unsigned dim = getDim(expr);
      bool isColumn = dim == (dims.panelWidth ? dims.l : dims.o);
      result.push_back(dim == dims.i   ? i
                       : dim == dims.n ? plus(position[dim], row)
                       : isColumn      ? plus(position[dim], column)
                                       : position[dim]);
    }
    // Where two products are side by side, so are the elements.
    if (dims.pair && map != maps[2])
      result.back() =
          arith::MulIOp::create(b, loc, result.back(), index(getProducts()));
    return result;
  }
  Value extend(Value value) {
    Type type = value.getType(), wide = b.getF32Type();
    if (auto vector = dyn_cast<VectorType>(type))
      wide = vector.clone(wide);
    if (type == wide)
      return value;
    return arith::ExtFOp::create(b, loc, wide, value);
  }
  /// A row of a panel as it lies: of pairs, vectors of bf16.
  Value loadPanelRow(Value i, int64_t column) {
    SmallVector<Value> at = indices(maps[1], 0, column, i);
    if (!dims.pair)
      return loadVector(w, at);
    return vector::LoadOp::create(
        b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), w, at);
  }
  /// What a row of a panel meets: an element of x in every lane, or a pair.
  Value broadcastElement(int64_t row, Value i) {
    SmallVector<Value> at = indices(maps[0], row, 0, i);
    if (!dims.pair)
      return vector::BroadcastOp::create(b, loc, vectorType,
                                         loadElement(x, at));
    Value pair = vector::LoadOp::create(
        b, loc, VectorType::get({2}, b.getBF16Type()), x, at);
    pair = vector::BitCastOp::create(
        b, loc, VectorType::get({1}, b.getI32Type()), pair);
    pair = vector::BroadcastOp::create(
        b, loc, VectorType::get({lanes}, b.getI32Type()), pair);
    return vector::BitCastOp::create(
        b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), pair);
  }
  Value multiplyAdd(Value element, Value row, Value sum) {
    if (!dims.pair)
      return math::FmaOp::create(b, loc, element, row, sum);
    return LLVM::CallIntrinsicOp::create(
               b, loc, sum.getType(),
               b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps." +
                               std::to_string(32 * lanes)),
               ValueRange{sum, row, element})
        .getResult(0);
  }
  Value loadElement(Value buffer, ValueRange at) {
    return extend(memref::LoadOp::create(b, loc, buffer, at));
  }
  Value loadVector(Value buffer, ValueRange at) {
    Type type = vectorType.clone(getElementTypeOrSelf(buffer));
    return extend(
        vector::LoadOp::create(b, loc, cast<VectorType>(type), buffer, at));
  }

  Value zeros() {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(vectorType, 0.0f));
  }

  //===--------------------------------------------------------------------===//
  // Panels
  //===--------------------------------------------------------------------===//

  int64_t getPanelRowBytes() const {
    return dims.panelWidth * getElementBytes();
  }
  int64_t getLines() const {
    return llvm::divideCeil(getPanelRowBytes(), cacheLine);
  }
  /// Rows of a panel in a block of few rows of x.
  int64_t getShallowDepth() const {
    return std::max<int64_t>(1, fewRowsBytes / getPanelRowBytes());
  }
  /// Asks for a line of row `i` of the panel, into the second-level cache.
  void prefetch(Value i, Value line) {
    int64_t elements =
        cacheLine * 8 / getElementTypeOrSelf(w).getIntOrFloatBitWidth();
    SmallVector<Value> at = indices(maps[1], 0, 0, i);
    at.back() =
        plus(at.back(), arith::MulIOp::create(b, loc, line, index(elements)));
    memref::PrefetchOp::create(b, loc, w, at, /*isWrite=*/false,
                               /*localityHint=*/2, /*isDataCache=*/true);
  }

  using PanelLoad = function_ref<Value(Value i, int64_t vector)>;
  /// What a tile asks for beside the products of row i of a panel.
  using Ahead = function_ref<void(Value i)>;

  void emitPanels() {
    int64_t vectors = dims.panelWidth / lanes;
    Value few = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule,
                                      sizes[dims.n], index(fewRows));
    Value depth = arith::SelectOp::create(b, loc, few, index(getShallowDepth()),
                                          index(2 * panelDepth));
    blocks(depth, [&](Value from, Value to) {
      tiled(dims.o, zero, {1}, [&](int64_t) {
        emitPanelRows(
            vectors, from, to,
            [&](Value i, int64_t vector) {
              return loadPanelRow(i, vector * lanes);
            },
            depth);
      });
    });
  }

  void emitCopiedPanels() {
    int64_t vectors = getPanelVectors();
    Value rest = tiled(dims.o, zero, {vectors * lanes}, [&](int64_t) {
      blocks(index(panelDepth), [&](Value from, Value to) {
        copyPanel(vectors, from, to);
        emitPanelRows(vectors, from, to, [&](Value i, int64_t vector) {
          return loadVector(panel, {minus(i, from), index(vector * lanes)});
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
  void emitPanelRows(int64_t vectors, Value from, Value to, PanelLoad load,
                     Value depth = nullptr) {
    int64_t rows = std::max<int64_t>(1, getNumRegisters() * 3 / 4 / vectors);
    SmallVector<int64_t> tiles = {rows};
    for (int64_t fewer : {4, 2, 1})
      if (fewer < tiles.back())
        tiles.push_back(fewer);
    Value first = zero;
    if (depth) {
      Value fills = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge,
                                          sizes[dims.n], index(rows));
      first = arith::SelectOp::create(b, loc, fills, index(rows), zero);
      loop(zero, first, index(rows), [&](Value iv) {
        position[dims.n] = iv;
        emitPanelTile(rows, vectors, from, to, load, [&](Value i) {
          for (int64_t line = 0; line < getLines(); ++line)
            prefetch(plus(i, getShallowDepth()), index(line));
        });
      });
    }
    tiled(dims.n, first, tiles, [&](int64_t count) {
      if (!depth || count < rows)
        return emitPanelTile(count, vectors, from, to, load);
      Value line =
          arith::DivUIOp::create(b, loc, position[dims.n], index(rows));
      line = arith::RemUIOp::create(b, loc, line, index(getLines()));
      emitPanelTile(count, vectors, from, to, load,
                    [&](Value i) { prefetch(plus(i, depth), line); });
    });
  }

  void emitPanelTile(int64_t rows, int64_t vectors, Value from, Value to,
                     PanelLoad load, Ahead ahead = nullptr) {
    // Sums start at zero in every block of products: their rounding errors do
    // not grow with the number of products.
    SmallVector<Value> sums(rows * vectors, zeros());
    auto products = scf::ForOp::create(
        b, loc, from, to, index(1), sums,
        [&](OpBuilder &, Location loc, Value i, ValueRange args) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(i.getParentBlock());
          SmallVector<Value> next(args), ws;
          if (ahead)
            ahead(i);
          for (int64_t vector = 0; vector < vectors; ++vector)
            ws.push_back(load(i, vector));
          for (int64_t row = 0; row < rows; ++row) {
            Value element = broadcastElement(row, i);
            for (int64_t vector = 0; vector < vectors; ++vector) {
              Value &sum = next[row * vectors + vector];
              sum = multiplyAdd(element, ws[vector], sum);
            }
          }
          scf::YieldOp::create(b, loc, next);
        });
    auto store = [&](bool adds) {
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t vector = 0; vector < vectors; ++vector) {
          SmallVector<Value> at = indices(maps[2], row, vector * lanes, zero);
          Value sum = products.getResult(row * vectors + vector);
          if (adds)
            sum = arith::AddFOp::create(b, loc, loadVector(out, at), sum);
          vector::StoreOp::create(b, loc, sum, out, at);
        }
    };
    if (!startsAtZero)
      return store(/*adds=*/true);
    Value isFirst =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, from, zero);
    auto choice = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(choice.thenBlock()->getTerminator());
    store(/*adds=*/false);
    b.setInsertionPoint(choice.elseBlock()->getTerminator());
    store(/*adds=*/true);
  }

  /// panel[i - from, column] = w[column, i], by squares of `lanes`.
  void copyPanel(int64_t vectors, Value from, Value to) {
    Value whole = roundDown(from, to, lanes);
    Value column = position[dims.o];
    Value end = plus(column, vectors * lanes);
    loop(column, end, index(lanes), [&](Value first) {
      position[dims.o] = first;
      Value at = minus(first, column);
      loop(from, whole, index(lanes), [&](Value i) {
        SmallVector<Value> square;
        for (int64_t row = 0; row < lanes; ++row)
          square.push_back(loadVector(w, indices(maps[1], 0, row, i)));
        transposeSquare(b, loc, square);
        Value base = minus(i, from);
        for (int64_t row = 0; row < lanes; ++row)
          vector::StoreOp::create(b, loc, square[row], panel,
                                  ValueRange{plus(base, row), at});
      });
      loop(whole, to, index(1), [&](Value i) {
        loop(zero, index(lanes), index(1), [&](Value row) {
          position[dims.o] = plus(first, row);
          Value element = loadElement(w, indices(maps[1], 0, 0, i));
          memref::StoreOp::create(b, loc, element, panel,
                                  ValueRange{minus(i, from), plus(at, row)});
        });
      });
    });
    position[dims.o] = column;
  }

  //===--------------------------------------------------------------------===//
  // Dots
  //===--------------------------------------------------------------------===//

  /// The columns from `first` on.
  void emitDots(Value first) {
    blocks(index(dotDepth), [&](Value from, Value to) {
      tiled(dims.o, first, {getPanelVectors(), 1}, [&](int64_t columns) {
        tiled(dims.n, zero, {6, 2, 1},
              [&](int64_t rows) { emitDotTile(rows, columns, from, to); });
      });
    });
  }

  /// The sums of `rows` by `columns` products over [from, to), a vector or an
  /// element at a time.
  SmallVector<Value> sumDots(int64_t rows, int64_t columns, Value from,
                             Value to, bool vectors, ValueRange init) {
    auto load = [&](Value buffer, ValueRange at) {
      return vectors ? loadVector(buffer, at) : loadElement(buffer, at);
    };
    auto loop = scf::ForOp::create(
        b, loc, from, to, index(vectors ? lanes : 1), init,
        [&](OpBuilder &, Location loc, Value i, ValueRange sums) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(i.getParentBlock());
          SmallVector<Value> next(sums), xs, ws;
          for (int64_t row = 0; row < rows; ++row)
            xs.push_back(load(x, indices(maps[0], row, 0, i)));
          for (int64_t column = 0; column < columns; ++column)
            ws.push_back(load(w, indices(maps[1], 0, column, i)));
          for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column < columns; ++column) {
              Value &sum = next[row * columns + column];
              sum = math::FmaOp::create(b, loc, xs[row], ws[column], sum);
            }
          scf::YieldOp::create(b, loc, next);
        });
    return SmallVector<Value>(loop.getResults());
  }

  /// Adds the products over [from, to) to a tile of the output.
  void emitDotTile(int64_t rows, int64_t columns, Value from, Value to) {
    Value whole = roundDown(from, to, lanes);
    SmallVector<Value> sums =
        sumDots(rows, columns, from, whole, /*vectors=*/true,
                SmallVector<Value>(rows * columns, zeros()));
    for (Value &sum : sums)
      sum =
          vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sum);
    sums = sumDots(rows, columns, whole, to, /*vectors=*/false, sums);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) {
        SmallVector<Value> at = indices(maps[2], row, column, zero);
        Value old = memref::LoadOp::create(b, loc, out, at);
        Value sum =
            arith::AddFOp::create(b, loc, old, sums[row * columns + column]);
        memref::StoreOp::create(b, loc, sum, out, at);
      }
  }

  OpBuilder &b;
  Location loc;
  linalg::LinalgOp op;
  const Contraction &dims;
  int64_t lanes;
  VectorType vectorType;
  Value x, w, out, zero, panel;
  bool startsAtZero = false;
  SmallVector<AffineMap> maps;
  SmallVector<Value> position, sizes;
};
} // namespace

void repo::lowerContraction(OpBuilder &builder, linalg::LinalgOp op,
                            const Contraction &contraction, int64_t lanes) {
  ContractionLowering(builder, op, contraction, lanes).run();
}
