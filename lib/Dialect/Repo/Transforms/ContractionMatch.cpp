//===- ContractionMatch.cpp - The loops of a contraction ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionTiles.h"

using namespace mlir;
using namespace mlir::repo;

static unsigned getDim(AffineExpr expr) {
  return cast<AffineDimExpr>(expr).getPosition();
}

bool repo::hasUnitInnerStride(Value value) {
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(value.getType());
  return type.getRank() > 0 &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

/// The loop of two products side by side, innermost in x and w.
static std::optional<unsigned> getPairDim(linalg::LinalgOp op, AffineMap xMap,
                                          AffineMap wMap) {
  unsigned last = getDim(wMap.getResults().back());
  ShapedType x = cast<ShapedType>(op.getDpsInputs()[0].getType()),
             w = cast<ShapedType>(op.getDpsInputs()[1].getType());
  auto inner = [](ShapedType type) {
    SmallVector<int64_t> strides;
    int64_t offset;
    return succeeded(
               cast<MemRefType>(type).getStridesAndOffset(strides, offset)) &&
           type.getRank() > 2 && type.getShape().back() == 2 &&
           ArrayRef(strides).take_back(2) == ArrayRef<int64_t>{2, 1};
  };
  if (op.getIteratorTypesArray()[last] != utils::IteratorType::reduction ||
      getDim(xMap.getResults().back()) != last || !inner(x) || !inner(w) ||
      !x.getElementType().isBF16() || !w.getElementType().isBF16())
    return std::nullopt;
  return last;
}

std::optional<Contraction> repo::matchContraction(linalg::LinalgOp op,
                                                  int64_t lanes, bool pairs) {
  if (!op.hasPureBufferSemantics() || !linalg::isaContractionOpInterface(op) ||
      op.getNumDpsInputs() != 2)
    return std::nullopt;
  auto isFloat = [](Value value) {
    Type type = getElementTypeOrSelf(value);
    return type.isF32() || type.isBF16() || type.isF16();
  };
  Value x = op.getDpsInputs()[0], w = op.getDpsInputs()[1],
        out = op.getDpsInits()[0];
  if (!isFloat(x) || !isFloat(w) || !getElementTypeOrSelf(out).isF32() ||
      !hasUnitInnerStride(x) || !hasUnitInnerStride(w))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!llvm::all_of(maps,
                    [](AffineMap map) { return map.isProjectedPermutation(); }))
    return std::nullopt;
  AffineMap xMap = maps[0], wMap = maps[1], outMap = maps[2];

  Contraction result;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  if (reductions.size() == 2 && pairs) {
    result.pair = getPairDim(op, xMap, wMap);
    if (!result.pair)
      return std::nullopt;
    llvm::erase(reductions, *result.pair);
    // What is left are maps without pairs.
    xMap = xMap.dropResult(xMap.getNumResults() - 1);
    wMap = wMap.dropResult(wMap.getNumResults() - 1);
  }
  if (reductions.size() != 1)
    return std::nullopt;
  result.i = reductions[0];
  if (getDim(xMap.getResults().back()) != result.i)
    return std::nullopt;
  // Columns, panels and their lanes are loops that only w and out have, n is
  // the last one that only x and out have and that runs more than once.
  SmallVector<unsigned> columns;
  std::optional<unsigned> n;
  auto outType = cast<ShapedType>(out.getType());
  for (auto [position, expr] : llvm::enumerate(outMap.getResults())) {
    unsigned dim = getDim(expr);
    bool inX = xMap.isFunctionOfDim(dim), inW = wMap.isFunctionOfDim(dim);
    // A loop over a single token of a sequence is none over rows: the batch is.
    if (inX && !inW && (!n || outType.getDimSize(position) != 1))
      n = dim;
    if (inW && !inX)
      columns.push_back(dim);
  }
  if (!n || columns.empty())
    return std::nullopt;
  result.n = *n;
  unsigned last = getDim(wMap.getResults().back());
  if (last == result.i) {
    if (result.pair)
      return std::nullopt;
    result.o = columns.back();
  } else {
    // [.., p, i, l] and out [.., p, l].
    unsigned rank = wMap.getNumResults();
    int64_t width = cast<ShapedType>(w.getType()).getDimSize(rank - 1);
    if (columns.size() < 2 || rank < 3 || last != columns.back() ||
        ShapedType::isDynamic(width) || width % lanes != 0 ||
        !hasUnitInnerStride(out) ||
        getDim(outMap.getResults().back()) != last ||
        getDim(wMap.getResult(rank - 2)) != result.i ||
        getDim(wMap.getResult(rank - 3)) != columns[columns.size() - 2])
      return std::nullopt;
    result.l = last;
    result.o = columns[columns.size() - 2];
    result.panelWidth = width;
  }
  for (unsigned dim = 0; dim < op.getNumLoops(); ++dim)
    if (dim != result.n && dim != result.o && dim != result.i &&
        dim != result.pair && !(result.panelWidth && dim == result.l))
      result.outer.push_back(dim);
  return result;
}
