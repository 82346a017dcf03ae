//===- SplitKeys.cpp - Attention of few queries over chunks of keys -------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Few queries against many keys are bound by the bytes of keys and values. A
// task takes a chunk of the keys of one KV head, for all query heads that share
// it, so that few heads still fill all threads and every row is read from
// memory once. Chunks follow from shapes alone and are merged in order: the
// result does not depend on the number of threads.
//
//===----------------------------------------------------------------------===//

#include "AttentionTiling.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include <limits>

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_SPLITKEYS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

static constexpr double infinity = std::numeric_limits<double>::infinity();

namespace {
class KeySplitter : AttentionTiling {
public:
  KeySplitter(RewriterBase &rewriter, AttentionOp op,
              AttentionStrategyAttr strategy, int64_t pairs)
      : AttentionTiling(rewriter, op), strategy(strategy), pairs(pairs),
        group(op.getGroupSize()) {}

  /// Builds the loops before `op`, which stays, and returns their results.
  SmallVector<Value> run();

private:
  using State = SmallVector<Value>; // accumulator, maximum, sum

  OpFoldResult attr(int64_t value) { return b.getIndexAttr(value); }
  SmallVector<OpFoldResult> ones(size_t count) {
    return SmallVector<OpFoldResult>(count, attr(1));
  }
  /// Keys of a block: a whole chunk where its scores are few, but rotated keys
  /// need a buffer on the stack.
  int64_t blockSize() {
    constexpr int64_t mostScores = 4096;
    if (op.getKey().getDefiningOp<RotateOp>())
      return strategy.getEdgeBlock();
    return std::max(strategy.getKeyBlock(),
                    std::min(strategy.getSplit(), mostScores / group));
  }
  /// A loop that carries tensors.
  State loop(Value from, Value to, Value step, ValueRange init,
             function_ref<State(Value, ValueRange)> body);
  /// Whether products are those of pairs of bf16.
  bool multipliesPairs();
  /// The queries of the heads of the groups of a task, [heads * G, D].
  Value groupQueries(Value batch, Value firstHead, Value query);
  /// Keys of a block as they are, or rotated into a buffer of their own.
  Value keyRows(const HeadRows &key, Value at, Value count);
  /// Bias and mask of a query of every head of the group, [G, keys], null
  /// without.
  Value groupBias(Value batch, Value firstHead, Value query, Value at,
                  Value count, int64_t size);
  /// The most KV heads of a task. Heads lie side by side in a page of a cache:
  /// with several of them, page by page, a task reads longer runs of memory.
  int64_t headsOfTask();
  /// The KV heads of the task at hand.
  OpFoldResult headCount() {
    return heads == 1 ? attr(1) : OpFoldResult(taskHeads);
  }
  /// The state of a group after one more block of keys.
  State blockState(Value batch, Value kvHead, Value query, Value rows, Value at,
                   Value count, int64_t size, ValueRange state);
  /// Takes the states of all heads of a task one step further, given the
  /// head's number, the queries of its group and their state.
  State eachHead(Value rows, ValueRange states,
                 function_ref<State(Value, Value, ValueRange)> body);
  /// The states of the groups of a task, [G, (E)], or [heads, G, (E)].
  State chunkState(Value batch, Value firstHead, Value query, Value from,
                   Value to);
  /// Partial states [B, Hkv, chunks, N, G, (E)] of all chunks.
  State partials(Value chunks);
  SmallVector<Value> merge(ValueRange partials, Value chunks);

  AttentionStrategyAttr strategy;
  int64_t pairs; // bf16 elements of a vector, 0 without products of pairs
  int64_t group;
  int64_t heads = 1; // the most KV heads of a task
  Value taskHeads;   // those of the task at hand, unless it has one
};
} // namespace

KeySplitter::State
KeySplitter::loop(Value from, Value to, Value step, ValueRange init,
                  function_ref<State(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      b, loc, from, to, step, init,
      [&](OpBuilder &, Location loc, Value at, ValueRange carried) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToEnd(at.getParentBlock());
        scf::YieldOp::create(b, loc, body(at, carried));
      });
  return State(loop.getResults());
}

