//===- TileAttention.cpp - Attention to blocks ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionTiling.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include <limits>

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_TILEATTENTION
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Keys of a register tile: unmasked loops end at multiples of it.
constexpr int64_t keyTile = 8;
/// Rows of keys and values that one task packs.
constexpr int64_t mostPackedRows = 64;

/// A part of a tensor that a loop over tiles reads and writes; of all of it
/// where there is no `type`.
struct Slice {
  RankedTensorType type;
  SmallVector<OpFoldResult> offsets, sizes, strides;

  Value extract(OpBuilder &b, Location loc, Value whole) const {
    return type ? tensor::ExtractSliceOp::create(b, loc, type, whole, offsets,
                                                 sizes, strides)
                      .getResult()
                : whole;
  }
  Value insert(OpBuilder &b, Location loc, Value part, Value whole) const {
    return type ? tensor::InsertSliceOp::create(b, loc, part, whole, offsets,
                                                sizes, strides)
                      .getResult()
                : part;
  }
};

/// Builds the loops of one attention op.
class AttentionTiler : AttentionTiling {
public:
  AttentionTiler(RewriterBase &rewriter, AttentionOp op,
                 AttentionStrategyAttr strategy)
      : AttentionTiling(rewriter, op), strategy(strategy) {}

  void run();

private:
  bool packsKeys() {
    return op.getKey().getDefiningOp<RotateOp>() || getPages(op.getKey()) ||
           !getElementTypeOrSelf(op.getKey()).isF32();
  }
  /// Values also go where keys go: there their rows begin at cache lines, while
  /// vectors of a caller's rows may each touch two.
  bool packsValues() {
    return packsKeys() || getPages(op.getValue()) ||
           !getElementTypeOrSelf(op.getValue()).isF32();
  }
  /// Packs `headCount` heads from `firstHead` on: f32, keys rotated, row after
  /// row, pages one after another. Null for what stays where it is.
  std::pair<Value, Value> pack(Value batch, Value firstHead, Value headCount);
  /// The parallel loop over query heads [firstHead, + headCount) of batches
  /// [firstBatch, + batchCount).
  ValueRange blocks(ValueRange outputs, Value firstBatch, Value batchCount,
                    Value firstHead, Value headCount);
  void block(Value tile, Value tiles, ValueRange destinations, Operation *end);

  /// Some queries of a block, and where the first stands among the keys.
  struct Queries {
    Value start; // in the block
    Value first, count, position;
  };
  int64_t queryTile() {
    int64_t tile = strategy.getQueryTile();
    return tile ? tile : strategy.getQueryBlock();
  }
  /// Goes over the tiles of the block, which change `state`.
  SmallVector<Value>
  eachTile(ValueRange state,
           function_ref<SmallVector<Value>(const Queries &, ValueRange)> body);
  /// Queries as [D, N], zeros where there is none.
  Value transposedQueries(const Queries &tile, Value target);
  /// The part of a tensor of the block, [N, ...], that belongs to a tile.
  Slice rowsOf(const Queries &tile, Value tensor);
  /// The same of the transposed queries.
  Slice transposedOf(const Queries &tile);
  /// One block of keys, [from, to), against a tile.
  SmallVector<Value> step(const Queries &tile, Value from, Value to,
                          int64_t size, ValueRange state, bool masked);
  SmallVector<Value> loop(Value from, Value to, int64_t size, ValueRange state,
                          bool masked);

  AttentionStrategyAttr strategy;
  HeadRows query, key, value; // of the head at hand
  Value batch, head;          // of this task
  Queries all;                // of this block
  Value transposed;           // [D, N], or [tiles, D, N]
};
} // namespace

