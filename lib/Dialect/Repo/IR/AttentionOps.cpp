//===- AttentionOps.cpp - Attention, whole and by blocks ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OpSupport.h"
#include <cmath>

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

/// The iteration domain of attention also has the frequencies f of `omega`; the
/// layouts are over the first six dimensions.
static AffineMap getAttentionLayout(AttentionOp op, unsigned index,
                                    ArrayRef<unsigned> standard) {
  MapBuilder maps(op, 7);
  if (!op.getLayouts())
    return maps.get(standard);
  auto layout = cast<AffineMapAttr>((*op.getLayouts())[index]).getValue();
  return maps.get(llvm::to_vector(layout.getResults()));
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

double AttentionOp::getScaleValue() {
  if (getScale())
    return getScale()->convertToDouble();
  return 1.0 / std::sqrt(double(getHeadSize()));
}

std::pair<int64_t, int64_t> AttentionOp::getBand() {
  std::pair<int64_t, int64_t> band(-1, -1);
  if (getWindow())
    band = {(*getWindow())[0], (*getWindow())[1]};
  if (getCausal())
    band.second = 0;
  return band;
}

FloatType AttentionOp::getComputeType() {
  return computeTypeOf({getQuery(), getKey(), getValue()});
}

ArrayAttr AttentionOp::getIndexingMaps() {
  MapBuilder maps(*this, 7);
  int64_t queryHeads = getNumQueryHeads(), heads = getNumKeyValueHeads();
  // The KV head of query head h.
  AffineExpr kvHead = maps.dim(H);
  if (queryHeads > 0 && heads > 0 && queryHeads % heads == 0)
    kvHead = kvHead.floorDiv(queryHeads / heads);
  auto positionsMap = [&](Value positions, unsigned n) {
    bool perQueryHead =
        getRank(positions) == 3 && getStaticDim(positions, 1) == queryHeads;
    return getPositionsMap(maps, positions, B,
                           perQueryHead ? maps.dim(H) : kvHead, n);
  };
  maps.add(getQueryMap());
  maps.add(replaceDim(getKeyMap(), H, kvHead));
  maps.add(replaceDim(getValueMap(), H, kvHead));
  if (getQueryPositions())
    maps.add(positionsMap(getQueryPositions(), N));
  if (getKeyPositions())
    maps.add(positionsMap(getKeyPositions(), M));
  if (getOmega())
    maps.add(getOmegaMap(maps, getOmega(), kvHead, 6));
  for (Value operand : {Value(getBias()), Value(getMask())})
    if (operand)
      maps.add(getRank(operand) == 4
                   ? getBroadcastMap(maps, operand, {B, H, N, M})
                   : maps.get({B, H, N, M}));
  if (getLengths())
    maps.add({B});
  if (getOffset())
    maps.add(getOffset().getType().isIndex() ? ArrayRef<unsigned>()
                                             : ArrayRef<unsigned>({B}));
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
  if (failed(verifyLayouts(*this, 6,
                           {{"query", {B, H, N, D}},
                            {"key", {B, H, M, D}},
                            {"value", {B, H, M, E}},
                            {"output", {B, H, N, E}}})))
    return failure();
  for (auto [name, operand] : {std::pair<StringRef, Value>("query", getQuery()),
                               {"key", getKey()},
                               {"value", getValue()},
                               {"output", getOutput()}})
    if (getRank(operand) != 4)
      return emitOpError("expected `")
             << name << "` to have rank 4, got " << getRank(operand);
  int64_t queryHeads = getNumQueryHeads(), heads = getNumKeyValueHeads();
  if (ShapedType::isDynamic(queryHeads) || ShapedType::isDynamic(heads))
    return emitOpError("expected the numbers of heads to be static");
  if (ShapedType::isDynamic(getHeadSize()))
    return emitOpError("expected the head size to be static");
  if (heads == 0 || queryHeads % heads != 0)
    return emitOpError("expected the number of query heads to be a multiple of "
                       "the number of KV heads, got ")
           << queryHeads << " and " << heads;

  // Key and value have h of their own, which the maps hide behind h / group.
  int64_t valueHeads = getSizeIn(getValue(), getValueMap(), H);
  if (valueHeads != heads)
    return emitOpError("expected `value` to have ")
           << heads << " heads as `key`, got "
           << (ShapedType::isDynamic(valueHeads) ? "a dynamic number"
                                                 : Twine(valueHeads));

  auto verifyPositions = [&](Value positions, StringRef name) -> LogicalResult {
    if (!positions)
      return success();
    if (!getRope())
      return emitOpError("expected `rope` beside `") << name << "`";
    if (getRank(positions) != 3)
      return emitOpError("expected `")
             << name << "` to have rank 3, got " << getRank(positions);
    int64_t positionHeads = getStaticDim(positions, 1);
    if (positionHeads != 1 && positionHeads != heads &&
        positionHeads != queryHeads)
      return emitOpError("expected `")
             << name << "` to have 1, " << heads << " or " << queryHeads
             << " heads, got " << positionHeads;
    return success();
  };
  if (failed(verifyPositions(getQueryPositions(), "query_positions")) ||
      failed(verifyPositions(getKeyPositions(), "key_positions")))
    return failure();
  if (getKeyPositions() && getStaticDim(getKeyPositions(), 1) > heads &&
      (!getQueryPositions() ||
       getStaticDim(getQueryPositions(), 1) != queryHeads))
    return emitOpError("expected `query_positions` per query head (")
           << queryHeads << ") beside `key_positions` per query head";

  if (failed(verifyRopeDim(*this, getRopeAttr(), getHeadSize())) ||
      failed(verifyOmega(*this, getOmega(), getRopeAttr(), heads)) ||
      failed(verifyBounds(*this, "window", getWindow())) ||
      failed(verifyFinite(*this, "scale", getScale())) ||
      failed(verifyFinite(*this, "softcap", getSoftcap(), /*positive=*/true)))
    return failure();
  Type compute = getComputeType();
  if (failed(verifyElementType(*this, getQueryPositions(), "query_positions",
                               compute)) ||
      failed(verifyElementType(*this, getKeyPositions(), "key_positions",
                               compute)) ||
      failed(verifyElementType(*this, getOmega(), "omega", compute)) ||
      failed(verifyElementType(*this, getLse(), "lse", compute)))
    return failure();

  SmallVector<StringRef> names = {"query", "key", "value"};
  for (auto [name, operand] :
       {std::pair<StringRef, Value>("query_positions", getQueryPositions()),
        {"key_positions", getKeyPositions()},
        {"omega", getOmega()},
        {"bias", getBias()},
        {"mask", getMask()},
        {"lengths", getLengths()},
        {"offset", getOffset()}})
    if (operand)
      names.push_back(name);
  names.append({"output", "lse"});
  if (failed(verifyDims(*this, names)))
    return failure();

  int64_t n = getSizeIn(getQuery(), getQueryMap(), N);
  int64_t m = getSizeIn(getKey(), getKeyMap(), M);
  if (getLengths() && !getOffset() && (getCausal() || getWindow()) &&
      !ShapedType::isDynamic(n) && !ShapedType::isDynamic(m) && n != m)
    return emitOpError(
               "expected `offset` beside `lengths` with a causal mask or "
               "window where the ")
           << n << " queries and " << m << " keys differ in number";
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
