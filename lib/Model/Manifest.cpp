//===- Manifest.cpp - What a compiled model says of itself ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Importer.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::repo;

std::string mlir::repo::writeModelManifest(const ModelConfig &config,
                                           const ModelArithmetic &arithmetic,
                                           const std::vector<Weight> &weights,
                                           StringRef target) {
  llvm::json::Array list, end;
  for (const Weight &weight : weights)
    list.push_back(
        llvm::json::Object{{"name", weight.name},
                           {"dtype", weight.type},
                           {"stored", weight.stored},
                           {"shape", llvm::json::Array(weight.shape)}});
  for (int64_t id : config.endTokens)
    end.push_back(id);
  llvm::json::Object manifest{
      {"format", 2},
      {"layers", config.layers},
      {"heads", config.heads},
      {"kv_heads", config.kvHeads},
      {"head_size", config.headSize},
      {"vocabulary", config.vocabulary},
      {"max_positions", config.maxPositions},
      {"end_tokens", std::move(end)},
      {"activations", arithmetic.bf16Activations ? "bf16" : "f32"},
      {"cache_dtype", arithmetic.cache},
      {"page_size", arithmetic.pageSize},
      {"target", target.str()},
      {"library", "model.so"},
      {"weights", std::move(list)}};
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(manifest)));
  return text;
}
