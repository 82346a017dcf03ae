//===- ScheduleAttentionSpecialized.cpp - Attention by roles of warps -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One warp feeds the copy engine; warpgroups of 64 queries each multiply. They
// meet at barriers in shared memory, one full and one empty for each stage of
// keys and of values. A warpgroup has two products under way while it computes
// the softmax of a tile: the scores of the tile are waited for, then the
// weighted values of the tile before.
//
// Tiles come from the last key to the first: where a causal mask or the number
// of keys cuts a tile, it is the first, outside of the loops, which is always
// masked. There is always a first tile: where no query sees a key, it is hidden
// as a whole.
//
//===----------------------------------------------------------------------===//

#include "AttentionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEATTENTIONSPECIALIZED
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

namespace {
/// Stages of a matrix in shared memory, and who may touch them.
struct Ring {
  Value map, buffer, full, empty;
};

/// What a warpgroup carries from tile to tile: the softmax, and the weights of
/// the tile before, whose values are still to be added.
struct Carried {
  SoftmaxState state;
  Value weights;

  SmallVector<Value> toVector() const {
    return {state.accumulator, state.maximum, state.sum, weights};
  }
  static Carried of(ValueRange values) {
    return {{values[0], values[1], values[2]}, values[3]};
  }
};

class SpecializedSchedule : AttentionSchedule {
public:
  using AttentionSchedule::AttentionSchedule;
  void build();

private:
  int64_t consumers() { return strategy.getWarps() / 4; }
  /// Registers of a thread of either role, 64512 of a block in all. Scores and
  /// sums of wide heads need most; where addresses are many, so does the
  /// producer.
  SmallVector<int64_t> getRegisters() {
    if (std::max(tiles.headSize, tiles.valueSize) > 64)
      return {56, 224};
    return {72, 216};
  }
  //===--- Memory -------------------------------------------------------===//
  Value makeMap(Value operand, AffineMap layout, AttentionOp::Dim tokens,
                AttentionOp::Dim channels, MemRefType buffer);
  Ring makeRing(Value map, int64_t columns);
  //===--- Roles --------------------------------------------------------===//
  void produce();
  void fill(const Ring &ring, Value use, Value row);
  void fillEdge(Value use, Value row);
  void consume(Value member);
  void turnQueries(Value member);
  Carried begin(Value member);
  Carried step(Value use, Value member, const Carried &carried, TileEdge edge);
  Carried loop(Value from, Value to, Value member, const Carried &carried,
               TileEdge edge);
  Value startScores(Value use, Value member);
  Value startSums(Value use, const Carried &carried);
  //===--- Turns --------------------------------------------------------===//
  void takeTurn(Value member);
  void passTurn(Value member);
  void synchronize(Value barrier, int64_t threads, bool wait);
  //===--- Uses of stages -----------------------------------------------===//
  Value stageOf(Value use) {
    return arith::RemUIOp::create(b, loc, use,
                                  tiles.index(strategy.getStages()));
  }
  Value phaseOf(Value use) { return tiles.floorDiv(use, strategy.getStages()); }
  void waitFull(const Ring &ring, Value use) {
    WaitOp::create(b, loc, ring.full, stageOf(use), phaseOf(use));
  }
  /// Before its first use a stage is empty.
  void waitEmpty(const Ring &ring, Value use) {
    WaitOp::create(b, loc, ring.empty, stageOf(use),
                   tiles.sub(phaseOf(use), tiles.index(1)));
  }
  void release(const Ring &ring, Value use) {
    ArriveOp::create(b, loc, ring.empty, stageOf(use));
  }
  Value tileOf(Value use) { return tiles.sub(lastTile, use); }
  Value keyOf(Value use) {
    return tiles.mul(tileOf(use), strategy.getKeyBlock());
  }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }

