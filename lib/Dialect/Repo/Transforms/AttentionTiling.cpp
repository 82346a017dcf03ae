//===- AttentionTiling.cpp - Pieces of loops around attention -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiling.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <limits>
#include <numeric>

using namespace mlir;
using namespace mlir::repo;

static constexpr double infinity = std::numeric_limits<double>::infinity();

static unsigned positionOf(AffineMap map, unsigned dim) {
  return *map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
}

Value AttentionTiling::empty(ArrayRef<int64_t> shape) {
  return tensor::EmptyOp::create(b, loc, shape, f32);
}

Value AttentionTiling::filled(ArrayRef<int64_t> shape, double value) {
  return linalg::FillOp::create(b, loc, number(value), empty(shape))
      .getResult(0);
}

void AttentionTiling::readSizes() {
  headSize = op.getHeadSize();
  valueSize = cast<ShapedType>(op.getValue().getType())
                  .getDimSize(positionOf(op.getValueMap(), AttentionOp::E));
  batches = toValue(op.getDimSize(b, loc, AttentionOp::B));
  queries = toValue(op.getDimSize(b, loc, AttentionOp::N));
  // Of a paged cache by its table: nothing then needs the view as a whole.
  OpFoldResult rows;
  for (auto [tensor, map] : {std::pair(op.getKey(), op.getKeyMap()),
                             {op.getValue(), op.getValueMap()}}) {
    auto view = tensor.getDefiningOp<CacheViewOp>();
    ReifiedRankedShapedTypeDims shapes;
    if (!rows && view && succeeded(view.reifyResultShapes(b, shapes)))
      rows = shapes[0][positionOf(map, AttentionOp::M)];
  }
  if (!rows)
    rows = op.getDimSize(b, loc, AttentionOp::M);
  keys = toValue(rows);
}

Value AttentionTiling::perBatch(Value value, Value batch) {
  if (value.getType().isIndex())
    return value;
  return index.toIndex(tensor::ExtractOp::create(b, loc, value, batch));
}

Value AttentionTiling::keysThatExist(Value batch) {
  if (!op.getLengths())
    return keys;
  return index.max(index.index(0),
                   index.min(keys, perBatch(op.getLengths(), batch)));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

CacheViewOp AttentionTiling::getPages(Value tensor) {
  auto view = tensor.getDefiningOp<CacheViewOp>();
  // Rows past the lengths would be zeros: they must not be visible.
  if (!view || !readsPages || view.getLengths() != op.getLengths())
    return {};
  AffineMap map = tensor == op.getKey() ? op.getKeyMap() : op.getValueMap();
  unsigned order[] = {AttentionOp::B, AttentionOp::H, AttentionOp::M};
  for (auto [position, dim] : llvm::enumerate(order))
    if (positionOf(map, dim) != position)
      return {};
  return view;
}

int64_t AttentionTiling::pageBlock(int64_t most) {
  int64_t size = 0;
  for (Value rows : {op.getKey(), op.getValue()})
    if (CacheViewOp view = getPages(rows))
      size = std::gcd(size, view.getPages().getType().getDimSize(2));
  if (!size)
    return most;
  int64_t block = std::min(most, size);
  while (size % block)
    --block;
  return block;
}

HeadRows AttentionTiling::inPage(CacheViewOp view, const HeadRows &rows,
                                 Value &start) {
  Value table = view.getTable(), pages = view.getPages();
  int64_t size = view.getPages().getType().getDimSize(2);
  auto sizeOf = [&](Value tensor, int64_t dim) {
    return toValue(tensor::getMixedSize(b, loc, tensor, dim));
  };
  // Nothing outside the table and the pages is touched, whatever is in them.
  Value last = index.sub(sizeOf(table, 1), index.index(1));
  Value entry = index.min(index.floorDiv(start, size), last);
  Value page = index.toIndex(
      tensor::ExtractOp::create(b, loc, table, ValueRange{rows.batch, entry}));
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, page,
                                       sizeOf(pages, 0));
  HeadRows result = rows;
  result.tensor = pages;
  result.batch = arith::SelectOp::create(b, loc, exists, page, index.index(0));
  start = arith::RemUIOp::create(b, loc, start, index.index(size));
  return result;
}

