//===- RepoOps.cpp - Dimensions, verifiers, types and shapes --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every op describes the dimensions of its operands once, as indexing maps over
// its iteration domain (getIndexingMaps). The rest of this file reads them
// there: the check that sizes agree, result types and reified shapes.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/SmallBitVector.h"
#include <cmath>

using namespace mlir;
using namespace mlir::repo;

#define GET_OP_CLASSES
#include "repo/Dialect/Repo/IR/RepoOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Maps and sizes
//===----------------------------------------------------------------------===//

namespace {
/// Builds the indexing maps of an op, operand by operand.
class MapBuilder {
public:
  MapBuilder(Operation *op, unsigned numDims)
      : context(op->getContext()), numDims(numDims) {}

  AffineExpr dim(unsigned position) const {
    return getAffineDimExpr(position, context);
  }
  AffineExpr zero() const { return getAffineConstantExpr(0, context); }

  /// The map whose results are the iteration dimensions `dims`.
  AffineMap get(ArrayRef<unsigned> dims) const {
    return get(llvm::map_to_vector(dims, [&](unsigned d) { return dim(d); }));
  }
  AffineMap get(ArrayRef<AffineExpr> results) const {
    return AffineMap::get(numDims, 0, results, context);
  }

  void add(AffineMap map) { maps.push_back(AffineMapAttr::get(map)); }
  void add(ArrayRef<unsigned> dims) { add(get(dims)); }
  ArrayAttr finish() const { return ArrayAttr::get(context, maps); }

private:
  MLIRContext *context;
  unsigned numDims;
  SmallVector<Attribute> maps;
};
} // namespace

static int64_t getStaticDim(Value value, unsigned position) {
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

static int64_t getRank(Value value) {
  auto shaped = dyn_cast<ShapedType>(value.getType());
  return shaped ? shaped.getRank() : 0;
}

/// The map of an operand each of whose dimensions is either the iteration
/// dimension or statically 1.
static AffineMap getBroadcastMap(const MapBuilder &builder, Value value,
                                 ArrayRef<unsigned> dims) {
  SmallVector<AffineExpr> results;
  for (auto [position, d] : llvm::enumerate(dims))
    results.push_back(getStaticDim(value, position) == 1 ? builder.zero()
                                                         : builder.dim(d));
  return builder.get(results);
}

/// Replaces iteration dimension `d` by `expr` in the results of `map`.
static AffineMap replaceDim(AffineMap map, unsigned d, AffineExpr expr) {
  return map.replace(getAffineDimExpr(d, map.getContext()), expr,
                     map.getNumDims(), 0);
}

/// Where the size of iteration dimension `d` can be read: an operand and one of
/// its positions. Prefers a static size.
static std::pair<Value, int64_t> findDim(Operation *op,
                                         ArrayRef<AffineMap> maps, unsigned d) {
  std::pair<Value, int64_t> found;
  for (auto [operand, map] : llvm::zip_equal(op->getOperands(), maps)) {
    auto position =
        map.getResultPosition(getAffineDimExpr(d, op->getContext()));
    if (!position)
      continue;
    if (!found.first ||
        ShapedType::isDynamic(getStaticDim(found.first, found.second)))
      found = {operand, *position};
  }
  assert(found.first && "iteration dimension occurs in no operand");
  return found;
}

static OpFoldResult getMixedDim(OpBuilder &builder, Location loc, Value value,
                                int64_t position) {
  if (isa<MemRefType>(value.getType()))
    return memref::getMixedSize(builder, loc, value, position);
  return tensor::getMixedSize(builder, loc, value, position);
}

static FloatType computeTypeOf(ArrayRef<Value> values) {
  for (Value value : values)
    if (value && getElementTypeOrSelf(value).isF64())
      return Float64Type::get(value.getContext());
  return Float32Type::get(values[0].getContext());
}

//===----------------------------------------------------------------------===//
// Checks shared by the verifiers
//===----------------------------------------------------------------------===//

/// Checks that every operand has the rank of its map, and that operands agree
/// in the static sizes of the iteration dimensions they share.
template <typename OpTy>
static LogicalResult verifyDims(OpTy op, ArrayRef<StringRef> operandNames) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  ArrayRef<StringRef> dimNames = OpTy::getDimNames();
  SmallVector<std::pair<int64_t, unsigned>> sizes(dimNames.size(),
                                                  {ShapedType::kDynamic, 0});
  for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
    if (!isa<ShapedType>(operand.getType()))
      continue;
    ArrayRef<int64_t> shape = cast<ShapedType>(operand.getType()).getShape();
    if (shape.size() != maps[index].getNumResults())
      return op.emitOpError("expected `")
             << operandNames[index] << "` to have rank "
             << maps[index].getNumResults() << ", got " << shape.size();
    for (auto [position, expr] : llvm::enumerate(maps[index].getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || ShapedType::isDynamic(shape[position]))
        continue;
      auto &[size, source] = sizes[dim.getPosition()];
      if (ShapedType::isDynamic(size)) {
        size = shape[position];
        source = index;
      } else if (size != shape[position]) {
        return op.emitOpError("expected dimension ")
               << position << " (" << dimNames[dim.getPosition()] << ") of `"
               << operandNames[index] << "` to be " << size << " as in `"
               << operandNames[source] << "`, got " << shape[position];
      }
    }
  }
  return success();
}

