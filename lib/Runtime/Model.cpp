//===- Model.cpp - Compiled models and their sessions ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/model.h"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using nlohmann::json;

struct repo_rt_model {
  repo_rt_model_info info = {};
  std::vector<int32_t> endTokens;
  repo_rt_library *library = nullptr;
  repo_rt_safetensors *checkpoint = nullptr;
  repo_rt_entry forward = nullptr, step = nullptr;
  /// In the order in which the entries take them.
  std::vector<const DLTensor *> weights;

  ~repo_rt_model() {
    if (checkpoint)
      repo_rt_safetensors_close(checkpoint);
    repo_rt_library_close(library);
  }
};

/// Integer positions are exact in f32 up to here. max_position_embeddings is no
/// limit: it says what a model was trained on, and models run past it.
static constexpr int64_t maxTokens = int64_t(1) << 24;

struct repo_rt_session {
  const repo_rt_model *model = nullptr;
  int64_t batch = 0, length = 0, capacity = 0;
  /// Two per layer, [batch, KV heads, capacity, head size].
  std::vector<std::vector<float>> caches;

  int64_t rowsPerCache() const { return batch * model->info.kv_heads; }
  bool reserve(int64_t wanted);
};

/// A row-major tensor over memory of somebody else.
namespace {
struct View {
  DLTensor tensor = {};
  std::vector<int64_t> shape;

  View(const void *data, uint8_t code, uint8_t bits, std::vector<int64_t> sizes)
      : shape(std::move(sizes)) {
    tensor.data = const_cast<void *>(data);
    tensor.device = {static_cast<decltype(DLDevice::device_type)>(1), 0};
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = {code, bits, 1};
    tensor.shape = shape.data();
  }
  View(const View &) = delete;
};
} // namespace

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

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
  manifest = json::parse(text, nullptr, false);
  bool good = manifest.is_object() && manifest.value("format", json()) == 1 &&
              manifest.contains("weights") && manifest["weights"].is_array() &&
              manifest.contains("end_tokens") &&
              manifest["end_tokens"].is_array();
  for (const char *key : {"layers", "heads", "kv_heads", "head_size",
                          "vocabulary", "max_positions"})
    good = good && manifest.contains(key) &&
           manifest[key].is_number_integer() &&
           manifest[key].get<int64_t>() > 0;
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

//===----------------------------------------------------------------------===//
// Sessions
//===----------------------------------------------------------------------===//

/// Grows the caches at least twofold, so that appending token by token is
/// linear.
bool repo_rt_session::reserve(int64_t wanted) {
  if (wanted <= capacity)
    return true;
  int64_t next = std::max<int64_t>({wanted, 2 * capacity, 64});
  int64_t width = model->info.head_size;
  for (std::vector<float> &cache : caches) {
    std::vector<float> grown;
    // Vectors report a lack of memory by an exception only; ask first.
    size_t elements = size_t(rowsPerCache()) * next * width;
    void *probe = std::malloc(elements * sizeof(float));
    if (!probe)
      return false;
    std::free(probe);
    grown.resize(elements);
    for (int64_t row = 0; row < rowsPerCache(); ++row)
      std::memcpy(grown.data() + row * next * width,
                  cache.data() + row * capacity * width,
                  length * width * sizeof(float));
    cache = std::move(grown);
  }
  capacity = next;
  return true;
}

int32_t repo_rt_session_create(repo_rt_context *context,
                               const repo_rt_model *model, int64_t batch,
                               repo_rt_session **result) {
  *result = nullptr;
  if (batch < 1)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected a batch of at least 1, got %lld",
                        (long long)batch);
  auto session = std::make_unique<repo_rt_session>();
  session->model = model;
  session->batch = batch;
  session->caches.resize(2 * model->info.layers);
  *result = session.release();
  return REPO_RT_OK;
}

void repo_rt_session_free(repo_rt_session *session) { delete session; }

