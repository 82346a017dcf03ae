//===- GradientOps.cpp - Vector-Jacobian products -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionSupport.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::detail;

/// Checks result `index` against the type it follows from.
static LogicalResult verifyResultType(Operation *op, unsigned index,
                                      StringRef name, Type expected) {
  Type type = op->getResult(index).getType();
  if (type == expected)
    return success();
  return op->emitOpError("expected `")
         << name << "` to be " << expected << ", got " << type;
}

//===----------------------------------------------------------------------===//
// AssignPositionsBackwardOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> AssignPositionsBackwardOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d", "k"};
  return names;
}

ArrayAttr AssignPositionsBackwardOp::getIndexingMaps() {
  MapBuilder maps(*this, 5);
  maps.add({B, N, D});
  maps.add({K, D});
  maps.add({K, D});
  maps.add({H, K});
  maps.add({B, H, N});
  return maps.finish();
}

LogicalResult AssignPositionsBackwardOp::verify() {
  if (failed(verifyDims(*this,
                        {"hidden", "gate", "content", "heads", "upstream"})) ||
      failed(verifyElementType(*this, getUpstream(), "upstream",
                               computeTypeOf({getHidden()}))))
    return failure();
  StringRef names[] = {"d_hidden", "d_gate", "d_content", "d_heads"};
  for (auto [index, name] : llvm::enumerate(names))
    if (failed(
            verifyResultType(*this, index, name, getOperand(index).getType())))
      return failure();
  return success();
}

LogicalResult AssignPositionsBackwardOp::inferReturnTypes(
    MLIRContext *, std::optional<Location>, Adaptor adaptor,
    SmallVectorImpl<Type> &types) {
  llvm::append_range(types, adaptor.getOperands().drop_back().getTypes());
  return success();
}

LogicalResult AssignPositionsBackwardOp::reifyResultShapes(
    OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  for (Value operand : getOperands().drop_back())
    shapes.push_back(tensor::getMixedSizes(builder, getLoc(), operand));
  return success();
}

//===----------------------------------------------------------------------===//
// RotateBackwardOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> RotateBackwardOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d", "f"};
  return names;
}

AffineMap RotateBackwardOp::getInputMap() {
  MapBuilder maps(*this, 5);
  if (!getLayout())
    return maps.get({B, H, N, D});
  return maps.get(llvm::to_vector(getLayout()->getResults()));
}

ArrayAttr RotateBackwardOp::getIndexingMaps() {
  MapBuilder maps(*this, 5);
  maps.add(getInputMap());
  maps.add(getPositionsMap(maps, getPositions(), B, maps.dim(H), N));
  if (getOmega())
    maps.add(getOmegaMap(maps, getOmega(), maps.dim(H), F));
  maps.add(getInputMap());
  return maps.finish();
}

LogicalResult RotateBackwardOp::verify() {
  if (getLayout() &&
      failed(verifyLayout(*this, *getLayout(), "output", 4, {B, H, N, D})))
    return failure();
  SmallVector<StringRef> names = {"output", "positions"};
  if (getOmega())
    names.push_back("omega");
  names.push_back("upstream");
  if (failed(verifyDims(*this, names)))
    return failure();
  auto upstream = getUpstream().getType();
  if (getDInput().getType().getShape() != upstream.getShape())
    return emitOpError("expected `d_input` to have the shape of `upstream`, ")
           << upstream << ", got " << getDInput().getType();
  if (failed(
          verifyResultType(*this, 1, "d_positions", getPositions().getType())))
    return failure();
  int64_t headSize = getSizeIn(getOutput(), getInputMap(), D);
  if (ShapedType::isDynamic(headSize))
    return emitOpError("expected the head size to be static");
  Type compute = computeTypeOf({getOutput(), getUpstream()});
  if (failed(verifyRopeDim(*this, getRope(), headSize)) ||
      failed(verifyOmega(*this, getOmega(), getRope(),
                         getSizeIn(getOutput(), getInputMap(), H))) ||
      failed(verifyElementType(*this, getPositions(), "positions", compute)))
    return failure();
  return verifyElementType(*this, getOmega(), "omega", compute);
}

LogicalResult RotateBackwardOp::inferReturnTypes(MLIRContext *,
                                                 std::optional<Location>,
                                                 Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  types.push_back(adaptor.getUpstream().getType());
  types.push_back(adaptor.getPositions().getType());
  return success();
}

LogicalResult
RotateBackwardOp::reifyResultShapes(OpBuilder &builder,
                                    ReifiedRankedShapedTypeDims &shapes) {
  for (Value like : {Value(getUpstream()), Value(getPositions())})
    shapes.push_back(tensor::getMixedSizes(builder, getLoc(), like));
  return success();
}

//===----------------------------------------------------------------------===//
// AttentionBackwardOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> AttentionBackwardOp::getDimNames() {
  return AttentionOp::getDimNames();
}

AffineMap AttentionBackwardOp::getQueryMap() {
  return getAttentionLayout(*this, 0, {B, H, N, D});
}
AffineMap AttentionBackwardOp::getKeyMap() {
  return getAttentionLayout(*this, 1, {B, H, M, D});
}
AffineMap AttentionBackwardOp::getValueMap() {
  return getAttentionLayout(*this, 2, {B, H, M, E});
}
AffineMap AttentionBackwardOp::getOutputMap() {
  return getAttentionLayout(*this, 3, {B, H, N, E});
}

