//===- TileAttentionAMX.cpp - Attention to blocks on the matrix unit ------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops are those of repo-tile-attention; what differs is the form of the
// operands. Keys and values of some heads at a time are packed to panels of
// bf16, the block of queries is scaled and rounded. Rotation and scale are in
// f32, before that one rounding. Blocks start at multiples of 32 keys.
//
//===----------------------------------------------------------------------===//

#include "AttentionTiling.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_TILEATTENTIONAMX
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

/// Keys of a row of weights, and rows that a task packs.
static constexpr int64_t keyTile = 32, packedRows = 32;

namespace {
class MatrixUnitTiler : AttentionTiling {
public:
  MatrixUnitTiler(RewriterBase &rewriter, AttentionOp op)
      : AttentionTiling(rewriter, op), strategy(op.getStrategyAttr()),
        bf16(rewriter.getBF16Type()) {}

  void run();

private:
  using Sizes = SmallVector<OpFoldResult>;

  OpFoldResult attr(int64_t value) { return b.getIndexAttr(value); }
  Sizes attrs(ArrayRef<int64_t> values) {
    return getAsIndexOpFoldResult(b.getContext(), values);
  }
  Sizes ones(size_t count) { return Sizes(count, attr(1)); }
  /// Rows of a head as a matrix of bf16 [size, width], times `factor`; zeros
  /// past `count` rows and past the row's end.
  Value shortRows(const HeadRows &rows, Value start, Value count, int64_t size,
                  int64_t width, double factor);
  /// Panels of a matrix: its rows are the columns of keys, the products of
  /// values.
  Value panels(Value matrix, bool rowsAreColumns);
  /// The keys and values of heads [firstHead, + headCount) in panels.
  void pack(Value batch, Value firstHead, Value headCount);
  ValueRange blocks(ValueRange outputs, Value batch, Value firstHead,
                    Value headCount);
  void block(Value tile, ValueRange destinations, Operation *end);
  /// Panels [1, 1, ...] of the packed tensor as [...].
  Value slicePanels(Value packed, int64_t columns, int64_t products,
                    Value column, Value product);
  SmallVector<Value> loop(Value from, Value to, int64_t size, ValueRange state,
                          bool masked);
  SmallVector<Value> step(Value at, Value to, int64_t size, ValueRange state,
                          bool masked);

  AttentionStrategyAttr strategy;
  Type bf16;
  int64_t headWidth = 0, valueWidth = 0; // multiples of a tile
  Value packedKeys, packedValues;
  Value batch, head, localHead; // of this task
  Value firstQuery, queryCount, position, end;
  Value rows; // the block of queries, [N, D]
};
} // namespace

Value MatrixUnitTiler::shortRows(const HeadRows &rows, Value start, Value count,
                                 int64_t size, int64_t width, double factor) {
  OpFoldResult number_ = getAsOpFoldResult(count);
  Value prepared = preparedRows(rows, start, number_);
  Sizes extent = {attr(1), attr(1), number_, attr(rows.width)};
  Value padded = tensor::InsertSliceOp::create(
      b, loc, prepared, filled({1, 1, size, width}, 0.0), attrs({0, 0, 0, 0}),
      extent, ones(4));
  Value matrix = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({size, width}, f32), padded,
      attrs({0, 0, 0, 0}), attrs({1, 1, size, width}), ones(4));
  Value target =
      tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{size, width}, bf16);
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(2));
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, target.getType(), matrix, target, maps, parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               Value x = args[0];
               if (factor != 1)
                 x = arith::MulFOp::create(
                     nested, loc, x,
                     arith::ConstantOp::create(nested, loc,
                                               nested.getF32FloatAttr(factor)));
               x = arith::TruncFOp::create(nested, loc, bf16, x);
               linalg::YieldOp::create(nested, loc, x);
             })
      .getResult(0);
}

