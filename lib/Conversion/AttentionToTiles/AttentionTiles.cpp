//===- AttentionTiles.cpp - Keys and memory of attention kernels ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "../TileSchedule/RowAlignment.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include <cmath>

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

/// Bounds of a window beyond this are no bounds: sizes are below it.
static constexpr int64_t farAway = int64_t(1) << 40;

static int64_t sizeOf(Value operand, AffineMap map, unsigned dim) {
  auto position =
      *map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
  return cast<ShapedType>(operand.getType()).getDimSize(position);
}

void mlir::repo::eraseUnusedViews(ArrayRef<Operation *> views) {
  for (Operation *view : SetVector<Operation *>(views.begin(), views.end()))
    if (isa_and_nonnull<CacheViewOp>(view) && view->use_empty())
      view->erase();
}

static int64_t getPageSize(CacheViewOp view) {
  return cast<ShapedType>(view.getPages().getType()).getDimSize(2);
}

AttentionTiles::AttentionTiles(OpBuilder &builder, AttentionOp op)
    : FragmentBuilder(builder, op.getLoc(),
                      op.getKernelStrategyAttr().getUnit(),
                      op.getKernelStrategyAttr().getRows(),
                      getElementTypeOrSelf(op.getKey())),
      op(op), strategy(op.getKernelStrategyAttr()), band(op.getBand()) {
  headSize = op.getHeadSize();
  valueSize = sizeOf(op.getValue(), op.getValueMap(), AttentionOp::E);
}

//===----------------------------------------------------------------------===//
// Sizes, blocks
//===----------------------------------------------------------------------===//

void AttentionTiles::prepareHost() {
  auto size = [&](AttentionOp::Dim dim) {
    return getValueOrCreateConstantIndexOp(b, loc, op.getDimSize(b, loc, dim));
  };
  queries = size(AttentionOp::N);
  if (auto view = op.getKey().getDefiningOp<CacheViewOp>()) {
    Value entries = memref::DimOp::create(b, loc, view.getTable(), 1);
    keys = mul(entries, getPageSize(view));
  } else {
    keys = size(AttentionOp::M);
  }
  hostOffset = op.getOffset();
  if (!hostOffset)
    hostOffset = sub(keys, queries);
  makeFrequencies();
  makeSeenKeys();
  // Copies are of 16 bytes, stores of pairs.
  checkAlignment(op.getQuery(), "query", 16);
  checkAlignment(op.getKey(), "key", 16);
  checkAlignment(op.getValue(), "value", 16);
  checkAlignment(op.getOutput(), "output", 4);
}

void AttentionTiles::checkAlignment(Value operand, StringRef name,
                                    int64_t bytes) {
  if (auto view = operand.getDefiningOp<CacheViewOp>())
    operand = view.getPages();
  assertRowAlignment(b, loc, operand, ("attention's `" + name + "`").str(),
                     bytes);
}

/// Turns per unit of position of every pair, each as a sum of two floats: a
/// table of the module, [2, F].
void AttentionTiles::makeFrequencies() {
  if (!op.getQueryPositions() || op.getOmega())
    return;
  SmallVector<float> table;
  SmallVector<double> omega = op.getRope()->getFrequencies();
  for (double w : omega)
    table.push_back(float(w / (2 * M_PI)));
  for (auto [i, w] : llvm::enumerate(omega))
    table.push_back(float(w / (2 * M_PI) - double(table[i])));
  auto module = op->getParentOfType<ModuleOp>();
  // The symbol table finds a name that is free.
  OpBuilder detached(op.getContext());
  int64_t pairs = omega.size();
  auto type = MemRefType::get({2, pairs}, b.getF32Type());
  auto data = DenseElementsAttr::get(
      RankedTensorType::get({2, pairs}, b.getF32Type()), ArrayRef(table));
  auto global = memref::GlobalOp::create(
      detached, loc, "repo_turns", b.getStringAttr("private"), type, data,
      /*constant=*/true, /*alignment=*/IntegerAttr());
  SymbolTable(module).insert(global, module.getBody()->begin());
  frequencies = memref::GetGlobalOp::create(b, loc, type, global.getSymName());
}

void AttentionTiles::enterBlock(Value batchIndex, Value headIndex,
                                Value query) {
  batch = batchIndex;
  head = headIndex;
  firstQuery = query;
  keyHead = head;
  if (op.getGroupSize() > 1)
    keyHead = floorDiv(head, op.getGroupSize());
  auto perBatch = [&](Value value) -> Value {
    Value loaded = memref::LoadOp::create(b, loc, value, ValueRange(batch));
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), loaded);
  };
  offset = hostOffset;
  if (isa<MemRefType>(offset.getType()))
    offset = perBatch(offset);
  limit = keys;
  if (Value lengths = op.getLengths())
    limit = max(index(0), min(keys, perBatch(lengths)));
}