int64_t AttentionBackwardOp::getNumQueryHeads() {
  return getSizeIn(getQuery(), getQueryMap(), H);
}
int64_t AttentionBackwardOp::getNumKeyValueHeads() {
  return getSizeIn(getKey(), getKeyMap(), H);
}
int64_t AttentionBackwardOp::getHeadSize() {
  return getSizeIn(getQuery(), getQueryMap(), D);
}
double AttentionBackwardOp::getScaleValue() { return getAttentionScale(*this); }
std::pair<int64_t, int64_t> AttentionBackwardOp::getBand() {
  return getAttentionBand(*this);
}
FloatType AttentionBackwardOp::getComputeType() {
  return computeTypeOf({getQuery(), getKey(), getValue()});
}

ArrayAttr AttentionBackwardOp::getIndexingMaps() {
  MapBuilder maps(*this, 7);
  AffineExpr kvHead = getKeyValueHead(*this, maps);
  AffineMap key = replaceDim(getKeyMap(), H, kvHead),
            value = replaceDim(getValueMap(), H, kvHead);
  maps.add(getQueryMap());
  maps.add(key);
  maps.add(value);
  maps.add(getOutputMap());
  maps.add({B, H, N});
  maps.add(getOutputMap());
  addOptionMaps(*this, maps);
  maps.add(getQueryMap());
  maps.add(key);
  maps.add(value);
  if (Value positions = getQueryPositions())
    maps.add(getAttentionPositionsMap(*this, maps, positions, N));
  if (Value positions = getKeyPositions())
    maps.add(getAttentionPositionsMap(*this, maps, positions, M));
  return maps.finish();
}

/// A destination has all dimensions of the operand whose gradient it is.
static LogicalResult verifyLike(AttentionBackwardOp op, unsigned index,
                                StringRef name, Value like) {
  auto type = cast<ShapedType>(op.getOutputs()[index].getType()),
       wanted = cast<ShapedType>(like.getType());
  if (succeeded(verifyCompatibleShape(type.getShape(), wanted.getShape())))
    return success();
  return op.emitOpError("expected `")
         << name << "` to have the shape of its operand, " << wanted << ", got "
         << type;
}

LogicalResult AttentionBackwardOp::verify() {
  // (C10) comes first: the maps count on it.
  if (getOutputs().size() != getNumGradients())
    return emitOpError("expected ")
           << getNumGradients() << " destinations, got " << getOutputs().size();
  if (failed(verifyAttentionOptions(*this)))
    return failure();
  SmallVector<std::pair<StringRef, Value>> gradients = {
      {"d_query", getQuery()}, {"d_key", getKey()}, {"d_value", getValue()}};
  if (getQueryPositions())
    gradients.push_back({"d_query_positions", getQueryPositions()});
  if (getKeyPositions())
    gradients.push_back({"d_key_positions", getKeyPositions()});
  for (auto [index, gradient] : llvm::enumerate(gradients)) {
    if (failed(verifyLike(*this, index, gradient.first, gradient.second)))
      return failure();
    if (index >= 3 &&
        failed(verifyElementType(*this, getOutputs()[index], gradient.first,
                                 getComputeType())))
      return failure();
  }
  SmallVector<StringRef> names = {"query",  "key", "value",
                                  "output", "lse", "upstream"};
  addOptionNames(*this, names);
  for (auto &gradient : gradients)
    names.push_back(gradient.first);
  if (failed(verifyAttentionDims(*this, names)))
    return failure();
  return verifyDestinations(*this);
}

LogicalResult
AttentionBackwardOp::reifyResultShapes(OpBuilder &builder,
                                       ReifiedRankedShapedTypeDims &shapes) {
  return reifyDestinations(*this, builder, shapes);
}

void AttentionBackwardOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, /*readsDestinations=*/false, effects);
}

Speculation::Speculatability AttentionBackwardOp::getSpeculatability() {
  return getNumResults() ? Speculation::Speculatable
                         : Speculation::NotSpeculatable;
}

//===----------------------------------------------------------------------===//
// Canonicalization
//===----------------------------------------------------------------------===//

namespace {
/// d_input = R(z)^T upstream = R(-z) upstream: magnitudes are the same.
struct RotateBack : OpRewritePattern<RotateBackwardOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RotateBackwardOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getDPositions().use_empty())
      return rewriter.notifyMatchFailure(op, "the positions' gradient is used");
    Value back =
        arith::NegFOp::create(rewriter, op.getLoc(), op.getPositions());
    Value input = RotateOp::create(
        rewriter, op.getLoc(), op.getDInput().getType(), op.getUpstream(), back,
        op.getOmega(), op.getRopeAttr(), op.getLayoutAttr());
    // Nobody reads the other result: any value of its type will do.
    rewriter.replaceOp(op, {input, op.getPositions()});
    return success();
  }
};
} // namespace

void RotateBackwardOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                   MLIRContext *context) {
  patterns.add<RotateBack>(context);
}