/// Checks the result types of a destination-style op: none on buffers, those of
/// the destinations on tensors.
template <typename OpTy> static LogicalResult verifyDestinations(OpTy op) {
  auto destinations = op.getDpsInits();
  bool buffers = llvm::any_of(op->getOperandTypes(),
                              [](Type type) { return isa<MemRefType>(type); });
  if (buffers && llvm::any_of(op->getOperandTypes(), [](Type type) {
        return isa<RankedTensorType>(type);
      }))
    return op.emitOpError("expected tensors or buffers, got a mixture");
  size_t expected = buffers ? 0 : destinations.size();
  if (op->getNumResults() != expected)
    return op.emitOpError("expected ")
           << expected << " results, got " << op->getNumResults();
  if (!buffers)
    for (auto [index, result] : llvm::enumerate(op->getResults()))
      if (result.getType() != destinations[index].getType())
        return op.emitOpError("expected result ")
               << index << " to have the type of its destination, "
               << destinations[index].getType() << ", got " << result.getType();
  return success();
}

/// Checks the type of the result against the one the operands determine.
template <typename OpTy> static LogicalResult verifyInferredType(OpTy op) {
  SmallVector<Type> types;
  if (failed(OpTy::inferReturnTypes(
          op.getContext(), op.getLoc(),
          typename OpTy::Adaptor(op->getOperands(), op), types)))
    return failure();
  if (op->getResult(0).getType() == types.front())
    return success();
  return op.emitOpError("expected the result to be ")
         << types.front() << ", got " << op->getResult(0).getType();
}

static LogicalResult verifyElementType(Operation *op, Value value,
                                       StringRef name, Type expected) {
  if (!value || getElementTypeOrSelf(value) == expected)
    return success();
  return op->emitOpError("expected `")
         << name << "` to have element type " << expected << ", got "
         << getElementTypeOrSelf(value);
}

/// Checks the frequencies: `[F]` or `[heads, F]`.
static LogicalResult verifyOmega(Operation *op, Value omega, RopeAttr rope,
                                 int64_t heads) {
  if (!omega)
    return success();
  if (!rope)
    return op->emitOpError("expected `rope` beside `omega`");
  ArrayRef<int64_t> shape = cast<ShapedType>(omega.getType()).getShape();
  if (shape.empty() || shape.size() > 2)
    return op->emitOpError("expected `omega` to have rank 1 or 2, got ")
           << shape.size();
  if (shape.back() != rope.getDim() / 2)
    return op->emitOpError("expected `omega` to hold ")
           << rope.getDim() / 2 << " frequencies, got " << shape.back();
  if (shape.size() == 2 && shape[0] != heads)
    return op->emitOpError("expected `omega` to have ")
           << heads << " heads, got " << shape[0];
  return success();
}

static LogicalResult verifyRopeDim(Operation *op, RopeAttr rope,
                                   int64_t headSize) {
  if (!rope || rope.getDim() <= headSize)
    return success();
  return op->emitOpError(
             "expected `dim` of the rope to be at most the head size ")
         << headSize << ", got " << rope.getDim();
}

static LogicalResult verifyFinite(Operation *op, StringRef name,
                                  std::optional<APFloat> value,
                                  bool positive = false) {
  if (!value || (value->isFinite() &&
                 !(positive && (value->isNegative() || value->isZero()))))
    return success();
  return op->emitOpError("expected `")
         << name << "` to be finite" << (positive ? " and positive" : "")
         << ", got " << toString(Real(value->convertToDouble()));
}

static LogicalResult verifyBounds(Operation *op, StringRef name,
                                  std::optional<ArrayRef<int64_t>> bounds) {
  if (!bounds)
    return success();
  if (bounds->size() != 2)
    return op->emitOpError("expected `")
           << name << "` to be [left, right], got " << bounds->size()
           << " numbers";
  for (int64_t bound : *bounds)
    if (bound < -1)
      return op->emitOpError("expected the bounds of `")
             << name << "` to be at least -1, got " << bound;
  return success();
}

