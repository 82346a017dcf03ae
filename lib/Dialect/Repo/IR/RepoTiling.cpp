//===- RepoTiling.cpp - Tiles of repo ops ---------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every op but the cache's iterates over batch, head and row, all parallel;
// what else its maps name (channels, keys) a tile takes whole. The part of an
// operand that a tile reads follows from the operand's map.
//
//===----------------------------------------------------------------------===//

#include "repo/Dialect/Repo/IR/RepoTiling.h"
#include "OpSupport.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Parts of operands
//===----------------------------------------------------------------------===//

namespace {
/// Batch, head, row.
enum Loop : unsigned { B, H, N };
constexpr unsigned numLoops = 3;

/// A part of the iteration domain, or of a tensor.
struct Part {
  SmallVector<OpFoldResult> offsets, sizes;
};
} // namespace

/// Whether `value` is known to be a multiple of `factor`.
static bool isMultipleOf(OpFoldResult value, int64_t factor) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return *constant % factor == 0;
  auto variable = cast<Value>(value);
  if (auto apply = variable.getDefiningOp<affine::AffineApplyOp>())
    return apply.getAffineMap().getResult(0).isMultipleOf(factor);
  auto argument = dyn_cast<BlockArgument>(variable);
  if (!argument)
    return false;
  if (auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp()))
    return variable == loop.getInductionVar() &&
           isMultipleOf(loop.getLowerBound(), factor) &&
           isMultipleOf(loop.getStep(), factor);
  if (auto loop = dyn_cast<scf::ForallOp>(argument.getOwner()->getParentOp())) {
    unsigned number = argument.getArgNumber();
    return number < loop.getRank() &&
           isMultipleOf(loop.getMixedLowerBound()[number], factor) &&
           isMultipleOf(loop.getMixedStep()[number], factor);
  }
  return false;
}

/// The KV heads of query heads [offset, offset + size) in groups of `group`: a
/// tile holds whole groups, or lies within one.
static LogicalResult groupsOf(OpBuilder &b, Location loc, int64_t group,
                              OpFoldResult &offset, OpFoldResult &size) {
  std::optional<int64_t> count = getConstantIntValue(size);
  if (!count ||
      (*count != 1 && !(*count % group == 0 && isMultipleOf(offset, group)) &&
       !(group % *count == 0 && isMultipleOf(offset, *count))))
    return failure();
  AffineExpr h = b.getAffineDimExpr(0);
  offset = affine::makeComposedFoldedAffineApply(b, loc, h.floorDiv(group),
                                                 {offset});
  size = b.getIndexAttr(llvm::divideCeil(*count, group));
  return success();
}

/// The part of `value` that the tile of the iteration domain touches.
static FailureOr<Part> partOf(OpBuilder &b, Location loc, Value value,
                              AffineMap map, const Part &tile) {
  Part part;
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    auto grouped = dyn_cast<AffineBinaryOpExpr>(expr);
    if (dim && dim.getPosition() < numLoops) {
      part.offsets.push_back(tile.offsets[dim.getPosition()]);
      part.sizes.push_back(tile.sizes[dim.getPosition()]);
    } else if (grouped) {
      unsigned head = cast<AffineDimExpr>(grouped.getLHS()).getPosition();
      OpFoldResult offset = tile.offsets[head], size = tile.sizes[head];
      int64_t group = cast<AffineConstantExpr>(grouped.getRHS()).getValue();
      if (failed(groupsOf(b, loc, group, offset, size)))
        return failure();
      part.offsets.push_back(offset);
      part.sizes.push_back(size);
    } else {
      part.offsets.push_back(b.getIndexAttr(0));
      part.sizes.push_back(tensor::getMixedSize(b, loc, value, position));
    }
  }
  return part;
}

//===----------------------------------------------------------------------===//
// The interface, from the maps
//===----------------------------------------------------------------------===//

namespace {
/// `Model` says which map a result has, and how the tile of an op comes from
/// the parts of its operands.
template <typename Model, typename OpTy>
struct MappedTiling : TilingInterface::ExternalModel<Model, OpTy> {
  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *) const {
    return SmallVector<utils::IteratorType>(numLoops,
                                            utils::IteratorType::parallel);
  }

