//===- DecomposeAttention.cpp - Attention in terms of linalg -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The definition, step by step, with the whole matrix of scores in memory.
//
//===----------------------------------------------------------------------===//

#include "AttentionFormulas.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
class AttentionDecomposer : AttentionFormulas<AttentionOp> {
public:
  using AttentionFormulas::AttentionFormulas;
  SmallVector<Value> run();
};
} // namespace

SmallVector<Value> AttentionDecomposer::run() {
  NamedTensor query = splitHeads(
      b.name(op.getQuery(), getDims(op.getQueryMap(), queryHeads())));
  NamedTensor key = b.name(op.getKey(), getDims(op.getKeyMap(), H));
  NamedTensor value = b.name(op.getValue(), getDims(op.getValueMap(), H));
  query = rotated(query, op.getQueryPositions(), N);
  key = rotated(key, op.getKeyPositions(), M);

  NamedTensor s = logits(scores(query, key));
  NamedTensor max =
      b.generic({s}, b.fill(perHead({N}), -infinity),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  return SmallVector<Value>{s.max(in[0], out[0])};
                })
          .front();
  // exp(s - max), 0 where s is -inf: also where max is.
  NamedTensor p =
      b.generic({max}, s, [](ScalarBuilder &s, ValueRange in, ValueRange out) {
         Value none = s.number(-infinity);
         Value exp =
             math::ExpOp::create(s.builder, s.loc, s.sub(out[0], in[0]));
         return SmallVector<Value>{
             s.select(s.isEqual(out[0], none), s.number(0), exp)};
       }).front();
  NamedTensor sum =
      b.generic({p}, b.fill(perHead({N}), 0),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  return SmallVector<Value>{s.add(out[0], in[0])};
                })
          .front();
  // A value of weight 0 contributes nothing, whatever it is.
  NamedTensor acc =
      b.generic({p, value}, b.fill(perHead({N, E}), 0),
                [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                  Value zero = s.number(0);
                  Value term = s.select(s.isEqual(in[0], zero), zero,
                                        s.mul(in[0], in[1]));
                  return SmallVector<Value>{s.add(out[0], term)};
                })[0];

  // The outputs have query heads, which (h, g) enumerate in order.
  acc = mergeHeads(acc);
  sum = mergeHeads(sum);
  max = mergeHeads(max);
  SmallVector<Value> results;
  results.push_back(
      b.map({acc, sum},
            {op.getOutput(), getDims(op.getOutputMap(), queryHeads())},
            [](ScalarBuilder &s, ValueRange in) {
              Value zero = s.number(0);
              return s.select(s.isEqual(in[1], zero), zero,
                              s.div(in[0], in[1]));
            })
          .value);
  if (op.getLse())
    results.push_back(b.map({max, sum}, {op.getLse(), {B, queryHeads(), N}},
                            [](ScalarBuilder &s, ValueRange in) {
                              return s.add(in[0], math::LogOp::create(
                                                      s.builder, s.loc, in[1]));
                            })
                          .value);
  return results;
}

FailureOr<SmallVector<Value>> mlir::repo::decomposeAttention(OpBuilder &builder,
                                                             AttentionOp op) {
  if (op->getNumResults() == 0)
    return failure();
  return AttentionDecomposer(builder, op).run();
}

void mlir::repo::populateDecomposeAttentionPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<AttentionOp, decomposeAttention>>(
      patterns.getContext());
}