bool KeySplitter::multipliesPairs() {
  if (!pairs || headSize % pairs || valueSize % pairs)
    return false;
  Value query = op.getQuery();
  if (auto rotation = query.getDefiningOp<RotateOp>())
    query = rotation.getInput();
  return llvm::all_of(ArrayRef<Value>{query, op.getKey(), op.getValue()},
                      [](Value x) { return getElementTypeOrSelf(x).isBF16(); });
}

int64_t KeySplitter::headsOfTask() {
  // What hardware reads ahead ends with a run. A core reads runs of 16 KB at
  // half the speed of long ones, 64 KB at nine tenths; and where a run ends,
  // the time of some 64 KB is lost.
  constexpr int64_t runBytes = 512 << 10;
  CacheViewOp view = getPages(op.getKey());
  if (!view || !getPages(op.getValue()))
    return 1;
  auto type = view.getPages().getType();
  int64_t pageBytes =
      type.getDimSize(2) * headSize * type.getElementTypeBitWidth() / 8;
  return std::clamp<int64_t>(runBytes / pageBytes, 1, op.getNumKeyValueHeads());
}

Value KeySplitter::groupQueries(Value batch, Value firstHead, Value query) {
  int64_t most = heads * group;
  Value count = index.mul(toValue(headCount()), group);
  auto insertRow = [&](Value g, ValueRange rows) -> State {
    Value row =
        preparedRows({op.getQuery(), op.getQueryMap(), batch,
                      index.add(firstHead, g), AttentionOp::N, headSize},
                     query, attr(1));
    return {tensor::InsertSliceOp::create(
        b, loc, row, rows[0],
        ArrayRef<OpFoldResult>{attr(0), attr(0), g, attr(0)},
        ArrayRef<OpFoldResult>{attr(1), attr(1), attr(1), attr(headSize)},
        ones(4))};
  };
  Value rows = loop(index.index(0), count, index.index(1),
                    empty({1, 1, most, headSize}), insertRow)[0];
  auto type = RankedTensorType::get({most, headSize}, f32);
  rows = tensor::ExtractSliceOp::create(
      b, loc, type, rows,
      ArrayRef<OpFoldResult>(SmallVector<OpFoldResult>(4, attr(0))),
      ArrayRef<OpFoldResult>{attr(1), attr(1), attr(most), attr(headSize)},
      ones(4));
  if (!multipliesPairs())
    return rows;
  // Nothing is lost where they are not rotated.
  auto rounded = RankedTensorType::get({most, headSize}, b.getBF16Type());
  Value target = tensor::EmptyOp::create(b, loc, rounded.getShape(),
                                         rounded.getElementType());
  AffineMap identity = b.getMultiDimIdentityMap(2);
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, rounded, rows, target, ArrayRef{identity, identity},
             parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               linalg::YieldOp::create(nested, loc,
                                       arith::TruncFOp::create(nested, loc,
                                                               b.getBF16Type(),
                                                               args[0])
                                           .getResult());
             })
      .getResult(0);
}

Value KeySplitter::keyRows(const HeadRows &key, Value at, Value count) {
  if (!key.tensor.getDefiningOp<RotateOp>())
    return slice(key, at, count);
  int64_t size = blockSize();
  SmallVector<OpFoldResult> zeros(4, attr(0));
  SmallVector<OpFoldResult> sizes = {attr(1), attr(1), count, attr(headSize)};
  Value buffer = tensor::InsertSliceOp::create(
      b, loc, preparedRows(key, at, count), empty({1, 1, size, headSize}),
      zeros, sizes, ones(4));
  return tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({ShapedType::kDynamic, headSize}, f32),
      buffer, zeros, sizes, ones(4));
}

Value KeySplitter::groupBias(Value batch, Value firstHead, Value query,
                             Value at, Value count, int64_t size) {
  if (!op.getBias() && !op.getMask())
    return Value();
  // Rows have room for whole vectors, whatever their width.
  constexpr int64_t mostLanes = 16;
  auto insertRow = [&](Value g, ValueRange rows) -> State {
    Value row = biasBlock(batch, index.add(firstHead, g), query, attr(1), 1, at,
                          count, size, /*whole=*/true);
    return {tensor::InsertSliceOp::create(
        b, loc, row, rows[0], ArrayRef<OpFoldResult>{g, attr(0)},
        ArrayRef<OpFoldResult>{attr(1), attr(size)}, ones(2))};
  };
  Value rows = loop(index.index(0), index.index(group), index.index(1),
                    empty({group, int64_t(llvm::alignTo(size, mostLanes))}),
                    insertRow)[0];
  return tensor::ExtractSliceOp::create(
      b, loc, rows, ArrayRef<OpFoldResult>{attr(0), attr(0)},
      ArrayRef<OpFoldResult>{attr(group), count}, ones(2));
}

