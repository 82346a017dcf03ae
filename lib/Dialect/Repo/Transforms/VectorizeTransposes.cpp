//===- VectorizeTransposes.cpp - Transposes in registers ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorTranspose.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

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
  Location loc = op.getLoc();
  auto type = cast<MemRefType>(op.getInput().getType());
  auto vectorType = VectorType::get({lanes}, type.getElementType());
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  SmallVector<Value> zeros(2, index(0)), steps(2, index(lanes)),
      sizes = {index(type.getDimSize(0)), index(type.getDimSize(1))};
  scf::buildLoopNest(
      b, loc, zeros, sizes, steps,
      [&](OpBuilder &b, Location loc, ValueRange at) {
        auto plus = [&](Value x, int64_t y) -> Value {
          return arith::AddIOp::create(
              b, loc, x, arith::ConstantIndexOp::create(b, loc, y));
        };
        SmallVector<Value> rows;
        for (int64_t i = 0; i < lanes; ++i)
          rows.push_back(
              vector::LoadOp::create(b, loc, vectorType, op.getInput(),
                                     ValueRange{plus(at[0], i), at[1]}));
        transposeSquare(b, loc, rows);
        for (int64_t i = 0; i < lanes; ++i)
          vector::StoreOp::create(b, loc, rows[i], op.getInit(),
                                  ValueRange{plus(at[1], i), at[0]});
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