  Ring keys, values;
  Value queryMap, queries, queriesFull, count, lastTile;
};
} // namespace

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// A tensor map of [B, H, panels, tokens, 64], made on the host, with boxes of
/// a stage of `buffer`.
Value SpecializedSchedule::makeMap(Value operand, AffineMap layout,
                                   AttentionOp::Dim tokens,
                                   AttentionOp::Dim channels,
                                   MemRefType buffer) {
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, operand);
  auto place = [&](AttentionOp::Dim dim) {
    return *layout.getResultPosition(getAffineDimExpr(dim, op.getContext()));
  };
  OpFoldResult panels = b.getIndexAttr(buffer.getDimSize(1)),
               columns = b.getIndexAttr(panelColumns);
  SmallVector<OpFoldResult> sizes, strides;
  for (AttentionOp::Dim dim : {AttentionOp::B, AttentionOp::H, tokens}) {
    sizes.push_back(metadata.getSizes()[place(dim)]);
    strides.push_back(metadata.getStrides()[place(dim)]);
  }
  sizes.insert(sizes.begin() + 2, panels);
  strides.insert(strides.begin() + 2, columns);
  sizes.push_back(columns);
  strides.push_back(b.getIndexAttr(1));
  SmallVector<int64_t> shape, dynamic(4, ShapedType::kDynamic);
  for (OpFoldResult size : sizes)
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  dynamic[2] = panelColumns;
  dynamic.push_back(1);
  auto view = MemRefType::get(
      shape, tiles.element,
      StridedLayoutAttr::get(op.getContext(), ShapedType::kDynamic, dynamic));
  Value matrix =
      memref::ReinterpretCastOp::create(b, loc, view, metadata.getBaseBuffer(),
                                        metadata.getOffset(), sizes, strides);
  Value unranked = memref::CastOp::create(
      b, loc, UnrankedMemRefType::get(tiles.element, Attribute()), matrix);
  SmallVector<int64_t> box = {1, 1};
  llvm::append_range(box, buffer.getShape().drop_front());
  auto type = nvgpu::TensorMapDescriptorType::get(
      op.getContext(),
      MemRefType::get(box, tiles.element, AffineMap(), b.getI64IntegerAttr(3)),
      nvgpu::TensorMapSwizzleKind::SWIZZLE_128B,
      nvgpu::TensorMapL2PromoKind::L2PROMO_256B,
      nvgpu::TensorMapOOBKind::OOB_ZERO,
      nvgpu::TensorMapInterleaveKind::INTERLEAVE_NONE);
  SmallVector<Value> boxSizes =
      llvm::map_to_vector(box, [&](int64_t size) { return tiles.index(size); });
  return nvgpu::TmaCreateDescriptorOp::create(b, loc, type, unranked, boxSizes);
}

Ring SpecializedSchedule::makeRing(Value map, int64_t columns) {
  int64_t stages = strategy.getStages();
  Value buffer = allocate(bufferType(stages, strategy.getKeyBlock(), columns));
  return {map, buffer, Value(), Value()};
}

//===----------------------------------------------------------------------===//
// The producer
//===----------------------------------------------------------------------===//

/// The copy engine fills the stage of a use.
void SpecializedSchedule::fill(const Ring &ring, Value use, Value row) {
  waitEmpty(ring, use);
  Value zero = tiles.index(0);
  CopyTensorOp::create(b, loc, ring.map,
                       ValueRange{batch, tiles.getKeyHead(), zero, row, zero},
                       ring.buffer, stageOf(use), ring.full);
}

/// The copy engine knows where a tensor ends, but not which rows of it no query
/// of the block sees, where even NaN may lie. A tile with such rows is copied
/// by the warp, with zeros in their place.
void SpecializedSchedule::fillEdge(Value use, Value row) {
  std::pair<Ring *, TileRows> copies[] = {
      {&keys, tiles.getKeyRows(row, range)},
      {&values, tiles.getValueRows(row, range)}};
  for (auto &[ring, rows] : copies) {
    waitEmpty(*ring, use);
    CopyAsyncOp::create(b, loc, rows.matrix, rows.row, rows.from, rows.to,
                        ring->buffer, stageOf(use), /*threads=*/32,
                        /*warp=*/false, rows.where);
  }
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
  NVVM::CpAsyncWaitGroupOp::create(b, loc, 0);
  fenceProxy();
  synchronizeWarp();
  for (auto &[ring, rows] : copies)
    ArriveOp::create(b, loc, ring->full, stageOf(use));
}

