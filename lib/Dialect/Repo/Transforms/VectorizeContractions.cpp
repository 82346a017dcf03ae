//===- VectorizeContractions.cpp - Contractions on vectors ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_VECTORIZECONTRACTIONS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;

namespace {
struct VectorizeContractions
    : repo::impl::VectorizeContractionsBase<VectorizeContractions> {
  using VectorizeContractionsBase::VectorizeContractionsBase;
  void runOnOperation() override {
    SmallVector<std::pair<linalg::LinalgOp, repo::Contraction>> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (auto contraction = repo::matchContraction(op, lanes, pairs))
        ops.push_back({op, *contraction});
    });
    for (auto &[op, contraction] : ops) {
      OpBuilder builder(op);
      if (report) {
        InFlightDiagnostic remark =
            op->emitRemark("contraction is vectorised: ");
        if (contraction.panelWidth)
          remark << "weights in panels of " << contraction.panelWidth
                 << " columns"
                 << (contraction.pair ? ", pairs of products" : "");
        else
          remark << "weights in rows";
        remark << ", " << int64_t(lanes) << " lanes";
      }
      repo::lowerContraction(builder, op, contraction, lanes);
      ++numVectorized;
    }
  }
};
} // namespace
