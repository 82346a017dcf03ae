//===- Model.cpp - Opening compiled models --------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Context.h"
#include "Json.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>

using nlohmann::json;

static bool readText(const std::string &path, std::string &text) {
  FILE *file = std::fopen(path.c_str(), "rb");
  if (!file)
    return false;
  char buffer[1 << 16];
  size_t count;
  while ((count = std::fread(buffer, 1, sizeof buffer, file)) > 0)
    text.append(buffer, count);
  bool good = !std::ferror(file);
  std::fclose(file);
  return good;
}

static int32_t readManifest(repo_rt_context *context, const std::string &path,
                            json &manifest) {
  std::string text;
  if (!readText(path, text))
    return repo_rt_fail(context, REPO_RT_BAD_FILE, "%s: %s", path.c_str(),
                        std::strerror(errno));
  std::string error;
  if (!repo_rt::parseJson(text.data(), text.data() + text.size(), manifest,
                          error))
    return repo_rt_fail(context, REPO_RT_BAD_FILE, "%s: %s", path.c_str(),
                        error.c_str());
  bool good = manifest.is_object() && manifest.value("format", json()) == 2 &&
              manifest.contains("weights") && manifest["weights"].is_array() &&
              manifest.contains("end_tokens") &&
              manifest["end_tokens"].is_array();
  for (const char *key : {"layers", "heads", "kv_heads", "head_size",
                          "vocabulary", "max_positions", "page_size"})
    good = good && manifest.contains(key) &&
           manifest[key].is_number_unsigned() &&
           manifest[key].get<uint64_t>() > 0 &&
           manifest[key].get<uint64_t>() <= INT32_MAX;
  good = good && (manifest.value("cache_dtype", json()) == "f32" ||
                  manifest.value("cache_dtype", json()) == "bf16");
  if (!good)
    return repo_rt_fail(
        context, REPO_RT_BAD_FILE,
        "%s: expected the manifest of a compiled model, format 2",
        path.c_str());
  return REPO_RT_OK;
}

static const char *const entryNames[2][repo_rt::numPhases] = {
    {"prefill", "decode"}, {"prefill_paged", "decode_paged"}};

/// The constants of an entry, as the manifest of a model lists weights.
static json getConstants(const json &entry) {
  json constants = json::array();
  for (const json &argument : entry["args"])
    if (argument["role"] == "constant")
      constants.push_back({{"name", argument["name"]},
                           {"dtype", argument["dtype"]},
                           {"shape", argument["shape"]}});
  return constants;
}

/// Whether the numbers of a manifest are those of an entry of the library.
static bool fitsEntry(const repo_rt_model_info &info, bool paged,
                      const json &entry) {
  int64_t caches = 0;
  for (const json &argument : entry["args"]) {
    const json &shape = argument["shape"];
    if (argument["role"] == "inout") {
      ++caches;
      if (shape[1] != info.kv_heads || shape[3] != info.head_size ||
          (paged && shape[2] != info.page_size) ||
          argument["dtype"] != (info.cache_bits == 16 ? "bf16" : "f32"))
        return false;
    } else if (argument["name"] == "logits") {
      if (shape[2] != info.vocabulary)
        return false;
    } else if (argument["name"] == "positions") {
      if (shape[0] != info.layers || shape[2] != info.heads)
        return false;
    }
  }
  return caches == 2 * info.layers;
}

/// Whether a manifest is the one the library was compiled with: that of another
/// model would give other results, or none.
static bool fitsLibrary(const repo_rt_model &model, const json &library,
                        const json &manifest) {
  if (!library.is_object() || !library["entries"].is_array())
    return false;
  json weights = json::array();
  for (const json &weight : manifest["weights"]) {
    if (!weight.is_object())
      return false;
    weights.push_back({{"name", weight.value("name", json())},
                       {"dtype", weight.value("dtype", json())},
                       {"shape", weight.value("shape", json())}});
  }
  auto find = [&](const std::string &name) -> const json * {
    for (const json &entry : library["entries"])
      if (entry["name"] == name)
        return &entry;
    return nullptr;
  };
  for (bool paged : {false, true})
    for (std::string name : entryNames[paged]) {
      // The weights of an entry that exists packed only are those that are
      // packed for it.
      const json *entry = find(name), *constants = entry;
      if (!entry) {
        entry = find(name + "_packed");
        constants = find(name + "_pack");
      }
      if (!entry || !constants || !fitsEntry(model.info, paged, *entry) ||
          getConstants(*constants) != weights)
        return false;
    }
  return true;
}

int32_t repo_rt_model_open(repo_rt_context *context, const char *compiled,
                           const char *checkpoint, repo_rt_model **result) {
  repo_rt_model_options options = {};
  return repo_rt_model_open_with(context, compiled, checkpoint, &options,
                                 result);
}

/// The entries of a library, packed where all of them have a packed twin.
static int32_t findEntries(repo_rt_context *context, repo_rt_model &model,
                           const json &library, repo_rt::PackPlan &plan) {
  std::vector<std::string> names;
  for (bool paged : {false, true})
    for (const char *name : entryNames[paged])
      names.push_back(name);
  model.isPacked = repo_rt::readPackPlan(library, names, plan);
  for (bool paged : {false, true})
    for (int phase = 0; phase < repo_rt::numPhases; ++phase) {
      std::string name = entryNames[paged][phase];
      if (model.isPacked)
        name += "_packed";
      if (int32_t status =
              repo_rt_library_entry(context, model.library, name.c_str(),
                                    &model.entries[paged][phase]))
        return status;
    }
  return REPO_RT_OK;
}

