//===- Sample.cpp - Choosing the next token -------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/model.h"
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

/// splitmix64 (Steele, Lea, Flood 2014): a number in [0, 1).
static double nextUniform(uint64_t &state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return double((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

int32_t repo_rt_sample(const float *logits, int64_t vocabulary,
                       const repo_rt_sampling *sampling, uint64_t *state) {
  if (!(sampling->temperature > 0))
    return static_cast<int32_t>(std::max_element(logits, logits + vocabulary) -
                                logits);

  std::vector<int32_t> order(vocabulary);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (sampling->top_k > 0 && sampling->top_k < vocabulary)
    order.resize(sampling->top_k);
  std::vector<double> weights;
  for (int32_t token : order)
    weights.push_back(std::exp((double(logits[token]) - logits[order[0]]) /
                               sampling->temperature));
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sampling->top_p > 0 && sampling->top_p < 1) {
    // The token that crosses p stays.
    double sum = 0;
    size_t kept = 0;
    while (kept < weights.size() && sum < sampling->top_p * total)
      sum += weights[kept++];
    weights.resize(std::max<size_t>(1, kept));
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  }
  double point = nextUniform(*state) * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    point -= weights[i];
    if (point < 0)
      return order[i];
  }
  return order[weights.size() - 1];
}