/// Key m is visible to query n iff m < limit and p - left <= m <= p + right,
/// with p = offset + n.
KeyTiles AttentionTiles::getKeyTiles(int64_t queryBlock, int64_t keyBlock) {
  Value lastQuery = min(add(firstQuery, index(queryBlock)), queries);
  Value firstPlace = add(offset, firstQuery);
  Value lastPlace = sub(add(offset, lastQuery), index(1));
  int64_t left = std::min(band.first, farAway),
          right = std::min(band.second, farAway);
  KeyTiles tiles;
  tiles.firstKey = index(0);
  tiles.lastKey = limit;
  // Keys that the first query no longer sees end the full tiles, keys that
  // only the last one sees begin with the tiles needed.
  Value firstFullKey = tiles.firstKey, lastFullKey = tiles.lastKey;
  auto clamp = [&](Value key) { return max(index(0), min(key, limit)); };
  if (right >= 0) {
    tiles.lastKey = clamp(add(lastPlace, index(right + 1)));
    lastFullKey = clamp(add(firstPlace, index(right + 1)));
  }
  if (left >= 0) {
    tiles.firstKey = clamp(sub(firstPlace, index(left)));
    firstFullKey = clamp(sub(lastPlace, index(left)));
  }
  tiles.first = floorDiv(tiles.firstKey, keyBlock);
  tiles.last = max(tiles.first, ceilDiv(tiles.lastKey, keyBlock));
  auto inside = [&](Value tile) {
    return max(tiles.first, min(tile, tiles.last));
  };
  tiles.firstFull = inside(ceilDiv(firstFullKey, keyBlock));
  tiles.lastFull =
      max(tiles.firstFull, inside(floorDiv(lastFullKey, keyBlock)));
  return tiles;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

void AttentionTiles::packRows() {
  auto place = [&](AttentionOp::Dim dim) {
    return *op.getQueryMap().getResultPosition(
        getAffineDimExpr(dim, op.getContext()));
  };
  packedHeads = op.getGroupSize();
  packedQueries = sizeOf(op.getQuery(), op.getQueryMap(), AttentionOp::N);
  headsInside = place(AttentionOp::N) < place(AttentionOp::H);
}

AttentionTiles::Place AttentionTiles::getPlace(OpBuilder &nested, Location at,
                                               Value row) {
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(nested, at, value);
  };
  Value last =
      packedQueries
          ? constant(getNumPackedRows() - 1)
          : arith::SubIOp::create(nested, at, queries, constant(1)).getResult();
  row = arith::MinSIOp::create(nested, at, row, last);
  if (!packedQueries)
    return {constant(0), row};
  Value inside = constant(headsInside ? packedHeads : packedQueries);
  Value major = arith::DivUIOp::create(nested, at, row, inside),
        minor = arith::RemUIOp::create(nested, at, row, inside);
  return headsInside ? Place{minor, major} : Place{major, minor};
}

