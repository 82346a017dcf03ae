//===- Weights.cpp - From a checkpoint to what a library takes ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include "Model.h"
#include <algorithm>
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

/// Replaces `tensor` by its elements as bf16 in memory of our own; empty when
/// that cannot be had.
static repo_rt::Memory convertToBF16(repo_rt_context *context,
                                     DLTensor &tensor) {
  int64_t count = countElements(tensor);
  repo_rt::Memory memory = repo_rt::Memory::allocate(count * 2);
  if (!memory)
    return memory;
  Rounding rounding = {static_cast<const char *>(tensor.data),
                       reinterpret_cast<uint16_t *>(memory.data()), count,
                       tensor.dtype.bits == 16};
  repo_rt::parallelFor(context, (count + Rounding::block - 1) / Rounding::block,
                       Rounding::run, &rounding);
  releasePages(tensor);
  tensor.data = memory.data();
  tensor.dtype = {4, 16, 1};
  return memory;
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
                             const json &manifest, const char *checkpoint) {
  for (const json &weight : manifest["weights"]) {
    DLTensor tensor;
    if (int32_t status = findWeight(context, model, weight, checkpoint, tensor))
      return status;
    model.weights.push_back(tensor);
    model.weightNames.push_back(weight["name"].get<std::string>());
  }
  return REPO_RT_OK;
}

static int32_t failToHold(repo_rt_context *context, const std::string &name) {
  return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                      "out of memory: cannot hold `%s` as bf16", name.c_str());
}

int32_t repo_rt::convertWeights(repo_rt_context *context, repo_rt_model &model,
                                const json &manifest,
                                const repo_rt_model_options &options) {
  const json &list = manifest["weights"];
  auto converts = [&](size_t i) {
    return list[i]["dtype"] != list[i]["stored"];
  };
  int64_t total = 0, done = 0;
  for (size_t i = 0; i < model.weights.size(); ++i)
    total += converts(i) ? countElements(model.weights[i]) : 0;
  for (size_t i = 0; i < model.weights.size(); ++i) {
    if (!converts(i))
      continue;
    Memory memory = convertToBF16(context, model.weights[i]);
    if (!memory)
      return failToHold(context, model.weightNames[i]);
    model.converted.push_back(std::move(memory));
    done += countElements(model.weights[i]);
    if (options.progress)
      options.progress(options.user, double(done) / double(total));
  }
  return REPO_RT_OK;
}

int32_t repo_rt::uploadWeights(repo_rt_context *context, repo_rt_model &model,
                               const json &manifest,
                               const repo_rt_model_options &options) {
  const json &list = manifest["weights"];
  int64_t total = 0, done = 0;
  for (const DLTensor &weight : model.weights)
    total += countElements(weight);
  for (size_t i = 0; i < model.weights.size(); ++i) {
    DLTensor &weight = model.weights[i], mapped = weight;
    Memory rounded;
    if (list[i]["dtype"] != list[i]["stored"] &&
        !(rounded = convertToBF16(context, weight)))
      return failToHold(context, model.weightNames[i]);
    int64_t count = countElements(weight);
    size_t bytes = size_t(count) * (weight.dtype.bits / 8);
    Memory memory = model.device->allocate(bytes);
    if (!memory)
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot hold `%s` on the device",
                          model.weightNames[i].c_str());
    int code = model.device->copy(
        CudaDevice::Direction::toDevice, {memory.data(), bytes},
        {static_cast<char *>(weight.data) + weight.byte_offset, bytes}, bytes,
        1, nullptr);
    if (!code)
      code = model.device->synchronize(nullptr);
    if (code)
      return model.device->fail(context, "copying weights to the device", code);
    releasePages(mapped);
    weight.data = memory.data();
    weight.byte_offset = 0;
    weight.device = {static_cast<decltype(DLDevice::device_type)>(2),
                     model.device->getOrdinal()};
    model.converted.push_back(std::move(memory));
    done += count;
    if (options.progress)
      options.progress(options.user, double(done) / double(total));
  }
  return REPO_RT_OK;
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

int32_t repo_rt::packWeights(repo_rt_context *context,
                             const repo_rt_model &model, const json &manifest,
                             const PackPlan &plan, char *packed,
                             const repo_rt_model_options &options) {
  uint64_t done = 0;
  for (const PackPlan::Part &part : plan.parts) {
    std::vector<DLTensor> tensors;
    std::vector<Memory> converted;
    std::vector<const DLTensor *> mapped;
    for (const std::string &name : part.sources) {
      size_t i =
          std::find(model.weightNames.begin(), model.weightNames.end(), name) -
          model.weightNames.begin();
      if (i == model.weightNames.size())
        return repo_rt_fail(context, REPO_RT_BAD_LIBRARY,
                            "expected a weight `%s`, which the library packs",
                            name.c_str());
      tensors.push_back(model.weights[i]);
      mapped.push_back(&model.weights[i]);
      const json &weight = manifest["weights"][i];
      if (weight["dtype"] == weight["stored"])
        continue;
      converted.push_back(convertToBF16(context, tensors.back()));
      if (!converted.back())
        return failToHold(context, name);
    }
    int64_t bytes = static_cast<int64_t>(part.bytes);
    DLTensor result = {};
    result.data = packed + part.offset;
    result.device = {static_cast<decltype(DLDevice::device_type)>(1), 0};
    result.ndim = 1;
    result.dtype = {1, 8, 1};
    result.shape = &bytes;
    tensors.push_back(result);
    std::vector<DLTensor *> arguments;
    for (DLTensor &tensor : tensors)
      arguments.push_back(&tensor);
    repo_rt_entry entry;
    if (int32_t status = repo_rt_library_entry(context, model.library,
                                               part.entry.c_str(), &entry))
      return status;
    if (int32_t status = entry(context, arguments.data(),
                               static_cast<int32_t>(arguments.size())))
      return status;
    for (const DLTensor *tensor : mapped)
      releasePages(*tensor);
    done += part.bytes;
    if (options.progress)
      options.progress(options.user, double(done) / double(plan.bytes));
  }
  if (options.progress && done != plan.bytes)
    options.progress(options.user, 1.0);
  return REPO_RT_OK;
}
