//===- Model.cpp - Opening compiled models --------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include "Json.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

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

/// Whether the numbers and weights of a manifest are those of an entry of the
/// library; `weights` are the manifest's, as the library lists them.
static bool fitsEntry(const repo_rt_model_info &info, const json &weights,
                      bool paged, const json &entry) {
  json constants = json::array();
  int64_t caches = 0;
  for (const json &argument : entry["args"]) {
    const json &shape = argument["shape"];
    if (argument["role"] == "constant") {
      constants.push_back({{"name", argument["name"]},
                           {"dtype", argument["dtype"]},
                           {"shape", shape}});
    } else if (argument["role"] == "inout") {
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
  return caches == 2 * info.layers && constants == weights;
}

/// Whether a manifest is the one the library was compiled with: that of another
/// model would give other results, or none.
static bool fitsLibrary(const repo_rt_model &model, const json &manifest) {
  json library =
      json::parse(repo_rt_library_manifest(model.library), nullptr, false);
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
  int found = 0;
  for (json &entry : library["entries"])
    for (bool paged : {false, true})
      for (const char *name : entryNames[paged])
        if (entry["name"] == name) {
          ++found;
          if (!fitsEntry(model.info, weights, paged, entry))
            return false;
        }
  return found == 2 * repo_rt::numPhases;
}

int32_t repo_rt_model_open(repo_rt_context *context, const char *compiled,
                           const char *checkpoint, repo_rt_model **result) {
  repo_rt_model_options options = {};
  return repo_rt_model_open_with(context, compiled, checkpoint, &options,
                                 result);
}

int32_t repo_rt_model_open_with(repo_rt_context *context, const char *compiled,
                                const char *checkpoint,
                                const repo_rt_model_options *options,
                                repo_rt_model **result) {
  *result = nullptr;
  auto model = std::make_unique<repo_rt_model>();
  std::string folder = compiled;
  json manifest;
  if (int32_t status =
          readManifest(context, folder + "/manifest.json", manifest))
    return status;
  model->info = {manifest["layers"].get<int64_t>(),
                 manifest["heads"].get<int64_t>(),
                 manifest["kv_heads"].get<int64_t>(),
                 manifest["head_size"].get<int64_t>(),
                 manifest["vocabulary"].get<int64_t>(),
                 manifest["max_positions"].get<int64_t>(),
                 manifest["page_size"].get<int64_t>(),
                 manifest["cache_dtype"] == "bf16" ? 16 : 32};
  for (const json &token : manifest["end_tokens"])
    if (token.is_number_integer())
      model->endTokens.push_back(token.get<int32_t>());
  if (int32_t status = repo_rt_library_open(
          context, (folder + "/model.so").c_str(), &model->library))
    return status;
  for (bool paged : {false, true})
    for (int phase = 0; phase < repo_rt::numPhases; ++phase)
      if (int32_t status = repo_rt_library_entry(context, model->library,
                                                 entryNames[paged][phase],
                                                 &model->entries[paged][phase]))
        return status;
  if (!fitsLibrary(*model, manifest))
    return repo_rt_fail(context, REPO_RT_BAD_FILE,
                        "%s: expected manifest.json as it was written beside "
                        "model.so, got that of another model",
                        compiled);
  if (int32_t status =
          repo_rt_safetensors_open(context, checkpoint, &model->checkpoint))
    return status;
  if (int32_t status =
          repo_rt::bindWeights(context, *model, manifest, checkpoint, *options))
    return status;
  *result = model.release();
  return REPO_RT_OK;
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
