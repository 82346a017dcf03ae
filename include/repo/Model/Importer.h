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

/// A weight: its name in the checkpoint, its element type ("f32", "bf16" or
/// "f16") and its shape.
struct Weight {
  std::string name, type;
  std::vector<int64_t> shape;
};

/// The weights that a model of this configuration has, in the order in which
/// the entries take them; types are still empty.
std::vector<Weight> listWeights(const ModelConfig &config);

/// Reads the headers of the checkpoint in `folder` and sets the types of
/// `weights`. A weight that is missing, or has another shape, is an error in
/// one line.
LogicalResult readWeightTypes(StringRef folder, std::vector<Weight> &weights,
                              std::string &error);

/// The model as text of repo and linalg IR. Entries:
///   forward(tokens [B, N], at [B], caches..., weights...)
///       -> logits [B, N, V], positions [layers, B, heads, N]
///   step: the same with the logits [B, 1, V] of the last token alone.
/// `at` is the length of the caches, `layerI.key_cache` and
/// `layerI.value_cache` [B, KV heads, capacity, head size], which are updated
/// in place.
std::string writeModelIR(const ModelConfig &config,
                         const std::vector<Weight> &weights);

/// The JSON manifest of a compiled model.
std::string writeModelManifest(const ModelConfig &config,
                               const std::vector<Weight> &weights);

} // namespace repo
} // namespace mlir

#endif // REPO_MODEL_IMPORTER_H
