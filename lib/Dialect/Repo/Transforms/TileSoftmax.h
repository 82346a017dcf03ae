//===- TileSoftmax.h - The softmax of a block on tiles ----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A panel holds the scores of 32 queries, [key / 16][query / 16][16][16] in
// f32: 16 keys of one query are a vector. Its weights, [key / 32][query /
// 16][16][32] in bf16, lie in the same memory, each row where the scores of the
// first 16 of its keys were: a row is read before it is written.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_DIALECT_REPO_TRANSFORMS_TILESOFTMAX_H
#define REPO_LIB_DIALECT_REPO_TRANSFORMS_TILESOFTMAX_H

#include "MatrixTiles.h"
#include "VectorMath.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Support/IndexBuilder.h"

namespace mlir {
namespace repo {

class TileSoftmax : IndexBuilder {
public:
  /// What the vector units can do beside arithmetic.
  struct Target {
    /// Exponentials by vreduceps and vscalefps.
    bool avx512;
    /// Rounding to bf16.
    bool avx512bf16;
  };

  TileSoftmax(OpBuilder &builder, OnlineAttentionOp op, Target target);

  /// Makes the panels: a group of 32 queries has panel group % numPanels.
  void allocate(int64_t numPanels);
  /// The panel of a group as scores, and as weights.
  Value getScores(int64_t group) { return scores[group % scores.size()]; }
  Value getWeights(int64_t group) { return weights[group % scores.size()]; }

  /// Adds the softmax of four rows of a group to `steps`; `row` gives the
  /// first. The maximum of these queries is brought up to date; what their
  /// accumulators are to be scaled by, and the sums of a row as a vector, are
  /// kept.
  void rows(CodeSteps &steps, int64_t group, std::function<Value()> row);
  /// Adds what was kept to the sums of four queries of the group `rows` was
  /// last called for. In a loop of its own: together with the rows, the
  /// additions would be scheduled after all of them, and the weights spilled
  /// until then.
  void addSums(int64_t group, Value row);
  /// Whether an accumulator of the group has to be scaled.
  Value hasGrown(int64_t group);
  /// Scales the accumulator of row `row` of the group.
  void rescaleRow(int64_t group, Value row);

private:
  using Vectors = SmallVector<Value>;
  struct Batch;

  Value load(Value buffer, ValueRange indices, int64_t width = 16);
  void store(Value value, Value buffer, ValueRange indices) {
    vector::StoreOp::create(b, loc, value, buffer, indices);
  }
  Value shuffle(Value x, Value y, ArrayRef<int64_t> lanes) {
    return vector::ShuffleOp::create(b, loc, x, y, lanes);
  }
  /// The four numbers at `at`, each in four lanes; and back.
  Value loadSpread(Value buffer, Value at);
  void storeSpread(Value spread, Value buffer, Value at);
  /// Reduces four vectors; each result is in four lanes.
  Value reduce(ArrayRef<Value> rows, function_ref<Value(Value, Value)> combine);

  SmallVector<Value> scoreAt(int64_t keyTile, const Batch &batch, int64_t row);
  /// Softcap, bias and mask: what the products are not yet.
  bool changesScores();
  Value changed(Value score, int64_t keyTile, Value query);
  Value mask(Value score, int64_t keyTile, Value query);

  Value hide(Value value);
  void findMaximum(Batch &batch, int64_t group);
  void exponentials(Batch &batch, int64_t group, int64_t row, int64_t part);
  Value exp2(Value x);
  Value toShort(Value low, Value high);
  Value callIntrinsic(StringRef name, Type type, ValueRange operands);

  OnlineAttentionOp op;
  Target target;
  VectorMath v;
  int64_t keys;
  SmallVector<Value> scores, weights;
  Value alphas;  // of all queries
  Value rowSums; // of the group at hand, a vector a row
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_DIALECT_REPO_TRANSFORMS_TILESOFTMAX_H
