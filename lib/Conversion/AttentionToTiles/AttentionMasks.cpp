//===- AttentionMasks.cpp - What a boolean mask hides from blocks ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A mask hides keys from single queries. What a block of queries must not read
// at all, for it may be NaN, are the keys hidden from all of them: a table that
// kernels of their own make before that of attention.
//
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::repo;

static MemRefType typeOf(Value buffer) {
  return cast<MemRefType>(buffer.getType());
}

/// Fills a table of booleans in parallel: one for all places.
static void fillTable(OpBuilder &b, Location loc, Value table, ValueRange sizes,
                      function_ref<Value(ValueRange place)> element) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0),
        one = arith::ConstantIndexOp::create(b, loc, 1);
  SmallVector<Value> from(sizes.size(), zero), step(sizes.size(), one);
  auto all = scf::ParallelOp::create(b, loc, from, sizes, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(all.getBody());
  SmallVector<Value> place(all.getInductionVars());
  memref::StoreOp::create(b, loc, element(place), table, place);
}

/// `start` combined with `element` of all of [from, to).
template <typename Combiner>
static Value reduce(OpBuilder &b, Location loc, bool start, Value from,
                    Value to, function_ref<Value(Value)> element) {
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value init = arith::ConstantOp::create(b, loc, b.getBoolAttr(start));
  auto loop = scf::ForOp::create(b, loc, from, to, one, init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value next = element(loop.getInductionVar());
  scf::YieldOp::create(
      b, loc,
      Combiner::create(b, loc, loop.getRegionIterArg(0), next).getResult());
  return loop.getResult(0);
}

/// The keys that some query of a block sees. That is the mask where it is the
/// same for all of them.
void AttentionTiles::makeSeenKeys() {
  Value mask = op.getMask();
  if (!mask)
    return;
  MemRefType type = typeOf(mask);
  bool perHead = type.getDimSize(1) != 1, perQuery = type.getDimSize(2) != 1,
       overHeads = perHead && packedHeads > 1;
  if (!overHeads && !perQuery && type.getDimSize(3) != 1) {
    seenKeys = mask;
    return;
  }
  int64_t queryBlock = strategy.getQueryBlock();
  Value batches = memref::DimOp::create(b, loc, mask, 0);
  int64_t heads = perHead ? type.getDimSize(1) / packedHeads : 1;
  bool severalBlocks = perQuery && !packedQueries;
  Value blocks = severalBlocks ? ceilDiv(queries, queryBlock) : index(1);
  constexpr int64_t dynamic = ShapedType::kDynamic;
  auto table = MemRefType::get(
      {type.getDimSize(0), heads, severalBlocks ? dynamic : 1, dynamic},
      b.getI1Type());
  SmallVector<Value> sizes = {batches, index(heads), blocks, keys},
                     dynamicSizes;
  for (auto [i, size] : llvm::enumerate(sizes))
    if (table.isDynamicDim(i))
      dynamicSizes.push_back(size);
  seenKeys = memref::AllocOp::create(b, loc, table, dynamicSizes);
  fillTable(b, loc, seenKeys, sizes, [&](ValueRange at) {
    Value zero = index(0);
    Value firstHead = mul(at[1], packedHeads),
          lastHead = overHeads ? add(firstHead, index(packedHeads))
                               : add(firstHead, index(1));
    Value first = mul(at[2], queryBlock),
          last =
              perQuery ? min(add(first, index(queryBlock)), queries) : index(1);
    return reduce<arith::OrIOp>(
        b, loc, false, firstHead, lastHead, [&](Value h) {
          return reduce<arith::OrIOp>(b, loc, false, first, last, [&](Value n) {
            SmallVector<Value> place = {at[0], h, n, at[3]};
            for (auto [i, index] : llvm::enumerate(place))
              if (type.getDimSize(i) == 1)
                index = zero;
            return memref::LoadOp::create(b, loc, mask, place).getResult();
          });
        });
  });
}

void AttentionTiles::prepareSeenTiles(int64_t keyBlock) {
  if (!seenKeys)
    return;
  MemRefType type = typeOf(seenKeys);
  SmallVector<Value> sizes, dynamicSizes;
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = ShapedType::kDynamic;
  for (int64_t i = 0; i != 3; ++i)
    sizes.push_back(memref::DimOp::create(b, loc, seenKeys, i));
  // The first tile of a kernel that has none may lie behind the last.
  sizes.push_back(add(floorDiv(keys, keyBlock), index(1)));
  for (auto [size, known] : llvm::zip_equal(sizes, shape))
    if (ShapedType::isDynamic(known))
      dynamicSizes.push_back(size);
  seenTiles = memref::AllocOp::create(
      b, loc, MemRefType::get(shape, b.getI1Type()), dynamicSizes);
  fillTable(b, loc, seenTiles, sizes, [&](ValueRange at) {
    Value first = mul(at[3], keyBlock),
          last = min(add(first, index(keyBlock)), keys);
    return reduce<arith::AndIOp>(b, loc, true, first, last, [&](Value m) {
      return memref::LoadOp::create(b, loc, seenKeys,
                                    ValueRange{at[0], at[1], at[2], m})
          .getResult();
    });
  });
}

/// Where a table has what is for the block.
SmallVector<Value> AttentionTiles::getSeenPlace(Value table) {
  MemRefType type = typeOf(table);
  bool perKeyHead = packedHeads > 1;
  SmallVector<Value> place = {batch, perKeyHead ? keyHead : head, index(0)};
  if (type.getDimSize(2) != 1)
    place[2] = floorDiv(firstQuery, strategy.getQueryBlock());
  for (int64_t i = 0; i != 2; ++i)
    if (type.getDimSize(i) == 1)
      place[i] = index(0);
  return place;
}

Value AttentionTiles::isTileSeen(Value tile) {
  SmallVector<Value> place = getSeenPlace(seenTiles);
  place.push_back(tile);
  return memref::LoadOp::create(b, loc, seenTiles, place);
}

/// What the block sees of the keys from `first` on.
Value AttentionTiles::sliceSeenKeys(Value first) {
  SmallVector<OpFoldResult> offsets = getAsOpFoldResult(getSeenPlace(seenKeys)),
                            sizes(3, b.getIndexAttr(1)),
                            strides(4, b.getIndexAttr(1));
  offsets.push_back(first);
  sizes.push_back(sub(keys, first));
  MemRefType result = memref::SubViewOp::inferRankReducedResultType(
      ShapedType::kDynamic, typeOf(seenKeys), offsets, sizes, strides);
  return memref::SubViewOp::create(b, loc, result, seenKeys, offsets, sizes,
                                   strides);
}
