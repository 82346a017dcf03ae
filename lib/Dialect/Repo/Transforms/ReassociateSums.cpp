//===- ReassociateSums.cpp - Sums of rows in any order --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_REASSOCIATESUMS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

/// The addition whose chain along the innermost loop makes the sum.
static arith::AddFOp getSum(linalg::GenericOp op) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  if (iterators.empty() || iterators.back() != utils::IteratorType::reduction ||
      op.getNumDpsInits() != 1)
    return nullptr;
  Block &body = op.getRegion().front();
  Value carried = body.getArguments().back();
  auto sum = body.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  return sum && carried.hasOneUse() && *carried.getUsers().begin() == sum
             ? sum
             : nullptr;
}

namespace {
struct ReassociateSums : repo::impl::ReassociateSumsBase<ReassociateSums> {
  void runOnOperation() override {
    getOperation().walk([&](linalg::GenericOp op) {
      arith::AddFOp sum = getSum(op);
      if (!sum || !sum.getType().isF32())
        return;
      sum.setFastmath(sum.getFastmath() | arith::FastMathFlags::reassoc);
      ++numSums;
    });
  }
};
} // namespace