KeySplitter::State KeySplitter::blockState(Value batch, Value kvHead,
                                           Value query, Value rows, Value at,
                                           Value count, int64_t size,
                                           ValueRange state) {
  HeadRows key = {op.getKey(), op.getKeyMap(), batch,
                  kvHead,      AttentionOp::M, headSize};
  HeadRows value = {op.getValue(), op.getValueMap(), batch,
                    kvHead,        AttentionOp::M,   valueSize};
  Value bias =
      groupBias(batch, index.mul(kvHead, group), query, at, count, size);
  auto block = OnlineAttentionOp::create(
      b, loc, state.getTypes(), rows, keyRows(key, at, count),
      slice(value, at, count), bias, /*mask=*/Value(), /*offset=*/Value(),
      /*limit=*/Value(), state[0], state[1], state[2],
      b.getF64FloatAttr(op.getScaleValue()), op.getSoftcapAttr(),
      /*band=*/DenseI64ArrayAttr(), b.getI64IntegerAttr(size),
      /*layouts=*/ArrayAttr());
  return State(block.getResults());
}

KeySplitter::State
KeySplitter::eachHead(Value rows, ValueRange states,
                      function_ref<State(Value, Value, ValueRange)> body) {
  auto part = [&](Value head, Value whole) {
    int64_t rank = cast<RankedTensorType>(whole.getType()).getRank();
    SmallVector<OpFoldResult> offsets(rank, attr(0)),
        sizes = {attr(1), attr(group), attr(valueSize)};
    offsets[0] = head;
    sizes.resize(rank);
    return std::pair(offsets, sizes);
  };
  return loop(
      index.index(0), taskHeads, index.index(1), states,
      [&](Value head, ValueRange carried) -> State {
        Value queries = tensor::ExtractSliceOp::create(
            b, loc, rows,
            ArrayRef<OpFoldResult>{index.mul(head, group), attr(0)},
            ArrayRef<OpFoldResult>{attr(group), attr(headSize)}, ones(2));
        State parts, next;
        for (Value whole : carried) {
          auto type = cast<RankedTensorType>(whole.getType());
          auto [offsets, sizes] = part(head, whole);
          parts.push_back(tensor::ExtractSliceOp::create(
              b, loc, RankedTensorType::get(type.getShape().drop_front(), f32),
              whole, offsets, sizes, ones(sizes.size())));
        }
        for (auto [done, whole] :
             llvm::zip(body(head, queries, parts), carried)) {
          auto [offsets, sizes] = part(head, whole);
          next.push_back(tensor::InsertSliceOp::create(
              b, loc, done, whole, offsets, sizes, ones(sizes.size())));
        }
        return next;
      });
}

KeySplitter::State KeySplitter::chunkState(Value batch, Value firstHead,
                                           Value query, Value from, Value to) {
  // One query sees one range of keys: no key needs a mask.
  KeyRange range = keyRange(batch, index.add(firstPosition(batch), query),
                            index.index(1), /*tile=*/1);
  Value lo = index.max(from, range.lo), hi = index.min(to, range.hi);
  Value rows = groupQueries(batch, index.mul(firstHead, group), query);
  // Blocks of a paged cache begin and end with its pages.
  int64_t size = pageBlock(blockSize());
  bool paged = getPages(op.getKey()) || getPages(op.getValue());
  Value first = paged ? index.mul(index.floorDiv(lo, size), size) : lo;
  State state = heads == 1
                    ? State{filled({group, valueSize}, 0.0),
                            filled({group}, -infinity), filled({group}, 0.0)}
                    : State{filled({heads, group, valueSize}, 0.0),
                            filled({heads, group}, -infinity),
                            filled({heads, group}, 0.0)};
  return loop(first, hi, index.index(size), state,
              [&](Value at, ValueRange carried) -> State {
                Value end = index.min(hi, index.add(at, index.index(size)));
                if (paged)
                  at = index.max(at, lo);
                Value count = index.sub(end, at);
                if (heads == 1)
                  return blockState(batch, firstHead, query, rows, at, count,
                                    size, carried);
                return eachHead(rows, carried,
                                [&](Value head, Value rows, ValueRange state) {
                                  return blockState(
                                      batch, index.add(firstHead, head), query,
                                      rows, at, count, size, state);
                                });
              });
}

