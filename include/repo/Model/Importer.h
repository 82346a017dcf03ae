//===- Importer.h - From a model directory to IR ----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_MODEL_IMPORTER_H
#define REPO_MODEL_IMPORTER_H

#include "mlir/IR/BuiltinOps.h"
#include "repo/Model/Config.h"
#include "llvm/ADT/StringMap.h"

namespace mlir {
namespace repo {

/// The types a model is evaluated in. Sums, positions, norms, softmax and the
/// residual stream are f32 whatever these say.
struct ModelArithmetic {
  /// Matrices become bf16 whatever the checkpoint holds; else they stay as they
  /// are.
  bool bf16Weights = false;
  /// The input of every matrix is rounded to bf16, for units that multiply
  /// bf16 by bf16.
  bool bf16Activations = false;
  /// Queries are rounded to bf16 too, and attention gives bf16: matrix units
  /// take queries and cache in one type.
  bool bf16Attention = false;
  /// Elements of the caches: "f32" or "bf16".
  std::string cache = "f32";
  /// Tokens in a page of a paged cache.
  int64_t pageSize = 64;
};

/// A weight: its name in the checkpoint, its element type there and in the
/// compiled model ("f32", "bf16" or "f16"), and its shape.
struct Weight {
  std::string name, stored, type;
  std::vector<int64_t> shape;
};

/// The weights that a model of this configuration has, in the order in which
/// the entries take them; types are still empty.
std::vector<Weight> listWeights(const ModelConfig &config);

/// Reads the headers of the checkpoint in `folder` and sets the types of
/// `weights`. A weight that is missing, or has another shape, is an error in
/// one line.
LogicalResult readWeightTypes(StringRef folder,
                              const ModelArithmetic &arithmetic,
                              std::vector<Weight> &weights, std::string &error);

/// The model as text of repo and linalg IR. Entries:
///   prefill(tokens [B, N], at [B], wanted [L], caches..., weights...)
///       -> logits [B, L, V], positions [layers, B, heads, N]
///   decode(tokens [B, 1], at [B], caches..., weights...)
///       -> logits [B, 1, V], positions [layers, B, heads, 1]
///   prefill_paged, decode_paged: with table [B, P] before the caches.
/// `at` is the length of the caches before the tokens, which are appended in
/// place: `layerI.key_cache` and `layerI.value_cache` [B, KV heads, capacity,
/// head size], or pages [pages, KV heads, page size, head size]. `wanted` lists
/// the tokens among N whose logits are computed.
std::string writeModelIR(const ModelConfig &config,
                         const ModelArithmetic &arithmetic,
                         const std::vector<Weight> &weights);

/// The JSON manifest of a model compiled for cpu, cuda or emulator.
std::string writeModelManifest(const ModelConfig &config,
                               const ModelArithmetic &arithmetic,
                               const std::vector<Weight> &weights,
                               StringRef target);

} // namespace repo
} // namespace mlir

#endif // REPO_MODEL_IMPORTER_H
