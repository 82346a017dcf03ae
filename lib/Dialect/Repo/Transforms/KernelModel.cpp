//===- KernelModel.cpp - Cycles of a tile of a kernel ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelModel.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Peak rates of a multiprocessor per cycle.
struct Rates {
  /// Multiply-adds of bf16 with f32 sums by mma.sync.
  int64_t products;
  /// Special functions of f32.
  int64_t special;
  /// Bytes read from shared memory, and from the second-level cache.
  int64_t sharedBytes, cacheBytes;
  /// How many multiprocessors there are.
  int64_t multiprocessors;
};
} // namespace

static Rates getRates(StringRef chip) {
  // sm_86, sm_89 and sm_120 have half the matrix unit of sm_80; sm_90 reaches
  // its peak of 2048 by wgmma alone.
  if (chip.starts_with("sm_86") || chip.starts_with("sm_89") ||
      chip.starts_with("sm_12"))
    return {512, 16, 128, 32, 84};
  if (chip.starts_with("sm_90") || chip.starts_with("sm_10"))
    return {1024, 16, 128, 24, 132};
  return {1024, 16, 128, 47, 108};
}

TileCycles mlir::repo::estimateTile(KernelStrategyAttr strategy,
                                    int64_t headSize, int64_t valueSize,
                                    StringRef chip) {
  Rates rates = getRates(chip);
  int64_t rows = strategy.getQueryBlock(), keys = strategy.getKeyBlock(),
          warps = strategy.getWarps(), channels = headSize + valueSize;
  TileCycles cycles;
  bool mma = strategy.getUnit() == MatrixUnit::mma;
  int64_t products = mma ? rates.products : 2 * rates.products;
  cycles.tensor = rows * keys * channels / products;
  cycles.special = rows * keys / rates.special;
  // Every warp, or warpgroup, reads all keys and values for its rows.
  int64_t readers = mma ? warps : warps / 4;
  int64_t bytes = readers * keys * channels * 2;
  // Queries in shared memory are read again for every tile.
  if (strategy.getProducers())
    bytes += rows * headSize * 2;
  cycles.shared = bytes / rates.sharedBytes;
  cycles.cache = keys * channels * 2 / rates.cacheBytes;
  // Warp instructions, on four schedulers: products of 16x8x16; an ldmatrix for
  // every two of a row step; of a score maximum, fused multiply-add, 2^x, sum
  // and half a conversion; the accumulator's scaling; copies with their
  // addresses.
  int64_t multiplies = mma ? rows * keys * channels / (16 * 8 * 16) : 0;
  int64_t loads = mma ? warps * keys * channels / (16 * 16) : 0;
  int64_t scores = rows * keys * 9 / 2 / 32;
  int64_t scaling = rows * valueSize / 32;
  int64_t copies =
      strategy.getProducers() ? 0 : 3 * keys * channels * 2 / 16 / 32;
  cycles.issue = llvm::divideCeil(
      uint64_t(multiplies + loads + scores + scaling + copies), 4);
  return cycles;
}

TileCycles mlir::repo::estimatePositionStep(PositionStrategyAttr strategy,
                                            StringRef chip) {
  Rates rates = getRates(chip);
  constexpr int64_t channels = 64;
  int64_t rows = strategy.getTokenBlock(),
          columns = 2 * strategy.getColumnBlock(),
          owners = strategy.getOwners();
  bool mma = strategy.getUnit() == MatrixUnit::mma;
  TileCycles cycles;
  cycles.tensor =
      rows * columns * channels / (mma ? rates.products : 2 * rates.products);
  // The exponential and the reciprocal of silu.
  cycles.special = rows * columns / rates.special;
  // Every warp, or warpgroup, reads all columns for its tokens.
  int64_t readRows = owners * columns + rows;
  cycles.shared = readRows * channels * 2 / rates.sharedBytes;
  int64_t copied = (rows + columns) * channels * 2;
  cycles.cache = copied / rates.cacheBytes;
  // As for attention: products, loads of matrices, copies with their addresses.
  int64_t multiplies = mma ? rows * columns * channels / (16 * 8 * 16) : 0;
  int64_t loads = mma ? (owners * columns + rows) * channels / (16 * 16) : 0;
  int64_t copies = 3 * copied / 16 / 32;
  cycles.issue = llvm::divideCeil(uint64_t(multiplies + loads + copies), 4);
  return cycles;
}

int64_t mlir::repo::getPositionSharedBytes(PositionStrategyAttr strategy,
                                           int64_t heads) {
  int64_t rows = strategy.getTokenBlock() + 2 * strategy.getColumnBlock();
  int64_t headBytes = llvm::alignTo(heads, 16) * strategy.getColumnBlock() * 2;
  return strategy.getStages() * rows * 128 + headBytes;
}

int64_t mlir::repo::estimatePositions(PositionStrategyAttr strategy,
                                      int64_t tokens, int64_t channels,
                                      int64_t columns, StringRef chip) {
  TileCycles step = estimatePositionStep(strategy, chip);
  int64_t blocks =
      llvm::divideCeil(uint64_t(tokens), strategy.getTokenBlock()) *
      (columns / strategy.getColumnBlock());
  int64_t rounds =
      llvm::divideCeil(uint64_t(blocks), getRates(chip).multiprocessors);
  int64_t slowest =
      std::max({step.tensor, step.shared, step.cache, step.issue});
  return rounds * (channels / 64 * slowest + step.special);
}

int64_t mlir::repo::getSharedBytes(StringRef chip) {
  if (chip.starts_with("sm_86") || chip.starts_with("sm_89") ||
      chip.starts_with("sm_12"))
    return 99 << 10;
  if (chip.starts_with("sm_90") || chip.starts_with("sm_10"))
    return 227 << 10;
  return 163 << 10;
}