/// Checks that map `index` of `layouts` is a permutation of `dims`.
static LogicalResult verifyLayout(Operation *op, AffineMap map, StringRef name,
                                  unsigned numDims, ArrayRef<unsigned> dims) {
  llvm::SmallBitVector seen(numDims);
  bool valid = map.getNumDims() == numDims && map.getNumSymbols() == 0 &&
               map.getNumResults() == dims.size();
  for (AffineExpr expr : map.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    valid = valid && dim && llvm::is_contained(dims, dim.getPosition()) &&
            !seen.test(dim.getPosition());
    if (!valid)
      break;
    seen.set(dim.getPosition());
  }
  if (valid)
    return success();
  return op->emitOpError("expected the layout of `")
         << name << "` to order its " << dims.size() << " dimensions of "
         << numDims << ", got " << AffineMapAttr::get(map);
}

/// The layouts are over the first `numDims` iteration dimensions.
template <typename OpTy>
static LogicalResult
verifyLayouts(OpTy op, unsigned numDims,
              ArrayRef<std::pair<StringRef, SmallVector<unsigned>>> expected) {
  if (!op.getLayouts())
    return success();
  if (op.getLayouts()->size() != expected.size())
    return op.emitOpError("expected ")
           << expected.size() << " layouts, got " << op.getLayouts()->size();
  for (auto [index, entry] : llvm::enumerate(expected))
    if (failed(verifyLayout(
            op, cast<AffineMapAttr>((*op.getLayouts())[index]).getValue(),
            entry.first, numDims, entry.second)))
      return failure();
  return success();
}

/// The effects of a destination-style op: none on tensors; on buffers, inputs
/// are read and destinations written (and read, where `readsDestinations`).
template <typename OpTy>
static void getDestinationEffects(
    OpTy op, bool readsDestinations,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    bool destination = op.isDpsInit(&operand);
    if (!destination || readsDestinations)
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
    if (destination)
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

template <typename OpTy>
static LogicalResult reifyDestinations(OpTy op, OpBuilder &builder,
                                       ReifiedRankedShapedTypeDims &shapes) {
  for (Value destination : op.getDpsInits())
    if (isa<RankedTensorType>(destination.getType()))
      shapes.push_back(
          tensor::getMixedSizes(builder, op.getLoc(), destination));
  return success();
}

//===----------------------------------------------------------------------===//
// AssignPositionsOp
//===----------------------------------------------------------------------===//

ArrayRef<StringRef> AssignPositionsOp::getDimNames() {
  static const StringRef names[] = {"b", "h", "n", "d", "k"};
  return names;
}

ArrayAttr AssignPositionsOp::getIndexingMaps() {
  MapBuilder maps(*this, 5);
  maps.add({0, 2, 3});
  maps.add({4, 3});
  maps.add({4, 3});
  maps.add({1, 4});
  return maps.finish();
}

LogicalResult AssignPositionsOp::verify() {
  if (failed(verifyDims(*this, {"hidden", "gate", "content", "heads"})))
    return failure();
  return verifyInferredType(*this);
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
  return inferPositions(adaptor.getHidden(), adaptor.getHeads(), types);
}

LogicalResult
AssignPositionsOp::reifyResultShapes(OpBuilder &builder,
                                     ReifiedRankedShapedTypeDims &shapes) {
  return reifyPositions(builder, getLoc(), getHidden(), getHeads(), shapes);
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

/// The map of positions `[b, h | 1, n]`, given the positions of those three in
/// the iteration domain and the number of heads of what they rotate.
static AffineMap getPositionsMap(const MapBuilder &maps, Value positions,
                                 unsigned b, AffineExpr head, unsigned n) {
  bool shared = getRank(positions) == 3 && getStaticDim(positions, 1) == 1;
  return maps.get({maps.dim(b), shared ? maps.zero() : head, maps.dim(n)});
}

static AffineMap getOmegaMap(const MapBuilder &maps, Value omega,
                             AffineExpr head, unsigned f) {
  int64_t rank = getRank(omega);
  if (rank == 2)
    return maps.get({head, maps.dim(f)});
  // Another rank is for verifyOmega to refuse.
  SmallVector<AffineExpr> results(rank, maps.zero());
  if (rank == 1)
    results[0] = maps.dim(f);
  return maps.get(results);
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

static int64_t getSizeIn(Value value, AffineMap map, unsigned dim) {
  auto position =
      map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
  return getStaticDim(value, *position);
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

LogicalResult OnlineAttentionOp::verify() {
  if (failed(verifyLayouts(*this, 4,
                           {{"query", {N, D}},
                            {"key", {M, D}},
                            {"value", {M, E}},
                            {"accumulator", {N, E}}})))
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
  SmallVector<StringRef> names = {"query", "key", "value"};
  for (auto [name, operand] : {std::pair<StringRef, Value>("bias", getBias()),
                               {"mask", getMask()},
                               {"offset", getOffset()},
                               {"limit", getLimit()}})
    if (operand)
      names.push_back(name);
  names.append({"accumulator", "maximum", "sum"});
  if (failed(verifyDims(*this, names)))
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
       {std::tuple<StringRef, RankedTensorType, int64_t>("pages", pages, 4),
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
