//===- ContractionLowering.h - Register tiles of contractions ---*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two kinds of tile. In a *panel tile* the lanes of a vector are columns of the
// output: a row of the panel times one element of x, broadcast, is added to the
// sums; nothing is reduced, and x is read element by element. Of panels with
// pairs of products a lane is a pair, the element of x too, and an instruction
// adds both products to the sum. In a *dot tile* the lanes are products of one
// sum: rows of both sides are read as vectors, each sum is reduced at the end.
// Dot tiles take weights as they are stored; they serve few rows of x, for
// which a panel would not pay. For many rows the weights are first copied to a
// panel, which stays in the second-level cache.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TRANSFORMS_CONTRACTIONLOWERING_H
#define REPO_LIB_TRANSFORMS_CONTRACTIONLOWERING_H

#include "ContractionTiles.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "repo/Support/LoopBuilder.h"

namespace mlir::repo {

/// Replaces one contraction by loops around its tiles.
class ContractionLowering : LoopBuilder {
public:
  ContractionLowering(OpBuilder &builder, linalg::LinalgOp op,
                      const Contraction &dims, int64_t lanes)
      : LoopBuilder(builder, op.getLoc()), op(op), dims(dims), lanes(lanes),
        vectorType(VectorType::get({lanes}, builder.getF32Type())),
        x(op.getDpsInputs()[0]), w(op.getDpsInputs()[1]),
        out(op.getDpsInits()[0]), maps(op.getIndexingMapsArray()),
        position(op.getNumLoops()) {}

  void run();

private:
  /// Products are summed over so many elements at a time. Those of a panel stay
  /// in the second-level cache (64 KB of 64 columns), those of the rows of a
  /// dot tile in the first.
  static constexpr int64_t panelDepth = 256, dotDepth = 1024;
  /// Weights in panels may come from memory, which few rows do not hide: up to
  /// so many take so much of a panel at a time, which stays in the first-level
  /// cache until the last of them has met it.
  static constexpr int64_t fewRows = 24, fewRowsBytes = 8192, cacheLine = 64;
  /// From so many rows of x on a copy of the weights pays.
  static constexpr int64_t minPanelRows = 24;

  int64_t getNumRegisters() const { return lanes >= 16 ? 32 : 16; }
  /// Vectors of a panel's row: 4, and 6 rows of x, make 24 sums in 32
  /// registers; 2 and 6 make 12 in 16.
  int64_t getPanelVectors() const { return getNumRegisters() / 8; }
  /// Products side by side.
  int64_t getProducts() const { return dims.pair ? 2 : 1; }

  //===--- Loops --------------------------------------------------------===//
  void dropZeros();
  Value roundDown(Value from, Value to, int64_t tile);
  Value tiled(unsigned dim, Value from, ArrayRef<int64_t> tiles,
              function_ref<void(int64_t)> body);
  /// Blocks of products.
  void blocks(Value depth, function_ref<void(Value, Value)> body);
  void emitOuter(size_t level);

  //===--- Access -------------------------------------------------------===//
  Value joinPairs(Value buffer, AffineMap &map);
  SmallVector<Value> indices(AffineMap map, int64_t row, int64_t column,
                             Value i);
  /// To f32.
  Value extend(Value value);
  Value loadElement(Value buffer, ValueRange at);
  Value loadVector(Value buffer, ValueRange at);
  Value zeros();

  //===--- Panel tiles (PanelTiles.cpp) ---------------------------------===//
  /// The vectors of row i of a panel.
  using PanelLoad = function_ref<SmallVector<Value>(Value i)>;
  /// What a tile asks for beside the products of row i of a panel.
  using Ahead = function_ref<void(Value i)>;

  /// Bytes of a column of a panel's row.
  int64_t getElementBytes() const {
    return getElementTypeOrSelf(w).getIntOrFloatBitWidth() / 8 * getProducts();
  }
  int64_t getPanelRowBytes() const {
    return dims.panelWidth * getElementBytes();
  }
  int64_t getLines() const {
    return llvm::divideCeil(getPanelRowBytes(), cacheLine);
  }
  /// Rows of a panel in a block of few rows of x.
  int64_t getShallowDepth() const {
    return std::max<int64_t>(1, fewRowsBytes / getPanelRowBytes());
  }
  /// Rows of x of the largest tile.
  int64_t getTileRows(int64_t vectors) const {
    return std::max<int64_t>(1, getNumRegisters() * 3 / 4 / vectors);
  }
  /// Whether bf16 is expanded within 128 bits, by one instruction a vector;
  /// keeping the order takes two. Columns are in order again when stored.
  bool expandsByParts() const {
    return dims.panelWidth && dims.panelWidth % (2 * lanes) == 0 &&
           !dims.pair && getElementTypeOrSelf(w).isBF16();
  }
  SmallVector<Value> loadPanelRow(Value i, int64_t vectors);
  SmallVector<Value> expandByParts(Value x);
  void orderColumns(MutableArrayRef<Value> sums);
  Value broadcastElement(int64_t row, Value i);
  Value multiplyAdd(Value element, Value row, Value sum);
  void prefetch(Value i, Value line);
  void emitPanels();
  void emitCopiedPanels();
  void emitPanelRows(int64_t vectors, Value from, Value to, PanelLoad load,
                     Value depth = nullptr);
  void emitPanelTile(int64_t rows, int64_t vectors, Value from, Value to,
                     PanelLoad load, Ahead ahead = nullptr);
  void copyPanel(int64_t vectors, Value from, Value to);

  //===--- Dot tiles (DotTiles.cpp) -------------------------------------===//
  void emitDots(Value first);
  SmallVector<Value> sumDots(int64_t rows, int64_t columns, Value from,
                             Value to, bool vectors, ValueRange init);
  void emitDotTile(int64_t rows, int64_t columns, Value from, Value to);

  linalg::LinalgOp op;
  const Contraction &dims;
  int64_t lanes;
  VectorType vectorType;
  Value x, w, out, zero, panel;
  bool startsAtZero = false;
  SmallVector<AffineMap> maps;
  /// Of every loop of the contraction, where it stands and where it ends.
  SmallVector<Value> position, sizes;
};

} // namespace mlir::repo

#endif // REPO_LIB_TRANSFORMS_CONTRACTIONLOWERING_H
