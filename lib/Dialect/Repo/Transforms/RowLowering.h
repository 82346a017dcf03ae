//===- RowLowering.h - Few queries against a block of keys ------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What LowerOnlineAttentionRows.cpp describes, in parts: reads of rows
// (RowReads.cpp), scores and their softmax (RowScores.cpp), and weighted sums
// of values (RowValues.cpp).
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_ROWLOWERING_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_ROWLOWERING_H

#include "VectorBlock.h"

namespace mlir {
namespace repo {

class RowLowering : VectorBlock {
public:
  /// `pairs`: whether an instruction multiplies pairs of bf16.
  RowLowering(OpBuilder &builder, OnlineAttentionOp op, int64_t lanes,
              bool pairs);

  void run();

private:
  /// Queries whose products with a key are summed at a time.
  static constexpr int64_t scoreQueries = 4;
  using Order = SmallVector<int64_t>;

  /// Whether rows are read by pairs of vectors.
  bool readsPairs(Value rows);
  /// Two vectors of bf16, as they lie.
  Value loadPair(Value rows, Value row, int64_t vector);
  /// Vectors of a row from the vector `from` on; pairs of them if `readsPairs`.
  Vectors loadRow(Value rows, Value row, int64_t from, int64_t count);
  /// The same of two rows of bf16, element by element side by side.
  Vectors loadTwoRows(Value rows, Value first, Value second, int64_t from,
                      int64_t count);
  /// Which of the elements of two neighbouring vectors are in the lanes of what
  /// `loadRow`, or `loadTwoRows`, makes of them.
  Order orderOfPairs();
  /// Rows with their pairs of vectors brought into an order.
  void reorder(Value from, Value to, int64_t columns, const Order &order);
  void eachQuery(function_ref<void(Value)> body) {
    loop(index(0), index(queries), 1, body);
  }

  /// Whether keys ask for values, and values for the keys of the next tile, so
  /// that memory does not rest while the other kind is at hand. Where there is
  /// more to compute for a row, this only takes time.
  bool asksAhead() { return multipliesPairs && queries == 1; }
  /// Asks for the line behind each that is read of a row of f32, where a single
  /// query leaves time for it: two streams in turn are read a tenth faster.
  void prefetchNextLines(Value rows, Value row);
  /// Asks for the elements of a row from `from` on; it need not exist.
  void prefetchRow(Value rows, Value row, int64_t from, unsigned hint);

  /// Asks for the queries and sums that lie behind these in a larger buffer:
  /// those of the next head of a task. The rows of keys and values have driven
  /// them out of the caches since their last block.
  void prefetchNeighbours();

  /// The queries as the products read them, [N / sharing, sharing * D].
  void orderQueries();
  /// The vectors of a row of `ordered`.
  Vectors queryVectors(int64_t row);
  /// The vectors of a key that meet those of the queries.
  Vectors keyVectors(Value key);
  Value multiplyAdd(Value x, Value y, Value sum);
  /// Products of a key and rows of `ordered`, summed down to a vector for each
  /// joined queries.
  void products(Value key, Value row, ArrayRef<Vectors> rows);
  /// One vector whose lanes are the sums over the parts, `width` lanes wide, of
  /// each of `rows`. `round` rounds are done.
  Value sumEach(Vectors rows, int64_t width, int64_t round);
  /// Rounds of it that a key makes alone, with the joined queries.
  int64_t roundsOfKey() { return llvm::Log2_64(multipliesPairs ? 1 : joined); }
  /// One round: neighbours become one vector with half as many terms of a sum.
  Vectors sumNeighbours(ArrayRef<Value> rows, int64_t width, int64_t round);
  /// Scores of the queries that share vectors, of keys [first, first +
  /// keyTile): a vector has `part` keys of each. -inf past `count` keys.
  /// `inTile` is the place of the queries in `partial`. A bias has room for
  /// whole tiles.
  Vectors scores(Value inTile, Value firstQuery, Value first, Value count);
  /// A vector of parts of neighbouring rows of the bias.
  Value biasOf(Value firstQuery, Value firstKey);
  /// Combines lanes until all those of a part hold the result of the part.
  Value combineParts(Value x, function_ref<Value(Value, Value)> combine);
  /// Weights of the queries of a group from their scores, against the running
  /// maximum.
  void softmax(Value group, Vectors scores);
  /// Where the weight of a query and a key lies in its row of `weights`.
  Value weightPlace(int64_t query, Value key);
  /// Adds the weighted values of `count` keys from `first` on.
  void values(Value first, Value count, int64_t firstQuery, int64_t rows,
              int64_t firstVector, int64_t columns);
  /// Those of a key, or of two in pairs.
  void addValues(Vectors &sums, Value first, Value key, Value count,
                 int64_t firstQuery, int64_t firstVector, int64_t columns);
  /// Sums stay in memory between passes: carried in registers, of which there
  /// are too few, they would be spilled within the passes.
  void keepSumsInMemory();

  int64_t queries, headSize;
  int64_t vectors;                    // of a row of values
  int64_t valueQueries, valueVectors; // a pass over values
  bool multipliesPairs;               // of bf16, without expanding them
  int64_t joined;                     // queries that share vectors of scores
  int64_t part;                       // lanes of each
  int64_t keyTile;                    // keys at a time, a multiple of these
  int64_t sharing;                    // queries that share vectors of products
  Value keys;                         // M
  Value ordered;                      // queries, as the products read them
  Value partial; // sums of products, [scoreQueries / joined, keyTile, lanes]
  // Of each group of joined queries:
  Value maxima, sums; // the state, [N / joined, lanes]
  Value alphas;       // what it is scaled by
  Value weights;      // of the keys at hand, [N / joined, joined * keyTile]
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_ROWLOWERING_H