void SpecializedSchedule::produce() {
  // One warp: what the others would do it does as fast.
  Value first = compare(arith::CmpIPredicate::ult, thread, tiles.index(32));
  auto branch = scf::IfOp::create(b, loc, first);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenYield());
  Value zero = tiles.index(0), one = tiles.index(1);
  for (int64_t i = 0; i != consumers(); ++i) {
    Value row = tiles.add(firstQuery, tiles.index(i * strategy.getRows()));
    CopyTensorOp::create(b, loc, queryMap,
                         ValueRange{batch, head, zero, row, zero}, queries,
                         tiles.index(i), queriesFull);
  }
  auto loop = scf::ForOp::create(b, loc, zero, count, one);
  b.setInsertionPointToStart(loop.getBody());
  Value use = loop.getInductionVar(), row = keyOf(use);
  int64_t keyBlock = strategy.getKeyBlock();
  // Behind the last key lies no row, or one that must not be read.
  Value end = arith::SelectOp::create(
      b, loc, compare(arith::CmpIPredicate::eq, range.lastKey, tiles.keys),
      tiles.add(range.lastKey, tiles.index(keyBlock - 1)), range.lastKey);
  Value inside = arith::AndIOp::create(
      b, loc, compare(arith::CmpIPredicate::sge, row, range.firstKey),
      compare(arith::CmpIPredicate::sle, tiles.add(row, tiles.index(keyBlock)),
              end));
  if (op.getMask())
    inside =
        arith::AndIOp::create(b, loc, inside, tiles.isTileSeen(tileOf(use)));
  auto choice = scf::IfOp::create(b, loc, TypeRange(), inside,
                                  /*withElseRegion=*/true);
  b.setInsertionPointToStart(choice.thenBlock());
  fill(keys, use, row);
  fill(values, use, row);
  b.setInsertionPointToStart(choice.elseBlock());
  fillEdge(use, row);
}

//===----------------------------------------------------------------------===//
// Consumers
//===----------------------------------------------------------------------===//

/// Two warpgroups take turns at starting products: while one computes a softmax
/// the matrix unit has the other's. Barrier 1 + i says that it is the turn of
/// warpgroup i.
void SpecializedSchedule::synchronize(Value barrier, int64_t threads,
                                      bool wait) {
  Value id = arith::IndexCastOp::create(b, loc, b.getI32Type(), barrier);
  Value all = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(threads));
  if (wait)
    NVVM::BarrierOp::create(b, loc, TypeRange(), id, all,
                            NVVM::BarrierReductionAttr(), Value());
  else
    NVVM::BarrierArriveOp::create(b, loc, id, all);
}

void SpecializedSchedule::takeTurn(Value member) {
  if (consumers() == 2)
    synchronize(tiles.add(member, tiles.index(1)), 256, /*wait=*/true);
}

void SpecializedSchedule::passTurn(Value member) {
  if (consumers() == 2)
    synchronize(tiles.sub(tiles.index(2), member), 256, /*wait=*/false);
}

/// Rotates the queries of the warpgroup where they lie.
void SpecializedSchedule::turnQueries(Value member) {
  if (!op.getQueryPositions())
    return;
  Value zero = tiles.index(0);
  Value row = tiles.add(firstQuery, tiles.mul(member, strategy.getRows()));
  Value loaded = LoadSharedOp::create(b, loc, tiles.operandType(tiles.headSize),
                                      queries, member, zero);
  // A lane stores where others of its warp have read.
  synchronizeWarp();
  StoreSharedOp::create(b, loc, tiles.rotate(loaded, row), queries, member,
                        zero);
  // Products read what all threads of the warpgroup wrote: they meet before the
  // first one, at the latest to take turns.
  fenceProxy();
  if (consumers() != 2)
    synchronize(tiles.add(member, tiles.index(1)), 128, /*wait=*/true);
}

