//===- Weights.cpp - From a checkpoint to what a library takes ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include "Model.h"
#include <cstring>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <unistd.h>

using nlohmann::json;

static std::string nameOfType(const DLTensor &tensor) {
  if (tensor.dtype.code == 4)
    return "bf16";
  return tensor.dtype.code == 2 ? "f" + std::to_string(tensor.dtype.bits)
                                : "integers";
}

static int64_t countElements(const DLTensor &tensor) {
  int64_t count = 1;
  for (int32_t dim = 0; dim < tensor.ndim; ++dim)
    count *= tensor.shape[dim];
  return count;
}

/// The pages of a mapped tensor go back to the system; they come again from the
/// file if they are read.
static void releasePages(const DLTensor &tensor) {
  uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t begin = reinterpret_cast<uintptr_t>(tensor.data),
            end = begin + countElements(tensor) * (tensor.dtype.bits / 8);
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

//===----------------------------------------------------------------------===//
// Rounding to bf16
//===----------------------------------------------------------------------===//

/// To the nearest bf16, ties to even.
static uint16_t roundToBF16(uint32_t bits) {
  if ((bits & 0x7fffffff) > 0x7f800000) // a NaN stays one
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// The bits of an f16 as those of the f32 of the same value.
static uint32_t extendF16(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) // infinity and NaN
    return sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
  if (magnitude >= 0x400)
    return sign | ((magnitude << 13) + (uint32_t(127 - 15) << 23));
  // Subnormal: the value is magnitude * 2^-24.
  float value = static_cast<float>(magnitude) * 0x1p-24f;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return sign | bits;
}

namespace {
/// A conversion in blocks that threads take.
struct Rounding {
  static constexpr int64_t block = 1 << 16;
  const char *source;
  uint16_t *result;
  int64_t count;
  bool half;

  static void run(repo_rt_context *, int64_t index, void *arguments) {
    const Rounding &self = *static_cast<Rounding *>(arguments);
    int64_t begin = index * block, end = std::min(self.count, begin + block);
    // Files do not align their data.
    for (int64_t i = begin; i < end; ++i) {
      uint32_t bits;
      if (self.half) {
        uint16_t value;
        std::memcpy(&value, self.source + 2 * i, 2);
        bits = extendF16(value);
      } else {
        std::memcpy(&bits, self.source + 4 * i, 4);
      }
      self.result[i] = roundToBF16(bits);
    }
  }
};
} // namespace

/// Replaces `tensor` by its elements as bf16 in memory of our own.
static bool convertToBF16(repo_rt_context *context, repo_rt_model &model,
                          DLTensor &tensor) {
  int64_t count = countElements(tensor);
  repo_rt::Memory memory = repo_rt::Memory::allocate(count * 2);
  if (!memory)
    return false;
  Rounding rounding = {static_cast<const char *>(tensor.data),
                       reinterpret_cast<uint16_t *>(memory.data()), count,
                       tensor.dtype.bits == 16};
  repo_rt::parallelFor(context, (count + Rounding::block - 1) / Rounding::block,
                       Rounding::run, &rounding);
  releasePages(tensor);
  tensor.data = memory.data();
  tensor.dtype = {4, 16, 1};
  model.converted.push_back(std::move(memory));
  return true;
}

//===----------------------------------------------------------------------===//
// Binding
//===----------------------------------------------------------------------===//

/// Finds a weight of the manifest in the checkpoint.
static int32_t findWeight(repo_rt_context *context, const repo_rt_model &model,
                          const json &weight, const char *checkpoint,
                          DLTensor &result) {
  if (!weight.is_object() || !weight.value("name", json()).is_string() ||
      !weight.value("dtype", json()).is_string() ||
      !weight.value("stored", json()).is_string() ||
      !weight.value("shape", json()).is_array())
    return repo_rt_fail(context, REPO_RT_BAD_FILE,
                        "expected name, dtype, stored and shape of every "
                        "weight in the manifest");
  std::string name = weight["name"].get<std::string>();
  std::string stored = weight["stored"].get<std::string>();
  std::string expected = stored + " " + weight["shape"].dump();
  const DLTensor *tensor =
      repo_rt_safetensors_find(model.checkpoint, name.c_str());
  if (!tensor)
    return repo_rt_fail(
        context, REPO_RT_BAD_FILE,
        "%s: `%s`: expected %s as the model was compiled, found none",
        checkpoint, name.c_str(), expected.c_str());
  json shape(std::vector<int64_t>(tensor->shape, tensor->shape + tensor->ndim));
  if (nameOfType(*tensor) != stored || shape != weight["shape"])
    return repo_rt_fail(
        context, REPO_RT_BAD_FILE,
        "%s: `%s`: expected %s as the model was compiled, got %s %s",
        checkpoint, name.c_str(), expected.c_str(), nameOfType(*tensor).c_str(),
        shape.dump().c_str());
  std::string dtype = weight["dtype"].get<std::string>();
  if (dtype != stored && dtype != "bf16")
    return repo_rt_fail(context, REPO_RT_BAD_FILE,
                        "`%s`: expected the manifest to ask for %s or bf16, "
                        "got %s",
                        name.c_str(), stored.c_str(), dtype.c_str());
  result = *tensor;
  return REPO_RT_OK;
}

int32_t repo_rt::bindWeights(repo_rt_context *context, repo_rt_model &model,
                             const json &manifest, const char *checkpoint,
                             const repo_rt_model_options &options) {
  int64_t total = 0, done = 0;
  for (const json &weight : manifest["weights"]) {
    DLTensor tensor;
    if (int32_t status = findWeight(context, model, weight, checkpoint, tensor))
      return status;
    model.weights.push_back(tensor);
    if (weight["dtype"] != weight["stored"])
      total += countElements(tensor);
  }
  size_t index = 0;
  for (const json &weight : manifest["weights"]) {
    DLTensor &tensor = model.weights[index++];
    if (weight["dtype"] == weight["stored"])
      continue;
    int64_t count = countElements(tensor);
    if (!convertToBF16(context, model, tensor))
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot hold `%s` as bf16",
                          weight["name"].get<std::string>().c_str());
    done += count;
    if (options.progress)
      options.progress(options.user, double(done) / double(total));
  }
  return REPO_RT_OK;
}