Value AttentionTiling::slice(const HeadRows &rows, Value start,
                             OpFoldResult count) {
  if (CacheViewOp view = getPages(rows.tensor))
    return slice(inPage(view, rows, start), start, count);
  SmallVector<OpFoldResult> offsets, sizes,
      strides(4, OpFoldResult(b.getIndexAttr(1)));
  SmallVector<int64_t> shape;
  for (AffineExpr expr : rows.map.getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim == AttentionOp::B || dim == AttentionOp::H) {
      offsets.push_back(dim == AttentionOp::B ? rows.batch : rows.head);
      sizes.push_back(b.getIndexAttr(1));
      continue;
    }
    bool isRows = dim == rows.rowDim;
    offsets.push_back(isRows ? OpFoldResult(start) : b.getIndexAttr(0));
    sizes.push_back(isRows ? count : b.getIndexAttr(rows.width));
    shape.push_back(
        getConstantIntValue(sizes.back()).value_or(ShapedType::kDynamic));
  }
  auto type = RankedTensorType::get(
      shape, cast<RankedTensorType>(rows.tensor.getType()).getElementType());
  return tensor::ExtractSliceOp::create(b, loc, type, rows.tensor, offsets,
                                        sizes, strides);
}

Value AttentionTiling::preparedRows(const HeadRows &rows, Value start,
                                    OpFoldResult count) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  auto rotation = rows.tensor.getDefiningOp<RotateOp>();
  HeadRows source = rows;
  if (rotation)
    source.tensor = rotation.getInput();
  Value matrix = slice(source, start, count);
  auto type = cast<RankedTensorType>(matrix.getType());
  bool rowsFirst =
      rows.rowDim == AttentionOp::M || positionOf(rows.map, AttentionOp::N) <
                                           positionOf(rows.map, AttentionOp::D);
  int64_t staticCount =
      getConstantIntValue(count).value_or(ShapedType::kDynamic);
  SmallVector<OpFoldResult> sizes = {one, one, count,
                                     b.getIndexAttr(rows.width)};
  if (!rotation || !rowsFirst) {
    // Extended, with the rows first.
    AffineExpr n = b.getAffineDimExpr(2), d = b.getAffineDimExpr(3);
    AffineMap in = AffineMap::get(4, 0,
                                  rowsFirst ? ArrayRef<AffineExpr>{n, d}
                                            : ArrayRef<AffineExpr>{d, n},
                                  b.getContext());
    SmallVector<utils::IteratorType> parallel(4, utils::IteratorType::parallel);
    Value target = tensor::EmptyOp::create(b, loc, sizes, f32);
    matrix = linalg::GenericOp::create(
                 b, loc, target.getType(), matrix, target,
                 ArrayRef<AffineMap>{in, b.getMultiDimIdentityMap(4)}, parallel,
                 [&](OpBuilder &nested, Location loc, ValueRange args) {
                   Value x = args[0];
                   if (x.getType() != f32)
                     x = arith::ExtFOp::create(nested, loc, f32, x);
                   linalg::YieldOp::create(nested, loc, x);
                 })
                 .getResult(0);
    if (!rotation)
      return matrix;
  } else {
    auto four = RankedTensorType::get({1, 1, staticCount, rows.width},
                                      type.getElementType());
    SmallVector<ReassociationIndices> groups = {{0, 1, 2}, {3}};
    matrix = tensor::ExpandShapeOp::create(b, loc, four, matrix, groups, sizes);
  }
  // Row n of head h turns by z[b, h, n]; positions may be shared by the heads.
  Value positions = rotation.getPositions();
  auto positionsType = cast<RankedTensorType>(positions.getType());
  OpFoldResult head =
      positionsType.getDimSize(1) == 1 ? zero : OpFoldResult(rows.head);
  Value z = tensor::ExtractSliceOp::create(
      b, loc,
      RankedTensorType::get({1, 1, staticCount},
                            positionsType.getElementType()),
      positions, ArrayRef<OpFoldResult>{rows.batch, head, start},
      ArrayRef<OpFoldResult>{one, one, count},
      ArrayRef<OpFoldResult>{one, one, one});
  Value omega = rotation.getOmega();
  if (omega && cast<RankedTensorType>(omega.getType()).getRank() == 2) {
    int64_t pairs = cast<RankedTensorType>(omega.getType()).getDimSize(1);
    omega = tensor::ExtractSliceOp::create(
        b, loc, RankedTensorType::get({1, pairs}, f32), omega,
        ArrayRef<OpFoldResult>{rows.head, zero},
        ArrayRef<OpFoldResult>{one, b.getIndexAttr(pairs)},
        ArrayRef<OpFoldResult>{one, one});
  }
  return RotateOp::create(
      b, loc, RankedTensorType::get({1, 1, staticCount, rows.width}, f32),
      matrix, z, omega, rotation.getRopeAttr(), AffineMapAttr());
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

