//===- TileLoops.h - Tile ops as loops over buffers -------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What an op of the repo_tile dialect means, whatever the threads: loops over
// the elements of buffers. A fragment is a buffer of its shape, a shared buffer
// one of [stages, rows, columns]; layouts and swizzles say nothing here.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_TILESTOLOOPS_TILELOOPS_H
#define REPO_LIB_CONVERSION_TILESTOLOOPS_TILELOOPS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"

namespace mlir::repo::tile {

/// The buffer that stands for a fragment, a product under way or a shared
/// buffer; null for other types.
MemRefType getBufferType(Type type);

/// Whether an op orders or waits for work of threads and nothing else: one
/// thread alone has nothing to wait for.
bool isSynchronization(Operation *op);

class SequentialTiles {
public:
  /// `mapping` has the buffer, or value, of what the ops use; `result` makes
  /// the buffer of a result.
  SequentialTiles(OpBuilder &builder, IRMapping &mapping,
                  llvm::function_ref<Value(Value)> result)
      : b(builder), mapping(mapping), makeBuffer(result) {}

  /// Writes the loops of a tile op; fails where it has no meaning for one
  /// thread.
  LogicalResult lower(Operation *op);

private:
  using Body = llvm::function_ref<void(ValueRange indices)>;
  void forEach(ArrayRef<int64_t> sizes, Body body);
  Value index(int64_t value);
  Value get(Value value) { return mapping.lookupOrDefault(value); }
  /// The buffer of the result of `op`.
  Value newResult(Operation *op, unsigned number = 0);
  Value load(Value buffer, ValueRange indices);
  void store(Value value, Value buffer, ValueRange indices);
  /// The element, or 0 where `exists` does not hold.
  Value loadIf(Value exists, Value buffer, ValueRange indices);
  Value toF32(Value value);
  Value isBelow(Value x, Value y);
  SmallVector<Value> inlineBody(Block &body, ValueRange arguments);

  void lowerCopy(CopyAsyncOp op);
  void lowerLoadShared(LoadSharedOp op);
  void lowerStoreShared(StoreSharedOp op);
  void lowerLoadRows(LoadRowsOp op);
  void lowerStore(StoreOp op);
  void lowerMap(MapOp op);
  void lowerMapPairs(MapPairsOp op);
  void lowerReduce(ReduceOp op);
  void lowerConvert(ConvertOp op);
  void lowerSplit(SplitOp op);
  /// `a` is a fragment, or a shared buffer with its stage.
  void lowerProduct(Operation *op, Value a, Value aStage, Value sharedB,
                    Value stage, Value init, bool transposeB);

  OpBuilder &b;
  Location loc = b.getUnknownLoc();
  IRMapping &mapping;
  llvm::function_ref<Value(Value)> makeBuffer;
};

} // namespace mlir::repo::tile

#endif // REPO_LIB_CONVERSION_TILESTOLOOPS_TILELOOPS_H