int32_t repo_rt_session_fork(repo_rt_context *context,
                             const repo_rt_session *session,
                             repo_rt_session **copy) {
  if (int32_t status =
          repo_rt_session_create(context, session->model, session->batch, copy))
    return status;
  // Only what is used is copied.
  if (session->length == 0)
    return REPO_RT_OK;
  if (!(*copy)->reserve(session->length)) {
    repo_rt_session_free(*copy);
    *copy = nullptr;
    return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                        "out of memory: cannot copy a cache");
  }
  int64_t width = session->model->info.head_size;
  for (size_t i = 0; i < session->caches.size(); ++i)
    for (int64_t row = 0; row < session->rowsPerCache(); ++row)
      std::memcpy((*copy)->caches[i].data() + row * (*copy)->capacity * width,
                  session->caches[i].data() + row * session->capacity * width,
                  session->length * width * sizeof(float));
  (*copy)->length = session->length;
  return REPO_RT_OK;
}

int64_t repo_rt_session_length(const repo_rt_session *session) {
  return session->length;
}

int32_t repo_rt_session_trim(repo_rt_context *context, repo_rt_session *session,
                             int64_t n) {
  if (n < 0 || n > session->length)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected to keep 0 to %lld tokens, got %lld",
                        (long long)session->length, (long long)n);
  session->length = n;
  return REPO_RT_OK;
}

/// Runs an entry on n more tokens of every sequence.
static int32_t advance(repo_rt_context *context, repo_rt_session *session,
                       repo_rt_entry entry, const int32_t *tokens, int64_t n,
                       float *logits, int64_t logitRows, float *positions) {
  const repo_rt_model &model = *session->model;
  const repo_rt_model_info &info = model.info;
  int64_t batch = session->batch;
  if (n < 1)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected at least one token, got %lld", (long long)n);
  for (int64_t i = 0; i < batch * n; ++i)
    if (tokens[i] < 0 || tokens[i] >= info.vocabulary)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "token %lld: expected 0 to %lld, got %d",
                          (long long)i, (long long)info.vocabulary - 1,
                          tokens[i]);
  if (session->length + n > maxTokens)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected at most %lld tokens in a session, got %lld",
                        (long long)maxTokens, (long long)(session->length + n));
  if (!session->reserve(session->length + n))
    return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                        "out of memory: cannot grow the cache to %lld tokens",
                        (long long)(session->length + n));

  std::vector<int32_t> at(batch, static_cast<int32_t>(session->length));
  std::vector<float> ownPositions;
  if (!positions) {
    ownPositions.resize(info.layers * batch * info.heads * n);
    positions = ownPositions.data();
  }
  std::vector<std::unique_ptr<View>> views;
  std::vector<DLTensor *> tensors;
  auto add = [&](const void *data, uint8_t code, std::vector<int64_t> shape) {
    views.push_back(std::make_unique<View>(data, code, 32, std::move(shape)));
    tensors.push_back(&views.back()->tensor);
  };
  add(tokens, 0, {batch, n});
  add(at.data(), 0, {batch});
  for (std::vector<float> &cache : session->caches)
    add(cache.data(), 2,
        {batch, info.kv_heads, session->capacity, info.head_size});
  for (const DLTensor *weight : model.weights)
    tensors.push_back(const_cast<DLTensor *>(weight));
  add(logits, 2, {batch, logitRows, info.vocabulary});
  add(positions, 2, {info.layers, batch, info.heads, n});
  int32_t status =
      entry(context, tensors.data(), static_cast<int32_t>(tensors.size()));
  if (status == REPO_RT_OK)
    session->length += n;
  return status;
}

int32_t repo_rt_session_append(repo_rt_context *context,
                               repo_rt_session *session, const int32_t *tokens,
                               int64_t n, float *logits) {
  return advance(context, session, session->model->step, tokens, n, logits, 1,
                 nullptr);
}

int32_t repo_rt_model_evaluate(repo_rt_context *context,
                               const repo_rt_model *model,
                               const int32_t *tokens, int64_t batch, int64_t n,
                               float *logits, float *positions) {
  repo_rt_session *session;
  if (int32_t status = repo_rt_session_create(context, model, batch, &session))
    return status;
  std::unique_ptr<repo_rt_session> owner(session);
  if (logits)
    return advance(context, session, model->forward, tokens, n, logits, n,
                   positions);
  std::vector<float> last(batch * model->info.vocabulary);
  return advance(context, session, model->step, tokens, n, last.data(), 1,
                 positions);
}