Value AttentionTiles::getPackedRow(const Place &place) {
  return headsInside ? add(mul(place.query, packedHeads), place.head)
                     : add(mul(place.head, packedQueries), place.query);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

TileRows AttentionTiles::getKeyRows(Value first, const KeyTiles &range) {
  return getRows(op.getKey(), op.getKeyMap(), first, range);
}
TileRows AttentionTiles::getValueRows(Value first, const KeyTiles &range) {
  TileRows rows = getRows(op.getValue(), op.getValueMap(), first, range);
  if (seenKeys)
    rows.where = sliceSeenKeys(sub(first, rows.row));
  return rows;
}

/// Of a view of pages: a page that is not there, and rows past the length, are
/// zeros.
TileRows AttentionTiles::getRows(Value operand, AffineMap map, Value first,
                                 const KeyTiles &range) {
  auto view = operand.getDefiningOp<CacheViewOp>();
  if (!view)
    return {slice(operand, map, keyHead, AttentionOp::M), first, range.firstKey,
            range.lastKey, Value()};
  auto load = [&](Value buffer, ValueRange indices) -> Value {
    Value loaded = memref::LoadOp::create(b, loc, buffer, indices);
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), loaded);
  };
  int64_t pageSize = getPageSize(view);
  Value row = arith::RemUIOp::create(b, loc, first, index(pageSize));
  Value page = load(view.getTable(), {batch, floorDiv(first, pageSize)});
  Value numPages = memref::DimOp::create(b, loc, view.getPages(), 0);
  Value exists =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, page, numPages);
  page = arith::SelectOp::create(b, loc, exists, page, index(0));
  Value start = sub(first, row);
  Value end = sub(min(range.lastKey, load(view.getLengths(), batch)), start);
  end = arith::SelectOp::create(b, loc, exists, end, index(0));

  auto type = cast<MemRefType>(view.getPages().getType());
  SmallVector<OpFoldResult> offsets = {page, keyHead, b.getIndexAttr(0),
                                       b.getIndexAttr(0)},
                            sizes = {b.getIndexAttr(1), b.getIndexAttr(1),
                                     b.getIndexAttr(pageSize),
                                     b.getIndexAttr(type.getDimSize(3))},
                            strides(4, b.getIndexAttr(1));
  MemRefType result = memref::SubViewOp::inferRankReducedResultType(
      {pageSize, type.getDimSize(3)}, type, offsets, sizes, strides);
  Value matrix = memref::SubViewOp::create(b, loc, result, view.getPages(),
                                           offsets, sizes, strides);
  return {matrix, row, sub(range.firstKey, start), end, Value()};
}

Value AttentionTiles::slice(Value operand, AffineMap map, Value headIndex,
                            AttentionOp::Dim tokens) {
  auto type = cast<MemRefType>(operand.getType());
  SmallVector<OpFoldResult> offsets, sizes,
      strides(type.getRank(), b.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim == AttentionOp::B || dim == AttentionOp::H) {
      offsets.push_back(dim == AttentionOp::B ? batch : headIndex);
      sizes.push_back(b.getIndexAttr(1));
      continue;
    }
    offsets.push_back(b.getIndexAttr(0));
    shape.push_back(type.getDimSize(position));
    if (!type.isDynamicDim(position))
      sizes.push_back(b.getIndexAttr(shape.back()));
    else
      sizes.push_back(dim == AttentionOp::N ? queries : keys);
  }
  MemRefType result = memref::SubViewOp::inferRankReducedResultType(
      shape, type, offsets, sizes, strides);
  return memref::SubViewOp::create(b, loc, result, operand, offsets, sizes,
                                   strides);
}

Value AttentionTiles::sliceQuery() {
  return slice(op.getQuery(), op.getQueryMap(), head, AttentionOp::N);
}
Value AttentionTiles::sliceOutput() {
  return slice(op.getOutput(), op.getOutputMap(), head, AttentionOp::N);
}

/// [heads, queries, channels] or [queries, heads, channels], without a
/// dimension of 1.
Value AttentionTiles::slicePackedQueries() {
  auto type = cast<MemRefType>(op.getQuery().getType());
  SmallVector<OpFoldResult> offsets, sizes, strides(4, b.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (AffineExpr expr : op.getQueryMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    int64_t size = dim == AttentionOp::B   ? 1
                   : dim == AttentionOp::H ? packedHeads
                   : dim == AttentionOp::N ? packedQueries
                                           : headSize;
    offsets.push_back(dim == AttentionOp::B   ? OpFoldResult(batch)
                      : dim == AttentionOp::H ? OpFoldResult(head)
                                              : b.getIndexAttr(0));
    sizes.push_back(b.getIndexAttr(size));
    if (size != 1)
      shape.push_back(size);
  }
  if (shape.size() == 1)
    shape.insert(shape.begin(), 1);
  MemRefType result = memref::SubViewOp::inferRankReducedResultType(
      shape, type, offsets, sizes, strides);
  return memref::SubViewOp::create(b, loc, result, op.getQuery(), offsets,
                                   sizes, strides);
}

Value AttentionTiles::sliceRows(Value operand, Value headIndex) {
  auto type = cast<MemRefType>(operand.getType());
  int64_t size = type.getDimSize(2);
  SmallVector<OpFoldResult> offsets = {batch, headIndex, b.getIndexAttr(0)},
                            sizes(2, b.getIndexAttr(1)),
                            strides(3, b.getIndexAttr(1));
  sizes.push_back(type.isDynamicDim(2) ? OpFoldResult(queries)
                                       : b.getIndexAttr(size));
  MemRefType result = memref::SubViewOp::inferRankReducedResultType(
      size, type, offsets, sizes, strides);
  return memref::SubViewOp::create(b, loc, result, operand, offsets, sizes,
                                   strides);
}