  SmallVector<Range> getIterationDomain(Operation *op, OpBuilder &b) const {
    SmallVector<AffineMap> maps = cast<OpTy>(op).getIndexingMapsArray();
    SmallVector<Range> domain;
    for (unsigned loop = 0; loop < numLoops; ++loop) {
      auto [value, position] = repo::detail::findDim(op, maps, loop);
      domain.push_back({b.getIndexAttr(0),
                        tensor::getMixedSize(b, op->getLoc(), value, position),
                        b.getIndexAttr(1)});
    }
    return domain;
  }

  FailureOr<TilingResult>
  getTiledImplementation(Operation *op, OpBuilder &b,
                         ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes) const {
    if (op->getNumResults() == 0)
      return op->emitOpError("expected tensors to tile, got buffers");
    auto original = cast<OpTy>(op);
    Part tile{llvm::to_vector(offsets), llvm::to_vector(sizes)};
    SmallVector<AffineMap> maps = original.getIndexingMapsArray();
    SmallVector<Value> operands;
    SmallVector<Operation *> slices;
    for (auto [operand, map] : llvm::zip_equal(op->getOperands(), maps)) {
      if (!isa<RankedTensorType>(operand.getType())) {
        operands.push_back(operand);
        continue;
      }
      FailureOr<Part> part = partOf(b, op->getLoc(), operand, map, tile);
      if (failed(part))
        return op->emitOpError("expected a tile of whole groups of query "
                               "heads, or within one group");
      SmallVector<OpFoldResult> strides(part->offsets.size(),
                                        b.getIndexAttr(1));
      slices.push_back(tensor::ExtractSliceOp::create(
          b, op->getLoc(), operand, part->offsets, part->sizes, strides));
      operands.push_back(slices.back()->getResult(0));
    }
    Operation *tiled = Model::build(b, original, operands, tile);
    return TilingResult{
        {tiled}, SmallVector<Value>(tiled->getResults()), slices};
  }

  LogicalResult
  getResultTilePosition(Operation *op, OpBuilder &b, unsigned result,
                        ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes,
                        SmallVector<OpFoldResult> &resultOffsets,
                        SmallVector<OpFoldResult> &resultSizes) const {
    auto [value, map] = Model::resultShape(cast<OpTy>(op), result);
    FailureOr<Part> part =
        partOf(b, op->getLoc(), value, map,
               {llvm::to_vector(offsets), llvm::to_vector(sizes)});
    if (failed(part))
      return failure();
    resultOffsets = part->offsets;
    resultSizes = part->sizes;
    return success();
  }

  LogicalResult getIterationDomainTileFromResultTile(
      Operation *op, OpBuilder &b, unsigned result,
      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
      SmallVectorImpl<OpFoldResult> &domainOffsets,
      SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto [value, map] = Model::resultShape(cast<OpTy>(op), result);
    for (Range range : getIterationDomain(op, b)) {
      domainOffsets.push_back(range.offset);
      domainSizes.push_back(range.size);
    }
    for (auto [position, expr] : llvm::enumerate(map.getResults())) {
      unsigned dim = cast<AffineDimExpr>(expr).getPosition();
      if (dim < numLoops) {
        domainOffsets[dim] = offsets[position];
        domainSizes[dim] = sizes[position];
      } else if (!isZeroInteger(offsets[position]) ||
                 getConstantIntValue(sizes[position]) !=
                     repo::detail::getStaticDim(value, position)) {
        return failure(); // the channels of a row belong together
      }
    }
    return success();
  }

  FailureOr<TilingResult>
  generateResultTileValue(Operation *op, OpBuilder &b, unsigned result,
                          ArrayRef<OpFoldResult> offsets,
                          ArrayRef<OpFoldResult> sizes) const {
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    if (failed(getIterationDomainTileFromResultTile(
            op, b, result, offsets, sizes, domainOffsets, domainSizes)))
      return failure();
    return getTiledImplementation(op, b, domainOffsets, domainSizes);
  }
};

//===----------------------------------------------------------------------===//
// The ops
//===----------------------------------------------------------------------===//

