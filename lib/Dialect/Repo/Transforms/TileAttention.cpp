//===- TileAttention.cpp - Attention to blocks ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"
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
/// The sizes of the blocks. Keys near the edge of what is visible come in
/// smaller blocks: what a mask hides there is computed in vain.
struct Blocks {
  int64_t queries, keys, edgeKeys;
};

/// The keys a block of queries sees, as bounds of its loops: [lo, first) and
/// [third, hi) are cut by a mask, every query sees all of [first, third). Of
/// these, [first, second) is whole blocks and [second, third) blocks of the
/// edge.
struct KeyRange {
  Value lo, first, second, third, hi;
};

/// Index arithmetic.
class Indices {
public:
  Indices(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return arith::MulIOp::create(b, loc, x, constant(y));
  }
  Value div(Value x, int64_t y) {
    return arith::DivUIOp::create(b, loc, x, constant(y));
  }
  Value ceilDiv(Value x, int64_t y) { return div(add(x, constant(y - 1)), y); }
  Value min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
  Value fromInt(Value x) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), x);
  }

private:
  OpBuilder &b;
  Location loc;
};

/// Builds the loops of one attention op.
class AttentionTiler {
public:
  AttentionTiler(RewriterBase &rewriter, AttentionOp op, Blocks blocks)
      : b(rewriter), loc(op.getLoc()), op(op), blocks(blocks),
        index(rewriter, loc), f32(rewriter.getF32Type()) {}

  void run();

private:
  Value toValue(OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  }
  Value number(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  }
  Value empty(ArrayRef<int64_t> shape) {
    return tensor::EmptyOp::create(b, loc, shape, f32);
  }
  Value filled(ArrayRef<int64_t> shape, double value) {
    return linalg::FillOp::create(b, loc, number(value), empty(shape))
        .getResult(0);
  }
  int64_t staticSize(Value value, AffineMap map, unsigned dim);

  /// The element of an i32 tensor [B], or the index itself.
  Value perBatch(Value value);
  /// Rows [start, start + count) of one head as a matrix, whose dimensions are
  /// in the order of `map`; `rows` is the dimension of the rows.
  Value headRows(Value tensor, AffineMap map, Value head, unsigned rows,
                 Value start, Value count, int64_t width);
  /// The same, padded with zeros to `size` rows.
  Value paddedRows(Value tensor, AffineMap map, Value head, unsigned rows,
                   Value start, Value count, int64_t width, int64_t size);
  Value transposedQueries();
  KeyRange keyRange();
  /// Bias and mask of a block of keys as one additive term, or null.
  Value biasBlock(Value key, Value count, int64_t size);
  SmallVector<Value> step(Value key, int64_t size, ValueRange state,
                          bool masked, Value hi);
  SmallVector<Value> loop(Value from, Value to, int64_t size, ValueRange state,
                          bool masked);
  Value finishedOutput(ValueRange state);
  Value finishedLse(ValueRange state);

  RewriterBase &b;
  Location loc;
  AttentionOp op;
  Blocks blocks;
  Indices index;
  Type f32;

  int64_t headSize = 0, valueSize = 0;
  Value keys;                             // M
  Value batch, head, kvHead;              // of this task
  Value firstQuery, queryCount, position; // of this block; position of query 0
  Value transposed;                       // the block of queries, [D, N]
};
} // namespace

int64_t AttentionTiler::staticSize(Value value, AffineMap map, unsigned dim) {
  auto position =
      *map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

Value AttentionTiler::perBatch(Value value) {
  if (value.getType().isIndex())
    return value;
  return index.fromInt(tensor::ExtractOp::create(b, loc, value, batch));
}

Value AttentionTiler::headRows(Value tensor, AffineMap map, Value heads,
                               unsigned rows, Value start, Value count,
                               int64_t width) {
  SmallVector<OpFoldResult> offsets, sizes,
      strides(4, OpFoldResult(b.getIndexAttr(1)));
  SmallVector<int64_t> shape;
  for (AffineExpr expr : map.getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim == AttentionOp::B || dim == AttentionOp::H) {
      offsets.push_back(dim == AttentionOp::B ? batch : heads);
      sizes.push_back(b.getIndexAttr(1));
      continue;
    }
    bool isRows = dim == rows;
    offsets.push_back(isRows ? OpFoldResult(start) : b.getIndexAttr(0));
    OpFoldResult size =
        isRows ? getAsOpFoldResult(count) : b.getIndexAttr(width);
    sizes.push_back(size);
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  }
  auto type = RankedTensorType::get(
      shape, cast<RankedTensorType>(tensor.getType()).getElementType());
  return tensor::ExtractSliceOp::create(b, loc, type, tensor, offsets, sizes,
                                        strides);
}

