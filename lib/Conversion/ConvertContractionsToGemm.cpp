//===- ConvertContractionsToGemm.cpp - Products by the device's library ---===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "repo/Conversion/Passes.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTCONTRACTIONSTOGEMM
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

static bool hasUnitInnerStride(MemRefType type) {
  auto [strides, offset] = type.getStridesAndOffset();
  return !strides.empty() && strides.back() == 1;
}

/// Whether the results of a map are these dimensions, in order.
static bool isMapTo(AffineMap map, ArrayRef<unsigned> dims) {
  return map.getNumResults() == dims.size() &&
         llvm::all_of(llvm::zip_equal(map.getResults(), dims), [](auto pair) {
           auto dim = dyn_cast<AffineDimExpr>(std::get<0>(pair));
           return dim && dim.getPosition() == std::get<1>(pair);
         });
}

/// Whether `op` multiplies rows of its first input by a matrix; `transposed`
/// says how that lies.
static bool matchProduct(linalg::LinalgOp op, bool &transposed) {
  if (!linalg::isaContractionOpInterface(op) || op.getNumDpsInputs() != 2)
    return false;
  FailureOr<linalg::ContractionDimensions> dims =
      linalg::inferContractionDims(op);
  if (failed(dims) || !dims->batch.empty() || dims->n.size() != 1 ||
      dims->k.size() != 1 || dims->m.empty() || dims->m.size() > 2)
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  unsigned n = dims->n[0], k = dims->k[0];
  auto rowsAnd = [&](unsigned last) {
    SmallVector<unsigned> all(dims->m.begin(), dims->m.end());
    all.push_back(last);
    return all;
  };
  if (!isMapTo(maps[0], rowsAnd(k)) || !isMapTo(maps[2], rowsAnd(n)))
    return false;
  transposed = isMapTo(maps[1], {n, k});
  if (!transposed && !isMapTo(maps[1], {k, n}))
    return false;
  auto typeOf = [&](unsigned i) {
    return dyn_cast<MemRefType>(op->getOperand(i).getType());
  };
  MemRefType a = typeOf(0), b = typeOf(1), c = typeOf(2);
  if (!a || !b || !c)
    return false;
  Type element = a.getElementType();
  return element == b.getElementType() && c.getElementType().isF32() &&
         (element.isBF16() || element.isF16() || element.isF32()) &&
         !a.isDynamicDim(a.getRank() - 1) &&
         llvm::all_of(ArrayRef{a, b, c}, hasUnitInnerStride);
}

static Value getRoot(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

/// Zeros written to the result of `op`, which nothing uses in between.
static linalg::FillOp findZeros(linalg::LinalgOp op) {
  Value result = op.getDpsInits()[0];
  for (Operation *before = op->getPrevNode(); before;
       before = before->getPrevNode()) {
    auto fill = dyn_cast<linalg::FillOp>(before);
    if (fill && fill.getOutputs()[0] == result)
      return matchPattern(fill.getInputs()[0], m_AnyZeroFloat())
                 ? fill
                 : linalg::FillOp();
    // Another use of the same memory, in the open or inside of a region.
    bool uses = false;
    before->walk([&](Operation *nested) {
      for (Value operand : nested->getOperands())
        uses |= isa<MemRefType>(operand.getType()) &&
                getRoot(operand) == getRoot(result) &&
                !isa<ViewLikeOpInterface>(nested);
    });
    if (uses)
      return {};
  }
  return {};
}

namespace {
struct ConvertContractionsToGemm
    : repo::impl::ConvertContractionsToGemmBase<ConvertContractionsToGemm> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    for (linalg::LinalgOp op : ops) {
      bool transposed = false;
      if (!matchProduct(op, transposed))
        continue;
      linalg::FillOp zeros = findZeros(op);
      OpBuilder builder(op);
      GemmOp::create(builder, op.getLoc(), op->getOperand(0), op->getOperand(1),
                     op->getOperand(2), transposed, /*accumulate=*/!zeros);
      if (zeros)
        zeros.erase();
      op.erase();
      ++numProducts;
    }
  }
};
} // namespace
