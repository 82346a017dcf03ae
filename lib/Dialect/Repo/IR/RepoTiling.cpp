//===- RepoTiling.cpp - Tiles of repo ops ---------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rotation iterates over batch, head and row, all parallel; the channels of a
// row belong together, so they are not an iteration dimension.
//
//===----------------------------------------------------------------------===//

#include "repo/Dialect/Repo/IR/RepoTiling.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
struct RotateTiling : TilingInterface::ExternalModel<RotateTiling, RotateOp> {
  enum Dim : unsigned { B, H, N, D };
  static constexpr unsigned numLoops = 3;

  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *) const {
    return SmallVector<utils::IteratorType>(numLoops,
                                            utils::IteratorType::parallel);
  }

  SmallVector<Range> getIterationDomain(Operation *op, OpBuilder &b) const {
    auto rotate = cast<RotateOp>(op);
    SmallVector<Range> domain;
    for (unsigned dim = 0; dim < numLoops; ++dim)
      domain.push_back({b.getIndexAttr(0),
                        tensor::getMixedSize(b, op->getLoc(), rotate.getInput(),
                                             rotate.getInputDim(dim)),
                        b.getIndexAttr(1)});
    return domain;
  }

  FailureOr<TilingResult>
  getTiledImplementation(Operation *op, OpBuilder &b,
                         ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes) const {
    auto rotate = cast<RotateOp>(op);
    SmallVector<AffineMap> maps = rotate.getIndexingMapsArray();
    SmallVector<Value> operands;
    SmallVector<Operation *> slices;
    for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
      auto slice =
          sliceOf(b, op->getLoc(), operand, maps[number], offsets, sizes);
      operands.push_back(slice);
      slices.push_back(slice);
    }
    auto input = cast<RankedTensorType>(operands[0].getType());
    auto element =
        cast<RankedTensorType>(rotate.getResult().getType()).getElementType();
    Operation *tile = mlir::clone(
        b, op, RankedTensorType::get(input.getShape(), element), operands);
    return TilingResult{{tile}, SmallVector<Value>(tile->getResults()), slices};
  }

  LogicalResult getResultTilePosition(
      Operation *op, OpBuilder &b, unsigned, ArrayRef<OpFoldResult> offsets,
      ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
      SmallVector<OpFoldResult> &resultSizes) const {
    auto rotate = cast<RotateOp>(op);
    getPosition(b, op->getLoc(), rotate.getInput(), rotate.getInputMap(),
                offsets, sizes, resultOffsets, resultSizes);
    return success();
  }

  LogicalResult getIterationDomainTileFromResultTile(
      Operation *op, OpBuilder &, unsigned, ArrayRef<OpFoldResult> offsets,
      ArrayRef<OpFoldResult> sizes,
      SmallVectorImpl<OpFoldResult> &domainOffsets,
      SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto rotate = cast<RotateOp>(op);
    for (unsigned dim = 0; dim < numLoops; ++dim) {
      domainOffsets.push_back(offsets[rotate.getInputDim(dim)]);
      domainSizes.push_back(sizes[rotate.getInputDim(dim)]);
    }
    // Pairs of channels cannot be taken apart.
    int64_t channels = rotate.getInputDim(D);
    return success(
        isZeroInteger(offsets[channels]) &&
        getConstantIntValue(sizes[channels]) ==
            cast<ShapedType>(rotate.getInput().getType()).getDimSize(channels));
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

private:
  /// Where the part of `value` lies that a tile of the iteration domain needs;
  /// a dimension that is no loop is needed whole.
  static void getPosition(OpBuilder &b, Location loc, Value value,
                          AffineMap map, ArrayRef<OpFoldResult> offsets,
                          ArrayRef<OpFoldResult> sizes,
                          SmallVector<OpFoldResult> &valueOffsets,
                          SmallVector<OpFoldResult> &valueSizes) {
    for (auto [position, expr] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      bool tiled = dim && dim.getPosition() < numLoops;
      valueOffsets.push_back(tiled ? offsets[dim.getPosition()]
                                   : OpFoldResult(b.getIndexAttr(0)));
      valueSizes.push_back(tiled
                               ? sizes[dim.getPosition()]
                               : tensor::getMixedSize(b, loc, value, position));
    }
  }

  static tensor::ExtractSliceOp sliceOf(OpBuilder &b, Location loc, Value value,
                                        AffineMap map,
                                        ArrayRef<OpFoldResult> offsets,
                                        ArrayRef<OpFoldResult> sizes) {
    SmallVector<OpFoldResult> valueOffsets, valueSizes;
    getPosition(b, loc, value, map, offsets, sizes, valueOffsets, valueSizes);
    SmallVector<OpFoldResult> strides(valueOffsets.size(), b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(b, loc, value, valueOffsets,
                                          valueSizes, strides);
  }
};
} // namespace

void mlir::repo::registerTilingInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, RepoDialect *) {
    RotateOp::attachInterface<RotateTiling>(*context);
  });
}
