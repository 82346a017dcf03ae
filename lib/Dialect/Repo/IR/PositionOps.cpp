//===- PositionOps.cpp - Positions and rotation ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every op describes the dimensions of its operands once, as indexing maps over
// its iteration domain (getIndexingMaps). Verifiers, result types and reified
// shapes read them there, by the functions of OpSupport.h.
//
//===----------------------------------------------------------------------===//

#include "OpSupport.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::detail;

//===----------------------------------------------------------------------===//
// AssignPositionsOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> AssignPositionsOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d", "k"};
  return names;
}

ArrayAttr AssignPositionsOp::getIndexingMaps() {
  MapBuilder maps(*this, 5);
  maps.add({B, N, D});
  maps.add({K, D});
  maps.add({K, D});
  maps.add({H, K});
  if (getOutput())
    maps.add({B, H, N});
  return maps.finish();
}

LogicalResult AssignPositionsOp::verify() {
  bool buffers = isa<MemRefType>(getHidden().getType());
  if (llvm::any_of(getOperandTypes(),
                   [&](Type type) { return isa<MemRefType>(type) != buffers; }))
    return emitOpError("expected tensors or buffers, got a mixture");
  if (buffers && !getOutput())
    return emitOpError("expected an output beside buffers");
  if (getNumResults() != (buffers ? 0 : 1))
    return emitOpError("expected ")
           << (buffers ? 0 : 1) << " results, got " << getNumResults();
  if (failed(verifyDims(*this,
                        {"hidden", "gate", "content", "heads", "output"})) ||
      failed(verifyElementType(*this, getOutput(), "output",
                               computeTypeOf({getHidden()}))))
    return failure();
  return buffers ? success() : verifyInferredType(*this);
}

/// Positions `[B, H, N]` of hidden states `[B, N, D]` by a map with H rows.
/// What is wrong with the operands, the verifier says.
static LogicalResult inferPositions(Value hidden, Value heads,
                                    SmallVectorImpl<Type> &types) {
  auto dim = [](Value value, int64_t position) {
    auto type = cast<ShapedType>(value.getType());
    return position < type.getRank() ? type.getDimSize(position)
                                     : ShapedType::kDynamic;
  };
  types.push_back(
      RankedTensorType::get({dim(hidden, 0), dim(heads, 0), dim(hidden, 1)},
                            computeTypeOf({hidden})));
  return success();
}

static LogicalResult reifyPositions(OpBuilder &builder, Location loc,
                                    Value hidden, Value heads,
                                    ReifiedRankedShapedTypeDims &shapes) {
  shapes.push_back({tensor::getMixedSize(builder, loc, hidden, 0),
                    tensor::getMixedSize(builder, loc, heads, 0),
                    tensor::getMixedSize(builder, loc, hidden, 1)});
  return success();
}

LogicalResult
AssignPositionsOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                    Adaptor adaptor,
                                    SmallVectorImpl<Type> &types) {
  if (isa<MemRefType>(adaptor.getHidden().getType()))
    return success();
  return inferPositions(adaptor.getHidden(), adaptor.getHeads(), types);
}

LogicalResult
AssignPositionsOp::reifyResultShapes(OpBuilder &builder,
                                     ReifiedRankedShapedTypeDims &shapes) {
  if (getNumResults() == 0)
    return success();
  return reifyPositions(builder, getLoc(), getHidden(), getHeads(), shapes);
}

void AssignPositionsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : getOperation()->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (operand.get() == getOutput())
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

Speculation::Speculatability AssignPositionsOp::getSpeculatability() {
  return getNumResults() ? Speculation::Speculatable
                         : Speculation::NotSpeculatable;
}

//===----------------------------------------------------------------------===//
// LinearPositionsOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> LinearPositionsOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d"};
  return names;
}

ArrayAttr LinearPositionsOp::getIndexingMaps() {
  MapBuilder maps(*this, 4);
  maps.add({0, 2, 3});
  maps.add({1, 3});
  return maps.finish();
}

LogicalResult LinearPositionsOp::verify() {
  if (failed(verifyDims(*this, {"hidden", "heads"})))
    return failure();
  return verifyInferredType(*this);
}

LogicalResult
LinearPositionsOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                    Adaptor adaptor,
                                    SmallVectorImpl<Type> &types) {
  return inferPositions(adaptor.getHidden(), adaptor.getHeads(), types);
}

LogicalResult
LinearPositionsOp::reifyResultShapes(OpBuilder &builder,
                                     ReifiedRankedShapedTypeDims &shapes) {
  return reifyPositions(builder, getLoc(), getHidden(), getHeads(), shapes);
}

//===----------------------------------------------------------------------===//
// IndexPositionsOp
//===----------------------------------------------------------------------===//

