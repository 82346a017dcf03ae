//===- AttentionOps.cpp - Attention, whole and by blocks ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AttentionSupport.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::detail;

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> AttentionOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "m", "d", "e", "f"};
  return names;
}

AffineMap AttentionOp::getQueryMap() {
  return getAttentionLayout(*this, 0, {B, H, N, D});
}
AffineMap AttentionOp::getKeyMap() {
  return getAttentionLayout(*this, 1, {B, H, M, D});
}
AffineMap AttentionOp::getValueMap() {
  return getAttentionLayout(*this, 2, {B, H, M, E});
}
AffineMap AttentionOp::getOutputMap() {
  return getAttentionLayout(*this, 3, {B, H, N, E});
}

int64_t AttentionOp::getNumQueryHeads() {
  return getSizeIn(getQuery(), getQueryMap(), H);
}
int64_t AttentionOp::getNumKeyValueHeads() {
  return getSizeIn(getKey(), getKeyMap(), H);
}
int64_t AttentionOp::getHeadSize() {
  return getSizeIn(getQuery(), getQueryMap(), D);
}
double AttentionOp::getScaleValue() { return getAttentionScale(*this); }
std::pair<int64_t, int64_t> AttentionOp::getBand() {
  return getAttentionBand(*this);
}
FloatType AttentionOp::getComputeType() {
  return computeTypeOf({getQuery(), getKey(), getValue()});
}

ArrayAttr AttentionOp::getIndexingMaps() {
  MapBuilder maps(*this, 7);
  AffineExpr kvHead = getKeyValueHead(*this, maps);
  maps.add(getQueryMap());
  maps.add(replaceDim(getKeyMap(), H, kvHead));
  maps.add(replaceDim(getValueMap(), H, kvHead));
  addOptionMaps(*this, maps);
  maps.add(getOutputMap());
  if (getLse())
    maps.add({B, H, N});
  return maps.finish();
}

OpFoldResult AttentionOp::getDimSize(OpBuilder &builder, Location loc,
                                     Dim dim) {
  auto [value, position] = findDim(*this, getIndexingMapsArray(), dim);
  return getMixedDim(builder, loc, value, position);
}

LogicalResult AttentionOp::verify() {
  // (C10) comes first: everything else reads the destinations.
  if (getOutputs().empty() || getOutputs().size() > 2)
    return emitOpError("expected one or two outputs, got ")
           << getOutputs().size();
  if (failed(verifyAttentionOptions(*this)))
    return failure();
  SmallVector<StringRef> names = {"query", "key", "value"};
  addOptionNames(*this, names);
  names.append({"output", "lse"});
  if (failed(verifyAttentionDims(*this, names)))
    return failure();
  return verifyDestinations(*this);
}

LogicalResult
AttentionOp::reifyResultShapes(OpBuilder &builder,
                               ReifiedRankedShapedTypeDims &shapes) {
  return reifyDestinations(*this, builder, shapes);
}

void AttentionOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, /*readsDestinations=*/false, effects);
}

Speculation::Speculatability AttentionOp::getSpeculatability() {
  return getNumResults() ? Speculation::Speculatable
                         : Speculation::NotSpeculatable;
}

//===----------------------------------------------------------------------===//
// OnlineAttentionOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> OnlineAttentionOp::getDimNames() {
  static const StringRef names[] = {"n", "m", "d", "e"};
  return names;
}

static AffineMap getOnlineLayout(OnlineAttentionOp op, unsigned index,
                                 ArrayRef<unsigned> standard) {
  if (!op.getLayouts())
    return MapBuilder(op, 4).get(standard);
  return cast<AffineMapAttr>((*op.getLayouts())[index]).getValue();
}

AffineMap OnlineAttentionOp::getQueryMap() {
  return getOnlineLayout(*this, 0, {N, D});
}
AffineMap OnlineAttentionOp::getKeyMap() {
  return getOnlineLayout(*this, 1, {M, D});
}
AffineMap OnlineAttentionOp::getValueMap() {
  return getOnlineLayout(*this, 2, {M, E});
}
AffineMap OnlineAttentionOp::getAccumulatorMap() {
  return getOnlineLayout(*this, 3, {N, E});
}

AffineMap OnlineAttentionOp::getPanelMap(MLIRContext *context, unsigned column,
                                         unsigned product) {
  AffineExpr c = getAffineDimExpr(column, context),
             p = getAffineDimExpr(product, context);
  return AffineMap::get(4, 0, {c.floorDiv(16), p.floorDiv(2), c % 16, p % 2},
                        context);
}

int64_t OnlineAttentionOp::getMostKeys() {
  auto position =
      getKeyMap().getResultPosition(getAffineDimExpr(M, getContext()));
  // Panels have static sizes.
  if (!position)
    return cast<ShapedType>(getKey().getType()).getDimSize(0) * 16;
  int64_t keys = cast<ShapedType>(getKey().getType()).getDimSize(*position);
  return ShapedType::isDynamic(keys) && getMaxKeys() ? int64_t(*getMaxKeys())
                                                     : keys;
}