/// Opens library and checkpoint; weights stay as they are in the file.
static int32_t openFiles(repo_rt_context *context, repo_rt_model &model,
                         const std::string &folder, const char *checkpoint,
                         json &manifest, repo_rt::PackPlan &plan) {
  if (int32_t status =
          readManifest(context, folder + "/manifest.json", manifest))
    return status;
  model.info = {manifest["layers"].get<int64_t>(),
                manifest["heads"].get<int64_t>(),
                manifest["kv_heads"].get<int64_t>(),
                manifest["head_size"].get<int64_t>(),
                manifest["vocabulary"].get<int64_t>(),
                manifest["max_positions"].get<int64_t>(),
                manifest["page_size"].get<int64_t>(),
                manifest["cache_dtype"] == "bf16" ? 16 : 32};
  for (const json &token : manifest["end_tokens"])
    if (token.is_number_integer())
      model.endTokens.push_back(token.get<int32_t>());
  if (int32_t status = repo_rt_library_open(
          context, (folder + "/model.so").c_str(), &model.library))
    return status;
  json library =
      json::parse(repo_rt_library_manifest(model.library), nullptr, false);
  if (!fitsLibrary(model, library, manifest))
    return repo_rt_fail(context, REPO_RT_BAD_FILE,
                        "%s: expected manifest.json as it was written beside "
                        "model.so, got that of another model",
                        folder.c_str());
  if (int32_t status = findEntries(context, model, library, plan))
    return status;
  if (int32_t status =
          repo_rt_safetensors_open(context, checkpoint, &model.checkpoint))
    return status;
  return repo_rt::bindWeights(context, model, manifest, checkpoint);
}

void repo_rt_model::copyRows(repo_rt::Rows to, repo_rt::Rows from,
                             int64_t bytes, int64_t count) const {
  if (device) {
    device->copy(repo_rt::CudaDevice::Direction::within, to, from, bytes, count,
                 nullptr);
    device->synchronize(nullptr);
    return;
  }
  for (int64_t row = 0; row < count; ++row)
    std::memcpy(to.data + row * to.pitch, from.data + row * from.pitch, bytes);
}

/// Opens the device of a library for GPUs.
static int32_t openDevice(repo_rt_context *context, repo_rt_model &model,
                          int32_t ordinal) {
  int32_t kind = repo_rt::getLibraryDevice(model.library);
  if (kind == 1) {
    if (ordinal)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "expected device 0 with a model for CPUs, got %d",
                          ordinal);
    return REPO_RT_OK;
  }
  model.device = repo_rt::CudaDevice::open(context, ordinal, kind == 0);
  return model.device ? REPO_RT_OK : REPO_RT_DEVICE;
}

/// Where a compiled folder keeps packed weights.
static std::string packedPath(const std::string &folder) {
  return folder + "/packed.weights";
}

int32_t repo_rt_model_open_with(repo_rt_context *context, const char *compiled,
                                const char *checkpoint,
                                const repo_rt_model_options *options,
                                repo_rt_model **result) {
  *result = nullptr;
  auto model = std::make_unique<repo_rt_model>();
  json manifest;
  repo_rt::PackPlan plan;
  if (int32_t status =
          openFiles(context, *model, compiled, checkpoint, manifest, plan))
    return status;
  int32_t status = openDevice(context, *model, options->device);
  if (status)
    return status;
  std::string path = packedPath(compiled);
  if (model->device) {
    status = repo_rt::uploadWeights(context, *model, manifest, *options);
  } else if (!model->isPacked) {
    status = repo_rt::convertWeights(context, *model, manifest, *options);
  } else if (access(path.c_str(), F_OK) == 0) {
    status = model->packedFile.open(context, path, plan, *model);
    if (!status)
      model->packed = model->packedFile.data();
  } else {
    model->packedMemory = repo_rt::Memory::allocate(plan.bytes);
    model->packed = model->packedMemory.data();
    status = model->packedMemory
                 ? repo_rt::packWeights(context, *model, manifest, plan,
                                        model->packed, *options)
                 : repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                                "out of memory: cannot hold %lld bytes of "
                                "packed weights",
                                (long long)plan.bytes);
  }
  if (status)
    return status;
  model->packedBytes = static_cast<int64_t>(plan.bytes);
  *result = model.release();
  return REPO_RT_OK;
}

int32_t repo_rt_model_pack(repo_rt_context *context, const char *compiled,
                           const char *checkpoint,
                           const repo_rt_model_options *options) {
  repo_rt_model model;
  json manifest;
  repo_rt::PackPlan plan;
  if (int32_t status =
          openFiles(context, model, compiled, checkpoint, manifest, plan))
    return status;
  if (!model.isPacked)
    return repo_rt_fail(context, REPO_RT_NOT_FOUND,
                        "%s: expected a library that packs its weights, got "
                        "one that takes them as they are",
                        compiled);
  repo_rt::PackedFile file;
  if (int32_t status = file.create(context, packedPath(compiled), plan))
    return status;
  if (int32_t status = repo_rt::packWeights(context, model, manifest, plan,
                                            file.data(), *options))
    return status;
  return file.finish(context, plan, model);
}

void repo_rt_model_close(repo_rt_model *model) { delete model; }

repo_rt_model_info repo_rt_model_get_info(const repo_rt_model *model) {
  return model->info;
}

int64_t repo_rt_model_end_tokens(const repo_rt_model *model,
                                 const int32_t **tokens) {
  *tokens = model->endTokens.data();
  return static_cast<int64_t>(model->endTokens.size());
}
