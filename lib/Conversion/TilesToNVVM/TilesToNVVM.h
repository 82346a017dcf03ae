//===- TilesToNVVM.h - What a thread does for a tile op ---------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_TILESTONVVM_TILESTONVVM_H
#define REPO_LIB_CONVERSION_TILESTONVVM_TILESTONVVM_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Transforms/DialectConversion.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"

namespace mlir::repo::tile {

/// The external array that stands for the dynamic shared memory of a block.
inline constexpr StringLiteral sharedMemoryName = "smem";

/// Builds the code of one thread. Shared addresses are offsets of 32 bits from
/// pointers to shared memory; what depends on the thread alone is computed
/// where it is used, and left to CSE and LICM.
class ThreadBuilder {
public:
  ThreadBuilder(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  Value i32(int64_t value);
  Value index(int64_t value);
  Value toI32(Value index);
  Value toIndex(Value number);
  Value add(Value x, Value y);
  Value add(Value x, int64_t y);
  Value mul(Value x, int64_t y);
  Value both(Value x, int64_t mask);
  Value shiftLeft(Value x, int64_t bits);
  Value shiftRight(Value x, int64_t bits);
  Value exclusiveOr(Value x, Value y);
  Value compare(arith::CmpIPredicate predicate, Value x, Value y);

  /// The address `offset` bytes into the dynamic shared memory.
  Value sharedMemory(int64_t offset);

  /// The thread of the block, and of the warp.
  Value thread();
  Value lane() { return both(thread(), 31); }
  /// The thread's first row in a fragment, and its first column: places of
  /// FragmentType are relative to them.
  Value firstRow(FragmentType type);
  Value firstColumn() { return shiftLeft(both(lane(), 3), 1); }
  /// Row and column of element `index` as i32.
  Value rowOf(FragmentType type, int64_t index);
  Value columnOf(FragmentType type, int64_t index);

  /// `pointer` moved by `bytes`, an i32.
  Value move(Value pointer, Value bytes);
  Value move(Value pointer, int64_t bytes);
  /// The start of a stage.
  Value stage(Value buffer, MemRefType type, Value stage);
  /// `start` of the stage + the place of the 16-byte chunk `laneChunk + chunk`
  /// of row `laneRow + row`, where laneRow mod 8 is the lane mod 8, `row` is a
  /// multiple of 8, laneChunk below 2 and `chunk` even.
  Value chunk(Value start, MemRefType type, Value laneRow, int64_t row,
              Value laneChunk, int64_t chunk);
  /// Four 8x8 matrices as four i32.
  SmallVector<Value> loadMatrices(Value address, bool transpose);

  /// Rounds a pair to vector<2xT>, `low` first.
  Value pack(Value low, Value high, Type element);
  /// The value of the lane `lane xor mask`.
  Value exchange(Value value, int64_t mask);

  OpBuilder &b;
  Location loc;
};

/// The address of element [row, 0] of a strided matrix or of element [row] of a
/// vector in global memory, and the bytes from row to row. Of several matrices
/// the rows lie one matrix after another.
struct RowAddress {
  RowAddress(ThreadBuilder &t, Value memref);
  /// `row` is an index.
  Value get(ThreadBuilder &t, Value row) const;
  /// Whether the rows are those of several matrices.
  bool isNested() const { return bool(matrixBytes); }
  Value base, rowBytes, matrixBytes;
  int64_t matrixRows;
};

/// An op that names what lies `offset` bytes into the dynamic shared memory.
template <typename Op> struct SharedPlacePattern : OpConversionPattern<Op> {
  using OpConversionPattern<Op>::OpConversionPattern;
  LogicalResult
  matchAndRewrite(Op op, typename Op::Adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    rewriter.replaceOp(op, t.sharedMemory(int64_t(op.getOffset())));
    return success();
  }
};

/// Element `index` of a thread's part of a fragment.
Value getElement(ThreadBuilder &t, FragmentType type, ValueRange registers,
                 int64_t index);
/// The registers of a fragment from its elements.
SmallVector<Value> packElements(ThreadBuilder &t, FragmentType type,
                                ArrayRef<Value> elements);

/// One group of ops each.
void populateArithmeticPatterns(const TypeConverter &types,
                                RewritePatternSet &patterns);
void populateMemoryPatterns(const TypeConverter &types,
                            RewritePatternSet &patterns);
void populateMatrixPatterns(const TypeConverter &types,
                            RewritePatternSet &patterns);
void populateWarpgroupMatrixPatterns(const TypeConverter &types,
                                     RewritePatternSet &patterns);
void populateAsyncPatterns(const TypeConverter &types,
                           RewritePatternSet &patterns);

/// Makes the roles of warpgroups branches.
void convertWarpSpecialization(Operation *root);

} // namespace mlir::repo::tile

#endif // REPO_LIB_CONVERSION_TILESTONVVM_TILESTONVVM_H
