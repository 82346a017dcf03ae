//===- ApproximateMath.cpp - Transcendental functions as arithmetic -------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

namespace {
struct ApproximateMath : repo::impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    auto isApproximated = [](StringRef name) {
      return llvm::is_contained(
          {math::ExpOp::getOperationName(), math::LogOp::getOperationName(),
           math::Log2Op::getOperationName(), math::TanhOp::getOperationName()},
          name);
    };
    RewritePatternSet patterns(&getContext());
    // 2^x is e^(x ln 2) here; there is no polynomial of its own upstream.
    math::populateExpansionPatterns(patterns, {"exp2"});
    populateMathF32ExpansionPatterns(patterns, isApproximated);
    populateMathPolynomialApproximationPatterns(patterns, isApproximated);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
