//===- AttentionSupport.h - What attention and its gradient share -*- C++
//-*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The operands and options of attention, their maps and checks: those of
// `repo.attention` and of `repo.attention_backward`, which have the same names.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_IR_ATTENTIONSUPPORT_H
#define REPO_LIB_DIALECT_REPO_IR_ATTENTIONSUPPORT_H

#include "OpSupport.h"
#include <cmath>

namespace mlir {
namespace repo {
namespace detail {

/// The iteration domain of attention also has the frequencies f of `omega`; the
/// layouts are over the first six dimensions.
template <typename OpTy>
AffineMap getAttentionLayout(OpTy op, unsigned index,
                             ArrayRef<unsigned> standard) {
  MapBuilder maps(op, 7);
  if (!op.getLayouts())
    return maps.get(standard);
  auto layout = cast<AffineMapAttr>((*op.getLayouts())[index]).getValue();
  return maps.get(llvm::to_vector(layout.getResults()));
}

template <typename OpTy> double getAttentionScale(OpTy op) {
  if (op.getScale())
    return op.getScale()->convertToDouble();
  return 1.0 / std::sqrt(double(op.getHeadSize()));
}

template <typename OpTy> std::pair<int64_t, int64_t> getAttentionBand(OpTy op) {
  std::pair<int64_t, int64_t> band(-1, -1);
  if (op.getWindow())
    band = {(*op.getWindow())[0], (*op.getWindow())[1]};
  if (op.getCausal())
    band.second = 0;
  return band;
}

/// The KV head of query head h.
template <typename OpTy>
AffineExpr getKeyValueHead(OpTy op, const MapBuilder &maps) {
  int64_t queryHeads = op.getNumQueryHeads(), heads = op.getNumKeyValueHeads();
  AffineExpr head = maps.dim(OpTy::H);
  if (queryHeads > 0 && heads > 0 && queryHeads % heads == 0)
    return head.floorDiv(queryHeads / heads);
  return head;
}

/// The map of the positions of tokens `n`.
template <typename OpTy>
AffineMap getAttentionPositionsMap(OpTy op, const MapBuilder &maps,
                                   Value positions, unsigned n) {
  bool perQueryHead = getRank(positions) == 3 &&
                      getStaticDim(positions, 1) == op.getNumQueryHeads();
  return getPositionsMap(
      maps, positions, OpTy::B,
      perQueryHead ? maps.dim(OpTy::H) : getKeyValueHead(op, maps), n);
}

/// Adds the maps of the operands from the positions to the offset.
template <typename OpTy> void addOptionMaps(OpTy op, MapBuilder &maps) {
  if (op.getQueryPositions())
    maps.add(
        getAttentionPositionsMap(op, maps, op.getQueryPositions(), OpTy::N));
  if (op.getKeyPositions())
    maps.add(getAttentionPositionsMap(op, maps, op.getKeyPositions(), OpTy::M));
  if (op.getOmega())
    maps.add(getOmegaMap(maps, op.getOmega(), getKeyValueHead(op, maps), 6));
  for (Value operand : {Value(op.getBias()), Value(op.getMask())})
    if (operand)
      maps.add(getRank(operand) == 4
                   ? getBroadcastMap(maps, operand,
                                     {OpTy::B, OpTy::H, OpTy::N, OpTy::M})
                   : maps.get({OpTy::B, OpTy::H, OpTy::N, OpTy::M}));
  if (op.getLengths())
    maps.add({OpTy::B});
  if (op.getOffset())
    maps.add(op.getOffset().getType().isIndex()
                 ? ArrayRef<unsigned>()
                 : ArrayRef<unsigned>({OpTy::B}));
}

/// The operands of addOptionMaps by name.
template <typename OpTy>
void addOptionNames(OpTy op, SmallVectorImpl<StringRef> &names) {
  for (auto [name, operand] :
       {std::pair<StringRef, Value>("query_positions", op.getQueryPositions()),
        {"key_positions", op.getKeyPositions()},
        {"omega", op.getOmega()},
        {"bias", op.getBias()},
        {"mask", op.getMask()},
        {"lengths", op.getLengths()},
        {"offset", op.getOffset()}})
    if (operand)
      names.push_back(name);
}

/// Checks operands and options, all but that dimensions agree.
template <typename OpTy> LogicalResult verifyAttentionOptions(OpTy op) {
  if (failed(verifyLayouts(op, 6,
                           {{"query", {OpTy::B, OpTy::H, OpTy::N, OpTy::D}},
                            {"key", {OpTy::B, OpTy::H, OpTy::M, OpTy::D}},
                            {"value", {OpTy::B, OpTy::H, OpTy::M, OpTy::E}},
                            {"output", {OpTy::B, OpTy::H, OpTy::N, OpTy::E}}})))
    return failure();
  for (auto [name, operand] :
       {std::pair<StringRef, Value>("query", op.getQuery()),
        {"key", op.getKey()},
        {"value", op.getValue()},
        {"output", op.getOutput()}})
    if (getRank(operand) != 4)
      return op.emitOpError("expected `")
             << name << "` to have rank 4, got " << getRank(operand);
  int64_t queryHeads = op.getNumQueryHeads(), heads = op.getNumKeyValueHeads();
  if (ShapedType::isDynamic(queryHeads) || ShapedType::isDynamic(heads))
    return op.emitOpError("expected the numbers of heads to be static");
  if (ShapedType::isDynamic(op.getHeadSize()))
    return op.emitOpError("expected the head size to be static");
  if (heads == 0 || queryHeads % heads != 0)
    return op.emitOpError(
               "expected the number of query heads to be a multiple of "
               "the number of KV heads, got ")
           << queryHeads << " and " << heads;

  // Key and value have h of their own, which the maps hide behind h / group.
  int64_t valueHeads = getSizeIn(op.getValue(), op.getValueMap(), OpTy::H);
  if (valueHeads != heads)
    return op.emitOpError("expected `value` to have ")
           << heads << " heads as `key`, got "
           << (ShapedType::isDynamic(valueHeads) ? "a dynamic number"
                                                 : Twine(valueHeads));

  auto verifyPositions = [&](Value positions, StringRef name) -> LogicalResult {
    if (!positions)
      return success();
    if (!op.getRope())
      return op.emitOpError("expected `rope` beside `") << name << "`";
    if (getRank(positions) != 3)
      return op.emitOpError("expected `")
             << name << "` to have rank 3, got " << getRank(positions);
    int64_t positionHeads = getStaticDim(positions, 1);
    if (positionHeads != 1 && positionHeads != heads &&
        positionHeads != queryHeads)
      return op.emitOpError("expected `")
             << name << "` to have 1, " << heads << " or " << queryHeads
             << " heads, got " << positionHeads;
    return success();
  };
  if (failed(verifyPositions(op.getQueryPositions(), "query_positions")) ||
      failed(verifyPositions(op.getKeyPositions(), "key_positions")))
    return failure();
  if (op.getKeyPositions() && getStaticDim(op.getKeyPositions(), 1) > heads &&
      (!op.getQueryPositions() ||
       getStaticDim(op.getQueryPositions(), 1) != queryHeads))
    return op.emitOpError("expected `query_positions` per query head (")
           << queryHeads << ") beside `key_positions` per query head";

  if (failed(verifyRopeDim(op, op.getRopeAttr(), op.getHeadSize())) ||
      failed(verifyOmega(op, op.getOmega(), op.getRopeAttr(), heads)) ||
      failed(verifyBounds(op, "window", op.getWindow())) ||
      failed(verifyFinite(op, "scale", op.getScale())) ||
      failed(verifyFinite(op, "softcap", op.getSoftcap(), /*positive=*/true)))
    return failure();
  Type compute = op.getComputeType();
  if (failed(verifyElementType(op, op.getQueryPositions(), "query_positions",
                               compute)) ||
      failed(verifyElementType(op, op.getKeyPositions(), "key_positions",
                               compute)) ||
      failed(verifyElementType(op, op.getOmega(), "omega", compute)) ||
      failed(verifyElementType(op, op.getLse(), "lse", compute)))
    return failure();
  return success();
}

/// Checks that dimensions agree, and lengths beside masks that need an offset.
template <typename OpTy>
LogicalResult verifyAttentionDims(OpTy op, ArrayRef<StringRef> names) {
  if (failed(verifyDims(op, names)))
    return failure();
  int64_t n = getSizeIn(op.getQuery(), op.getQueryMap(), OpTy::N);
  int64_t m = getSizeIn(op.getKey(), op.getKeyMap(), OpTy::M);
  if (op.getLengths() && !op.getOffset() &&
      (op.getCausal() || op.getWindow()) && !ShapedType::isDynamic(n) &&
      !ShapedType::isDynamic(m) && n != m)
    return op.emitOpError(
               "expected `offset` beside `lengths` with a causal mask or "
               "window where the ")
           << n << " queries and " << m << " keys differ in number";
  return success();
}

} // namespace detail
} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_IR_ATTENTIONSUPPORT_H
