//===- VectorPairs.h - Products of pairs of bf16 ----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// AVX512-BF16: a lane of f32 takes the sum of two products. In a row of a panel
// a pair is what two products of one column need, side by side.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORPAIRS_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORPAIRS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::repo {

/// Two elements of a row of bf16 from `at` on, in every one of `lanes` lanes.
inline Value broadcastPair(OpBuilder &b, Location loc, Value buffer,
                           ValueRange at, int64_t lanes) {
  Value pair = vector::LoadOp::create(
      b, loc, VectorType::get({2}, b.getBF16Type()), buffer, at);
  pair = vector::BitCastOp::create(b, loc, VectorType::get({1}, b.getI32Type()),
                                   pair);
  pair = vector::BroadcastOp::create(
      b, loc, VectorType::get({lanes}, b.getI32Type()), pair);
  return vector::BitCastOp::create(
      b, loc, VectorType::get({2 * lanes}, b.getBF16Type()), pair);
}

/// sum[i] + row[2 i] pair[2 i] + row[2 i + 1] pair[2 i + 1] in lane i.
inline Value addPairProducts(OpBuilder &b, Location loc, Value sum, Value row,
                             Value pair) {
  int64_t bits = cast<VectorType>(sum.getType()).getNumElements() * 32;
  return LLVM::CallIntrinsicOp::create(
             b, loc, sum.getType(),
             b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps." +
                             std::to_string(bits)),
             ValueRange{sum, row, pair})
      .getResult(0);
}

} // namespace mlir::repo

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_VECTORPAIRS_H
