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
#include <iterator>
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
  // What is no number is never chosen while there are numbers.
  auto logit = [&](int32_t token) {
    return std::isnan(logits[token]) ? -INFINITY : logits[token];
  };
  if (!(sampling->temperature > 0)) {
    int32_t best = 0;
    for (int32_t token = 1; token < vocabulary; ++token)
      if (logit(token) > logit(best))
        best = token;
    return best;
  }

  // A heap gives the likely ones first without sorting the whole vocabulary;
  // the first of equals first.
  auto later = [&](int32_t a, int32_t b) {
    return logit(a) < logit(b) || (logit(a) == logit(b) && a > b);
  };
  std::vector<int32_t> heap(vocabulary);
  std::iota(heap.begin(), heap.end(), 0);
  std::make_heap(heap.begin(), heap.end(), later);
  double largest = logit(heap[0]);
  if (std::isinf(largest))
    return heap[0];
  auto weight = [&](int32_t token) {
    return std::exp((logit(token) - largest) / sampling->temperature);
  };

  // Top k, then top p of their sum; the token that crosses p stays.
  bool limited = sampling->top_k > 0 && sampling->top_k < vocabulary;
  bool nucleus = sampling->top_p > 0 && sampling->top_p < 1;
  std::vector<int32_t> kept;
  std::vector<double> weights;
  auto pop = [&] {
    std::pop_heap(heap.begin(), heap.end(), later);
    kept.push_back(heap.back());
    weights.push_back(weight(heap.back()));
    heap.pop_back();
  };
  double total = 0;
  if (limited) {
    while (kept.size() < size_t(sampling->top_k))
      pop();
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  } else {
    for (int32_t token : heap)
      total += weight(token);
  }
  if (nucleus) {
    double sum = 0, wanted = sampling->top_p * total;
    size_t count = 0;
    do {
      if (count == kept.size())
        pop();
      sum += weights[count++];
    } while (sum < wanted &&
             (count < kept.size() || (!limited && !heap.empty())));
    kept.resize(count);
    weights.resize(count);
    total = sum;
  } else if (!limited) {
    kept = std::move(heap);
    std::transform(kept.begin(), kept.end(), std::back_inserter(weights),
                   weight);
  }
  double point = nextUniform(*state) * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    point -= weights[i];
    if (point < 0)
      return kept[i];
  }
  return kept.front();
}
