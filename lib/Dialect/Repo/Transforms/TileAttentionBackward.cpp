//===- TileAttentionBackward.cpp - The gradient of attention in blocks ----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A task takes the queries that share a KV head, block after block, and for
// each block the keys it sees. Scores are computed transposed, keys in rows:
// then the weights p and their gradients ds are the left factors of the sums
// for keys and values as they lie, and one transpose of ds serves the sum for
// queries. All five products are contractions with rows of the right factor as
// vectors; gradients of keys and values are summed in their destinations.
//
//===----------------------------------------------------------------------===//

#include "HeadSlices.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include <limits>

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_TILEATTENTIONBACKWARD
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

static constexpr double infinity = std::numeric_limits<double>::infinity();
/// Bounds of a band from here on are none.
static constexpr int64_t unbounded = int64_t(1) << 30;

namespace {
/// The sizes of blocks.
struct Blocks {
  int64_t queries, keys;
  /// Columns of a register tile.
  int64_t columns;
};

/// Builds the loops of one op.
class BackwardTiler : HeadSlices {
public:
  BackwardTiler(RewriterBase &rewriter, AttentionBackwardOp op, Blocks blocks)
      : HeadSlices(rewriter, op.getLoc(), blocks.columns), op(op),
        blocks(blocks) {}
  void run();

private:
  /// The rows of the block of queries as [1, block, width], zeros below.
  Value padded(const Head &head);
  void readStatistics(const Head &output, const Head &upstream);
  /// left factor [count keys, block queries] = rows . right.
  Value scores(Value rows, Value right, Value count);
  /// p and ds of the scores and of the products of upstream and values.
  SmallVector<Value> weights(Value s, Value dp, Value firstKey, Value count,
                             bool masked);
  /// The same, masks only where the block is cut by one.
  SmallVector<Value> weights(Value s, Value dp, Value firstKey, Value count);
  /// Whether a band cuts blocks.
  bool isCut() {
    auto isBound = [](int64_t bound) {
      return bound >= 0 && bound < unbounded;
    };
    return isBound(op.getBand().first) || isBound(op.getBand().second);
  }
  /// One block of keys; the state is the gradients of the block of queries and
  /// of the keys and values of the head.
  SmallVector<Value> keyBlock(Value at, Value end, ValueRange state);
  /// One block of queries; the state is the gradients of the head.
  SmallVector<Value> queryBlock(Value member, Value at, ValueRange state);

  AttentionBackwardOp op;
  Blocks blocks;

  int64_t headSize = 0, valueSize = 0;
  Value queries, keys;               // N, M
  Value batch, kvHead;               // of the task
  Head key, value;                   // of the task
  Value existing;                    // keys that exist
  Value firstQuery, queryCount;      // of the block
  Value position;                    // of its first query among the keys
  std::pair<Value, Value> seenByAll; // keys that all of its queries see
  Value query, upstream;             // [1, block, D] and [1, block, E]
  Value queryT, upstreamT;           // [1, D, block] and [1, E, block]
  Value lse, delta; // [block]; lse in base 2, inf where no query is
};
} // namespace

//===----------------------------------------------------------------------===//
// Arithmetic of a block
//===----------------------------------------------------------------------===//

Value BackwardTiler::padded(const Head &head) {
  int64_t size = blocks.queries;
  Value matrix =
      rows(head, firstQuery, OpFoldResult(queryCount), attr(0), head.width,
           /*leading=*/true);
  OpFoldResult sizes[] = {attr(1), queryCount, attr(head.width)};
  return tensor::InsertSliceOp::create(
      b, loc, matrix, filled({1, size, head.width}, 0),
      SmallVector<OpFoldResult>(3, attr(0)), sizes,
      SmallVector<OpFoldResult>(3, attr(1)));
}