std::pair<Value, Value> AttentionTiler::pack(Value batch, Value firstHead,
                                             Value headCount) {
  SmallVector<Value> buffers;
  for (auto [packs, width] :
       {std::pair(packsKeys(), headSize), {packsValues(), valueSize}})
    if (packs)
      buffers.push_back(tensor::EmptyOp::create(
          b, loc,
          ArrayRef<OpFoldResult>{b.getIndexAttr(1), headCount, keys,
                                 b.getIndexAttr(width)},
          f32));
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  // Nobody sees what is past the last query's range.
  Value existing = keyRange(batch, firstPosition(batch), queries, 1).hi;
  int64_t packedRows = pageBlock(mostPackedRows);
  SmallVector<OpFoldResult> bounds = {headCount,
                                      index.ceilDiv(existing, packedRows)};
  auto forall = scf::ForallOp::create(b, loc, bounds, buffers, std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value local = forall.getInductionVar(0);
  Value head = index.add(firstHead, local);
  Value row = index.mul(forall.getInductionVar(1), packedRows);
  OpFoldResult count =
      index.min(index.index(packedRows), index.sub(existing, row));
  SmallVector<std::pair<Value, int64_t>> parts;
  if (packsKeys())
    parts.push_back({preparedRows({op.getKey(), op.getKeyMap(), batch, head,
                                   AttentionOp::M, headSize},
                                  row, count),
                     headSize});
  if (packsValues())
    parts.push_back({preparedRows({op.getValue(), op.getValueMap(), batch, head,
                                   AttentionOp::M, valueSize},
                                  row, count),
                     valueSize});
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  for (auto [part, buffer] : llvm::zip(parts, forall.getRegionIterArgs()))
    tensor::ParallelInsertSliceOp::create(
        b, loc, part.first, buffer,
        ArrayRef<OpFoldResult>{zero, local, row, zero},
        ArrayRef<OpFoldResult>{one, one, count, b.getIndexAttr(part.second)},
        ArrayRef<OpFoldResult>{one, one, one, one});
  ResultRange results = forall.getResults();
  return {packsKeys() ? results.front() : Value(),
          packsValues() ? results.back() : Value()};
}

SmallVector<Value> AttentionTiler::eachTile(
    ValueRange state,
    function_ref<SmallVector<Value>(const Queries &, ValueRange)> body) {
  int64_t size = queryTile();
  if (size == strategy.getQueryBlock())
    return body(all, state);
  auto loop = scf::ForOp::create(
      b, loc, index.index(0), all.count, index.index(size), state,
      [&](OpBuilder &, Location loc, Value start, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(start.getParentBlock());
        Queries tile = {
            start, index.add(all.first, start),
            index.min(index.index(size), index.sub(all.count, start)),
            index.add(all.position, start)};
        scf::YieldOp::create(b, loc, body(tile, carried));
      });
  return SmallVector<Value>(loop.getResults());
}

Slice AttentionTiler::rowsOf(const Queries &tile, Value tensor) {
  int64_t size = queryTile();
  if (size == strategy.getQueryBlock())
    return {};
  auto type = cast<RankedTensorType>(tensor.getType());
  Slice slice;
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = size;
  slice.type = type.clone(shape);
  for (int64_t width : slice.type.getShape()) {
    slice.offsets.push_back(b.getIndexAttr(0));
    slice.sizes.push_back(b.getIndexAttr(width));
    slice.strides.push_back(b.getIndexAttr(1));
  }
  slice.offsets[0] = tile.start;
  return slice;
}

Slice AttentionTiler::transposedOf(const Queries &tile) {
  int64_t size = queryTile();
  if (size == strategy.getQueryBlock())
    return {};
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  return {RankedTensorType::get({headSize, size}, f32),
          {index.floorDiv(tile.start, size), zero, zero},
          {one, b.getIndexAttr(headSize), b.getIndexAttr(size)},
          {one, one, one}};
}

Value AttentionTiler::transposedQueries(const Queries &tile, Value target) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult count = getAsOpFoldResult(tile.count);
  Value rows = preparedRows(query, tile.first, count);
  int64_t size = queryTile();
  Value padded = tensor::InsertSliceOp::create(
      b, loc, rows, filled({1, 1, size, headSize}, 0.0),
      ArrayRef<OpFoldResult>{zero, zero, zero, zero},
      ArrayRef<OpFoldResult>{one, one, count, b.getIndexAttr(headSize)},
      ArrayRef<OpFoldResult>{one, one, one, one});
  Value matrix = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({size, headSize}, f32), padded,
      ArrayRef<OpFoldResult>{zero, zero, zero, zero},
      ArrayRef<OpFoldResult>{one, one, b.getIndexAttr(size),
                             b.getIndexAttr(headSize)},
      ArrayRef<OpFoldResult>{one, one, one, one});
  return linalg::TransposeOp::create(b, loc, matrix, target,
                                     ArrayRef<int64_t>{1, 0})
      .getResult()[0];
}

