//===- Advance.cpp - Running tokens through a model -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sequences of a contiguous session are rows of its caches, so any run of
// neighbours is a smaller cache. Sequences on the same pages run together
// whatever sessions they belong to. Tokens go in pieces: one each for all
// sequences at once, prompts one length after the other, in chunks.
//
//===----------------------------------------------------------------------===//

#include "Session.h"
#include <numeric>

using repo_rt::maxTokens;
using repo_rt::Transfer;

/// Tokens that run through a model at once. Longer prompts go in chunks, which
/// bounds the memory of activations and costs nothing: the weights are read
/// once for many tokens all the same.
static constexpr int64_t maxRows = 1024;

static constexpr DLDataType i32 = {0, 32, 1}, f32 = {2, 32, 1};

namespace {
/// The arguments of an entry: views of memory of somebody else. `transfer` says
/// how one gets to the device of the model, where it has one.
class Arguments {
public:
  Arguments(const repo_rt_model &model, size_t count) : model(model) {
    views.reserve(count);
  }

  void add(Transfer transfer, const void *data, DLDataType type,
           std::vector<int64_t> sizes, std::vector<int64_t> strides = {}) {
    views.push_back({{}, std::move(sizes), std::move(strides)});
    View &view = views.back();
    view.tensor.data = const_cast<void *>(data);
    bool isThere = model.device && transfer == Transfer::none;
    view.tensor.device = {
        static_cast<decltype(DLDevice::device_type)>(isThere ? 2 : 1),
        isThere ? model.device->getOrdinal() : 0};
    view.tensor.ndim = static_cast<int32_t>(view.sizes.size());
    view.tensor.dtype = type;
    view.tensor.shape = view.sizes.data();
    view.tensor.strides = view.strides.empty() ? nullptr : view.strides.data();
    tensors.push_back(&view.tensor);
    transfers.push_back(transfer);
  }
  void add(const DLTensor *tensor) {
    tensors.push_back(const_cast<DLTensor *>(tensor));
    transfers.push_back(Transfer::none);
  }
  int32_t run(repo_rt_context *context, repo_rt_session &session, bool paged,
              repo_rt::Phase phase) {
    repo_rt_entry entry = model.entries[paged][phase];
    if (model.device)
      return repo_rt::runOnDevice(context, session.runs, entry, tensors,
                                  transfers,
                                  /*repeats=*/phase == repo_rt::decode);
    return entry(context, tensors.data(), static_cast<int32_t>(tensors.size()));
  }

private:
  struct View {
    DLTensor tensor;
    std::vector<int64_t> sizes, strides;
  };
  const repo_rt_model &model;
  std::vector<View> views; // reserved: its elements do not move
  std::vector<DLTensor *> tensors;
  std::vector<Transfer> transfers;
};

/// A sequence of a session.
struct Row {
  repo_rt_session *session;
  int64_t sequence;
  int64_t &length() const { return session->lengths[sequence]; }
};

/// Sequences with n more tokens each, and where their results go. They are on
/// the same pages, or neighbours in one contiguous session.
struct Run {
  std::vector<Row> rows;
  int64_t n;
  const int32_t *tokens; // [rows, n]
  /// Of every token [rows, n, vocabulary], or of the last ones [rows,
  /// vocabulary], or null.
  float *logits;
  bool allLogits;
  /// [layers, rows, heads, n], or null.
  float *positions;
};
} // namespace

/// Adds the caches: slices of a contiguous session, or the table and all pages.
static void addCaches(Arguments &arguments, const Run &run, int64_t n,
                      std::vector<int32_t> &table) {
  repo_rt_session &session = *run.rows[0].session;
  const repo_rt_model_info &info = session.model->info;
  DLDataType type = {session.model->cacheTypeCode(),
                     static_cast<uint8_t>(info.cache_bits), 1};
  int64_t rows = static_cast<int64_t>(run.rows.size());
  if (!session.pages) {
    int64_t row = info.kv_heads * session.capacity * info.head_size *
                  session.model->cacheElementBytes();
    for (repo_rt::Memory &cache : session.caches)
      arguments.add(Transfer::none, cache.data() + run.rows[0].sequence * row,
                    type,
                    {rows, info.kv_heads, session.capacity, info.head_size});
    return;
  }
  int64_t entries = 0;
  for (const Row &row : run.rows)
    entries = std::max(entries, (row.length() + n + info.page_size - 1) /
                                    info.page_size);
  // Few widths of tables are few steps to record.
  if (session.model->device)
    while (entries & (entries - 1))
      entries += entries & -entries;
  // What lies past the tokens of a sequence is no page.
  table.assign(rows * entries, -1);
  for (int64_t i = 0; i < rows; ++i) {
    const Row &row = run.rows[i];
    const std::vector<int32_t> &pages = row.session->tables[row.sequence];
    std::copy_n(pages.begin(),
                std::min<int64_t>(entries, static_cast<int64_t>(pages.size())),
                table.begin() + i * entries);
  }
  arguments.add(Transfer::input, table.data(), i32, {rows, entries});
  for (repo_rt::Memory &cache : session.pages->caches)
    arguments.add(Transfer::none, cache.data(), type,
                  {session.pages->numPages, info.kv_heads, info.page_size,
                   info.head_size});
}

