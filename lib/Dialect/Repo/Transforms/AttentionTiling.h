//===- AttentionTiling.h - Pieces of loops around attention -----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the tilings of attention share: index arithmetic, rows of a head, the
// range of keys a block of queries sees, bias and mask of a block, and how the
// running state becomes output.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONTILING_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONTILING_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Support/IndexBuilder.h"

namespace mlir {
namespace repo {

/// The keys a block of queries sees, as bounds of its loops: [lo, first) and
/// [third, hi) are cut by a mask, every query sees all of [first, third).
struct KeyRange {
  Value lo, first, third, hi;
};

/// Rows of one head in a tensor of the op, as they are.
struct HeadRows {
  Value tensor;
  AffineMap map;
  Value batch, head;
  unsigned rowDim;
  int64_t width;
};

/// Builds pieces of the loops around one attention op.
class AttentionTiling {
public:
  AttentionTiling(RewriterBase &rewriter, AttentionOp op)
      : b(rewriter), loc(op.getLoc()), op(op), index(rewriter, loc),
        f32(rewriter.getF32Type()) {}

protected:
  Value toValue(OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  }
  Value number(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  }
  Value empty(ArrayRef<int64_t> shape);
  Value filled(ArrayRef<int64_t> shape, double value);

  /// Reads the sizes of the op, before any loop.
  void readSizes();
  /// The element of an i32 tensor [B], or the index itself.
  Value perBatch(Value value, Value batch);
  /// The number of keys that exist.
  Value keysThatExist(Value batch);
  /// The largest number of rows of keys and values, `most` at most, such that
  /// those from a multiple of it on lie in one page where they are those of a
  /// paged cache. Who sets `readsPages` reads nothing but such blocks.
  int64_t pageBlock(int64_t most);
  /// The paged cache that is read in place of its view, or null.
  CacheViewOp getPages(Value tensor);
  /// Rows of a paged cache from `start` on as rows of the page they are in.
  HeadRows inPage(CacheViewOp view, const HeadRows &rows, Value &start);
  /// Rows [start, start + count) of a head as a matrix, in the order its layout
  /// has.
  Value slice(const HeadRows &rows, Value start, OpFoldResult count);
  /// The same as f32 [1, 1, count, width], rotated if the tensor is the result
  /// of `repo.rotate`, which is then done here, row block by row block.
  Value preparedRows(const HeadRows &rows, Value start, OpFoldResult count);
  /// Where the first query stands among the keys.
  Value firstPosition(Value batch) {
    return op.getOffset() ? perBatch(op.getOffset(), batch)
                          : index.sub(keys, queries);
  }
  /// The keys that queries [first, first + count) see of [0, keys).
  KeyRange keyRange(Value batch, Value position, Value count, int64_t tile);
  /// Bias and mask as one additive term for queries [query, query + count) of
  /// a head and `keyCount` keys from `key` on, [rows, most keys] with static
  /// sizes cut to the keys there are, unless `whole`; null without either.
  Value biasBlock(Value batch, Value head, Value query, OpFoldResult count,
                  int64_t rows, Value key, OpFoldResult keyCount,
                  int64_t mostKeys, bool whole = false);
  /// acc / sum, 0 for a query without keys, in the type of the output; into
  /// `target` if there is one.
  Value finishedOutput(ValueRange state, Value target = Value());
  /// (max + log2(sum)) * ln 2, -inf for a query without keys.
  Value finishedLse(ValueRange state);
  /// Rows of a head in the output, [count, E].
  Value outputRows(Value output, Value batch, Value head, Value query,
                   OpFoldResult count);
  /// Inserts rows of a head, [count, E] and [count], into the outputs.
  void insertResults(ValueRange results, ValueRange destinations, Value batch,
                     Value head, Value query, OpFoldResult count);

  RewriterBase &b;
  Location loc;
  AttentionOp op;
  IndexBuilder index;
  Type f32;

private:
  /// Where rows of a head are in the output.
  std::pair<SmallVector<OpFoldResult>, SmallVector<OpFoldResult>>
  outputSlice(Value batch, Value head, Value query, OpFoldResult count);

protected:
  int64_t headSize = 0, valueSize = 0;
  Value batches, queries, keys; // B, N, M
  bool readsPages = false;
};

/// Why repo-tile-attention and repo-split-keys leave an op alone; empty where
/// they can tile it: f32 arithmetic, no rotation left, static head sizes, rows
/// of keys, values and output that follow the layout of a head.
StringRef whyNotTilable(AttentionOp op);

/// Erases rotations and views of paged caches that nobody reads as a whole any
/// more, as their parts are made where they are used. `producers` may be null.
void eraseUnread(RewriterBase &rewriter, ArrayRef<Operation *> producers);

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_ATTENTIONTILING_H
