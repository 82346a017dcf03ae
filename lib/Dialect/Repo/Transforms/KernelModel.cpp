//===- KernelModel.cpp - Cycles of a tile of attention --------------------===//
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
};
} // namespace

static Rates getRates(StringRef chip) {
  // sm_86, sm_89 and sm_120 have half the matrix unit of sm_80; sm_90 reaches
  // its peak of 2048 by wgmma alone.
  if (chip.starts_with("sm_86") || chip.starts_with("sm_89") ||
      chip.starts_with("sm_12"))
    return {512, 16, 128, 32};
  if (chip.starts_with("sm_90") || chip.starts_with("sm_10"))
    return {1024, 16, 128, 24};
  return {1024, 16, 128, 47};
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
