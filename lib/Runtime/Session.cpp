//===- Session.cpp - KV caches and what runs on them ----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A session holds `batch` sequences, each with a length of its own. Sequences
// are rows of the caches, so any run of neighbours is a smaller cache: a step
// of one token each runs on all of them at once, whatever their lengths;
// prompts of different lengths run one after the other. Nothing past the length
// of a sequence is ever read, so lengths alone say what a cache holds.
//
//===----------------------------------------------------------------------===//

#include "Model.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

/// Integer positions are exact in f32 up to here. max_position_embeddings is no
/// limit: it says what a model was trained on, and models run past it.
static constexpr int64_t maxTokens = int64_t(1) << 24;

/// Tokens that run through a model at once. Longer prompts go in chunks, which
/// bounds the memory of activations and costs nothing: the weights are read
/// once for many tokens all the same.
static constexpr int64_t maxRows = 1024;

namespace {
/// One cache: zeroed memory that the system provides where it is touched.
class Cache {
public:
  Cache() = default;
  static Cache allocate(size_t elements) {
    Cache cache;
    cache.memory.reset(std::calloc(elements * sizeof(float) + alignment, 1));
    return cache;
  }
  explicit operator bool() const { return memory != nullptr; }
  float *data() const {
    uintptr_t address = reinterpret_cast<uintptr_t>(memory.get());
    return reinterpret_cast<float *>((address + alignment - 1) / alignment *
                                     alignment);
  }

private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  static constexpr size_t alignment = 64;
  std::unique_ptr<void, Free> memory;
};
} // namespace

struct repo_rt_session {
  const repo_rt_model *model = nullptr;
  int64_t batch = 0, capacity = 0;
  /// The tokens of each sequence.
  std::vector<int64_t> lengths;
  /// Two per layer, [batch, KV heads, capacity, head size].
  std::vector<Cache> caches;

  int64_t longest() const {
    return *std::max_element(lengths.begin(), lengths.end());
  }
  bool reserve(int64_t wanted);
  bool copyFrom(const repo_rt_session &other, int64_t newCapacity);
};

//===----------------------------------------------------------------------===//
// Caches
//===----------------------------------------------------------------------===//

/// Takes caches of `newCapacity` and fills them with the tokens of `other`,
/// which may be this session. Without memory nothing changes.
bool repo_rt_session::copyFrom(const repo_rt_session &other,
                               int64_t newCapacity) {
  int64_t width = model->info.head_size, heads = model->info.kv_heads;
  std::vector<Cache> grown(2 * model->info.layers);
  for (Cache &cache : grown)
    if (!(cache = Cache::allocate(size_t(batch * heads * newCapacity * width))))
      return false;
  for (size_t i = 0; i < grown.size(); ++i) {
    for (int64_t row = 0; row < batch * heads; ++row)
      if (int64_t length = other.lengths[row / heads])
        std::memcpy(grown[i].data() + row * newCapacity * width,
                    other.caches[i].data() + row * other.capacity * width,
                    length * width * sizeof(float));
    // Old memory goes as new memory fills.
    if (this == &other)
      caches[i] = std::move(grown[i]);
  }
  if (this != &other)
    caches = std::move(grown);
  capacity = newCapacity;
  return true;
}

/// Grows the caches at least twofold, so that appending token by token is
/// linear.
bool repo_rt_session::reserve(int64_t wanted) {
  return wanted <= capacity ||
         copyFrom(*this, std::max<int64_t>({wanted, 2 * capacity, 64}));
}

int32_t repo_rt_session_create(repo_rt_context *context,
                               const repo_rt_model *model, int64_t batch,
                               repo_rt_session **result) {
  *result = nullptr;
  if (batch < 1 || batch > maxTokens)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected a batch of 1 to %lld, got %lld",
                        (long long)maxTokens, (long long)batch);
  auto session = std::make_unique<repo_rt_session>();
  session->model = model;
  session->batch = batch;
  session->lengths.resize(batch);
  session->caches.resize(2 * model->info.layers);
  *result = session.release();
  return REPO_RT_OK;
}

void repo_rt_session_free(repo_rt_session *session) { delete session; }