KeySplitter::State KeySplitter::partials(Value chunks) {
  OpFoldResult kvHeads = attr(op.getNumKeyValueHeads());
  SmallVector<OpFoldResult> shape = {getAsOpFoldResult(batches), kvHeads,
                                     getAsOpFoldResult(chunks),
                                     getAsOpFoldResult(queries), attr(group)};
  SmallVector<OpFoldResult> wide(shape);
  wide.push_back(attr(valueSize));
  State buffers = {tensor::EmptyOp::create(b, loc, wide, f32),
                   tensor::EmptyOp::create(b, loc, shape, f32),
                   tensor::EmptyOp::create(b, loc, shape, f32)};
  // Tasks of several heads are fewer: as many heads as leave enough of them.
  constexpr int64_t enough = 64;
  Value perTask, all = index.index(op.getNumKeyValueHeads());
  SmallVector<OpFoldResult> tasks(ArrayRef(shape).take_front(3));
  if (heads > 1) {
    perTask =
        index.floorDiv(index.mul(index.mul(batches, chunks), all), enough);
    perTask = index.max(index.index(1), index.min(perTask, index.index(heads)));
    tasks[1] = index.floorDiv(
        index.add(all, index.sub(perTask, index.index(1))), perTask);
  }
  auto forall = scf::ForallOp::create(b, loc, tasks, buffers, std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value batch = forall.getInductionVar(0), chunk = forall.getInductionVar(2);
  Value kvHead = forall.getInductionVar(1);
  if (heads > 1) {
    kvHead = index.mul(kvHead, perTask);
    taskHeads = index.min(perTask, index.sub(all, kvHead));
  }
  Value from = index.mul(chunk, strategy.getSplit());
  Value to = index.add(from, index.index(strategy.getSplit()));

  // This task's part of a buffer, and one query's part of that.
  auto part = [&](size_t rank) {
    SmallVector<OpFoldResult> offsets = {batch,   kvHead,  chunk,
                                         attr(0), attr(0), attr(0)};
    SmallVector<OpFoldResult> sizes = {attr(1),  headCount(), attr(1),
                                       shape[3], attr(group), attr(valueSize)};
    offsets.resize(rank);
    sizes.resize(rank);
    return std::pair(offsets, sizes);
  };
  auto rankOf = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getRank();
  };
  State parts;
  for (Value buffer : forall.getRegionIterArgs()) {
    auto [offsets, sizes] = part(rankOf(buffer));
    parts.push_back(tensor::ExtractSliceOp::create(b, loc, buffer, offsets,
                                                   sizes, ones(sizes.size())));
  }
  State done = loop(
      index.index(0), queries, index.index(1), parts,
      [&](Value query, ValueRange carried) {
        State state = chunkState(batch, kvHead, query, from, to), next;
        for (auto [value, into] : llvm::zip(state, carried)) {
          auto [offsets, sizes] = part(rankOf(into));
          if (heads > 1)
            value = tensor::ExtractSliceOp::create(
                b, loc, value,
                SmallVector<OpFoldResult>(rankOf(value), attr(0)),
                ArrayRef<OpFoldResult>{taskHeads, attr(group), attr(valueSize)}
                    .take_front(rankOf(value)),
                ones(rankOf(value)));
          offsets[0] = offsets[1] = offsets[2] = attr(0);
          offsets[3] = query;
          sizes[3] = attr(1);
          next.push_back(tensor::InsertSliceOp::create(
              b, loc, value, into, offsets, sizes, ones(sizes.size())));
        }
        return next;
      });
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  for (auto [value, buffer] : llvm::zip(done, forall.getRegionIterArgs())) {
    auto [offsets, sizes] = part(rankOf(buffer));
    tensor::ParallelInsertSliceOp::create(b, loc, value, buffer, offsets, sizes,
                                          ones(sizes.size()));
  }
  return State(forall.getResults());
}

