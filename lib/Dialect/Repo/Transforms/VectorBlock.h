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
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include <limits>

namespace mlir {
namespace repo {

class VectorBlock {
protected:
  using Vectors = SmallVector<Value>;
  static constexpr double log2e = 1.4426950408889634;
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  VectorBlock(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes)
      : v(builder, op.getLoc(), lanes), b(builder), loc(op.getLoc()), op(op),
        lanes(lanes) {}

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value plus(Value base, int64_t offset) {
    return offset
               ? arith::AddIOp::create(b, loc, base, index(offset)).getResult()
               : base;
  }
  Value plus(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value minus(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
  Value max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }
  /// The largest multiple of `tile` in `count`.
  Value wholeTiles(Value count, int64_t tile) {
    return arith::MulIOp::create(
        b, loc, arith::DivUIOp::create(b, loc, count, index(tile)),
        index(tile));
  }
  Value toI32(Value value) {
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), value);
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

  /// A loop that carries vectors.
  Vectors loop(Value from, Value to, int64_t step, ValueRange init,
               function_ref<Vectors(Value, ValueRange)> body) {
    auto loop = scf::ForOp::create(
        b, loc, from, to, index(step), init,
        [&](OpBuilder &, Location loc, Value position, ValueRange carried) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(position.getParentBlock());
          scf::YieldOp::create(b, loc, body(position, carried));
        });
    return Vectors(loop.getResults());
  }
  /// A loop that carries nothing.
  void loop(Value from, Value to, int64_t step,
            function_ref<void(Value)> body) {
    loop(from, to, step, {}, [&](Value position, ValueRange) {
      body(position);
      return Vectors();
    });
  }

  VectorMath v;
  OpBuilder &b;
  Location loc;
  OnlineAttentionOp op;
  int64_t lanes;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORBLOCK_H