Value AttentionTiler::paddedRows(Value tensor, AffineMap map, Value heads,
                                 unsigned rows, Value start, Value count,
                                 int64_t width, int64_t size) {
  Value slice = headRows(tensor, map, heads, rows, start, count, width);
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  return tensor::InsertSliceOp::create(
      b, loc, slice, filled({size, width}, 0.0), {zero, zero},
      {getAsOpFoldResult(count), b.getIndexAttr(width)}, {one, one});
}

/// The queries of the block as [D, N], zeros where there is none.
Value AttentionTiler::transposedQueries() {
  AffineMap map = op.getQueryMap();
  Value slice = headRows(op.getQuery(), map, head, AttentionOp::N, firstQuery,
                         queryCount, headSize);
  Value zeros = filled({headSize, blocks.queries}, 0.0);
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  SmallVector<OpFoldResult> sizes = {b.getIndexAttr(headSize),
                                     getAsOpFoldResult(queryCount)};
  Value target = tensor::ExtractSliceOp::create(b, loc, zeros, {zero, zero},
                                                sizes, {one, one});
  // The slice is [N, D] or [D, N], as the layout of the queries has it.
  AffineExpr d = b.getAffineDimExpr(0), n = b.getAffineDimExpr(1);
  bool rowsFirst = *map.getResultPosition(b.getAffineDimExpr(AttentionOp::N)) <
                   *map.getResultPosition(b.getAffineDimExpr(AttentionOp::D));
  AffineMap in = AffineMap::get(
      2, 0, rowsFirst ? ArrayRef<AffineExpr>{n, d} : ArrayRef<AffineExpr>{d, n},
      b.getContext());
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  Value copied =
      linalg::GenericOp::create(
          b, loc, target.getType(), slice, target,
          ArrayRef<AffineMap>{in, b.getMultiDimIdentityMap(2)}, parallel,
          [&](OpBuilder &nested, Location loc, ValueRange args) {
            Value x = args[0];
            if (x.getType() != f32)
              x = arith::ExtFOp::create(nested, loc, f32, x);
            linalg::YieldOp::create(nested, loc, x);
          })
          .getResult(0);
  return tensor::InsertSliceOp::create(b, loc, copied, zeros, {zero, zero},
                                       sizes, {one, one});
}

KeyRange AttentionTiler::keyRange() {
  Value zero = index.constant(0);
  Value end = keys;
  if (op.getLengths())
    end = index.max(zero, index.min(keys, perBatch(op.getLengths())));
  auto [left, right] = op.getBand();
  Value last = index.add(position, index.sub(queryCount, index.constant(1)));
  KeyRange range;
  range.lo = zero;
  range.hi = end;
  Value allFrom = zero, allTo = end;
  // Huge bounds are none: they would overflow.
  constexpr int64_t unbounded = int64_t(1) << 40;
  if (left >= 0 && left < unbounded) {
    range.lo = index.max(zero, index.sub(position, index.constant(left)));
    allFrom = index.max(range.lo, index.sub(last, index.constant(left)));
  }
  if (right >= 0 && right < unbounded) {
    range.hi = index.min(end, index.add(last, index.constant(right + 1)));
    allTo = index.min(range.hi, index.add(position, index.constant(right + 1)));
  }
  range.hi = index.max(range.lo, range.hi);
  Value cut = index.ceilDiv(index.sub(index.max(allFrom, range.lo), range.lo),
                            blocks.edgeKeys);
  range.first =
      index.min(range.hi, index.add(range.lo, index.mul(cut, blocks.edgeKeys)));
  auto wholeBlocks = [&](Value from, int64_t size) {
    Value count = index.div(index.max(zero, index.sub(allTo, from)), size);
    return index.add(from, index.mul(count, size));
  };
  range.second = wholeBlocks(range.first, blocks.keys);
  range.third = wholeBlocks(range.second, blocks.edgeKeys);
  return range;
}

