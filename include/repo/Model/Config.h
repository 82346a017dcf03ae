//===- Config.h - The configuration of a model ------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// config.json of a Hugging Face directory: OLMo-2, with or without RePo.
// Everything a config can ask for is either understood or refused by name.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_MODEL_CONFIG_H
#define REPO_MODEL_CONFIG_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>
#include <vector>

namespace mlir {
namespace repo {

/// How a layer gets its positions (the reference's `dynamic_pe_mode`).
enum class PositionMode {
  index,               // `none`: 0, 1, 2, ... (RoPE)
  nope,                // no rotation
  continuous,          // one linear map for all heads
  multiheadContinuous, // a linear map per head
  swigluexMultihead,   // RePo
};

/// The rotary rule: the parameters of `#repo.rope` and its scaling.
struct RopeConfig {
  enum class Scaling { none, linear, llama3, yarn };
  double theta = 10000.0;
  Scaling scaling = Scaling::none;
  double factor = 1.0, low = 1.0, high = 4.0;
  int64_t original = 0;
  double betaFast = 32.0, betaSlow = 1.0, attentionFactor = 0.0;
  bool truncate = true;
};

struct ModelConfig {
  int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kvHeads = 0;
  int64_t headSize = 0, vocabulary = 0, maxPositions = 0;
  double epsilon = 1e-6;
  bool tiedEmbeddings = false;
  RopeConfig rope;
  std::vector<int64_t> endTokens;
  /// The mode of every layer.
  std::vector<PositionMode> positions;
};

/// Reads `folder`/config.json. On failure `error` is one line: the file, the
/// key, what was expected and what was found.
FailureOr<ModelConfig> readModelConfig(StringRef folder, std::string &error);

/// Parses the text of a config; `where` names it in errors.
FailureOr<ModelConfig> parseModelConfig(StringRef text, StringRef where,
                                        std::string &error);

} // namespace repo
} // namespace mlir

#endif // REPO_MODEL_CONFIG_H