Value SpecializedSchedule::startScores(Value use, Value member) {
  auto type = PendingType::get(op.getContext(),
                               tiles.accumulatorType(strategy.getKeyBlock()));
  return MmaAsyncOp::create(b, loc, type, queries, member, keys.buffer,
                            stageOf(use), Value(), /*transpose_b=*/true);
}

Value SpecializedSchedule::startSums(Value use, const Carried &carried) {
  auto type =
      PendingType::get(op.getContext(), tiles.accumulatorType(tiles.valueSize));
  return MmaAsyncOp::create(b, loc, type, carried.weights, Value(),
                            values.buffer, stageOf(use),
                            carried.state.accumulator, /*transpose_b=*/false);
}

/// The first tile: scores and their softmax.
Carried SpecializedSchedule::begin(Value member) {
  Value use = tiles.index(0);
  waitFull(keys, use);
  takeTurn(member);
  Value pending = startScores(use, member);
  passTurn(member);
  Value products = WaitMmaOp::create(b, loc, pending, Value(), 0);
  release(keys, use);
  Carried carried = {tiles.start(tiles.valueSize), Value()};
  Value row = tiles.add(firstQuery, tiles.mul(member, strategy.getRows()));
  Value scores = tiles.finishScores(products, row, keyOf(use), TileEdge::end);
  // There is nothing to scale yet.
  Value alpha, weights = tiles.weigh(scores, carried.state, &alpha);
  carried.weights = ConvertOp::create(
      b, loc, tiles.operandType(strategy.getKeyBlock()), weights);
  return carried;
}

Carried SpecializedSchedule::step(Value use, Value member,
                                  const Carried &carried, TileEdge edge) {
  Value before = tiles.sub(use, tiles.index(1));
  Carried next = carried;
  waitFull(keys, use);
  takeTurn(member);
  Value scoresPending = startScores(use, member);
  waitFull(values, before);
  Value sumsPending = startSums(before, carried);
  passTurn(member);
  Value products = WaitMmaOp::create(b, loc, scoresPending, Value(), 1);
  release(keys, use);
  Value row = tiles.add(firstQuery, tiles.mul(member, strategy.getRows()));
  Value scores = tiles.finishScores(products, row, keyOf(use), edge);
  Value alpha, weights = tiles.weigh(scores, next.state, &alpha);
  Value sums = WaitMmaOp::create(b, loc, sumsPending, next.state.sum, 0);
  release(values, before);
  next.state.accumulator = tiles.scaleRows(sums, alpha);
  next.weights = ConvertOp::create(
      b, loc, tiles.operandType(strategy.getKeyBlock()), weights);
  return next;
}

Carried SpecializedSchedule::loop(Value from, Value to, Value member,
                                  const Carried &carried, TileEdge edge) {
  auto loop =
      scf::ForOp::create(b, loc, from, to, tiles.index(1), carried.toVector());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Carried next = step(loop.getInductionVar(), member,
                      Carried::of(loop.getRegionIterArgs()), edge);
  scf::YieldOp::create(b, loc, next.toVector());
  return Carried::of(loop.getResults());
}