/// lse in base 2 and delta = sum_e upstream * output of the block.
void BackwardTiler::readStatistics(const Head &output, const Head &upstream) {
  OpFoldResult count(queryCount);
  AffineMap row = AffineMap::get(2, 0, b.getAffineDimExpr(0));
  AffineMap both = b.getMultiDimIdentityMap(2),
            one = b.getMultiDimIdentityMap(1);
  utils::IteratorType parallel = utils::IteratorType::parallel,
                      reduction = utils::IteratorType::reduction;
  auto inserted = [&](Value values, double rest) {
    return tensor::InsertSliceOp::create(
        b, loc, values, filled({blocks.queries}, rest),
        ArrayRef<OpFoldResult>{attr(0)}, ArrayRef<OpFoldResult>{count},
        ArrayRef<OpFoldResult>{attr(1)});
  };
  Value target =
      tensor::EmptyOp::create(b, loc, ArrayRef<OpFoldResult>{count}, f32);
  Value sums =
      linalg::GenericOp::create(
          b, loc, target.getType(),
          ValueRange{rows(upstream, firstQuery, count, attr(0), valueSize),
                     rows(output, firstQuery, count, attr(0), valueSize)},
          zeroed(target), ArrayRef<AffineMap>{both, both, row},
          ArrayRef<utils::IteratorType>{parallel, reduction},
          [](OpBuilder &nested, Location loc, ValueRange args) {
            Value term = arith::MulFOp::create(nested, loc, args[0], args[1]);
            Value sum = arith::AddFOp::create(nested, loc, args[2], term);
            linalg::YieldOp::create(nested, loc, sum);
          })
          .getResult(0);
  delta = inserted(sums, 0);

  Value given = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({ShapedType::kDynamic}, f32), op.getLse(),
      ArrayRef<OpFoldResult>{batch, output.head, firstQuery},
      ArrayRef<OpFoldResult>{attr(1), attr(1), count},
      ArrayRef<OpFoldResult>{attr(1), attr(1), attr(1)});
  Value slot =
      tensor::EmptyOp::create(b, loc, ArrayRef<OpFoldResult>{count}, f32);
  Value scaled =
      linalg::GenericOp::create(
          b, loc, slot.getType(), given, slot, ArrayRef<AffineMap>{one, one},
          parallel,
          [](OpBuilder &nested, Location loc, ValueRange args) {
            auto number = [&](double value) -> Value {
              return arith::ConstantOp::create(nested, loc,
                                               nested.getF32FloatAttr(value));
            };
            // A query without keys has weights of 0, as those that do not
            // exist.
            Value none =
                arith::CmpFOp::create(nested, loc, arith::CmpFPredicate::OEQ,
                                      args[0], number(-infinity));
            Value x = arith::MulFOp::create(nested, loc, args[0],
                                            number(llvm::numbers::log2e));
            x = arith::SelectOp::create(nested, loc, none, number(infinity), x);
            linalg::YieldOp::create(nested, loc, x);
          })
          .getResult(0);
  lse = inserted(scaled, infinity);
}

Value BackwardTiler::scores(Value rows, Value right, Value count) {
  int64_t depth = cast<ShapedType>(right.getType()).getDimSize(1);
  Value result = tensor::EmptyOp::create(
      b, loc, ArrayRef<int64_t>{blocks.keys, 1, blocks.queries}, f32);
  return overColumns(blocks.queries, result,
                     [&](OpFoldResult column, int64_t width,
                         ValueRange state) -> SmallVector<Value> {
                       OpFoldResult sizes[] = {count, attr(1), attr(width)};
                       Value w =
                           columnsOf(right, {attr(1), attr(depth), attr(width)},
                                     column, {1, depth, width});
                       Value out = columnsOf(state[0], sizes, column,
                                             {ShapedType::kDynamic, 1, width});
                       out = product(rows, w, zeroed(out), /*rowsFirst=*/true);
                       OpFoldResult offsets[] = {attr(0), attr(0), column};
                       return {tensor::InsertSliceOp::create(
                           b, loc, out, state[0], offsets, sizes,
                           SmallVector<OpFoldResult>(3, attr(1)))};
                     })[0];
}

