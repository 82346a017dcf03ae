//===- OpSupport.h - Dimensions and checks the ops share ---------*- C++
//-*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Building the indexing maps of an op, reading sizes through them, and the
// checks that several verifiers make. Private to the files that define the ops.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_IR_OPSUPPORT_H
#define REPO_LIB_DIALECT_REPO_IR_OPSUPPORT_H

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/SmallBitVector.h"

namespace mlir {
namespace repo {
namespace detail {

//===----------------------------------------------------------------------===//
// Maps and sizes
//===----------------------------------------------------------------------===//

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

inline int64_t getStaticDim(Value value, unsigned position) {
  return cast<ShapedType>(value.getType()).getDimSize(position);
}

inline int64_t getRank(Value value) {
  auto shaped = dyn_cast<ShapedType>(value.getType());
  return shaped ? shaped.getRank() : 0;
}

/// The map of an operand each of whose dimensions is either the iteration
/// dimension or statically 1.
inline AffineMap getBroadcastMap(const MapBuilder &builder, Value value,
                                 ArrayRef<unsigned> dims) {
  SmallVector<AffineExpr> results;
  for (auto [position, d] : llvm::enumerate(dims))
    results.push_back(getStaticDim(value, position) == 1 ? builder.zero()
                                                         : builder.dim(d));
  return builder.get(results);
}

/// Replaces iteration dimension `d` by `expr` in the results of `map`.
inline AffineMap replaceDim(AffineMap map, unsigned d, AffineExpr expr) {
  return map.replace(getAffineDimExpr(d, map.getContext()), expr,
                     map.getNumDims(), 0);
}

/// Where the size of iteration dimension `d` can be read: an operand and one of
/// its positions. Prefers a static size.
inline std::pair<Value, int64_t> findDim(Operation *op,
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

inline OpFoldResult getMixedDim(OpBuilder &builder, Location loc, Value value,
                                int64_t position) {
  if (isa<MemRefType>(value.getType()))
    return memref::getMixedSize(builder, loc, value, position);
  return tensor::getMixedSize(builder, loc, value, position);
}

inline FloatType computeTypeOf(ArrayRef<Value> values) {
  for (Value value : values)
    if (value && getElementTypeOrSelf(value).isF64())
      return Float64Type::get(value.getContext());
  return Float32Type::get(values[0].getContext());
}

inline int64_t getSizeIn(Value value, AffineMap map, unsigned dim) {
  auto position =
      map.getResultPosition(getAffineDimExpr(dim, map.getContext()));
  return getStaticDim(value, *position);
}

/// The map of positions `[b, h | 1, n]`, given the positions of those three in
/// the iteration domain and the number of heads of what they rotate.
inline AffineMap getPositionsMap(const MapBuilder &maps, Value positions,
                                 unsigned b, AffineExpr head, unsigned n) {
  bool shared = getRank(positions) == 3 && getStaticDim(positions, 1) == 1;
  return maps.get({maps.dim(b), shared ? maps.zero() : head, maps.dim(n)});
}

inline AffineMap getOmegaMap(const MapBuilder &maps, Value omega,
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

//===----------------------------------------------------------------------===//
// Checks shared by the verifiers
//===----------------------------------------------------------------------===//

/// Checks that every operand has the rank of its map, and that operands agree
/// in the static sizes of the iteration dimensions they share.
template <typename OpTy>
LogicalResult verifyDims(OpTy op, ArrayRef<StringRef> operandNames) {
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
template <typename OpTy> LogicalResult verifyDestinations(OpTy op) {
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
template <typename OpTy> LogicalResult verifyInferredType(OpTy op) {
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

inline LogicalResult verifyElementType(Operation *op, Value value,
                                       StringRef name, Type expected) {
  if (!value || getElementTypeOrSelf(value) == expected)
    return success();
  return op->emitOpError("expected `")
         << name << "` to have element type " << expected << ", got "
         << getElementTypeOrSelf(value);
}

/// Checks the frequencies: `[F]` or `[heads, F]`.
inline LogicalResult verifyOmega(Operation *op, Value omega, RopeAttr rope,
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

inline LogicalResult verifyRopeDim(Operation *op, RopeAttr rope,
                                   int64_t headSize) {
  if (!rope || rope.getDim() <= headSize)
    return success();
  return op->emitOpError(
             "expected `dim` of the rope to be at most the head size ")
         << headSize << ", got " << rope.getDim();
}

inline LogicalResult verifyFinite(Operation *op, StringRef name,
                                  std::optional<APFloat> value,
                                  bool positive = false) {
  if (!value || (value->isFinite() &&
                 !(positive && (value->isNegative() || value->isZero()))))
    return success();
  return op->emitOpError("expected `")
         << name << "` to be finite" << (positive ? " and positive" : "")
         << ", got " << toString(Real(value->convertToDouble()));
}

inline LogicalResult verifyBounds(Operation *op, StringRef name,
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
inline LogicalResult verifyLayout(Operation *op, AffineMap map, StringRef name,
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

/// The layouts are over the first `numDims` iteration dimensions. Layout i may
/// also be `others[i]`.
template <typename OpTy>
LogicalResult
verifyLayouts(OpTy op, unsigned numDims,
              ArrayRef<std::pair<StringRef, SmallVector<unsigned>>> expected,
              ArrayRef<AffineMap> others = {}) {
  if (!op.getLayouts())
    return success();
  if (op.getLayouts()->size() != expected.size())
    return op.emitOpError("expected ")
           << expected.size() << " layouts, got " << op.getLayouts()->size();
  for (auto [index, entry] : llvm::enumerate(expected)) {
    AffineMap map = cast<AffineMapAttr>((*op.getLayouts())[index]).getValue();
    if (index < others.size() && map == others[index])
      continue;
    if (failed(verifyLayout(op, map, entry.first, numDims, entry.second)))
      return failure();
  }
  return success();
}

/// The effects of a destination-style op: none on tensors; on buffers, inputs
/// are read and destinations written (and read, where `readsDestinations`).
template <typename OpTy>
void getDestinationEffects(
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
LogicalResult reifyDestinations(OpTy op, OpBuilder &builder,
                                ReifiedRankedShapedTypeDims &shapes) {
  for (Value destination : op.getDpsInits())
    if (isa<RankedTensorType>(destination.getType()))
      shapes.push_back(
          tensor::getMixedSizes(builder, op.getLoc(), destination));
  return success();
}

} // namespace detail
} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_IR_OPSUPPORT_H