/// Runs tokens start .. start + n of a run.
static int32_t advance(repo_rt_context *context, const Run &run, int64_t start,
                       int64_t n) {
  const repo_rt_model &model = *run.rows[0].session->model;
  const repo_rt_model_info &info = model.info;
  int64_t rows = static_cast<int64_t>(run.rows.size());
  bool paged = run.rows[0].session->pages != nullptr, decode = n == 1;
  std::vector<int32_t> at, table, wanted;
  for (const Row &row : run.rows)
    at.push_back(static_cast<int32_t>(row.length()));
  if (run.allLogits) {
    wanted.resize(n);
    std::iota(wanted.begin(), wanted.end(), 0);
  } else if (run.logits && start + n == run.n) {
    wanted.push_back(static_cast<int32_t>(n - 1));
  }
  int64_t numWanted = static_cast<int64_t>(wanted.size());

  // What nobody asked for goes nowhere.
  std::vector<float> ownPositions, ownLogits;
  float *positions = run.positions ? run.positions + start : nullptr;
  Transfer positionsTransfer = positions ? Transfer::output : Transfer::scratch,
           logitsTransfer = Transfer::output;
  int64_t positionTokens = run.n;
  if (!positions) {
    ownPositions.resize(info.layers * rows * info.heads * n);
    positions = ownPositions.data();
    positionTokens = n;
  }
  float *logits =
      run.allLogits ? run.logits + start * info.vocabulary : run.logits;
  int64_t logitsStride = (run.allLogits ? run.n : 1) * info.vocabulary;
  if (decode && wanted.empty()) {
    ownLogits.resize(rows * info.vocabulary);
    logits = ownLogits.data();
    logitsTransfer = Transfer::scratch;
    logitsStride = info.vocabulary;
  }

  Arguments arguments(model, 7 + 2 * info.layers);
  if (model.isPacked)
    arguments.add(Transfer::none, model.packed, {1, 8, 1}, {model.packedBytes});
  arguments.add(Transfer::input, run.tokens + start, i32, {rows, n},
                {run.n, 1});
  arguments.add(Transfer::input, at.data(), i32, {rows});
  if (!decode)
    arguments.add(Transfer::input, wanted.data(), i32, {numWanted});
  addCaches(arguments, run, n, table);
  if (!model.isPacked)
    for (const DLTensor &weight : model.weights)
      arguments.add(&weight);
  arguments.add(logitsTransfer, logits, f32,
                {rows, decode ? 1 : numWanted, info.vocabulary},
                {logitsStride, info.vocabulary, 1});
  int64_t perRow = info.heads * positionTokens;
  arguments.add(positionsTransfer, positions, f32,
                {info.layers, rows, info.heads, n},
                {rows * perRow, perRow, positionTokens, 1});
  if (int32_t status =
          arguments.run(context, *run.rows[0].session, paged,
                        decode ? repo_rt::decode : repo_rt::prefill))
    return status;
  for (const Row &row : run.rows)
    row.length() += n;
  return REPO_RT_OK;
}

/// Makes room for the tokens of a run in its caches.
static int32_t reserve(repo_rt_context *context, const Run &run) {
  for (const Row &row : run.rows) {
    repo_rt_session &session = *row.session;
    int64_t wanted = row.length() + run.n;
    if (session.pages) {
      if (!session.reservePages(row.sequence, wanted))
        return repo_rt_fail(
            context, REPO_RT_OUT_OF_MEMORY,
            "expected pages for %lld tokens of a sequence, got no more: all "
            "%lld pages of %lld tokens are in use",
            (long long)wanted, (long long)session.pages->numPages,
            (long long)session.model->info.page_size);
    } else if (session.fixed && wanted > session.capacity) {
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "expected at most %lld tokens, which the cache "
                          "holds, got %lld",
                          (long long)session.capacity, (long long)wanted);
    } else if (!session.reserve(wanted)) {
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot grow the cache to %lld tokens",
                          (long long)wanted);
    }
  }
  return REPO_RT_OK;
}

static int32_t checkTokens(repo_rt_context *context,
                           const std::vector<Run> &runs) {
  int64_t place = 0;
  for (const Run &run : runs) {
    if (run.n < 1)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "expected at least one token, got %lld",
                          (long long)run.n);
    int64_t vocabulary = run.rows[0].session->model->info.vocabulary;
    for (const Row &row : run.rows)
      if (run.n > maxTokens - row.length())
        return repo_rt_fail(
            context, REPO_RT_BAD_ARGUMENT,
            "expected at most %lld tokens in a session, got %lld",
            (long long)maxTokens, (long long)(row.length() + run.n));
    int64_t count = static_cast<int64_t>(run.rows.size()) * run.n;
    for (int64_t i = 0; i < count; ++i, ++place)
      if (run.tokens[i] < 0 || run.tokens[i] >= vocabulary)
        return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                            "token %lld: expected 0 to %lld, got %d",
                            (long long)place, (long long)vocabulary - 1,
                            run.tokens[i]);
  }
  return REPO_RT_OK;
}

