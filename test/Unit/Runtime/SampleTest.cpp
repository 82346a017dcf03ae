//===- SampleTest.cpp - Choosing the next token ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/model.h"
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

static std::vector<double> frequencies(repo_rt_sampling sampling) {
  const float logits[] = {0.0f, 2.0f, 1.0f, 2.0f};
  std::vector<double> result(4);
  uint64_t state = sampling.seed;
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i)
    result[repo_rt_sample(logits, 4, &sampling, &state)] += 1.0 / draws;
  return result;
}

TEST(Sample, GreedyTakesTheFirstOfEquals) {
  EXPECT_NEAR(frequencies({0.0f, 0, 0.0f, 1})[1], 1.0, 1e-9);
}

TEST(Sample, TemperatureFollowsSoftmax) {
  std::vector<double> found = frequencies({1.0f, 0, 0.0f, 7});
  double total = std::exp(0) + 2 * std::exp(2) + std::exp(1);
  EXPECT_NEAR(found[0], std::exp(0) / total, 0.01);
  EXPECT_NEAR(found[1], std::exp(2) / total, 0.01);
  EXPECT_NEAR(found[2], std::exp(1) / total, 0.01);
}

TEST(Sample, TopKAndTopP) {
  std::vector<double> k = frequencies({1.0f, 2, 0.0f, 7});
  EXPECT_NEAR(k[1], 0.5, 0.02);
  EXPECT_EQ(k[0] + k[2], 0.0);
  std::vector<double> p = frequencies({1.0f, 0, 0.3f, 7});
  EXPECT_NEAR(p[1], 1.0, 1e-9);
}

TEST(Sample, TopPOfTopK) {
  // Of the two 2s and the 1, p = 0.8 of their sum is the two 2s.
  std::vector<double> found = frequencies({1.0f, 3, 0.8f, 7});
  EXPECT_NEAR(found[1], 0.5, 0.02);
  EXPECT_NEAR(found[3], 0.5, 0.02);
  // More than there are: all.
  std::vector<double> all = frequencies({1.0f, 100, 0.999999f, 7});
  EXPECT_NEAR(all[0],
              std::exp(0) / (std::exp(0) + 2 * std::exp(2) + std::exp(1)),
              0.01);
}

TEST(Sample, NotANumberIsNeverChosen) {
  const float nan = std::nanf("");
  const float logits[] = {nan, 1.0f, nan, 0.0f};
  uint64_t state = 1;
  for (float temperature : {0.0f, 1.0f}) {
    repo_rt_sampling sampling = {temperature, 0, 0.0f, 1};
    for (int i = 0; i < 100; ++i)
      EXPECT_EQ(repo_rt_sample(logits, 4, &sampling, &state) % 2, 1);
  }
  const float none[] = {nan, nan};
  repo_rt_sampling sampling = {1.0f, 0, 0.5f, 1};
  EXPECT_EQ(repo_rt_sample(none, 2, &sampling, &state), 0);
}

TEST(Sample, SeedDecides) {
  EXPECT_EQ(frequencies({1.0f, 0, 0.0f, 7}), frequencies({1.0f, 0, 0.0f, 7}));
  EXPECT_NE(frequencies({1.0f, 0, 0.0f, 7}), frequencies({1.0f, 0, 0.0f, 8}));
}