Value MatrixUnitTiler::panels(Value matrix, bool rowsAreColumns) {
  auto type = cast<RankedTensorType>(matrix.getType());
  int64_t column = rowsAreColumns ? 0 : 1;
  SmallVector<int64_t> positions = {column, 1 - column}, order;
  if (!rowsAreColumns)
    order = {1, 0};
  Value empty = tensor::EmptyOp::create(
      b, loc,
      ArrayRef<int64_t>{type.getDimSize(column) / 16,
                        type.getDimSize(1 - column) / 2, 16, 2},
      bf16);
  return linalg::PackOp::create(b, loc, matrix, empty, positions,
                                attrs({16, 2}), std::nullopt, order)
      .getResult();
}

void MatrixUnitTiler::pack(Value batch, Value firstHead, Value headCount) {
  // The last block may reach past the keys.
  Value tiles = index.ceilDiv(
      index.add(keys, index.index(strategy.getEdgeBlock())), packedRows);
  Value count = index.mul(tiles, packedRows);
  auto empty = [&](OpFoldResult columns, OpFoldResult products) -> Value {
    return tensor::EmptyOp::create(
        b, loc, Sizes{attr(1), headCount, columns, products, attr(16), attr(2)},
        bf16);
  };
  SmallVector<Value> buffers = {
      empty(index.floorDiv(count, 16), attr(headWidth / 2)),
      empty(attr(valueWidth / 16), index.floorDiv(count, 2))};
  Value existing = keysThatExist(batch);
  auto forall = scf::ForallOp::create(b, loc, Sizes{headCount, tiles}, buffers,
                                      std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value local = forall.getInductionVar(0);
  Value head = index.add(firstHead, local);
  Value row = index.mul(forall.getInductionVar(1), packedRows);
  // Rows past the lengths may hold anything: they are zeros.
  Value start = index.min(row, existing);
  Value rowCount =
      index.min(index.index(packedRows), index.sub(existing, start));
  Value parts[] = {panels(shortRows({op.getKey(), op.getKeyMap(), batch, head,
                                     AttentionOp::M, headSize},
                                    start, rowCount, packedRows, headWidth, 1),
                          /*rowsAreColumns=*/true),
                   panels(shortRows({op.getValue(), op.getValueMap(), batch,
                                     head, AttentionOp::M, valueSize},
                                    start, rowCount, packedRows, valueWidth, 1),
                          /*rowsAreColumns=*/false)};
  Sizes offsets[] = {
      {attr(0), local, index.floorDiv(row, 16), attr(0), attr(0), attr(0)},
      {attr(0), local, attr(0), index.floorDiv(row, 2), attr(0), attr(0)}};
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  for (auto [part, offset, buffer] :
       llvm::zip(parts, offsets, forall.getRegionIterArgs())) {
    Sizes sizes = ones(2);
    llvm::append_range(
        sizes, attrs(cast<RankedTensorType>(part.getType()).getShape()));
    tensor::ParallelInsertSliceOp::create(b, loc, part, buffer, offset, sizes,
                                          ones(6));
  }
  packedKeys = forall.getResult(0);
  packedValues = forall.getResult(1);
}

Value MatrixUnitTiler::slicePanels(Value packed, int64_t columns,
                                   int64_t products, Value column,
                                   Value product) {
  auto type = RankedTensorType::get({columns / 16, products / 2, 16, 2}, bf16);
  auto place = [&](Value at, int64_t factor) {
    return at ? OpFoldResult(index.floorDiv(at, factor)) : attr(0);
  };
  return tensor::ExtractSliceOp::create(
      b, loc, type, packed,
      Sizes{attr(0), localHead, place(column, 16), place(product, 2), attr(0),
            attr(0)},
      attrs({1, 1, columns / 16, products / 2, 16, 2}), ones(6));
}

SmallVector<Value> MatrixUnitTiler::step(Value at, Value to, int64_t size,
                                         ValueRange state, bool masked) {
  // A block that is cut reaches past the end of its loop.
  Value count = index.min(index.index(size), index.sub(index.min(to, end), at));
  Value k = slicePanels(packedKeys, size, headWidth, at, Value());
  Value v = slicePanels(packedValues, valueWidth, size, Value(), at);
  DenseI64ArrayAttr band;
  Value offset, limit = masked ? count : Value();
  auto [left, right] = op.getBand();
  if (masked && (left >= 0 || right >= 0)) {
    band = b.getDenseI64ArrayAttr({left, right});
    offset = index.sub(position, at);
  }
  Value bias =
      biasBlock(batch, head, firstQuery, getAsOpFoldResult(queryCount),
                strategy.getQueryBlock(), at, count, size, /*whole=*/true);
  enum { N, M, D, E };
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(4, dims, b.getContext());
  };
  MLIRContext *context = b.getContext();
  ArrayAttr layouts = b.getAffineMapArrayAttr(
      {map({N, D}), OnlineAttentionOp::getKeyPanelMap(context),
       OnlineAttentionOp::getValuePanelMap(context), map({N, E})});
  // The queries are scaled, to base 2 where nothing is added to the products.
  double scale = op.getSoftcap() || bias ? 1 : llvm::numbers::ln2;
  auto block = OnlineAttentionOp::create(
      b, loc, state.getTypes(), rows, k, v, bias, /*mask=*/Value(), offset,
      limit, state[0], state[1], state[2], b.getF64FloatAttr(scale),
      op.getSoftcapAttr(), band, /*max_keys=*/IntegerAttr(), layouts);
  return SmallVector<Value>(block.getResults());
}