/// With m the largest of the maxima and w[c] = exp2(max[c] - m), the state of
/// all keys is (sum_c w[c] acc[c], m, sum_c w[c] sum[c]).
SmallVector<Value> KeySplitter::merge(ValueRange partials, Value chunks) {
  SmallVector<OpFoldResult> bounds = {getAsOpFoldResult(batches),
                                      attr(op.getNumQueryHeads()),
                                      getAsOpFoldResult(queries)};
  auto forall =
      scf::ForallOp::create(b, loc, bounds, op.getOutputs(), std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value batch = forall.getInductionVar(0), head = forall.getInductionVar(1),
        query = forall.getInductionVar(2);
  Value kvHead = index.floorDiv(head, group);
  Value inGroup = index.sub(head, index.mul(kvHead, group));
  auto element = [&](Value buffer, Value chunk) -> Value {
    return tensor::ExtractOp::create(
        b, loc, buffer, ValueRange{batch, kvHead, chunk, query, inGroup});
  };
  Value zero = index.index(0), one = index.index(1);
  Value top = loop(zero, chunks, one, number(-infinity),
                   [&](Value chunk, ValueRange carried) -> State {
                     return {arith::MaximumFOp::create(
                         b, loc, carried[0], element(partials[1], chunk))};
                   })[0];
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, top,
                                     number(-infinity));
  Value base = arith::SelectOp::create(b, loc, none, number(0), top);
  State init = {filled({1, valueSize}, 0.0), number(0)};
  State sums = loop(
      zero, chunks, one, init, [&](Value chunk, ValueRange carried) -> State {
        Value weight = math::Exp2Op::create(
            b, loc,
            arith::SubFOp::create(b, loc, element(partials[1], chunk), base));
        Value sum = arith::AddFOp::create(
            b, loc, carried[1],
            arith::MulFOp::create(b, loc, weight, element(partials[2], chunk)));
        Value part = tensor::ExtractSliceOp::create(
            b, loc, RankedTensorType::get({1, valueSize}, f32), partials[0],
            ArrayRef<OpFoldResult>{batch, kvHead, chunk, query, inGroup,
                                   attr(0)},
            ArrayRef<OpFoldResult>{attr(1), attr(1), attr(1), attr(1), attr(1),
                                   attr(valueSize)},
            ones(6));
        AffineMap identity = b.getMultiDimIdentityMap(2);
        SmallVector<utils::IteratorType> parallel(
            2, utils::IteratorType::parallel);
        Value acc =
            linalg::GenericOp::create(
                b, loc, carried[0].getType(), part, carried[0],
                ArrayRef<AffineMap>{identity, identity}, parallel,
                [&](OpBuilder &nested, Location loc, ValueRange args) {
                  Value scaled =
                      arith::MulFOp::create(nested, loc, args[0], weight);
                  linalg::YieldOp::create(
                      nested, loc,
                      arith::AddFOp::create(nested, loc, args[1], scaled)
                          .getResult());
                })
                .getResult(0);
        return {acc, sum};
      });
  auto single = [&](Value scalar) -> Value {
    return tensor::FromElementsOp::create(b, loc, scalar);
  };
  State state = {sums[0], single(top), single(sums[1])};
  SmallVector<Value> results = {finishedOutput(state)};
  if (op.getLse())
    results.push_back(finishedLse(state));
  b.setInsertionPointToStart(forall.getTerminator().getBody());
  insertResults(results, forall.getRegionIterArgs(), batch, head, query,
                attr(1));
  return SmallVector<Value>(forall.getResults());
}

SmallVector<Value> KeySplitter::run() {
  readSizes();
  readsPages = true;
  heads = headsOfTask();
  Value chunks = index.ceilDiv(keys, strategy.getSplit());
  return merge(partials(chunks), chunks);
}

/// Where a result of attention goes, if it goes straight into memory that is
/// there before.
static bufferization::MaterializeInDestinationOp
getDestination(OpResult result, const DominanceInfo &dominance) {
  if (!result.hasOneUse())
    return {};
  auto write =
      dyn_cast<bufferization::MaterializeInDestinationOp>(*result.user_begin());
  bool straight =
      write && write->getBlock() == result.getOwner()->getBlock() &&
      isa<MemRefType>(write.getDest().getType()) &&
      write.getSource() == result &&
      dominance.properlyDominates(write.getDest(), result.getOwner());
  return straight ? write : bufferization::MaterializeInDestinationOp();
}

