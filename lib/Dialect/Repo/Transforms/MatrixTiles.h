//===- MatrixTiles.h - Building code for the matrix unit --------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tiles of AMX: 16 rows of 64 bytes. A product takes 16 rows of 32 bf16 as its
// left factor and a panel, 16 pairs of products of 16 columns, as its right
// one, and adds to 16 by 16 f32. There are eight registers; the code here never
// has more tiles alive.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_MATRIXTILES_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_MATRIXTILES_H

#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <functional>

namespace mlir {
namespace repo {

class MatrixTiles {
public:
  MatrixTiles(OpBuilder &builder, Location loc)
      : b(builder), loc(loc),
        sums(amx::TileType::get({16, 16}, builder.getF32Type())),
        factor(amx::TileType::get({16, 32}, builder.getBF16Type())) {}

  /// One per accumulator: sharing one would copy it through memory.
  Value zero() { return amx::TileZeroOp::create(b, loc, sums); }
  /// 16 rows of a matrix.
  Value loadSums(Value buffer, ValueRange at) {
    return amx::TileLoadOp::create(b, loc, sums, buffer, at);
  }
  Value loadLeft(Value buffer, ValueRange at) {
    return amx::TileLoadOp::create(b, loc, factor, buffer, at);
  }
  /// 16 pairs of a panel of 16 columns, whose last dimensions are 16 and 2.
  Value loadRight(Value panels, ValueRange at) {
    Value stride = arith::ConstantIndexOp::create(b, loc, 32);
    return amx::TileLoadOp::create(b, loc, factor, panels, at, stride);
  }
  void store(Value tile, Value buffer, ValueRange at) {
    amx::TileStoreOp::create(b, loc, buffer, at, tile);
  }
  Value multiply(Value left, Value right, Value sum) {
    return amx::TileMulFOp::create(b, loc, sums, left, right, sum);
  }

private:
  OpBuilder &b;
  Location loc;
  amx::TileType sums, factor;
};

/// Code in small pieces, to be interleaved with other code.
using CodeSteps = SmallVector<std::function<void()>>;

/// Emits both, spreading `second` evenly over the first `percent` of `first`:
/// the matrix unit and the vector units then work side by side.
inline void weave(const CodeSteps &first, const CodeSteps &second,
                  size_t percent) {
  size_t done = 0, spread = std::max<size_t>(1, first.size() * percent / 100);
  for (auto [i, step] : llvm::enumerate(first)) {
    step();
    size_t due = std::min(second.size(), (i + 1) * second.size() / spread);
    for (; done < due; ++done)
      second[done]();
  }
  for (; done < second.size(); ++done)
    second[done]();
}

/// Stores of finished sums, held back until the next products have started: a
/// store that waits for its product holds up what is behind it.
class PendingStores {
public:
  void add(std::function<void()> store) { stores.push_back(std::move(store)); }
  /// Emits the oldest `count`, or all.
  void flush(size_t count = ~size_t(0)) {
    count = std::min(count, stores.size());
    for (size_t i = 0; i < count; ++i)
      stores[i]();
    stores.erase(stores.begin(), stores.begin() + count);
  }

private:
  SmallVector<std::function<void()>> stores;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_MATRIXTILES_H
