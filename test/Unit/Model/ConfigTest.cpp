//===- ConfigTest.cpp - Configurations, understood and refused ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Config.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace mlir::repo;

/// A config of three layers; `more` adds or repeats keys (the last one counts).
static FailureOr<ModelConfig> parse(const std::string &more,
                                    std::string &error) {
  return parseModelConfig(
      R"({"model_type": "olmo2", "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 50)" +
          (more.empty() ? "" : ", " + more) + "}",
      "config.json", error);
}

static std::string errorOf(const std::string &more) {
  std::string error;
  EXPECT_TRUE(failed(parse(more, error)));
  return error;
}

static std::vector<PositionMode> positionsOf(const std::string &pe) {
  std::string error;
  auto config = parse("\"pe_config\": {" + pe + "}", error);
  EXPECT_TRUE(succeeded(config)) << error;
  return succeeded(config) ? config->positions : std::vector<PositionMode>();
}

constexpr PositionMode I = PositionMode::index,
                       R = PositionMode::swigluexMultihead;
using Modes = std::vector<PositionMode>;

TEST(Config, PlainModel) {
  std::string error;
  auto config = parse("", error);
  ASSERT_TRUE(succeeded(config)) << error;
  EXPECT_EQ(config->kvHeads, 4);
  EXPECT_EQ(config->headSize, 16);
  EXPECT_EQ(config->positions, (Modes{I, I, I}));
}

TEST(Config, MisspeltKeysWin) {
  const std::string mode = R"("dynamic_pe_mode": "swigluex_multihead", )";
  EXPECT_EQ(
      positionsOf(
          mode + R"("dynmaic_pe_start_layer": 1, "dynamic_pe_start_layer": 0)"),
      (Modes{I, R, R}));
  EXPECT_EQ(positionsOf(mode + R"("dynamic_pe_start_layer": 2)"),
            (Modes{I, I, R}));
  EXPECT_EQ(
      positionsOf(
          mode +
          R"("dynmaic_pe_layer_ids": "0, 2", "dynamic_pe_layer_ids": "")"),
      (Modes{R, I, R}));
  EXPECT_EQ(
      positionsOf(
          mode +
          R"("dynmaic_pe_layer_ids": "0,2", "dynmaic_pe_start_layer": 1)"),
      (Modes{I, I, R}));
}

TEST(Config, Scaling) {
  std::string error;
  auto config = parse(R"("rope_scaling": {"type": "yarn", "factor": 2,
    "original_max_position_embeddings": 64})",
                      error);
  ASSERT_TRUE(succeeded(config)) << error;
  EXPECT_EQ(config->rope.scaling, RopeConfig::Scaling::yarn);
  EXPECT_EQ(config->rope.original, 64);
  EXPECT_EQ(config->rope.factor, 2.0);
}

TEST(Config, EndTokens) {
  std::string error;
  auto config = parse(R"("eos_token_id": [1, 7])", error);
  ASSERT_TRUE(succeeded(config)) << error;
  EXPECT_EQ(config->endTokens, (std::vector<int64_t>{1, 7}));
}

TEST(Config, Errors) {
  EXPECT_EQ(errorOf(R"("hidden_act": "gelu")"),
            "config.json: `hidden_act`: expected silu, got \"gelu\"");
  EXPECT_EQ(errorOf(R"("attention_bias": true)"),
            "config.json: `attention_bias`: expected false (projections with a "
            "bias are not "
            "supported), got true");
  EXPECT_EQ(errorOf(R"("pe_config": {"dynamic_pe_mode": "cope"})"),
            "config.json: pe_config: `dynamic_pe_mode`: expected none, nope, "
            "continuous, "
            "multihead_continuous or swigluex_multihead, got \"cope\"");
  EXPECT_EQ(errorOf(R"("rope_scaling": {"rope_type": "dynamic", "factor": 2})"),
            "config.json: rope_scaling: `rope_type`: expected default, linear, "
            "llama3 or yarn "
            "(frequencies that depend on the length make a cache of rotated "
            "keys wrong), got "
            "\"dynamic\"");
  EXPECT_EQ(errorOf(R"("rope_scaling": {"rope_type": "linear"})"),
            "config.json: rope_scaling: expected `factor`, a positive number, "
            "found no such key");
  EXPECT_EQ(errorOf(R"("num_key_value_heads": 3)"),
            "config.json: `num_key_value_heads`: expected a divisor of the 4 "
            "heads, got 3");
  EXPECT_EQ(errorOf(R"("vocab_size": "many")"),
            "config.json: `vocab_size`: expected an integer from 1 to "
            "2147483647, got \"many\"");
}

TEST(Config, MissingKeyAndBadJSON) {
  std::string error;
  EXPECT_TRUE(failed(parseModelConfig("{}", "config.json", error)));
  EXPECT_EQ(
      error,
      "config.json: expected `hidden_size`, an integer, found no such key");
  EXPECT_TRUE(failed(parseModelConfig("{", "config.json", error)));
  EXPECT_EQ(error.substr(0, 29), "config.json: not valid JSON: ");

  std::string deep(100000, '[');
  EXPECT_TRUE(failed(parseModelConfig(deep, "config.json", error)));
  EXPECT_EQ(error, "config.json: expected JSON at most 64 levels deep, got "
                   "more");
}
