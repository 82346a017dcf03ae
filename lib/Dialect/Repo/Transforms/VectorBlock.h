//===- VectorBlock.h - Blocks of attention as vectors -----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the lowerings of `repo.online_attention` to vectors share: loops that
// carry vectors, and access to buffers.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORBLOCK_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORBLOCK_H

#include "VectorMath.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Support/LoopBuilder.h"
#include <limits>

namespace mlir {
namespace repo {

class VectorBlock : protected LoopBuilder {
protected:
  using Vectors = SmallVector<Value>;
  static constexpr double log2e = 1.4426950408889634;
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  VectorBlock(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes)
      : LoopBuilder(builder, op.getLoc()), v(builder, op.getLoc(), lanes),
        op(op), lanes(lanes) {}

  // Of indices; sums of vectors are `v.add`.
  Value plus(Value base, int64_t offset) { return add(base, offset); }
  Value plus(Value x, Value y) { return add(x, y); }
  Value minus(Value x, Value y) { return sub(x, y); }
  /// The largest multiple of `tile` in `count`.
  Value wholeTiles(Value count, int64_t tile) {
    return mul(floorDiv(count, tile), tile);
  }
  VectorType floats(int64_t width) {
    return VectorType::get({width}, b.getF32Type());
  }

  /// A vector of f32 from elements of any type.
  Value load(Value buffer, ValueRange indices, int64_t width) {
    Type element = getElementTypeOrSelf(buffer);
    Value x = vector::LoadOp::create(b, loc, VectorType::get({width}, element),
                                     buffer, indices);
    if (!element.isF32())
      x = arith::ExtFOp::create(b, loc, floats(width), x);
    return x;
  }
  Value load(Value buffer, ValueRange indices) {
    return load(buffer, indices, lanes);
  }
  void store(Value value, Value buffer, ValueRange indices) {
    vector::StoreOp::create(b, loc, value, buffer, indices);
  }
  /// Asks for `count` f32 of a row to come into the first-level cache; they
  /// need not exist.
  void prefetch(Value buffer, Value row, Value column, int64_t count) {
    constexpr int64_t lineElements = 16;
    for (int64_t i = 0; i < count; i += lineElements)
      memref::PrefetchOp::create(b, loc, buffer,
                                 ValueRange{row, plus(column, i)},
                                 /*isWrite=*/false, /*localityHint=*/3,
                                 /*isDataCache=*/true);
  }
  Value broadcast(Value scalar, int64_t width) {
    return vector::BroadcastOp::create(b, loc, floats(width), scalar);
  }
  Value broadcastElement(Value buffer, ValueRange indices, int64_t width) {
    return broadcast(memref::LoadOp::create(b, loc, buffer, indices), width);
  }
  Value alloc(ArrayRef<int64_t> shape) {
    return memref::AllocOp::create(b, loc,
                                   MemRefType::get(shape, b.getF32Type()),
                                   b.getI64IntegerAttr(64));
  }

  VectorMath v;
  OnlineAttentionOp op;
  int64_t lanes;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORBLOCK_H
