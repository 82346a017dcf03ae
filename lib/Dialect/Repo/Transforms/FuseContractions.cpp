//===- FuseContractions.cpp - Contractions of one input side by side ------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PackedConstants.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_FUSECONTRACTIONS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

namespace {
/// `out[.., o] = sum_i x[.., i] * w[o, i]` with packed weights, o last.
struct Linear {
  linalg::LinalgOp op;
  Value x, weight;
  /// For every dimension of x the dimension of out along which it runs, -1 for
  /// the products.
  SmallVector<int64_t> xDims;
  /// The dimension of the weight along which the columns run.
  int64_t columnDim;
  int64_t numColumns;

  bool fits(const Linear &other) const {
    Operation *mine = op, *its = other.op;
    auto type = cast<RankedTensorType>(weight.getType()),
         otherType = cast<RankedTensorType>(other.weight.getType());
    return x == other.x && xDims == other.xDims &&
           columnDim == other.columnDim &&
           mine->getBlock() == its->getBlock() &&
           type.getElementType() == otherType.getElementType() &&
           type.getDimSize(1 - columnDim) ==
               otherType.getDimSize(1 - columnDim) &&
           getElementTypeOrSelf(mine->getResult(0)) ==
               getElementTypeOrSelf(its->getResult(0));
  }
};
} // namespace

/// Whether the sums start at zero, in a tensor of their own.
static bool startsAtZero(Value init) {
  auto fill = init.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getDpsInputs()[0], m_AnyZeroFloat()) &&
         fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
}

static std::optional<Linear> matchLinear(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2 || op.getNumReductionLoops() != 1 ||
      !startsAtZero(op.getDpsInits()[0]))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  AffineMap out = maps[2];
  if (!llvm::all_of(
          maps, [](AffineMap map) { return map.isProjectedPermutation(); }) ||
      out.getNumResults() == 0)
    return std::nullopt;
  unsigned column = out.getDimPosition(out.getNumResults() - 1);
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  for (unsigned which : {1u, 0u}) {
    Linear linear;
    linear.op = op;
    linear.weight = op.getDpsInputs()[which];
    linear.x = op.getDpsInputs()[1 - which];
    AffineMap weightMap = maps[which], xMap = maps[1 - which];
    auto type = cast<RankedTensorType>(linear.weight.getType());
    if (type.getRank() != 2 || !type.hasStaticShape() ||
        !isPackedConstant(linear.weight) || xMap.isFunctionOfDim(column) ||
        !weightMap.isFunctionOfDim(column) ||
        !weightMap.isFunctionOfDim(reductions[0]))
      continue;
    linear.columnDim = weightMap.getDimPosition(0) == column ? 0 : 1;
    linear.numColumns = type.getDimSize(linear.columnDim);
    for (AffineExpr expr : xMap.getResults()) {
      std::optional<unsigned> at = out.getResultPosition(expr);
      linear.xDims.push_back(at ? int64_t(*at) : -1);
    }
    // Every other dimension of out is one of x.
    if (linear.xDims.size() != out.getNumResults())
      continue;
    return linear;
  }
  return std::nullopt;
}

/// One contraction for all of a group, which start at different columns.
static void fuse(ArrayRef<Linear> group) {
  Linear first = group.front();
  OpBuilder b(first.op);
  Location loc = first.op.getLoc();
  MLIRContext *context = b.getContext();
  SmallVector<Value> weights;
  int64_t columns = 0;
  for (const Linear &linear : group) {
    weights.push_back(linear.weight);
    columns += linear.numColumns;
  }
  Value weight = tensor::ConcatOp::create(b, loc, first.columnDim, weights);
  auto fill = first.op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto empty = fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
  SmallVector<OpFoldResult> sizes = empty.getMixedSizes();
  unsigned rank = sizes.size();
  sizes.back() = b.getIndexAttr(columns);
  Value target =
      tensor::EmptyOp::create(b, loc, sizes, empty.getType().getElementType());
  target = linalg::FillOp::create(b, loc, fill.getDpsInputs()[0], target)
               .getResult(0);

  auto dim = [&](unsigned position) {
    return getAffineDimExpr(position, context);
  };
  SmallVector<AffineExpr> xExprs, weightExprs = {dim(rank - 1), dim(rank)};
  for (int64_t position : first.xDims)
    xExprs.push_back(dim(position < 0 ? rank : position));
  if (first.columnDim == 1)
    std::swap(weightExprs[0], weightExprs[1]);
  ArrayAttr maps = b.getAffineMapArrayAttr(
      {AffineMap::get(rank + 1, 0, xExprs, context),
       AffineMap::get(rank + 1, 0, weightExprs, context),
       AffineMap::getMultiDimIdentityMap(rank + 1, context).dropResult(rank)});
  Value result =
      linalg::ContractOp::create(b, loc, target.getType(),
                                 ValueRange{first.x, weight}, target, maps)
          ->getResult(0);

  SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)),
      ones(rank, b.getIndexAttr(1));
  int64_t at = 0;
  for (const Linear &linear : group) {
    offsets.back() = b.getIndexAttr(at);
    sizes.back() = b.getIndexAttr(linear.numColumns);
    at += linear.numColumns;
    Value part =
        tensor::ExtractSliceOp::create(b, loc, result, offsets, sizes, ones);
    Operation *op = linear.op;
    Value old = op->getResult(0);
    if (part.getType() != old.getType())
      part = tensor::CastOp::create(b, loc, old.getType(), part);
    old.replaceAllUsesWith(part);
  }
  for (Linear linear : group)
    linear.op->erase();
}

namespace {
struct FuseContractions : repo::impl::FuseContractionsBase<FuseContractions> {
  void runOnOperation() override {
    // The positions' gate and content are contractions like any other.
    SmallVector<AssignPositionsOp> positions;
    getOperation().walk([&](AssignPositionsOp op) {
      if (isPackedConstant(op.getGate()) && isPackedConstant(op.getContent()))
        positions.push_back(op);
    });
    for (AssignPositionsOp op : positions) {
      OpBuilder builder(op);
      FailureOr<SmallVector<Value>> values =
          decomposeAssignPositions(builder, op);
      if (failed(values))
        return signalPassFailure();
      op->replaceAllUsesWith(*values);
      op->erase();
      ++numPositions;
    }

    SmallVector<SmallVector<Linear>> groups;
    getOperation().walk([&](linalg::LinalgOp op) {
      std::optional<Linear> linear = matchLinear(op);
      if (!linear)
        return;
      for (SmallVector<Linear> &group : groups)
        if (group.front().fits(*linear)) {
          group.push_back(*linear);
          return;
        }
      groups.push_back({*linear});
    });
    for (ArrayRef<Linear> group : groups)
      if (group.size() > 1) {
        fuse(group);
        numFused += group.size();
      }
  }
};
} // namespace
