//===- ContractionTiles.cpp - Loops around tiles of contractions ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionLowering.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::repo;

static unsigned getDim(AffineExpr expr) {
  return cast<AffineDimExpr>(expr).getPosition();
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void ContractionLowering::run() {
  b.setInsertionPoint(op);
  zero = index(0);
  for (Range &range : op.createLoopRanges(b, loc))
    sizes.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
  if (dims.pair) {
    x = joinPairs(x, maps[0]);
    w = joinPairs(w, maps[1]);
  }
  if (dims.panelWidth) {
    position[dims.l] = zero;
    dropZeros();
  } else if (hasUnitInnerStride(out) &&
             getDim(maps[2].getResults().back()) == dims.o) {
    panel = memref::AllocOp::create(
        b, loc,
        MemRefType::get({panelDepth, getPanelVectors() * lanes},
                        b.getF32Type()));
  }
  emitOuter(0);
  op->erase();
}

/// Zeros written right before in what the products are added to: the first
/// of them are stored instead, which waits for no memory.
void ContractionLowering::dropZeros() {
  auto type = cast<ShapedType>(w.getType());
  if (!type.hasStaticShape() || type.getNumElements() == 0)
    return;
  Operation *before = op->getPrevNode();
  while (before && isMemoryEffectFree(before))
    before = before->getPrevNode();
  auto fill = dyn_cast_or_null<linalg::FillOp>(before);
  if (!fill || fill.getDpsInits()[0] != op.getDpsInits()[0] ||
      !matchPattern(fill.getDpsInputs()[0], m_PosZeroFloat()))
    return;
  fill->erase();
  startsAtZero = true;
}

/// The end of the last whole tile.
Value ContractionLowering::roundDown(Value from, Value to, int64_t tile) {
  return sub(to, rem(sub(to, from), tile));
}

/// Loops over `dim` from `from` in tiles of the first size, what is left in
/// tiles of the next. Returns where the whole tiles end.
Value ContractionLowering::tiled(unsigned dim, Value from,
                                 ArrayRef<int64_t> tiles,
                                 function_ref<void(int64_t)> body) {
  for (int64_t tile : tiles) {
    Value to = roundDown(from, sizes[dim], tile);
    loop(from, to, tile, [&](Value iv) {
      position[dim] = iv;
      body(tile);
    });
    from = to;
  }
  return from;
}

void ContractionLowering::blocks(Value depth,
                                 function_ref<void(Value, Value)> body) {
  Value size = sizes[dims.i];
  loop(zero, size, depth, [&](Value from) {
    body(from, arith::MinUIOp::create(b, loc, add(from, depth), size));
  });
}

void ContractionLowering::emitOuter(size_t level) {
  if (level < dims.outer.size()) {
    unsigned dim = dims.outer[level];
    loop(zero, sizes[dim], 1, [&](Value iv) {
      position[dim] = iv;
      emitOuter(level + 1);
    });
    return;
  }
  if (dims.panelWidth)
    return emitPanels();
  if (!panel)
    return emitDots(zero);
  Value many =
      compare(arith::CmpIPredicate::uge, sizes[dims.n], index(minPanelRows));
  auto choice = scf::IfOp::create(b, loc, many, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(choice.thenBlock()->getTerminator());
  emitCopiedPanels();
  b.setInsertionPoint(choice.elseBlock()->getTerminator());
  emitDots(zero);
}

//===----------------------------------------------------------------------===//
// Access
//===----------------------------------------------------------------------===//

/// The last two dimensions as one; `map` is that of the result.
Value ContractionLowering::joinPairs(Value buffer, AffineMap &map) {
  int64_t rank = cast<MemRefType>(buffer.getType()).getRank();
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i + 1 < rank; ++i)
    groups.push_back({i});
  groups.back().push_back(rank - 1);
  map = map.dropResult(rank - 1);
  return memref::CollapseShapeOp::create(b, loc, buffer, groups);
}

SmallVector<Value> ContractionLowering::indices(AffineMap map, int64_t row,
                                                int64_t column, Value i) {
  SmallVector<Value> result;
  for (AffineExpr expr : map.getResults()) {
    unsigned dim = getDim(expr);
    bool isColumn = dim == (dims.panelWidth ? dims.l : dims.o);
    result.push_back(dim == dims.i   ? i
                     : dim == dims.n ? add(position[dim], row)
                     : isColumn      ? add(position[dim], column)
                                     : position[dim]);
  }
  // Where two products are side by side, so are the elements.
  if (dims.pair && map != maps[2])
    result.back() = mul(result.back(), getProducts());
  return result;
}

Value ContractionLowering::extend(Value value) {
  Type type = value.getType(), wide = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(type))
    wide = vector.clone(wide);
  if (type == wide)
    return value;
  return arith::ExtFOp::create(b, loc, wide, value);
}

Value ContractionLowering::loadElement(Value buffer, ValueRange at) {
  return extend(memref::LoadOp::create(b, loc, buffer, at));
}

Value ContractionLowering::loadVector(Value buffer, ValueRange at) {
  Type type = vectorType.clone(getElementTypeOrSelf(buffer));
  return extend(
      vector::LoadOp::create(b, loc, cast<VectorType>(type), buffer, at));
}

Value ContractionLowering::zeros() {
  return arith::ConstantOp::create(b, loc,
                                   DenseElementsAttr::get(vectorType, 0.0f));
}

void repo::lowerContraction(OpBuilder &builder, linalg::LinalgOp op,
                            const Contraction &contraction, int64_t lanes) {
  ContractionLowering(builder, op, contraction, lanes).run();
}
