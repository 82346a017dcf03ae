//===- ScheduleAttentionSpecialized.cpp - Attention by roles of warps -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SpecializedSchedule.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_SCHEDULEATTENTIONSPECIALIZED
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

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
      llvm::map_to_vector(box, [&](int64_t size) { return index(size); });
  return nvgpu::TmaCreateDescriptorOp::create(b, loc, type, unranked, boxSizes);
}

SpecializedSchedule::Ring SpecializedSchedule::makeRing(Value map,
                                                        int64_t columns) {
  int64_t stages = strategy.getStages();
  Value buffer = allocate(bufferType(stages, strategy.getKeyBlock(), columns));
  return {map, buffer, Value(), Value()};
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
  count = max(index(1), sub(range.last, range.first));
  lastTile = sub(add(range.first, count), index(1));

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
