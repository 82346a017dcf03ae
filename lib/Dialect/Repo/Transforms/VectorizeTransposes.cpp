//===- VectorizeTransposes.cpp - Transposes in registers ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorTranspose.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Support/LoopBuilder.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_VECTORIZETRANSPOSES
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

static bool matches(linalg::TransposeOp op, int64_t lanes) {
  auto type = dyn_cast<MemRefType>(op.getInput().getType());
  return type && type.getRank() == 2 && type.hasStaticShape() &&
         op.getPermutation()[0] == 1 && type.getDimSize(0) % lanes == 0 &&
         type.getDimSize(1) % lanes == 0 && type.isLastDimUnitStride() &&
         cast<MemRefType>(op.getInit().getType()).isLastDimUnitStride() &&
         !type.getElementType().isIndex();
}

static void vectorize(OpBuilder &b, linalg::TransposeOp op, int64_t lanes) {
  LoopBuilder at(b, op.getLoc());
  auto type = cast<MemRefType>(op.getInput().getType());
  auto vectorType = VectorType::get({lanes}, type.getElementType());
  Value zero = at.index(0);
  at.loop(zero, at.index(type.getDimSize(0)), lanes, [&](Value row) {
    at.loop(zero, at.index(type.getDimSize(1)), lanes, [&](Value column) {
      SmallVector<Value> square;
      for (int64_t i = 0; i < lanes; ++i)
        square.push_back(
            vector::LoadOp::create(b, at.loc, vectorType, op.getInput(),
                                   ValueRange{at.add(row, i), column}));
      transposeSquare(b, at.loc, square);
      for (int64_t i = 0; i < lanes; ++i)
        vector::StoreOp::create(b, at.loc, square[i], op.getInit(),
                                ValueRange{at.add(column, i), row});
    });
  });
}

namespace {
struct VectorizeTransposes
    : repo::impl::VectorizeTransposesBase<VectorizeTransposes> {
  using VectorizeTransposesBase::VectorizeTransposesBase;
  void runOnOperation() override {
    SmallVector<linalg::TransposeOp> ops;
    getOperation().walk([&](linalg::TransposeOp op) {
      if (matches(op, lanes))
        ops.push_back(op);
    });
    for (linalg::TransposeOp op : ops) {
      OpBuilder builder(op);
      vectorize(builder, op, lanes);
      op.erase();
      ++numVectorized;
    }
  }
};
} // namespace
