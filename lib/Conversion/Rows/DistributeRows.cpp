//===- DistributeRows.cpp - Loops over rows to kernels --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowKernel.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_DISTRIBUTEROWS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

/// Whether the iterations of a loop are blocks of threads.
static bool isOverBlocks(scf::ForallOp loop) {
  std::optional<ArrayAttr> mapping = loop.getMapping();
  return mapping && !mapping->empty() && loop.isNormalized() &&
         llvm::all_of(*mapping, [](Attribute attribute) {
           return isa<gpu::GPUBlockMappingAttr>(attribute);
         });
}

namespace {
struct DistributeRows : repo::impl::DistributeRowsBase<DistributeRows> {
  using DistributeRowsBase::DistributeRowsBase;
  void runOnOperation() override {
    SmallVector<scf::ForallOp> loops;
    getOperation().walk([&](scf::ForallOp loop) {
      if (isOverBlocks(loop))
        loops.push_back(loop);
    });
    for (scf::ForallOp loop : loops) {
      if (failed(RowKernel(loop, threads).build()))
        return signalPassFailure();
      loop.erase();
      ++numKernels;
    }
  }
};
} // namespace