SmallVector<Value> BackwardTiler::weights(Value s, Value dp, Value firstKey,
                                          Value count, bool masked) {
  int64_t left = op.getBand().first, right = op.getBand().second;
  Value zero = index.index(0);
  double scale = op.getScaleValue();
  auto vectorLoop = [&](Value row, ValueRange state) {
    return overColumns(
        blocks.queries, state,
        [&](OpFoldResult column, int64_t width, ValueRange state) {
          SmallVector<Value> next(state);
          auto type = VectorType::get({width}, f32);
          auto ints = VectorType::get({width}, b.getI32Type());
          Value at = getValueOrCreateConstantIndexOp(b, loc, column);
          bool inBounds[] = {true};
          Value padding =
              arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
          auto number = [&](double value) -> Value {
            return arith::ConstantOp::create(
                b, loc, DenseElementsAttr::get(type, float(value)));
          };
          auto read = [&](Value tensor, ValueRange indices) -> Value {
            return vector::TransferReadOp::create(
                b, loc, type, tensor, indices, padding,
                AffineMap::getMinorIdentityMap(indices.size(), 1,
                                               b.getContext()),
                ArrayRef<bool>(inBounds));
          };
          auto mul = [&](Value x, Value y) -> Value {
            return arith::MulFOp::create(b, loc, x, y);
          };
          auto sub = [&](Value x, Value y) -> Value {
            return arith::SubFOp::create(b, loc, x, y);
          };
          Value x = read(next[0], {row, zero, at});
          Value slope;
          double toBase2 = scale * llvm::numbers::log2e;
          if (op.getSoftcap()) {
            double cap = op.getSoftcap()->convertToDouble();
            x = math::TanhOp::create(b, loc, mul(x, number(scale / cap)));
            slope = sub(number(1), mul(x, x));
            toBase2 = cap * llvm::numbers::log2e;
          }
          x = mul(x, number(toBase2));
          if (masked) {
            // Query n sees key m iff n is at least m - right and at most m +
            // left, counted from this block.
            SmallVector<int32_t> steps =
                llvm::to_vector(llvm::seq<int32_t>(width));
            Value n = arith::ConstantOp::create(
                b, loc, DenseElementsAttr::get(ints, ArrayRef(steps)));
            Value m =
                index.sub(index.add(firstKey, row), index.add(position, at));
            auto compare = [&](arith::CmpIPredicate predicate, int64_t shift) {
              Value bound = index.add(m, index.index(shift));
              bound = index.max(index.index(-unbounded),
                                index.min(index.index(unbounded), bound));
              bound = arith::IndexCastOp::create(b, loc, b.getI32Type(), bound);
              bound = vector::BroadcastOp::create(b, loc, ints, bound);
              Value sees = arith::CmpIOp::create(b, loc, predicate, n, bound);
              x = arith::SelectOp::create(b, loc, sees, x, number(-infinity));
            };
            if (right >= 0 && right < unbounded)
              compare(arith::CmpIPredicate::sge, -right);
            if (left >= 0 && left < unbounded)
              compare(arith::CmpIPredicate::sle, left);
          }
          Value p = math::Exp2Op::create(b, loc, sub(x, read(lse, at)));
          Value d =
              mul(p, sub(read(next[1], {row, zero, at}), read(delta, at)));
          if (slope)
            d = mul(d, slope);
          d = mul(d, number(scale));
          Value results[] = {p, d};
          for (auto [tensor, vector] : llvm::zip_equal(next, results))
            tensor = vector::TransferWriteOp::create(b, loc, vector, tensor,
                                                     ValueRange{row, zero, at},
                                                     ArrayRef<bool>(inBounds))
                         .getResult();
          return next;
        });
  };
  return loop(zero, count, 1, {s, dp}, vectorLoop);
}