/// Positions `[B, H, N]`: the type of a tile follows from its operands.
template <typename OpTy>
struct PositionsTiling : MappedTiling<PositionsTiling<OpTy>, OpTy> {
  static std::pair<Value, AffineMap> resultShape(OpTy op, unsigned) {
    return {op->getResult(0),
            AffineMap::getMultiDimIdentityMap(numLoops, op.getContext())};
  }

  static Operation *build(OpBuilder &b, OpTy op, ValueRange operands,
                          const Part &) {
    SmallVector<Type> types;
    [[maybe_unused]] LogicalResult inferred =
        OpTy::inferReturnTypes(op.getContext(), op.getLoc(),
                               typename OpTy::Adaptor(operands, op), types);
    assert(succeeded(inferred));
    return mlir::clone(b, op, types, operands);
  }
};

struct RotateTiling : MappedTiling<RotateTiling, RotateOp> {
  static std::pair<Value, AffineMap> resultShape(RotateOp op, unsigned) {
    return {op.getInput(), op.getInputMap()};
  }

  static Operation *build(OpBuilder &b, RotateOp op, ValueRange operands,
                          const Part &) {
    auto input = cast<RankedTensorType>(operands[0].getType());
    auto type = RankedTensorType::get(
        input.getShape(), getElementTypeOrSelf(op.getResult().getType()));
    return mlir::clone(b, op, type, operands);
  }
};

struct AttentionTiling : MappedTiling<AttentionTiling, AttentionOp> {
  static std::pair<Value, AffineMap> resultShape(AttentionOp op,
                                                 unsigned result) {
    OpOperand *destination = op.getDpsInitOperand(result);
    return {destination->get(), op.getMatchingIndexingMap(destination)};
  }

  static Operation *build(OpBuilder &b, AttentionOp op, ValueRange operands,
                          const Part &tile) {
    SmallVector<Type> types(
        operands.take_back(op.getOutputs().size()).getTypes());
    auto tiled = cast<AttentionOp>(mlir::clone(b, op, types, operands));
    auto [left, right] = op.getBand();
    if ((left < 0 && right < 0) ||
        (isZeroInteger(tile.offsets[N]) && op.getOffset()))
      return tiled;
    // The first query of the tile is `offsets[N]` keys further on.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(tiled);
    tiled.getOffsetMutable().assign(offsetOf(b, op, tiled, tile.offsets[N]));
    return tiled;
  }

private:
  static Value offsetOf(OpBuilder &b, AttentionOp op, AttentionOp tiled,
                        OpFoldResult row) {
    Location loc = op.getLoc();
    AffineExpr x = b.getAffineDimExpr(0), y = b.getAffineDimExpr(1),
               z = b.getAffineDimExpr(2);
    auto value = [&](AffineExpr expr, ArrayRef<OpFoldResult> operands) {
      return getValueOrCreateConstantIndexOp(
          b, loc,
          affine::makeComposedFoldedAffineApply(b, loc, expr, operands));
    };
    Value offset = tiled.getOffset();
    if (!offset)
      return value(x - y + z, {op.getDimSize(b, loc, AttentionOp::M),
                               op.getDimSize(b, loc, AttentionOp::N), row});
    if (offset.getType().isIndex())
      return value(x + y, {offset, row});
    Value scalar = arith::IndexCastOp::create(
        b, loc, b.getI32Type(), getValueOrCreateConstantIndexOp(b, loc, row));
    auto type = cast<RankedTensorType>(offset.getType());
    SmallVector<Value> sizes;
    if (type.isDynamicDim(0))
      sizes.push_back(tensor::DimOp::create(b, loc, offset, 0));
    Value rows = tensor::SplatOp::create(b, loc, scalar, type, sizes);
    return arith::AddIOp::create(b, loc, offset, rows);
  }
};
} // namespace

void mlir::repo::registerTilingInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, RepoDialect *) {
    AssignPositionsOp::attachInterface<PositionsTiling<AssignPositionsOp>>(
        *context);
    LinearPositionsOp::attachInterface<PositionsTiling<LinearPositionsOp>>(
        *context);
    BlendPositionsOp::attachInterface<PositionsTiling<BlendPositionsOp>>(
        *context);
    RotateOp::attachInterface<RotateTiling>(*context);
    AttentionOp::attachInterface<AttentionTiling>(*context);
  });
}