KeyRange AttentionTiling::keyRange(Value batch, Value position, Value count,
                                   int64_t tile) {
  Value zero = index.index(0), end = keysThatExist(batch);
  auto [left, right] = op.getBand();
  Value last = index.add(position, index.sub(count, index.index(1)));
  KeyRange range;
  range.lo = zero;
  range.hi = end;
  Value allFrom = zero, allTo = end;
  // Huge bounds are none: they would overflow.
  constexpr int64_t unbounded = int64_t(1) << 40;
  if (left >= 0 && left < unbounded) {
    range.lo = index.max(zero, index.sub(position, index.index(left)));
    allFrom = index.max(range.lo, index.sub(last, index.index(left)));
  }
  if (right >= 0 && right < unbounded) {
    range.hi = index.min(end, index.add(last, index.index(right + 1)));
    allTo = index.min(range.hi, index.add(position, index.index(right + 1)));
  }
  range.hi = index.max(range.lo, range.hi);
  // Both ends of what all see move inwards to whole register tiles.
  Value cut =
      index.ceilDiv(index.sub(index.max(allFrom, range.lo), range.lo), tile);
  range.first = index.min(range.hi, index.add(range.lo, index.mul(cut, tile)));
  Value whole =
      index.floorDiv(index.max(zero, index.sub(allTo, range.first)), tile);
  range.third = index.add(range.first, index.mul(whole, tile));
  return range;
}