/// Builds both ways in the branches of a test at run time. A branch writes its
/// results into their destination itself, so that they are computed in place.
static void choose(RewriterBase &rewriter, AttentionOp op, Value few,
                   int64_t pairs) {
  Location loc = op.getLoc();
  DominanceInfo dominance(op->getParentOfType<FunctionOpInterface>());
  SmallVector<bufferization::MaterializeInDestinationOp> writes;
  SmallVector<Type> yielded;
  for (OpResult result : op->getResults()) {
    writes.push_back(getDestination(result, dominance));
    if (!writes.back())
      yielded.push_back(result.getType());
  }
  auto choice = scf::IfOp::create(rewriter, loc, yielded, few,
                                  /*withElseRegion=*/true);
  AttentionStrategyAttr strategy = op.getStrategyAttr();
  for (bool split : {true, false}) {
    OpBuilder::InsertionGuard guard(rewriter);
    Block *block = split ? choice.thenBlock() : choice.elseBlock();
    rewriter.setInsertionPointToStart(block);
    auto copy = cast<AttentionOp>(rewriter.clone(*op));
    for (auto [output, write] : llvm::zip(copy.getOutputsMutable(), writes))
      if (auto empty = output.get().getDefiningOp<tensor::EmptyOp>();
          empty && write) {
        OpBuilder::InsertionGuard before(rewriter);
        rewriter.setInsertionPoint(copy);
        output.set(rewriter.clone(*empty)->getResult(0));
      }
    SmallVector<Value> results(copy.getResults());
    if (split) {
      rewriter.setInsertionPoint(copy);
      results = KeySplitter(rewriter, copy, strategy, pairs).run();
      rewriter.eraseOp(copy);
    } else {
      copy.setStrategyAttr(strategy.withoutSplit());
    }
    // A branch without results has its end already.
    if (yielded.empty())
      rewriter.setInsertionPoint(block->getTerminator());
    else
      rewriter.setInsertionPointToEnd(block);
    SmallVector<Value> rest;
    for (auto [result, write] : llvm::zip(results, writes)) {
      if (!write) {
        rest.push_back(result);
        continue;
      }
      IRMapping mapping;
      mapping.map(write.getSource(), result);
      rewriter.clone(*write, mapping);
    }
    if (!yielded.empty())
      scf::YieldOp::create(rewriter, loc, rest);
  }
  ValueRange results = choice.getResults();
  for (auto [result, write] : llvm::zip(op->getResults(), writes)) {
    if (write) {
      rewriter.eraseOp(write);
      continue;
    }
    rewriter.replaceAllUsesWith(result, results.front());
    results = results.drop_front();
  }
  rewriter.eraseOp(op);
}

/// Splits the keys of `op` where its queries are few, which is decided at run
/// time where their number is dynamic.
static bool splitKeys(RewriterBase &rewriter, AttentionOp op, int64_t pairs) {
  AttentionStrategyAttr strategy = op.getStrategyAttr();
  if (!strategy || !strategy.getSplit() || !whyNotTilable(op).empty())
    return false;
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  OpFoldResult queries = op.getDimSize(rewriter, loc, AttentionOp::N);
  int64_t most = strategy.getSplitQueries();
  if (std::optional<int64_t> count = getConstantIntValue(queries)) {
    if (*count > most)
      return false;
    rewriter.replaceOp(op, KeySplitter(rewriter, op, strategy, pairs).run());
    return true;
  }
  Value few = arith::CmpIOp::create(
      rewriter, loc, arith::CmpIPredicate::ule,
      getValueOrCreateConstantIndexOp(rewriter, loc, queries),
      arith::ConstantIndexOp::create(rewriter, loc, most));
  choose(rewriter, op, few, pairs);
  return true;
}

namespace {
struct SplitKeys : repo::impl::SplitKeysBase<SplitKeys> {
  using SplitKeysBase::SplitKeysBase;
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (AttentionOp op : ops) {
      Operation *views[] = {op.getKey().getDefiningOp(),
                            op.getValue().getDefiningOp()};
      numSplit += splitKeys(rewriter, op, pairs);
      eraseUnread(rewriter, views);
    }
  }
};
} // namespace