static int32_t runChunks(repo_rt_context *context,
                         const std::vector<Run> &runs) {
  for (const Run &run : runs) {
    int64_t chunk = std::max<int64_t>(1, maxRows / run.rows.size());
    for (int64_t start = 0; start < run.n; start += chunk)
      if (int32_t status =
              advance(context, run, start, std::min(chunk, run.n - start)))
        return status;
  }
  return REPO_RT_OK;
}

/// Checks all of it, then runs it; after an error every sequence has the length
/// that it had.
static int32_t advance(repo_rt_context *context, const std::vector<Run> &runs) {
  if (int32_t status = checkTokens(context, runs))
    return status;
  std::vector<std::pair<Row, int64_t>> before;
  for (const Run &run : runs)
    for (const Row &row : run.rows)
      before.push_back({row, row.length()});
  int32_t status = REPO_RT_OK;
  for (size_t i = 0; i < runs.size() && !status; ++i)
    status = reserve(context, runs[i]);
  if (!status)
    status = runChunks(context, runs);
  if (status)
    for (auto &[row, length] : before) {
      row.length() = length;
      if (row.session->pages)
        row.session->releasePages(row.sequence);
    }
  return status;
}

/// A run of every sequence of a session.
static Run wholeSession(repo_rt_session &session, const int32_t *tokens,
                        int64_t n, float *logits) {
  Run run = {{}, n, tokens, logits, false, nullptr};
  for (int64_t i = 0; i < session.batch; ++i)
    run.rows.push_back({&session, i});
  return run;
}

/// Groups rows, each with its own number of tokens, to runs: neighbours with as
/// many tokens that may run together.
static int32_t groupRows(repo_rt_context *context, const std::vector<Row> &rows,
                         const int32_t *tokens, const int64_t *counts,
                         float *logits, std::vector<Run> &runs) {
  size_t next = 0; // the row after the last run
  for (size_t i = 0; i < rows.size(); ++i) {
    if (counts[i] < 0)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "sequence %lld: expected no negative number of "
                          "tokens, got %lld",
                          (long long)i, (long long)counts[i]);
    if (counts[i] == 0)
      continue;
    const repo_rt_session *session = rows[i].session;
    if (!runs.empty() && next == i && runs.back().n == counts[i] &&
        (runs.back().rows[0].session == session ||
         (session->pages &&
          runs.back().rows[0].session->pages == session->pages)))
      runs.back().rows.push_back(rows[i]);
    else
      runs.push_back(
          {{rows[i]},
           counts[i],
           tokens,
           logits + static_cast<int64_t>(i) * session->model->info.vocabulary,
           false,
           nullptr});
    next = i + 1;
    tokens += counts[i];
  }
  return REPO_RT_OK;
}

//===----------------------------------------------------------------------===//
// The interface
//===----------------------------------------------------------------------===//

int32_t repo_rt_session_append(repo_rt_context *context,
                               repo_rt_session *session, const int32_t *tokens,
                               int64_t n, float *logits) {
  return advance(context, {wholeSession(*session, tokens, n, logits)});
}

int32_t repo_rt_session_append_ragged(repo_rt_context *context,
                                      repo_rt_session *session,
                                      const int32_t *tokens,
                                      const int64_t *counts, float *logits) {
  std::vector<Run> runs;
  if (int32_t status =
          groupRows(context, wholeSession(*session, nullptr, 0, nullptr).rows,
                    tokens, counts, logits, runs))
    return status;
  return advance(context, runs);
}

int32_t repo_rt_sessions_append(repo_rt_context *context,
                                repo_rt_session *const *sessions, int64_t count,
                                const int32_t *tokens, const int64_t *counts,
                                float *logits) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < count; ++i) {
    if (sessions[i]->batch != 1 || sessions[i]->model != sessions[0]->model ||
        std::find(sessions, sessions + i, sessions[i]) != sessions + i)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "session %lld: expected one sequence, of the same "
                          "model, every session once",
                          (long long)i);
    rows.push_back({sessions[i], 0});
  }
  std::vector<Run> runs;
  if (int32_t status = groupRows(context, rows, tokens, counts, logits, runs))
    return status;
  return advance(context, runs);
}

int32_t repo_rt_session_evaluate(repo_rt_context *context,
                                 repo_rt_session *session,
                                 const int32_t *tokens, int64_t n,
                                 float *logits, float *positions) {
  Run run = wholeSession(*session, tokens, n, logits);
  run.allLogits = logits != nullptr;
  run.positions = positions;
  return advance(context, {run});
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