SmallVector<Value> MatrixUnitTiler::loop(Value from, Value to, int64_t size,
                                         ValueRange state, bool masked) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index.index(size), state,
      [&](OpBuilder &, Location loc, Value at, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(carried[0].getParentBlock());
        scf::YieldOp::create(b, loc, step(at, to, size, carried, masked));
      });
  return SmallVector<Value>(loop.getResults());
}

void MatrixUnitTiler::block(Value tile, ValueRange destinations,
                            Operation *terminator) {
  int64_t size = strategy.getQueryBlock(), keyBlock = strategy.getKeyBlock(),
          edgeBlock = strategy.getEdgeBlock();
  // As in repo-tile-attention: heavy blocks first, the one that is not full is
  // the first of the head.
  Value after = index.sub(queries, index.mul(tile, size));
  firstQuery = index.max(index.index(0), index.sub(after, index.index(size)));
  queryCount = index.sub(after, firstQuery);
  Value offset = op.getOffset() ? perBatch(op.getOffset(), batch)
                                : index.sub(keys, queries);
  position = index.add(offset, firstQuery);
  bool adds = op.getSoftcap() || op.getBias() || op.getMask();
  double factor = op.getScaleValue() * (adds ? 1 : llvm::numbers::log2e);
  rows = shortRows(
      {op.getQuery(), op.getQueryMap(), batch, head, AttentionOp::N, headSize},
      firstQuery, queryCount, size, headWidth, factor);

  SmallVector<Value> state = {
      filled({size, valueWidth}, 0.0),
      filled({size}, -std::numeric_limits<double>::infinity()),
      filled({size}, 0.0)};
  KeyRange range = keyRange(batch, position, queryCount, keyTile);
  end = range.hi;
  Value low = index.mul(index.floorDiv(range.lo, keyTile), keyTile);
  Value first = index.mul(index.ceilDiv(range.first, keyTile), keyTile);
  // What is left of the last whole block goes with those that are cut.
  Value left = index.max(index.index(0), index.sub(range.third, first));
  Value second =
      index.add(first, index.mul(index.floorDiv(left, keyBlock), keyBlock));
  if (op.getBand().first >= 0)
    state = loop(low, first, edgeBlock, state, /*masked=*/true);
  state = loop(first, second, keyBlock, state, /*masked=*/false);
  state = loop(second, range.hi, edgeBlock, state, /*masked=*/true);

  // Only rows that exist are written.
  OpFoldResult count = getAsOpFoldResult(queryCount);
  SmallVector<Value> results = {tensor::ExtractSliceOp::create(
      b, loc, finishedOutput(state), attrs({0, 0}),
      Sizes{count, attr(valueSize)}, ones(2))};
  if (op.getLse())
    results.push_back(tensor::ExtractSliceOp::create(
        b, loc, finishedLse(state), attrs({0}), Sizes{count}, ones(1)));
  b.setInsertionPointToStart(&terminator->getRegion(0).front());
  insertResults(results, destinations, batch, head, firstQuery, count);
}

