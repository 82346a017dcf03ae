//===- SpecializedSchedule.h - Attention by roles of warps ------*- C++ -*-===//
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

#ifndef REPO_LIB_CONVERSION_ATTENTIONTOTILES_SPECIALIZEDSCHEDULE_H
#define REPO_LIB_CONVERSION_ATTENTIONTOTILES_SPECIALIZEDSCHEDULE_H

#include "AttentionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace mlir::repo {

class SpecializedSchedule : AttentionSchedule {
public:
  using AttentionSchedule::AttentionSchedule;
  void build();

private:
  /// Stages of a matrix in shared memory, and who may touch them.
  struct Ring {
    Value map, buffer, full, empty;
  };

  /// What a warpgroup carries from tile to tile: the softmax, and the weights
  /// of the tile before, whose values are still to be added.
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
    return arith::RemUIOp::create(b, loc, use, index(strategy.getStages()));
  }
  Value phaseOf(Value use) { return floorDiv(use, strategy.getStages()); }
  void waitFull(const Ring &ring, Value use) {
    tile::WaitOp::create(b, loc, ring.full, stageOf(use), phaseOf(use));
  }
  /// Before its first use a stage is empty.
  void waitEmpty(const Ring &ring, Value use) {
    tile::WaitOp::create(b, loc, ring.empty, stageOf(use),
                         sub(phaseOf(use), index(1)));
  }
  void release(const Ring &ring, Value use) {
    tile::ArriveOp::create(b, loc, ring.empty, stageOf(use));
  }
  Value tileOf(Value use) { return sub(lastTile, use); }
  Value keyOf(Value use) { return mul(tileOf(use), strategy.getKeyBlock()); }

  Ring keys, values;
  Value queryMap, queries, queriesFull, count, lastTile;
};

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_ATTENTIONTOTILES_SPECIALIZEDSCHEDULE_H