Value AttentionTiler::biasBlock(Value key, Value count, int64_t size) {
  if (!op.getBias() && !op.getMask())
    return Value();
  Value block = filled({blocks.queries, size}, 0.0);
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  SmallVector<OpFoldResult> sizes = {getAsOpFoldResult(queryCount),
                                     getAsOpFoldResult(count)};
  Value target = tensor::ExtractSliceOp::create(b, loc, block, {zero, zero},
                                                sizes, {one, one});
  SmallVector<Value> ins;
  SmallVector<AffineMap> maps;
  for (Value operand : {Value(op.getBias()), Value(op.getMask())}) {
    if (!operand)
      continue;
    auto type = cast<RankedTensorType>(operand.getType());
    Value starts[] = {batch, head, firstQuery, key};
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
                  nested, loc,
                  nested.getF32FloatAttr(
                      -std::numeric_limits<float>::infinity()));
              term = arith::SelectOp::create(nested, loc, args[ins.size() - 1],
                                             term, hidden);
            }
            linalg::YieldOp::create(nested, loc, term);
          })
          .getResult(0);
  return tensor::InsertSliceOp::create(b, loc, filledIn, block, {zero, zero},
                                       sizes, {one, one});
}

SmallVector<Value> AttentionTiler::step(Value key, int64_t size,
                                        ValueRange state, bool masked,
                                        Value hi) {
  Value count = index.constant(size);
  Value k, v, offset, limit;
  if (masked) {
    count = index.min(count, index.sub(hi, key));
    k = paddedRows(op.getKey(), op.getKeyMap(), kvHead, AttentionOp::M, key,
                   count, headSize, size);
    v = paddedRows(op.getValue(), op.getValueMap(), kvHead, AttentionOp::M, key,
                   count, valueSize, size);
    limit = count;
  } else {
    k = headRows(op.getKey(), op.getKeyMap(), kvHead, AttentionOp::M, key,
                 count, headSize);
    v = headRows(op.getValue(), op.getValueMap(), kvHead, AttentionOp::M, key,
                 count, valueSize);
  }
  DenseI64ArrayAttr band;
  auto [left, right] = op.getBand();
  if (masked && (left >= 0 || right >= 0)) {
    band = b.getDenseI64ArrayAttr({left, right});
    offset = index.sub(position, key);
  }
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(4, dims, b.getContext());
  };
  enum { N, M, D, E };
  ArrayAttr layouts = b.getAffineMapArrayAttr(
      {map({D, N}), map({M, D}), map({M, E}), map({N, E})});
  auto block = OnlineAttentionOp::create(
      b, loc, state.getTypes(), transposed, k, v, biasBlock(key, count, size),
      /*mask=*/Value(), offset, limit, state[0], state[1], state[2],
      b.getF64FloatAttr(op.getScaleValue()), op.getSoftcapAttr(), band,
      layouts);
  return SmallVector<Value>(block.getResults());
}

SmallVector<Value> AttentionTiler::loop(Value from, Value to, int64_t size,
                                        ValueRange state, bool masked) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, index.constant(size), state,
      [&](OpBuilder &, Location loc, Value key, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(carried[0].getParentBlock());
        SmallVector<Value> next = step(key, size, carried, masked, to);
        scf::YieldOp::create(b, loc, next);
      });
  return SmallVector<Value>(loop.getResults());
}