LogicalResult IndexPositionsOp::verify() {
  auto type = cast<RankedTensorType>(getPositions().getType());
  if (type.getRank() != 3)
    return emitOpError("expected positions of rank 3, got ") << type.getRank();
  if (size_t(type.getNumDynamicDims()) != getSizes().size())
    return emitOpError("expected one size for each of ")
           << type.getNumDynamicDims() << " dynamic dimensions, got "
           << getSizes().size();
  if (!getOffset() || getOffset().getType().isIndex())
    return success();
  auto offset = cast<RankedTensorType>(getOffset().getType());
  if (offset.getRank() != 1)
    return emitOpError("expected `offset` to have rank 1, got ")
           << offset.getRank();
  if (!offset.isDynamicDim(0) && !type.isDynamicDim(0) &&
      offset.getDimSize(0) != type.getDimSize(0))
    return emitOpError("expected `offset` to have ")
           << type.getDimSize(0) << " elements, got " << offset.getDimSize(0);
  return success();
}

LogicalResult
IndexPositionsOp::reifyResultShapes(OpBuilder &builder,
                                    ReifiedRankedShapedTypeDims &shapes) {
  auto type = cast<RankedTensorType>(getPositions().getType());
  SmallVector<OpFoldResult> &sizes = shapes.emplace_back();
  auto dynamic = getSizes().begin();
  for (int64_t size : type.getShape())
    sizes.push_back(ShapedType::isDynamic(size)
                        ? OpFoldResult(*dynamic++)
                        : OpFoldResult(builder.getIndexAttr(size)));
  return success();
}

//===----------------------------------------------------------------------===//
// BlendPositionsOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> BlendPositionsOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n"};
  return names;
}

ArrayAttr BlendPositionsOp::getIndexingMaps() {
  MapBuilder maps(*this, 3);
  maps.add({0, 1, 2});
  if (getRank(getIndex()) == 3)
    maps.add(getBroadcastMap(maps, getIndex(), {0, 1, 2}));
  else
    maps.add({0, 1, 2});
  return maps.finish();
}

LogicalResult BlendPositionsOp::verify() {
  if (failed(verifyElementType(*this, getIndex(), "index",
                               getElementTypeOrSelf(getPositions()))) ||
      failed(verifyFinite(*this, "weight", getWeight())))
    return failure();
  if (failed(verifyDims(*this, {"positions", "index"})))
    return failure();
  return verifyInferredType(*this);
}

LogicalResult BlendPositionsOp::inferReturnTypes(MLIRContext *,
                                                 std::optional<Location>,
                                                 Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  types.push_back(adaptor.getPositions().getType());
  return success();
}

LogicalResult
BlendPositionsOp::reifyResultShapes(OpBuilder &builder,
                                    ReifiedRankedShapedTypeDims &shapes) {
  shapes.push_back(tensor::getMixedSizes(builder, getLoc(), getPositions()));
  return success();
}

//===----------------------------------------------------------------------===//
// RotateOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> RotateOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d", "f"};
  return names;
}

AffineMap RotateOp::getInputMap() {
  MapBuilder maps(*this, 5);
  if (!getLayout())
    return maps.get({0, 1, 2, 3});
  // The layout is over (b, h, n, d); the iteration domain also has the
  // frequencies.
  return maps.get(llvm::to_vector(getLayout()->getResults()));
}

int64_t RotateOp::getInputDim(unsigned dim) {
  return *getInputMap().getResultPosition(getAffineDimExpr(dim, getContext()));
}

ArrayAttr RotateOp::getIndexingMaps() {
  MapBuilder maps(*this, 5);
  maps.add(getInputMap());
  maps.add(getPositionsMap(maps, getPositions(), 0, maps.dim(1), 2));
  if (getOmega())
    maps.add(getOmegaMap(maps, getOmega(), maps.dim(1), 4));
  return maps.finish();
}

LogicalResult RotateOp::verify() {
  if (getLayout() &&
      failed(verifyLayout(*this, *getLayout(), "input", 4, {0, 1, 2, 3})))
    return failure();
  if (failed(verifyDims(*this, {"input", "positions", "omega"})))
    return failure();
  if (getResult().getType().getShape() != getInput().getType().getShape())
    return emitOpError("expected the result to have the shape of the input, ")
           << getInput().getType() << ", got " << getResult().getType();
  int64_t headSize = getStaticDim(getInput(), getInputDim(3));
  if (ShapedType::isDynamic(headSize))
    return emitOpError("expected the head size to be static");
  Type compute = computeTypeOf({getInput()});
  if (failed(verifyRopeDim(*this, getRope(), headSize)) ||
      failed(verifyOmega(*this, getOmega(), getRope(),
                         getStaticDim(getInput(), getInputDim(1)))) ||
      failed(verifyElementType(*this, getPositions(), "positions", compute)) ||
      failed(verifyElementType(*this, getOmega(), "omega", compute)))
    return failure();
  return success();
}

LogicalResult RotateOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  types.push_back(adaptor.getInput().getType());
  return success();
}

LogicalResult RotateOp::reifyResultShapes(OpBuilder &builder,
                                          ReifiedRankedShapedTypeDims &shapes) {
  shapes.push_back(tensor::getMixedSizes(builder, getLoc(), getInput()));
  return success();
}