std::pair<int64_t, int64_t> OnlineAttentionOp::getBandBounds() {
  if (!getBand())
    return {-1, -1};
  return {(*getBand())[0], (*getBand())[1]};
}

FloatType OnlineAttentionOp::getComputeType() {
  return computeTypeOf({getQuery(), getKey(), getValue()});
}

ArrayAttr OnlineAttentionOp::getIndexingMaps() {
  MapBuilder maps(*this, 4);
  maps.add(getQueryMap());
  maps.add(getKeyMap());
  maps.add(getValueMap());
  for (Value operand : {Value(getBias()), Value(getMask())})
    if (operand)
      maps.add({N, M});
  for (Value operand : {Value(getOffset()), Value(getLimit())})
    if (operand)
      maps.add(ArrayRef<unsigned>());
  maps.add(getAccumulatorMap());
  maps.add({N});
  maps.add({N});
  return maps.finish();
}

/// The numbers of columns and products of an operand in panels, as the two
/// dimensions that the others agree with.
static LogicalResult verifyPanels(OnlineAttentionOp op, Value value,
                                  StringRef name, int64_t columns,
                                  int64_t products) {
  ArrayRef<int64_t> shape = cast<ShapedType>(value.getType()).getShape();
  if (shape.size() != 4 || shape[2] != 16 || shape[3] != 2)
    return op.emitOpError("expected the panels of `")
           << name << "` to be of 16 by 2 elements";
  auto agree = [](int64_t panels, int64_t size, int64_t factor) {
    return ShapedType::isDynamic(panels) || ShapedType::isDynamic(size) ||
           panels * factor == size;
  };
  if (agree(shape[0], columns, 16) && agree(shape[1], products, 2))
    return success();
  return op.emitOpError("expected the panels of `")
         << name << "` to hold " << columns << " columns of " << products
         << " products, got " << shape[0] * 16 << " of " << shape[1] * 2;
}

static LogicalResult verifyPanels(OnlineAttentionOp op) {
  enum { N, M, D, E };
  int64_t channels = getSizeIn(op.getAccumulator(), op.getAccumulatorMap(), E);
  int64_t headSize = getSizeIn(op.getQuery(), op.getQueryMap(), D);
  int64_t keys = ShapedType::kDynamic;
  if (!op.hasKeyPanels())
    keys = getSizeIn(op.getKey(), op.getKeyMap(), M);
  else if (failed(verifyPanels(op, op.getKey(), "key", keys, headSize)))
    return failure();
  else if (int64_t panels = getStaticDim(op.getKey(), 0);
           !ShapedType::isDynamic(panels))
    keys = panels * 16;
  if (op.hasValuePanels())
    return verifyPanels(op, op.getValue(), "value", channels, keys);
  return success();
}

LogicalResult OnlineAttentionOp::verify() {
  std::pair<StringRef, SmallVector<unsigned>> layouts[] = {
      {"query", {N, D}},
      {"key", {M, D}},
      {"value", {M, E}},
      {"accumulator", {N, E}}};
  AffineMap panels[] = {AffineMap(), getKeyPanelMap(getContext()),
                        getValuePanelMap(getContext()), AffineMap()};
  if (failed(verifyLayouts(*this, 4, layouts, panels)))
    return failure();
  if (getBand() && !getOffset())
    return emitOpError("expected `offset` beside `band`");
  Type compute = getComputeType();
  if (failed(verifyBounds(*this, "band", getBand())) ||
      failed(verifyFinite(*this, "scale", getScale())) ||
      failed(verifyFinite(*this, "softcap", getSoftcap(), /*positive=*/true)) ||
      failed(
          verifyElementType(*this, getAccumulator(), "accumulator", compute)) ||
      failed(verifyElementType(*this, getMaximum(), "maximum", compute)) ||
      failed(verifyElementType(*this, getSum(), "sum", compute)))
    return failure();
  if (std::optional<uint64_t> most = getMaxKeys()) {
    // Static keys count themselves.
    int64_t keys = getMostKeys();
    if (int64_t(*most) <= 0 || keys > int64_t(*most))
      return emitOpError("expected `max_keys` to be positive and at least the "
                         "number of keys, got ")
             << int64_t(*most);
  }
  SmallVector<StringRef> names = {"query", "key", "value"};
  for (auto [name, operand] : {std::pair<StringRef, Value>("bias", getBias()),
                               {"mask", getMask()},
                               {"offset", getOffset()},
                               {"limit", getLimit()}})
    if (operand)
      names.push_back(name);
  names.append({"accumulator", "maximum", "sum"});
  if (failed(verifyDims(*this, names)) || failed(verifyPanels(*this)))
    return failure();
  return verifyDestinations(*this);
}

LogicalResult
OnlineAttentionOp::reifyResultShapes(OpBuilder &builder,
                                     ReifiedRankedShapedTypeDims &shapes) {
  return reifyDestinations(*this, builder, shapes);
}

void OnlineAttentionOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, /*readsDestinations=*/true, effects);
}

Speculation::Speculatability OnlineAttentionOp::getSpeculatability() {
  return getNumResults() ? Speculation::Speculatable
                         : Speculation::NotSpeculatable;
}