SmallVector<Value> BackwardTiler::weights(Value s, Value dp, Value firstKey,
                                          Value count) {
  if (!isCut())
    return weights(s, dp, firstKey, count, /*masked=*/false);
  auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y).getResult();
  };
  Value cut = arith::OrIOp::create(
      b, loc, compare(arith::CmpIPredicate::slt, firstKey, seenByAll.first),
      compare(arith::CmpIPredicate::sgt, index.add(firstKey, count),
              seenByAll.second));
  auto choice =
      scf::IfOp::create(b, loc, TypeRange{s.getType(), dp.getType()}, cut,
                        /*addThenBlock=*/true, /*addElseBlock=*/true);
  for (bool masked : {true, false}) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(masked ? choice.thenBlock()
                                      : choice.elseBlock());
    SmallVector<Value> results = weights(s, dp, firstKey, count, masked);
    scf::YieldOp::create(b, loc, results);
  }
  return SmallVector<Value>(choice.getResults());
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

SmallVector<Value> BackwardTiler::keyBlock(Value at, Value end,
                                           ValueRange state) {
  Value count = index.min(index.index(blocks.keys), index.sub(end, at));
  OpFoldResult keyCount(count);
  Value zero = index.index(0);
  Value s = scores(rows(key, at, keyCount, attr(0), headSize), queryT, count);
  Value dp =
      scores(rows(value, at, keyCount, attr(0), valueSize), upstreamT, count);
  SmallVector<Value> both = weights(s, dp, at, count);
  Value p = both[0], ds = both[1];

  // Gradients of the keys and values of the block, in their tensors.
  SmallVector<Value> next(state);
  auto addTo = [&](unsigned number, const Head &head, Value left, Value right) {
    Value x = columnsOf(left, {keyCount, attr(1), attr(blocks.queries)},
                        attr(0), {ShapedType::kDynamic, blocks.queries});
    next[number] = overColumns(
        head.width, next[number],
        [&](OpFoldResult column, int64_t width,
            ValueRange state) -> SmallVector<Value> {
          Head target = {state[0], head.map, zero, zero, head.rows, head.width};
          Value out =
              rows(target, at, keyCount, column, width, /*leading=*/true);
          Value w =
              columnsOf(right, {attr(1), attr(blocks.queries), attr(width)},
                        column, {1, blocks.queries, width});
          out = product(x, w, out, /*rowsFirst=*/false);
          Slice slice = sliceOf(target, at, keyCount, column, width);
          return {tensor::InsertSliceOp::create(b, loc, out, state[0],
                                                slice.offsets, slice.sizes,
                                                slice.strides)};
        })[0];
  };
  addTo(2, value, p, upstream);
  addTo(1, key, ds, query);

  // That of the queries, from ds with queries in rows.
  Value flat = columnsOf(ds, {attr(blocks.keys), attr(1), attr(blocks.queries)},
                         attr(0), {blocks.keys, blocks.queries});
  Value target = tensor::EmptyOp::create(
      b, loc, ArrayRef<int64_t>{blocks.queries, blocks.keys}, f32);
  Value turned =
      linalg::TransposeOp::create(b, loc, flat, target, ArrayRef<int64_t>{1, 0})
          .getResult()[0];
  Value x = columnsOf(turned, {attr(blocks.queries), keyCount}, attr(0),
                      {blocks.queries, ShapedType::kDynamic});
  next[0] = overColumns(
      headSize, next[0],
      [&](OpFoldResult column, int64_t width,
          ValueRange state) -> SmallVector<Value> {
        OpFoldResult sizes[] = {attr(1), attr(blocks.queries), attr(width)};
        Value out =
            columnsOf(state[0], sizes, column, {1, blocks.queries, width});
        Value w = rows(key, at, keyCount, column, width, /*leading=*/true);
        out = product(x, w, out, /*rowsFirst=*/false);
        OpFoldResult offsets[] = {attr(0), attr(0), column};
        return {tensor::InsertSliceOp::create(
            b, loc, out, state[0], offsets, sizes,
            SmallVector<OpFoldResult>(3, attr(1)))};
      })[0];
  return next;
}