/// acc / sum, 0 for a query without keys, in the type of the output.
Value AttentionTiler::finishedOutput(ValueRange state) {
  Type element = getElementTypeOrSelf(op.getOutput());
  Value target = tensor::EmptyOp::create(
      b, loc, ArrayRef<int64_t>{blocks.queries, valueSize}, element);
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
               Value ratio =
                   arith::DivFOp::create(nested, loc, args[0], args[1]);
               Value result =
                   arith::SelectOp::create(nested, loc, none, zero, ratio);
               if (element != f32)
                 result = arith::TruncFOp::create(nested, loc, element, result);
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

/// (max + log2(sum)) * ln 2, -inf for a query without keys.
Value AttentionTiler::finishedLse(ValueRange state) {
  Value target = empty({blocks.queries});
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
               Value result = arith::SelectOp::create(
                   nested, loc, none,
                   constant(-std::numeric_limits<float>::infinity()), sum);
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

void AttentionTiler::run() {
  b.setInsertionPoint(op);
  headSize = op.getHeadSize();
  valueSize = staticSize(op.getValue(), op.getValueMap(), AttentionOp::E);
  Value batches = toValue(op.getDimSize(b, loc, AttentionOp::B));
  Value queries = toValue(op.getDimSize(b, loc, AttentionOp::N));
  keys = toValue(op.getDimSize(b, loc, AttentionOp::M));
  Value heads = index.constant(op.getNumQueryHeads());
  Value tiles = index.ceilDiv(queries, blocks.queries);

  SmallVector<OpFoldResult> bounds = {getAsOpFoldResult(batches),
                                      getAsOpFoldResult(heads),
                                      getAsOpFoldResult(tiles)};
  auto forall =
      scf::ForallOp::create(b, loc, bounds, op.getOutputs(), std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  batch = forall.getInductionVar(0);
  head = forall.getInductionVar(1);
  kvHead = index.div(head, op.getGroupSize());
  // Later queries see more keys under a causal mask: heavy blocks come first.
  Value tile =
      index.sub(index.sub(tiles, index.constant(1)), forall.getInductionVar(2));
  firstQuery = index.mul(tile, blocks.queries);
  queryCount =
      index.min(index.constant(blocks.queries), index.sub(queries, firstQuery));
  Value offset =
      op.getOffset() ? perBatch(op.getOffset()) : index.sub(keys, queries);
  position = index.add(offset, firstQuery);
  transposed = transposedQueries();

  SmallVector<Value> state = {
      filled({blocks.queries, valueSize}, 0.0),
      filled({blocks.queries}, -std::numeric_limits<double>::infinity()),
      filled({blocks.queries}, 0.0)};
  KeyRange range = keyRange();
  if (op.getBand().first >= 0)
    state =
        loop(range.lo, range.first, blocks.edgeKeys, state, /*masked=*/true);
  state = loop(range.first, range.second, blocks.keys, state, /*masked=*/false);
  state =
      loop(range.second, range.third, blocks.edgeKeys, state, /*masked=*/false);
  state = loop(range.third, range.hi, blocks.edgeKeys, state, /*masked=*/true);

  SmallVector<Value> results = {finishedOutput(state)};
  if (op.getLse())
    results.push_back(finishedLse(state));

  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  OpFoldResult count = getAsOpFoldResult(queryCount);
  // Only rows that exist are written.
  Value rows = tensor::ExtractSliceOp::create(
      b, loc, results[0], {zero, zero}, {count, b.getIndexAttr(valueSize)},
      {one, one});
  Value lse;
  if (results.size() > 1)
    lse = tensor::ExtractSliceOp::create(b, loc, results[1], {zero}, {count},
                                         {one});
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  SmallVector<OpFoldResult> offsets, sizes, strides(4, one);
  for (AffineExpr expr : op.getOutputMap().getResults()) {
    switch (cast<AffineDimExpr>(expr).getPosition()) {
    case AttentionOp::B:
      offsets.push_back(batch);
      sizes.push_back(one);
      break;
    case AttentionOp::H:
      offsets.push_back(head);
      sizes.push_back(one);
      break;
    case AttentionOp::N:
      offsets.push_back(firstQuery);
      sizes.push_back(count);
      break;
    default:
      offsets.push_back(zero);
      sizes.push_back(b.getIndexAttr(valueSize));
    }
  }
  tensor::ParallelInsertSliceOp::create(
      b, loc, rows, forall.getRegionIterArgs()[0], offsets, sizes, strides);
  if (lse)
    tensor::ParallelInsertSliceOp::create(
        b, loc, lse, forall.getRegionIterArgs()[1],
        ArrayRef<OpFoldResult>{batch, head, firstQuery},
        ArrayRef<OpFoldResult>{one, one, count},
        ArrayRef<OpFoldResult>{one, one, one});
  b.replaceOp(op, forall.getResults());
}

/// Why the loops above cannot be built; empty where they can: f32 arithmetic,
/// no rotation left, static head sizes, rows of keys, values and output that
/// follow the layout of a head.
static StringRef whyNotTilable(AttentionOp op) {
  if (op->getNumResults() == 0)
    return "it is on buffers";
  if (!op.getComputeType().isF32())
    return "its arithmetic is not f32";
  if (op.getQueryPositions() || op.getKeyPositions())
    return "its rotation is not split off";
  if (!getElementTypeOrSelf(op.getKey()).isF32() ||
      !getElementTypeOrSelf(op.getValue()).isF32())
    return "its keys and values are not extended to f32";
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

namespace {
struct TileAttention : repo::impl::TileAttentionBase<TileAttention> {
  using TileAttentionBase::TileAttentionBase;
  Blocks getBlocks(AttentionOp op) {
    if (AttentionStrategyAttr strategy = op.getStrategyAttr())
      return {strategy.getQueryBlock(), strategy.getKeyBlock(),
              strategy.getEdgeBlock()};
    return {queryBlock, keyBlock, edgeBlock};
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
      AttentionTiler(rewriter, op, getBlocks(op)).run();
      ++numTiled;
    }
  }
};
} // namespace
