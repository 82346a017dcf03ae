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
  bool good = manifest.is_object() && manifest.value("format", json()) == 1 &&
              manifest.contains("weights") && manifest["weights"].is_array() &&
              manifest.contains("end_tokens") &&
              manifest["end_tokens"].is_array();
  for (const char *key : {"layers", "heads", "kv_heads", "head_size",
                          "vocabulary", "max_positions"})
    good = good && manifest.contains(key) &&
           manifest[key].is_number_unsigned() &&
           manifest[key].get<uint64_t>() > 0 &&
           manifest[key].get<uint64_t>() <= INT32_MAX;
  if (!good)
    return repo_rt_fail(
        context, REPO_RT_BAD_FILE,
        "%s: expected the manifest of a compiled model, format 1",
        path.c_str());
  return REPO_RT_OK;
}

static int32_t bindWeights(repo_rt_context *context, repo_rt_model &model,
                           const json &manifest, const char *checkpoint) {
  for (const json &weight : manifest["weights"]) {
    if (!weight.is_object() || !weight.value("name", json()).is_string() ||
        !weight.value("dtype", json()).is_string() ||
        !weight.value("shape", json()).is_array())
      return repo_rt_fail(
          context, REPO_RT_BAD_FILE,
          "expected name, dtype and shape of every weight in the manifest");
    std::string name = weight["name"].get<std::string>();
    std::string dtype = weight["dtype"].get<std::string>();
    const DLTensor *tensor =
        repo_rt_safetensors_find(model.checkpoint, name.c_str());
    if (!tensor)
      return repo_rt_fail(
          context, REPO_RT_BAD_FILE,
          "%s: `%s`: expected %s %s as the model was compiled, found none",
          checkpoint, name.c_str(), dtype.c_str(),
          weight["shape"].dump().c_str());
    std::string found = tensor->dtype.code == 4 ? "bf16"
                        : tensor->dtype.code == 2
                            ? "f" + std::to_string(tensor->dtype.bits)
                            : "integers";
    json shape(
        std::vector<int64_t>(tensor->shape, tensor->shape + tensor->ndim));
    if (found != dtype || shape != weight["shape"])
      return repo_rt_fail(
          context, REPO_RT_BAD_FILE,
          "%s: `%s`: expected %s %s as the model was compiled, got %s %s",
          checkpoint, name.c_str(), dtype.c_str(),
          weight["shape"].dump().c_str(), found.c_str(), shape.dump().c_str());
    model.weights.push_back(tensor);
  }
  return REPO_RT_OK;
}

/// Whether the numbers and weights of a manifest are those the library was
/// compiled with: a manifest of another model would give other results, or
/// none.
static bool fitsLibrary(const repo_rt_model &model, const json &manifest) {
  const repo_rt_model_info &info = model.info;
  json library =
      json::parse(repo_rt_library_manifest(model.library), nullptr, false);
  if (!library.is_object() || !library["entries"].is_array())
    return false;
  int found = 0;
  for (json &entry : library["entries"]) {
    if (entry["name"] != "forward" && entry["name"] != "step")
      continue;
    ++found;
    json weights = json::array();
    int64_t caches = 0;
    for (json &argument : entry["args"]) {
      json &shape = argument["shape"];
      if (argument["role"] == "constant") {
        weights.push_back({{"name", argument["name"]},
                           {"dtype", argument["dtype"]},
                           {"shape", shape}});
      } else if (argument["role"] == "inout") {
        ++caches;
        if (shape[1] != info.kv_heads || shape[3] != info.head_size)
          return false;
      } else if (argument["name"] == "logits") {
        if (shape[2] != info.vocabulary)
          return false;
      } else if (argument["name"] == "positions") {
        if (shape[0] != info.layers || shape[2] != info.heads)
          return false;
      }
    }
    if (caches != 2 * info.layers || weights != manifest["weights"])
      return false;
  }
  return found == 2;
}

int32_t repo_rt_model_open(repo_rt_context *context, const char *compiled,
                           const char *checkpoint, repo_rt_model **result) {
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
                 manifest["max_positions"].get<int64_t>()};
  for (const json &token : manifest["end_tokens"])
    if (token.is_number_integer())
      model->endTokens.push_back(token.get<int32_t>());
  if (int32_t status = repo_rt_library_open(
          context, (folder + "/model.so").c_str(), &model->library))
    return status;
  for (auto [name, entry] :
       {std::pair<const char *, repo_rt_entry *>("forward", &model->forward),
        {"step", &model->step}})
    if (int32_t status =
            repo_rt_library_entry(context, model->library, name, entry))
      return status;
  if (!fitsLibrary(*model, manifest))
    return repo_rt_fail(context, REPO_RT_BAD_FILE,
                        "%s: expected manifest.json as it was written beside "
                        "model.so, got that of another model",
                        compiled);
  if (int32_t status =
          repo_rt_safetensors_open(context, checkpoint, &model->checkpoint))
    return status;
  if (int32_t status = bindWeights(context, *model, manifest, checkpoint))
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
