//===- AttentionTiles.h - Parts of attention kernels ------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the schedules of attention have in common, as tile ops: which keys a
// block of queries needs, the rotation of queries, masks, the step of the
// online softmax. The schedules differ in how data moves and who waits for
// whom.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONTILES_H
#define REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONTILES_H

#include "../TileSchedule/FragmentBuilder.h"

namespace mlir::repo {

/// The state of the online softmax of a warp or warpgroup.
struct SoftmaxState {
  Value accumulator, maximum, sum;
};

/// The tiles of keys that a block of queries sees some of, [first, last), and
/// all of, [firstFull, lastFull); and the keys in them that any query sees.
struct KeyTiles {
  Value first, firstFull, lastFull, last;
  Value firstKey, lastKey;
};

/// What cuts a tile of keys, beside a boolean mask: nothing, causal mask,
/// window or length, or the end of the keys, too.
enum class TileEdge { none, band, end };

/// Rows of keys or values as a copy takes them: from `row` of a matrix, those
/// in [from, to) and, unless null, those where `where` is set.
struct TileRows {
  Value matrix, row, from, to, where;
};

/// Erases views of pages, among these, that nobody reads any more.
void eraseUnusedViews(ArrayRef<Operation *> views);

/// Builds the code of one op in one kernel.
class AttentionTiles : public FragmentBuilder {
public:
  AttentionTiles(OpBuilder &builder, AttentionOp op);

  /// Sizes and offsets that the kernel needs, made on the host.
  void prepareHost();
  /// What depends on the block: batch, query head and first query.
  void enterBlock(Value batch, Value head, Value firstQuery);

  KeyTiles getKeyTiles(int64_t queryBlock, int64_t keyBlock);

  /// Keys, or values, from `first` on, which do not reach past a page. Those
  /// outside of the range that queries see are left out, and values that the
  /// mask hides from all queries of the block: NaN times a weight of 0 is NaN.
  /// A key that is NaN reaches but its own score.
  TileRows getKeyRows(Value first, const KeyTiles &range);
  TileRows getValueRows(Value first, const KeyTiles &range);
  /// Whether the mask shows every key of a tile to some query of the block.
  /// Needs a table of tiles, made on the host.
  void prepareSeenTiles(int64_t keyBlock);
  Value isTileSeen(Value tile);

  //===--- Memory -------------------------------------------------------===//
  /// The matrix of one head of an operand of the op: [tokens, channels].
  Value slice(Value operand, AffineMap map, Value head,
              AttentionOp::Dim tokens);
  Value sliceQuery();
  Value sliceOutput();
  /// The head of keys and values for the block's query head.
  Value getKeyHead() { return keyHead; }
  /// The queries of the heads that share keys: the rows of a matrix, or of
  /// several (see packRows).
  Value slicePackedQueries();
  /// The tokens of one head of [B, H | 1, N].
  Value sliceRows(Value operand, Value head);

  //===--- Fragments ----------------------------------------------------===//
  /// Rotates queries by their positions, if the op does.
  Value rotate(Value queries, Value firstRow);
  SoftmaxState start(int64_t columns);
  /// Logits as the softmax takes them from products, -inf where a key is not
  /// visible.
  Value finishScores(Value products, Value firstRow, Value firstKey,
                     TileEdge edge);
  /// The weights of a tile of scores; scales the accumulator of the state
  /// unless `alpha` is given to do so later.
  Value weigh(Value scores, SoftmaxState &state, Value *alpha = nullptr);
  Value scaleRows(Value matrix, Value rows);
  /// The factor from scores to exponents of 2.
  double getExponentScale();
  /// Writes outputs of the rows from `firstRow` on.
  void finish(const SoftmaxState &state, Value firstRow);

  AttentionOp op;
  KernelStrategyAttr strategy;
  /// D and E.
  int64_t headSize, valueSize;
  Value queries, keys;
  /// Of the block.
  Value batch, head, keyHead;

  //===--- Rows ---------------------------------------------------------===//
  /// Makes the rows of fragments the queries, few and static, of all heads that
  /// share keys, rather than the queries of one head. They are in the order in
  /// which the query's layout has them: `head` is the first of the heads.
  void packRows();
  int64_t getNumPackedRows() { return packedHeads * packedQueries; }
  /// A head, from `head` on, and a query.
  struct Place {
    Value head, query;
  };
  /// Of a row, the last one if it is none; and the row of a place.
  Place getPlace(OpBuilder &nested, Location at, Value row);
  Value getPackedRow(const Place &place);

private:
  TileRows getRows(Value operand, AffineMap map, Value first,
                   const KeyTiles &range);
  void makeFrequencies();
  void checkAlignment(Value operand, StringRef name, int64_t bytes);
  Value loadPositions(Value firstRow);

  //===--- Scores -------------------------------------------------------===//
  Value maskScores(Value scores, Value firstRow, Value firstKey);
  Value sliceScoreOperand(Value operand, Value firstKey);
  Value loadScoreOperand(OpBuilder &nested, Location at, Value slice, Value row,
                         Value column, Value end);
  bool bySoftmaxUnit();

  //===--- Boolean masks ------------------------------------------------===//
  void makeSeenKeys();
  SmallVector<Value> getSeenPlace(Value table);
  Value sliceSeenKeys(Value first);

  Value firstQuery;
  Value hostOffset, offset, limit, frequencies;
  /// [B, H or Hkv, blocks of queries, keys or tiles of keys], dimensions 1
  /// where the mask does not depend on them; null without a mask.
  Value seenKeys, seenTiles;
  std::pair<int64_t, int64_t> band;
  /// Of packed rows; 1 and 0 where rows are not.
  int64_t packedHeads = 1, packedQueries = 0;
  bool headsInside = false;
};

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_ATTENTIONTOTILES_ATTENTIONTILES_H