ValueRange MatrixUnitTiler::blocks(ValueRange outputs, Value batch_,
                                   Value firstHead, Value headCount) {
  Value tiles = index.ceilDiv(queries, strategy.getQueryBlock());
  auto forall = scf::ForallOp::create(b, loc, Sizes{headCount, tiles}, outputs,
                                      std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  batch = batch_;
  head = index.add(firstHead, forall.getInductionVar(0));
  localHead = index.floorDiv(forall.getInductionVar(0), op.getGroupSize());
  block(forall.getInductionVar(1), forall.getRegionIterArgs(),
        forall.getTerminator());
  return forall.getResults();
}

void MatrixUnitTiler::run() {
  b.setInsertionPoint(op);
  readSizes();
  // The rows a task packs lie in one page, or the pages are gathered before.
  readsPages = true;
  readsPages = pageBlock(packedRows) == packedRows;
  headWidth = llvm::alignTo(headSize, 32);
  valueWidth = llvm::alignTo(valueSize, 16);
  Value zero = index.index(0), one = index.index(1);
  // As many heads are packed at a time as the strategy has room for.
  int64_t kvHeads = op.getNumKeyValueHeads();
  Value headBytes =
      index.max(one, index.mul(keys, 2 * (headWidth + valueWidth)));
  Value step = index.floorDiv(index.index(strategy.getPackBytes()), headBytes);
  step = index.max(one, index.min(step, index.index(kvHeads)));
  auto loop = [&](Value to, Value step, ValueRange outputs, auto body) {
    auto loop = scf::ForOp::create(
        b, loc, zero, to, step, outputs,
        [&](OpBuilder &, Location loc, Value at, ValueRange carried) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(carried[0].getParentBlock());
          ValueRange next = body(at, carried);
          scf::YieldOp::create(b, loc, next);
        });
    return loop.getResults();
  };
  b.replaceOp(
      op, loop(batches, one, op.getOutputs(), [&](Value batch, ValueRange all) {
        return ValueRange(loop(
            index.index(kvHeads), step, all,
            [&](Value first, ValueRange outputs) {
              Value count =
                  index.min(step, index.sub(index.index(kvHeads), first));
              pack(batch, first, count);
              return blocks(outputs, batch, index.mul(first, op.getGroupSize()),
                            index.mul(count, op.getGroupSize()));
            }));
      }));
}

namespace {
struct TileAttentionAMX : repo::impl::TileAttentionAMXBase<TileAttentionAMX> {
  using TileAttentionAMXBase::TileAttentionAMXBase;
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) {
      AttentionStrategyAttr strategy = op.getStrategyAttr();
      if (strategy && strategy.getUnit() != Unit::vector &&
          whyNotTilable(op).empty())
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (AttentionOp op : ops) {
      Operation *producers[] = {op.getQuery().getDefiningOp(),
                                op.getKey().getDefiningOp(),
                                op.getValue().getDefiningOp()};
      MatrixUnitTiler(rewriter, op).run();
      eraseUnread(rewriter, producers);
      ++numTiled;
    }
  }
};
} // namespace