void SpecializedSchedule::consume(Value member) {
  Value zero = tiles.index(0), one = tiles.index(1);
  WaitOp::create(b, loc, queriesFull, member, zero);
  turnQueries(member);
  // The first turn is warpgroup 0's, by grace of warpgroup 1; the last one that
  // is passed is taken, so that none is left over.
  auto onlyMember = [&](int64_t i, bool wait) {
    if (consumers() != 2)
      return;
    auto branch = scf::IfOp::create(
        b, loc, compare(arith::CmpIPredicate::eq, member, tiles.index(i)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenYield());
    synchronize(one, 256, wait);
  };
  onlyMember(1, /*wait=*/false);

  // Uses: the masked tiles at the end, the full ones, those that a window cuts.
  Value fullFrom = tiles.max(one, tiles.sub(range.last, range.lastFull));
  Value fullTo = tiles.max(
      fullFrom, tiles.sub(count, tiles.sub(range.firstFull, range.first)));
  Carried carried = begin(member);
  if (op.getBand().second >= 0)
    carried = loop(one, fullFrom, member, carried, TileEdge::band);
  carried = loop(fullFrom, fullTo, member, carried, TileEdge::none);
  if (op.getBand().first >= 0)
    carried = loop(fullTo, count, member, carried, TileEdge::band);

  Value before = tiles.sub(count, one);
  waitFull(values, before);
  Value pending = startSums(before, carried);
  carried.state.accumulator = WaitMmaOp::create(b, loc, pending, Value(), 0);
  onlyMember(0, /*wait=*/true);
  tiles.finish(carried.state,
               tiles.add(firstQuery, tiles.mul(member, strategy.getRows())));
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

void SpecializedSchedule::build() {
  b.setInsertionPoint(op);
  tiles.prepareHost();
  tiles.prepareSeenTiles(strategy.getKeyBlock());
  int64_t keyBlock = strategy.getKeyBlock(), stages = strategy.getStages();
  queryMap =
      makeMap(op.getQuery(), op.getQueryMap(), AttentionOp::N, AttentionOp::D,
              bufferType(consumers(), strategy.getRows(), tiles.headSize));
  Value keyMap =
      makeMap(op.getKey(), op.getKeyMap(), AttentionOp::M, AttentionOp::D,
              bufferType(stages, keyBlock, tiles.headSize));
  Value valueMap =
      makeMap(op.getValue(), op.getValueMap(), AttentionOp::M, AttentionOp::E,
              bufferType(stages, keyBlock, tiles.valueSize));
  startQueryBlocks(strategy.getWarps() * 32 + strategy.getProducers() * 128);
  count = tiles.max(tiles.index(1), tiles.sub(range.last, range.first));
  lastTile = tiles.sub(tiles.add(range.first, count), tiles.index(1));

  queries =
      allocate(bufferType(consumers(), strategy.getRows(), tiles.headSize));
  keys = makeRing(keyMap, tiles.headSize);
  values = makeRing(valueMap, tiles.valueSize);
  queriesFull = allocateBarriers(consumers(), 1);
  for (Ring *ring : {&keys, &values}) {
    ring->full = allocateBarriers(stages, 1);
    ring->empty = allocateBarriers(stages, consumers());
  }
  InitBarriersOp::create(b, loc,
                         ValueRange{queriesFull, keys.full, keys.empty,
                                    values.full, values.empty});
  auto roles = WarpSpecializeOp::create(
      b, loc, ArrayRef<int64_t>{strategy.getProducers(), consumers()},
      getRegisters(), 2);
  OpBuilder::InsertPoint end = b.saveInsertionPoint();
  Block *blocks[2];
  for (int64_t role : {0, 1}) {
    blocks[role] = &roles.getRoles()[role].emplaceBlock();
    blocks[role]->addArgument(b.getIndexType(), loc);
    b.setInsertionPointToStart(blocks[role]);
    YieldOp::create(b, loc);
    b.setInsertionPointToStart(blocks[role]);
    if (role == 0)
      produce();
    else
      consume(blocks[role]->getArgument(0));
  }
  b.restoreInsertionPoint(end);
  finishLaunch();
}

namespace {
struct ScheduleAttentionSpecialized
    : repo::impl::ScheduleAttentionSpecializedBase<
          ScheduleAttentionSpecialized> {
  void runOnOperation() override {
    numScheduled += scheduleAttention(
        getOperation(),
        [](KernelStrategyAttr strategy) { return strategy.getProducers() > 0; },
        [](OpBuilder &builder, AttentionOp op) {
          SpecializedSchedule(builder, op).build();
        });
  }
};
} // namespace