int32_t repo_rt_session_fork(repo_rt_context *context,
                             const repo_rt_session *session,
                             repo_rt_session **result) {
  if (int32_t status = repo_rt_session_create(context, session->model,
                                              session->batch, result))
    return status;
  // Only what is used is copied.
  std::unique_ptr<repo_rt_session> copy(*result);
  *result = nullptr;
  if (int64_t longest = session->longest())
    if (!copy->copyFrom(*session, longest))
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot copy a cache");
  copy->lengths = session->lengths;
  *result = copy.release();
  return REPO_RT_OK;
}

int64_t repo_rt_session_length(const repo_rt_session *session) {
  return session->longest();
}

int64_t repo_rt_session_length_of(const repo_rt_session *session,
                                  int64_t sequence) {
  return session->lengths[sequence];
}

int64_t repo_rt_session_bytes(const repo_rt_session *session) {
  const repo_rt_model_info &info = session->model->info;
  return 2 * info.layers * session->batch * info.kv_heads * session->capacity *
         info.head_size * int64_t(sizeof(float));
}

int32_t repo_rt_session_trim(repo_rt_context *context, repo_rt_session *session,
                             int64_t n) {
  if (n < 0 || n > session->longest())
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected to keep 0 to %lld tokens, got %lld",
                        (long long)session->longest(), (long long)n);
  for (int64_t &length : session->lengths)
    length = std::min(length, n);
  return REPO_RT_OK;
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

namespace {
/// The arguments of an entry: views of memory of somebody else.
class Arguments {
public:
  explicit Arguments(size_t count) { views.reserve(count); }

  void add(const void *data, uint8_t code, std::vector<int64_t> sizes,
           std::vector<int64_t> strides = {}) {
    views.push_back({{}, std::move(sizes), std::move(strides)});
    View &view = views.back();
    view.tensor.data = const_cast<void *>(data);
    view.tensor.device = {static_cast<decltype(DLDevice::device_type)>(1), 0};
    view.tensor.ndim = static_cast<int32_t>(view.sizes.size());
    view.tensor.dtype = {code, 32, 1};
    view.tensor.shape = view.sizes.data();
    view.tensor.strides = view.strides.empty() ? nullptr : view.strides.data();
    tensors.push_back(&view.tensor);
  }
  void add(const DLTensor *tensor) {
    tensors.push_back(const_cast<DLTensor *>(tensor));
  }
  int32_t run(repo_rt_context *context, repo_rt_entry entry) {
    return entry(context, tensors.data(), static_cast<int32_t>(tensors.size()));
  }

private:
  struct View {
    DLTensor tensor;
    std::vector<int64_t> sizes, strides;
  };
  std::vector<View> views; // reserved: its elements do not move
  std::vector<DLTensor *> tensors;
};

/// Sequences first .. first + rows, each with n more tokens, and where their
/// results go.
struct Run {
  int64_t first, rows, n;
  const int32_t *tokens; // [rows, n]
  /// Of every token [rows, n, vocabulary], or of the last ones [rows,
  /// vocabulary].
  float *logits;
  bool allLogits;
  /// [layers, rows, heads, n], or null.
  float *positions;
};
} // namespace

/// Runs tokens start .. start + n of a run.
static int32_t advance(repo_rt_context *context, repo_rt_session &session,
                       const Run &run, int64_t start, int64_t n) {
  const repo_rt_model &model = *session.model;
  const repo_rt_model_info &info = model.info;
  std::vector<int32_t> at(run.rows);
  for (int64_t row = 0; row < run.rows; ++row)
    at[row] = static_cast<int32_t>(session.lengths[run.first + row]);

  std::vector<float> ownPositions;
  float *positions = run.positions ? run.positions + start : nullptr;
  int64_t positionTokens = run.n;
  if (!positions) {
    ownPositions.resize(info.layers * run.rows * info.heads * n);
    positions = ownPositions.data();
    positionTokens = n;
  }
  Arguments arguments(4 + session.caches.size());
  arguments.add(run.tokens + start, 0, {run.rows, n}, {run.n, 1});
  arguments.add(at.data(), 0, {run.rows});
  int64_t row = info.kv_heads * session.capacity * info.head_size;
  for (Cache &cache : session.caches)
    arguments.add(cache.data() + run.first * row, 2,
                  {run.rows, info.kv_heads, session.capacity, info.head_size});
  for (const DLTensor *weight : model.weights)
    arguments.add(weight);
  if (run.allLogits)
    arguments.add(run.logits + start * info.vocabulary, 2,
                  {run.rows, n, info.vocabulary},
                  {run.n * info.vocabulary, info.vocabulary, 1});
  else
    arguments.add(run.logits, 2, {run.rows, 1, info.vocabulary});
  int64_t perRow = info.heads * positionTokens;
  arguments.add(positions, 2, {info.layers, run.rows, info.heads, n},
                {run.rows * perRow, perRow, positionTokens, 1});
  if (int32_t status =
          arguments.run(context, run.allLogits ? model.forward : model.step))
    return status;
  for (int64_t i = 0; i < run.rows; ++i)
    session.lengths[run.first + i] += n;
  return REPO_RT_OK;
}