Value AttentionTiling::biasBlock(Value batch, Value head, Value query,
                                 OpFoldResult count, int64_t rows, Value key,
                                 OpFoldResult keyCount, int64_t mostKeys,
                                 bool whole) {
  if (!op.getBias() && !op.getMask())
    return Value();
  Value block = filled({rows, mostKeys}, 0.0);
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  SmallVector<OpFoldResult> sizes = {count, keyCount};
  Value target = tensor::ExtractSliceOp::create(b, loc, block, {zero, zero},
                                                sizes, {one, one});
  SmallVector<Value> ins;
  SmallVector<AffineMap> maps;
  for (Value operand : {Value(op.getBias()), Value(op.getMask())}) {
    if (!operand)
      continue;
    auto type = cast<RankedTensorType>(operand.getType());
    Value starts[] = {batch, head, query, key};
    OpFoldResult counts[] = {one, one, sizes[0], sizes[1]};
    SmallVector<OpFoldResult> offsets, extents, strides(4, one);
    SmallVector<int64_t> shape;
    SmallVector<AffineExpr> results;
    for (int64_t dim = 0; dim < 4; ++dim) {
      bool shared = type.getDimSize(dim) == 1;
      offsets.push_back(shared ? zero : OpFoldResult(starts[dim]));
      extents.push_back(shared ? one : counts[dim]);
      if (dim < 2)
        continue;
      shape.push_back(
          getConstantIntValue(extents.back()).value_or(ShapedType::kDynamic));
      results.push_back(shared ? b.getAffineConstantExpr(0)
                               : b.getAffineDimExpr(dim - 2));
    }
    ins.push_back(tensor::ExtractSliceOp::create(
        b, loc, RankedTensorType::get(shape, type.getElementType()), operand,
        offsets, extents, strides));
    maps.push_back(AffineMap::get(2, 0, results, b.getContext()));
  }
  maps.push_back(b.getMultiDimIdentityMap(2));
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  Value filledIn =
      linalg::GenericOp::create(
          b, loc, target.getType(), ins, target, maps, parallel,
          [&](OpBuilder &nested, Location loc, ValueRange args) {
            Value term;
            if (op.getBias()) {
              term = args[0];
              if (term.getType() != f32)
                term = arith::ExtFOp::create(nested, loc, f32, term);
            } else {
              term = arith::ConstantOp::create(nested, loc,
                                               nested.getF32FloatAttr(0));
            }
            if (op.getMask()) {
              Value hidden = arith::ConstantOp::create(
                  nested, loc, nested.getF32FloatAttr(-infinity));
              term = arith::SelectOp::create(nested, loc, args[ins.size() - 1],
                                             term, hidden);
            }
            linalg::YieldOp::create(nested, loc, term);
          })
          .getResult(0);
  block = tensor::InsertSliceOp::create(b, loc, filledIn, block, {zero, zero},
                                        sizes, {one, one});
  if (whole)
    return block;
  return tensor::ExtractSliceOp::create(b, loc, block, {zero, zero},
                                        {b.getIndexAttr(rows), keyCount},
                                        {one, one});
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

Value AttentionTiling::finishedOutput(ValueRange state, Value target) {
  Type element = getElementTypeOrSelf(op.getOutput());
  if (!target)
    target = tensor::EmptyOp::create(
        b, loc, cast<ShapedType>(state[0].getType()).getShape(), element);
  AffineMap rows = AffineMap::get(2, 0, b.getAffineDimExpr(0));
  AffineMap identity = b.getMultiDimIdentityMap(2);
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, target.getType(), ValueRange{state[0], state[2]}, target,
             ArrayRef<AffineMap>{identity, rows, identity}, parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               Value zero = arith::ConstantOp::create(
                   nested, loc, nested.getF32FloatAttr(0));
               Value none = arith::CmpFOp::create(
                   nested, loc, arith::CmpFPredicate::OEQ, args[1], zero);
               // One division a row, not one an element.
               Value one = arith::ConstantOp::create(nested, loc,
                                                     nested.getF32FloatAttr(1));
               Value inverse = arith::DivFOp::create(nested, loc, one, args[1]);
               Value ratio =
                   arith::MulFOp::create(nested, loc, args[0], inverse);
               Value result =
                   arith::SelectOp::create(nested, loc, none, zero, ratio);
               if (element != f32)
                 result = arith::TruncFOp::create(nested, loc, element, result);
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

Value AttentionTiling::finishedLse(ValueRange state) {
  Value target = empty(cast<ShapedType>(state[1].getType()).getShape());
  SmallVector<AffineMap> maps(3, b.getMultiDimIdentityMap(1));
  SmallVector<utils::IteratorType> parallel(1, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, target.getType(), ValueRange{state[1], state[2]}, target,
             maps, parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               auto constant = [&](double value) -> Value {
                 return arith::ConstantOp::create(
                     nested, loc, nested.getF32FloatAttr(value));
               };
               Value log = math::LogOp::create(nested, loc, args[1]);
               Value max = arith::MulFOp::create(nested, loc, args[0],
                                                 constant(0.69314718055994531));
               Value sum = arith::AddFOp::create(nested, loc, max, log);
               Value none =
                   arith::CmpFOp::create(nested, loc, arith::CmpFPredicate::OEQ,
                                         args[1], constant(0));
               Value result = arith::SelectOp::create(nested, loc, none,
                                                      constant(-infinity), sum);
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

std::pair<SmallVector<OpFoldResult>, SmallVector<OpFoldResult>>
AttentionTiling::outputSlice(Value batch, Value head, Value query,
                             OpFoldResult count) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets, sizes;
  for (AffineExpr expr : op.getOutputMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    offsets.push_back(dim == AttentionOp::B   ? OpFoldResult(batch)
                      : dim == AttentionOp::H ? OpFoldResult(head)
                      : dim == AttentionOp::N ? OpFoldResult(query)
                                              : zero);
    sizes.push_back(dim == AttentionOp::N   ? count
                    : dim == AttentionOp::E ? b.getIndexAttr(valueSize)
                                            : one);
  }
  return {offsets, sizes};
}

Value AttentionTiling::outputRows(Value output, Value batch, Value head,
                                  Value query, OpFoldResult count) {
  auto [offsets, sizes] = outputSlice(batch, head, query, count);
  SmallVector<OpFoldResult> strides(4, b.getIndexAttr(1));
  auto type = RankedTensorType::get(
      {getConstantIntValue(count).value_or(ShapedType::kDynamic), valueSize},
      getElementTypeOrSelf(output));
  return tensor::ExtractSliceOp::create(b, loc, type, output, offsets, sizes,
                                        strides);
}

void AttentionTiling::insertResults(ValueRange results, ValueRange destinations,
                                    Value batch, Value head, Value query,
                                    OpFoldResult count) {
  OpFoldResult one = b.getIndexAttr(1);
  auto [offsets, sizes] = outputSlice(batch, head, query, count);
  SmallVector<OpFoldResult> strides(4, one);
  tensor::ParallelInsertSliceOp::create(b, loc, results[0], destinations[0],
                                        offsets, sizes, strides);
  if (results.size() > 1)
    tensor::ParallelInsertSliceOp::create(
        b, loc, results[1], destinations[1],
        ArrayRef<OpFoldResult>{batch, head, query},
        ArrayRef<OpFoldResult>{one, one, count},
        ArrayRef<OpFoldResult>{one, one, one});
}

StringRef mlir::repo::whyNotTilable(AttentionOp op) {
  if (op->getNumResults() == 0)
    return "it is on buffers";
  if (!op.getComputeType().isF32())
    return "its arithmetic is not f32";
  if (op.getQueryPositions() || op.getKeyPositions())
    return "its rotation is not split off";
  auto before = [&](AffineMap map, unsigned first, unsigned second) {
    return *map.getResultPosition(getAffineDimExpr(first, op.getContext())) <
           *map.getResultPosition(getAffineDimExpr(second, op.getContext()));
  };
  auto position = *op.getValueMap().getResultPosition(
      getAffineDimExpr(AttentionOp::E, op.getContext()));
  if (cast<ShapedType>(op.getValue().getType()).isDynamicDim(position))
    return "the size of its values is not static";
  if (!before(op.getKeyMap(), AttentionOp::M, AttentionOp::D) ||
      !before(op.getValueMap(), AttentionOp::M, AttentionOp::E) ||
      !before(op.getOutputMap(), AttentionOp::N, AttentionOp::E))
    return "its layouts have channels before rows";
  return "";
}

void mlir::repo::eraseUnread(RewriterBase &rewriter,
                             ArrayRef<Operation *> producers) {
  llvm::SmallPtrSet<Operation *, 4> seen;
  for (Operation *producer : producers)
    if (isa_and_nonnull<RotateOp, CacheViewOp>(producer) &&
        seen.insert(producer).second && producer->use_empty())
      rewriter.eraseOp(producer);
}
