//===- CacheOps.cpp - The cache of rotated keys ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OpSupport.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::detail;

//===----------------------------------------------------------------------===//
// CacheAppendOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> CacheAppendOp::getDimNames() {
  static const StringRef names[] = {"b", "h",     "n",   "d",    "e",
                                    "f", "pages", "row", "entry"};
  return names;
}

static AffineMap getCacheLayout(CacheAppendOp op, unsigned index,
                                ArrayRef<unsigned> standard) {
  MapBuilder maps(op, 9);
  if (!op.getLayouts())
    return maps.get(standard);
  auto layout = cast<AffineMapAttr>((*op.getLayouts())[index]).getValue();
  return maps.get(llvm::to_vector(layout.getResults()));
}

AffineMap CacheAppendOp::getKeyMap() {
  return getCacheLayout(*this, 0, {B, H, N, D});
}
AffineMap CacheAppendOp::getValueMap() {
  return getCacheLayout(*this, 1, {B, H, N, E});
}

ArrayAttr CacheAppendOp::getIndexingMaps() {
  // Past b, h, n, d, e: frequencies, pages, rows of a cache, entries of the
  // table.
  constexpr unsigned F = 5, P = 6, R = 7, T = 8;
  MapBuilder maps(*this, 9);
  maps.add(getKeyMap());
  maps.add(getValueMap());
  if (getPositions())
    maps.add(getPositionsMap(maps, getPositions(), B, maps.dim(H), N));
  if (getOmega())
    maps.add(getOmegaMap(maps, getOmega(), maps.dim(H), F));
  maps.add(getAt().getType().isIndex() ? ArrayRef<unsigned>()
                                       : ArrayRef<unsigned>({B}));
  if (getTable())
    maps.add({B, T});
  unsigned batch = getTable() ? P : unsigned(B);
  maps.add({batch, H, R, D});
  maps.add({batch, H, R, E});
  return maps.finish();
}

LogicalResult CacheAppendOp::verify() {
  if (failed(verifyLayouts(*this, 5,
                           {{"key", {B, H, N, D}}, {"value", {B, H, N, E}}})))
    return failure();
  SmallVector<StringRef> names = {"key", "value"};
  for (auto [name, operand] :
       {std::pair<StringRef, Value>("positions", getPositions()),
        {"omega", getOmega()},
        {"at", getAt()},
        {"table", getTable()}})
    if (operand)
      names.push_back(name);
  names.append({"key_cache", "value_cache"});
  if (failed(verifyDims(*this, names)))
    return failure();
  if (getPositions() && !getRope())
    return emitOpError("expected `rope` beside `positions`");
  int64_t headSize = getStaticDim(getKeyCache(), 3);
  if (ShapedType::isDynamic(headSize))
    return emitOpError("expected the head size to be static");
  Type compute = computeTypeOf({getKey(), getValue()});
  if (failed(verifyRopeDim(*this, getRopeAttr(), headSize)) ||
      failed(verifyOmega(*this, getOmega(), getRopeAttr(),
                         getStaticDim(getKeyCache(), 1))) ||
      failed(verifyElementType(*this, getPositions(), "positions", compute)) ||
      failed(verifyElementType(*this, getOmega(), "omega", compute)))
    return failure();
  return verifyDestinations(*this);
}

LogicalResult
CacheAppendOp::reifyResultShapes(OpBuilder &builder,
                                 ReifiedRankedShapedTypeDims &shapes) {
  return reifyDestinations(*this, builder, shapes);
}

void CacheAppendOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDestinationEffects(*this, /*readsDestinations=*/false, effects);
}

Speculation::Speculatability CacheAppendOp::getSpeculatability() {
  return getNumResults() ? Speculation::Speculatable
                         : Speculation::NotSpeculatable;
}

//===----------------------------------------------------------------------===//
// CacheViewOp
//===----------------------------------------------------------------------===//

LogicalResult CacheViewOp::verify() {
  auto pages = getPages().getType(), result = getResult().getType();
  auto table = getTable().getType(), lengths = getLengths().getType();
  for (auto [name, type, rank] :
       {std::tuple<StringRef, ShapedType, int64_t>("pages", pages, 4),
        {"table", table, 2},
        {"lengths", lengths, 1},
        {"result", result, 4}})
    if (type.getRank() != rank)
      return emitOpError("expected `")
             << name << "` to have rank " << rank << ", got " << type.getRank();
  if (pages.isDynamicDim(2))
    return emitOpError("expected the size of a page to be static");
  if (pages.getElementType() != result.getElementType())
    return emitOpError("expected the result to have element type ")
           << pages.getElementType() << ", got " << result.getElementType();
  auto agree = [&](StringRef name, int64_t expected, int64_t found) {
    if (ShapedType::isDynamic(expected) || ShapedType::isDynamic(found) ||
        expected == found)
      return success();
    return LogicalResult(emitOpError("expected ")
                         << name << " to be " << expected << ", got " << found);
  };
  if (failed(agree("the batch of the result", table.getDimSize(0),
                   result.getDimSize(0))) ||
      failed(agree("the batch of `lengths`", table.getDimSize(0),
                   lengths.getDimSize(0))) ||
      failed(agree("the heads of the result", pages.getDimSize(1),
                   result.getDimSize(1))) ||
      failed(agree("the head size of the result", pages.getDimSize(3),
                   result.getDimSize(3))))
    return failure();
  if (!table.isDynamicDim(1))
    return agree("the rows of the result",
                 table.getDimSize(1) * pages.getDimSize(2),
                 result.getDimSize(2));
  return success();
}

LogicalResult
CacheViewOp::reifyResultShapes(OpBuilder &builder,
                               ReifiedRankedShapedTypeDims &shapes) {
  Location loc = getLoc();
  AffineExpr entries = builder.getAffineSymbolExpr(0);
  OpFoldResult rows = affine::makeComposedFoldedAffineApply(
      builder, loc, entries * getPages().getType().getDimSize(2),
      {tensor::getMixedSize(builder, loc, getTable(), 1)});
  shapes.push_back({tensor::getMixedSize(builder, loc, getTable(), 0),
                    tensor::getMixedSize(builder, loc, getPages(), 1), rows,
                    tensor::getMixedSize(builder, loc, getPages(), 3)});
  return success();
}