SmallVector<Value> AttentionTiler::step(const Queries &tile, Value from,
                                        Value to, int64_t size,
                                        ValueRange state, bool masked) {
  Value count = index.sub(to, from);
  DenseI64ArrayAttr band;
  Value offset;
  auto [left, right] = op.getBand();
  if (masked && (left >= 0 || right >= 0)) {
    band = b.getDenseI64ArrayAttr({left, right});
    offset = index.sub(tile.position, from);
  }
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(4, dims, b.getContext());
  };
  enum { N, M, D, E };
  ArrayAttr layouts = b.getAffineMapArrayAttr(
      {map({D, N}), map({M, D}), map({M, E}), map({N, E})});
  Value bias = biasBlock(batch, head, tile.first, getAsOpFoldResult(tile.count),
                         queryTile(), from, count, size);
  SmallVector<Value> parts;
  for (Value tensor : state)
    parts.push_back(rowsOf(tile, tensor).extract(b, loc, tensor));
  auto block = OnlineAttentionOp::create(
      b, loc, TypeRange(ValueRange(parts)),
      transposedOf(tile).extract(b, loc, transposed), slice(key, from, count),
      slice(value, from, count), bias,
      /*mask=*/Value(), offset, /*limit=*/Value(), parts[0], parts[1], parts[2],
      b.getF64FloatAttr(op.getScaleValue()), op.getSoftcapAttr(), band,
      b.getI64IntegerAttr(size), layouts);
  SmallVector<Value> next;
  for (auto [tensor, part] : llvm::zip_equal(state, block.getResults()))
    next.push_back(rowsOf(tile, tensor).insert(b, loc, part, tensor));
  return next;
}

SmallVector<Value> AttentionTiler::loop(Value from, Value to, int64_t size,
                                        ValueRange state, bool masked) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index.index(size), state,
      [&](OpBuilder &, Location loc, Value at, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(carried[0].getParentBlock());
        Value end = index.min(index.add(at, index.index(size)), to);
        auto oneTile = [&](const Queries &tile, ValueRange state) {
          Value lo = at, hi = end;
          // Of a block that a mask cuts, the keys this tile sees.
          if (masked && queryTile() != strategy.getQueryBlock()) {
            KeyRange own = keyRange(batch, tile.position, tile.count, keyTile);
            lo = index.max(at, own.lo);
            hi = index.max(lo, index.min(end, own.hi));
          }
          return step(tile, lo, hi, size, state, masked);
        };
        scf::YieldOp::create(b, loc, eachTile(carried, oneTile));
      });
  return SmallVector<Value>(loop.getResults());
}

void AttentionTiler::block(Value tile, Value tiles, ValueRange destinations,
                           Operation *end) {
  int64_t size = strategy.getQueryBlock();
  // Later queries see more keys under a causal mask: heavy blocks come first,
  // and the block that is not full is the first of the head, the lightest.
  Value zero = index.index(0);
  Value after = index.sub(queries, index.mul(tile, size));
  all.start = zero;
  all.first = index.max(zero, index.sub(after, index.index(size)));
  all.count = index.sub(after, all.first);
  all.position = index.add(firstPosition(batch), all.first);
  SmallVector<int64_t> shape = {headSize, queryTile()};
  if (queryTile() != size)
    shape.insert(shape.begin(), size / queryTile());
  transposed =
      eachTile(empty(shape), [&](const Queries &tile, ValueRange queries) {
        Slice slice = transposedOf(tile);
        Value part = slice.extract(b, loc, queries[0]);
        part = transposedQueries(tile, part);
        return SmallVector<Value>{slice.insert(b, loc, part, queries[0])};
      })[0];

  SmallVector<Value> state = {
      filled({size, valueSize}, 0.0),
      filled({size}, -std::numeric_limits<double>::infinity()),
      filled({size}, 0.0)};
  KeyRange range = keyRange(batch, all.position, all.count, keyTile);
  int64_t keyBlock = strategy.getKeyBlock(),
          edgeBlock = strategy.getEdgeBlock();
  if (op.getBand().first >= 0)
    state = loop(range.lo, range.first, edgeBlock, state, /*masked=*/true);
  state = loop(range.first, range.third, keyBlock, state, /*masked=*/false);
  state = loop(range.third, range.hi, edgeBlock, state, /*masked=*/true);

  // Only rows that exist are written, straight to where they go.
  OpFoldResult start = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult count = getAsOpFoldResult(all.count);
  auto existing = [&](Value tensor) -> Value {
    SmallVector<OpFoldResult> offsets = {start}, sizes = {count},
                              strides = {one};
    if (cast<ShapedType>(tensor.getType()).getRank() == 2) {
      offsets.push_back(start);
      sizes.push_back(b.getIndexAttr(valueSize));
      strides.push_back(one);
    }
    return tensor::ExtractSliceOp::create(b, loc, tensor, offsets, sizes,
                                          strides);
  };
  SmallVector<Value> results = {finishedOutput(
      {existing(state[0]), state[1], existing(state[2])},
      outputRows(destinations[0], batch, head, all.first, count))};
  if (op.getLse())
    results.push_back(existing(finishedLse(state)));
  b.setInsertionPointToStart(&end->getRegion(0).front());
  insertResults(results, destinations, batch, head, all.first, count);
}

