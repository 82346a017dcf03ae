//===- VectorTranspose.h - Squares of vectors, transposed -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TRANSFORMS_VECTORTRANSPOSE_H
#define REPO_LIB_TRANSFORMS_VECTORTRANSPOSE_H

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::repo {

/// Transposes as many vectors as they have lanes: step s swaps the blocks of s
/// by s lanes beside the diagonal of every 2s rows.
inline void transposeSquare(OpBuilder &b, Location loc,
                            MutableArrayRef<Value> rows) {
  int64_t lanes = rows.size();
  for (int64_t s = lanes / 2; s > 0; s /= 2) {
    SmallVector<int64_t> upper, lower;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      bool second = lane & s;
      upper.push_back(second ? lanes + lane - s : lane);
      lower.push_back(second ? lanes + lane : lane + s);
    }
    for (int64_t i = 0; i < lanes; ++i) {
      if (i & s)
        continue;
      Value x = rows[i], y = rows[i + s];
      rows[i] = vector::ShuffleOp::create(b, loc, x, y, upper);
      rows[i + s] = vector::ShuffleOp::create(b, loc, x, y, lower);
    }
  }
}

} // namespace mlir::repo

#endif // REPO_LIB_TRANSFORMS_VECTORTRANSPOSE_H