SmallVector<Value> BackwardTiler::queryBlock(Value member, Value at,
                                             ValueRange state) {
  Value zero = index.index(0), one = index.index(1);
  firstQuery = at;
  queryCount = index.min(index.index(blocks.queries), index.sub(queries, at));
  Value head = index.add(index.mul(kvHead, op.getGroupSize()), member);
  auto headOf = [&](Value tensor, AffineMap map, int64_t width) {
    return Head{tensor, map, batch, head, Dim::N, width};
  };
  query = padded(headOf(op.getQuery(), op.getQueryMap(), headSize));
  Head gradient = headOf(op.getUpstream(), op.getOutputMap(), valueSize);
  upstream = padded(gradient);
  queryT = transposed(query);
  upstreamT = transposed(upstream);
  readStatistics(headOf(op.getOutput(), op.getOutputMap(), valueSize),
                 gradient);

  // The keys the block sees: [lo, hi), all of its queries [all, allTo).
  Value offset;
  if (Value given = op.getOffset())
    offset =
        given.getType().isIndex()
            ? given
            : index.toIndex(tensor::ExtractOp::create(b, loc, given, batch));
  else
    offset = index.sub(keys, queries);
  position = index.add(offset, firstQuery);
  Value last = index.add(position, index.sub(queryCount, one));
  auto [left, right] = op.getBand();
  Value lo = zero, hi = existing;
  bool hasLeft = left >= 0 && left < unbounded,
       hasRight = right >= 0 && right < unbounded;
  if (hasLeft)
    lo = index.max(zero, index.sub(position, index.index(left)));
  if (hasRight)
    hi = index.min(existing, index.add(last, index.index(right + 1)));
  hi = index.max(lo, hi);
  Value all = lo, allTo = hi;
  if (hasLeft)
    all = index.min(hi, index.max(lo, index.sub(last, index.index(left))));
  if (hasRight) {
    Value end = index.add(position, index.index(right + 1));
    allTo = index.max(all, index.min(hi, end));
  }

  seenByAll = {all, allTo};
  SmallVector<Value> carried =
      loop(lo, hi, blocks.keys,
           {filled({1, blocks.queries, headSize}, 0), state[1], state[2]},
           [&](Value at, ValueRange state) { return keyBlock(at, hi, state); });

  Value sum =
      columnsOf(carried[0], {attr(1), OpFoldResult(queryCount), attr(headSize)},
                attr(0), {1, ShapedType::kDynamic, headSize});
  Head target = {state[0], op.getQueryMap(), zero, member, Dim::N, headSize};
  Slice slice =
      sliceOf(target, firstQuery, OpFoldResult(queryCount), attr(0), headSize);
  Value dq = tensor::InsertSliceOp::create(b, loc, sum, state[0], slice.offsets,
                                           slice.sizes, slice.strides);
  return {dq, carried[1], carried[2]};
}