ValueRange AttentionTiler::blocks(ValueRange outputs, Value firstBatch,
                                  Value batchCount, Value firstHead,
                                  Value headCount) {
  Value tiles = index.ceilDiv(queries, strategy.getQueryBlock());
  SmallVector<OpFoldResult> bounds = {getAsOpFoldResult(batchCount),
                                      getAsOpFoldResult(headCount),
                                      getAsOpFoldResult(tiles)};
  auto forall = scf::ForallOp::create(b, loc, bounds, outputs, std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  batch = index.add(firstBatch, forall.getInductionVar(0));
  head = index.add(firstHead, forall.getInductionVar(1));
  query = {op.getQuery(), op.getQueryMap(), batch,
           head,          AttentionOp::N,   headSize};
  // Packed heads are counted from the first one packed.
  Value kvHead = index.floorDiv(head, op.getGroupSize());
  Value local = index.floorDiv(forall.getInductionVar(1), op.getGroupSize());
  auto packed = [&](HeadRows &rows, unsigned width) {
    rows.map = AffineMap::getMultiDimMapWithTargets(
        6, {AttentionOp::B, AttentionOp::H, AttentionOp::M, width},
        b.getContext());
    rows.batch = index.index(0);
    rows.head = local;
  };
  Value packedKeys = key.tensor, packedValues = value.tensor;
  key = {op.getKey(), op.getKeyMap(), batch, kvHead, AttentionOp::M, headSize};
  if (packedKeys) {
    packed(key, AttentionOp::D);
    key.tensor = packedKeys;
  }
  value = {op.getValue(), op.getValueMap(), batch,
           kvHead,        AttentionOp::M,   valueSize};
  if (packedValues) {
    packed(value, AttentionOp::E);
    value.tensor = packedValues;
  }
  block(forall.getInductionVar(2), tiles, forall.getRegionIterArgs(),
        forall.getTerminator());
  return forall.getResults();
}

void AttentionTiler::run() {
  b.setInsertionPoint(op);
  readSizes();
  readsPages = true;
  Value zero = index.index(0), one = index.index(1);
  if (!packsKeys() && !packsValues()) {
    b.replaceOp(op, blocks(op.getOutputs(), zero, batches, zero,
                           index.index(op.getNumQueryHeads())));
    return;
  }
  // As many heads are packed at a time as the strategy has room for.
  int64_t kvHeads = op.getNumKeyValueHeads();
  int64_t rowBytes = 4 * (packsKeys() * headSize + packsValues() * valueSize);
  Value headBytes = index.max(one, index.mul(keys, rowBytes));
  Value step = index.floorDiv(index.index(strategy.getPackBytes()), headBytes);
  step = index.max(one, index.min(step, index.index(kvHeads)));
  auto bodyOf = [&](auto build) {
    return [&, build](OpBuilder &, Location loc, Value at, ValueRange outputs) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(outputs[0].getParentBlock());
      SmallVector<Value> next = build(at, outputs);
      scf::YieldOp::create(b, loc, next);
    };
  };
  auto overHeads = [&](Value batch, ValueRange outputs) {
    return SmallVector<Value>(
        scf::ForOp::create(
            b, loc, zero, index.index(kvHeads), step, outputs,
            bodyOf([&](Value first, ValueRange outputs) {
              Value count =
                  index.min(step, index.sub(index.index(kvHeads), first));
              std::tie(key.tensor, value.tensor) = pack(batch, first, count);
              return SmallVector<Value>(blocks(
                  outputs, batch, one, index.mul(first, op.getGroupSize()),
                  index.mul(count, op.getGroupSize())));
            }))
            .getResults());
  };
  auto overBatches = scf::ForOp::create(b, loc, zero, batches, one,
                                        op.getOutputs(), bodyOf(overHeads));
  b.replaceOp(op, overBatches.getResults());
}

namespace {
struct TileAttention : repo::impl::TileAttentionBase<TileAttention> {
  using TileAttentionBase::TileAttentionBase;
  AttentionStrategyAttr getStrategy(AttentionOp op) {
    if (AttentionStrategyAttr strategy = op.getStrategyAttr())
      return strategy;
    return AttentionStrategyAttr::get(
        &getContext(), queryBlock, keyBlock, edgeBlock, Unit::vector, packBytes,
        /*split=*/0, /*splitQueries=*/0, queryTile);
  }
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) {
      StringRef reason = whyNotTilable(op);
      if (reason.empty())
        ops.push_back(op);
      else if (report)
        op.emitRemark("attention is not tiled: ") << reason;
    });
    IRRewriter rewriter(&getContext());
    for (AttentionOp op : ops) {
      Operation *producers[] = {op.getQuery().getDefiningOp(),
                                op.getKey().getDefiningOp(),
                                op.getValue().getDefiningOp()};
      AttentionTiler(rewriter, op, getStrategy(op)).run();
      eraseUnread(rewriter, producers);
      ++numTiled;
    }
  }
};
} // namespace
