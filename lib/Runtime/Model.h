//===- Model.h - The inside of a model --------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_MODEL_H
#define REPO_LIB_RUNTIME_MODEL_H

#include "CudaDevice.h"
#include "Memory.h"
#include "Packed.h"
#include "repo/Runtime/model.h"
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace repo_rt {
/// A phase of a model: a prompt, or one token per sequence.
enum Phase { prefill, decode, numPhases };
} // namespace repo_rt

/// Model.cpp opens it, Weights.cpp fills it, Session.cpp and Pages.cpp run it.
struct repo_rt_model {
  repo_rt_model_info info = {};
  std::vector<int32_t> endTokens;
  repo_rt_library *library = nullptr;
  repo_rt_safetensors *checkpoint = nullptr;
  /// By phase, on contiguous caches and on pages; they take the weights packed
  /// where `isPacked`.
  repo_rt_entry entries[2][repo_rt::numPhases] = {};
  bool isPacked = false;
  /// Of the checkpoint, in the order in which the entries take them.
  std::vector<std::string> weightNames;
  std::vector<DLTensor> weights;
  /// Packed weights, in memory of our own or in a file.
  repo_rt::Memory packedMemory;
  repo_rt::PackedFile packedFile;
  char *packed = nullptr;
  int64_t packedBytes = 0;
  /// Weights that are not as the checkpoint has them.
  std::vector<repo_rt::Memory> converted;
  /// Where weights and caches are, or null: the host.
  std::shared_ptr<repo_rt::CudaDevice> device;

  /// Bytes of an element of the caches.
  int64_t cacheElementBytes() const { return info.cache_bits / 8; }
  /// Memory for a cache.
  repo_rt::Memory allocate(size_t bytes) const {
    return device ? device->allocate(bytes) : repo_rt::Memory::allocate(bytes);
  }
  /// Copies rows of caches. An error of a device is told by what runs next.
  void copyRows(repo_rt::Rows to, repo_rt::Rows from, int64_t bytes,
                int64_t count) const;
  uint8_t cacheTypeCode() const { return info.cache_bits == 16 ? 4 : 2; }

  ~repo_rt_model() {
    if (checkpoint)
      repo_rt_safetensors_close(checkpoint);
    repo_rt_library_close(library);
  }
};

namespace repo_rt {
/// Finds the weights of the manifest in the checkpoint.
int32_t bindWeights(repo_rt_context *context, repo_rt_model &model,
                    const nlohmann::json &manifest, const char *checkpoint);
/// Converts those weights that the library takes in another type.
int32_t convertWeights(repo_rt_context *context, repo_rt_model &model,
                       const nlohmann::json &manifest,
                       const repo_rt_model_options &options);
/// Copies the weights to the device of the model, in the types that the library
/// takes.
int32_t uploadWeights(repo_rt_context *context, repo_rt_model &model,
                      const nlohmann::json &manifest,
                      const repo_rt_model_options &options);
/// Packs the weights to `packed`, one part after the other: beside it there is
/// memory for one of them only.
int32_t packWeights(repo_rt_context *context, const repo_rt_model &model,
                    const nlohmann::json &manifest, const PackPlan &plan,
                    char *packed, const repo_rt_model_options &options);
} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_MODEL_H