/// Checks all of it, then runs it in chunks; after an error every sequence has
/// the length that it had.
static int32_t advance(repo_rt_context *context, repo_rt_session &session,
                       const std::vector<Run> &runs) {
  int64_t longest = 0, place = 0;
  for (const Run &run : runs) {
    if (run.n < 1)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "expected at least one token, got %lld",
                          (long long)run.n);
    for (int64_t row = 0; row < run.rows; ++row) {
      int64_t length = session.lengths[run.first + row];
      if (run.n > maxTokens - length)
        return repo_rt_fail(
            context, REPO_RT_BAD_ARGUMENT,
            "expected at most %lld tokens in a session, got %lld",
            (long long)maxTokens, (long long)(length + run.n));
      longest = std::max(longest, length + run.n);
    }
    for (int64_t i = 0; i < run.rows * run.n; ++i, ++place)
      if (run.tokens[i] < 0 || run.tokens[i] >= session.model->info.vocabulary)
        return repo_rt_fail(
            context, REPO_RT_BAD_ARGUMENT,
            "token %lld: expected 0 to %lld, got %d", (long long)place,
            (long long)session.model->info.vocabulary - 1, run.tokens[i]);
  }
  if (!session.reserve(longest))
    return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                        "out of memory: cannot grow the cache to %lld tokens",
                        (long long)longest);
  std::vector<int64_t> before = session.lengths;
  for (const Run &run : runs) {
    int64_t chunk = std::max<int64_t>(1, maxRows / run.rows);
    for (int64_t start = 0; start < run.n; start += chunk)
      if (int32_t status = advance(context, session, run, start,
                                   std::min(chunk, run.n - start))) {
        session.lengths = before;
        return status;
      }
  }
  return REPO_RT_OK;
}

int32_t repo_rt_session_append(repo_rt_context *context,
                               repo_rt_session *session, const int32_t *tokens,
                               int64_t n, float *logits) {
  return advance(context, *session,
                 {{0, session->batch, n, tokens, logits, false, nullptr}});
}

int32_t repo_rt_session_append_ragged(repo_rt_context *context,
                                      repo_rt_session *session,
                                      const int32_t *tokens,
                                      const int64_t *counts, float *logits) {
  std::vector<Run> runs;
  for (int64_t row = 0; row < session->batch; ++row) {
    if (counts[row] < 0)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "sequence %lld: expected no negative number of "
                          "tokens, got %lld",
                          (long long)row, (long long)counts[row]);
    if (counts[row] == 0)
      continue;
    // Neighbours with as many tokens run together.
    if (!runs.empty() && runs.back().first + runs.back().rows == row &&
        runs.back().n == counts[row])
      ++runs.back().rows;
    else
      runs.push_back({row, 1, counts[row], tokens,
                      logits + row * session->model->info.vocabulary, false,
                      nullptr});
    tokens += counts[row];
  }
  return advance(context, *session, runs);
}

int32_t repo_rt_session_evaluate(repo_rt_context *context,
                                 repo_rt_session *session,
                                 const int32_t *tokens, int64_t n,
                                 float *logits, float *positions) {
  std::vector<float> last;
  if (!logits)
    last.resize(session->batch * session->model->info.vocabulary);
  return advance(context, *session,
                 {{0, session->batch, n, tokens, logits ? logits : last.data(),
                   logits != nullptr, positions}});
}

int32_t repo_rt_model_evaluate(repo_rt_context *context,
                               const repo_rt_model *model,
                               const int32_t *tokens, int64_t batch, int64_t n,
                               float *logits, float *positions) {
  repo_rt_session *session;
  if (int32_t status = repo_rt_session_create(context, model, batch, &session))
    return status;
  std::unique_ptr<repo_rt_session> owner(session);
  return repo_rt_session_evaluate(context, session, tokens, n, logits,
                                  positions);
}