void BackwardTiler::run() {
  b.setInsertionPoint(op);
  headSize = op.getHeadSize();
  valueSize = cast<ShapedType>(op.getValue().getType())
                  .getDimSize(positionOf(op.getValueMap(), Dim::E));
  Value batches = size(op.getQuery(), op.getQueryMap(), Dim::B);
  queries = size(op.getQuery(), op.getQueryMap(), Dim::N);
  keys = size(op.getKey(), op.getKeyMap(), Dim::M);
  Value zero = index.index(0);
  SmallVector<OpFoldResult> bounds = {getAsOpFoldResult(batches),
                                      attr(op.getNumKeyValueHeads())};
  auto forall =
      scf::ForallOp::create(b, loc, bounds, op.getOutputs(), std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  batch = forall.getInductionVar(0);
  kvHead = forall.getInductionVar(1);
  existing = keys;
  if (op.getLengths())
    existing =
        index.max(zero, index.min(keys, index.toIndex(tensor::ExtractOp::create(
                                            b, loc, op.getLengths(), batch))));
  key = {op.getKey(), op.getKeyMap(), batch, kvHead, Dim::M, headSize};
  value = {op.getValue(), op.getValueMap(), batch, kvHead, Dim::M, valueSize};

  int64_t groups = op.getGroupSize();
  Value firstHead = index.mul(kvHead, groups);
  Slice slices[3];
  SmallVector<Value> state;
  AffineMap maps[] = {op.getQueryMap(), op.getKeyMap(), op.getValueMap()};
  for (auto [number, map] : llvm::enumerate(maps)) {
    Value shared = forall.getRegionIterArgs()[number];
    slices[number] = headsOf(shared, map, batch, number ? kvHead : firstHead,
                             number ? 1 : groups);
    Value tile = tensor::ExtractSliceOp::create(
        b, loc, shared, slices[number].offsets, slices[number].sizes,
        slices[number].strides);
    state.push_back(number ? zeroed(tile) : tile);
  }
  state = loop(zero, index.index(groups), 1, state,
               [&](Value member, ValueRange state) {
                 return loop(zero, queries, blocks.queries, state,
                             [&](Value at, ValueRange state) {
                               return queryBlock(member, at, state);
                             });
               });
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  for (auto [number, slice] : llvm::enumerate(slices))
    tensor::ParallelInsertSliceOp::create(
        b, loc, state[number], forall.getRegionIterArgs()[number],
        slice.offsets, slice.sizes, slice.strides);
  b.replaceOp(op, forall.getResults());
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// Why an op is left to its definition; empty where it can be tiled.
static StringRef whyNot(AttentionBackwardOp op, int64_t lanes) {
  if (op->getNumResults() == 0)
    return "it is on buffers";
  for (Value operand : op->getOperands())
    if (isa<FloatType>(getElementTypeOrSelf(operand)) &&
        !getElementTypeOrSelf(operand).isF32())
      return "its operands are not all f32";
  if (op.getQueryPositions() || op.getKeyPositions())
    return "its rotation is not split off";
  if (op.getBias() || op.getMask())
    return "it has a bias or a mask";
  int64_t valueSize =
      cast<ShapedType>(op.getValue().getType())
          .getDimSize(positionOf(op.getValueMap(), AttentionBackwardOp::E));
  if (ShapedType::isDynamic(valueSize) || valueSize % lanes != 0 ||
      op.getHeadSize() % lanes != 0 || valueSize == 0 || op.getHeadSize() == 0)
    return "its heads are not whole vectors";
  using Dim = AttentionBackwardOp::Dim;
  auto before = [](AffineMap map, unsigned row, unsigned column) {
    return positionOf(map, row) < positionOf(map, column) &&
           positionOf(map, column) == 3;
  };
  if (!before(op.getQueryMap(), Dim::N, Dim::D) ||
      !before(op.getKeyMap(), Dim::M, Dim::D) ||
      !before(op.getValueMap(), Dim::M, Dim::E) ||
      !before(op.getOutputMap(), Dim::N, Dim::E))
    return "its layouts do not have channels last";
  return "";
}

namespace {
struct TileAttentionBackward
    : repo::impl::TileAttentionBackwardBase<TileAttentionBackward> {
  using TileAttentionBackwardBase::TileAttentionBackwardBase;
  void runOnOperation() override {
    SmallVector<AttentionBackwardOp> ops;
    getOperation().walk([&](AttentionBackwardOp op) {
      StringRef reason = whyNot(op, lanes);
      if (reason.empty())
        ops.push_back(op);
      else if (report)
        op.emitRemark("gradient of attention is not tiled: ") << reason;
    });
    // Four vectors of columns: beside 6 or 3 rows, as there are registers.
    Blocks blocks = {queryBlock, keyBlock, 4 * lanes};
    IRRewriter rewriter(&getContext());
    for (AttentionBackwardOp op : ops) {
      BackwardTiler(rewriter, op, blocks).run();
      ++numTiled;
    }
  }
};
} // namespace
