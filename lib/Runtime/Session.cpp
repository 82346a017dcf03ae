//===- Session.cpp - KV caches --------------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Session.h"

using repo_rt::maxTokens;

/// Without memory nothing changes.
bool repo_rt_session::copyFrom(const repo_rt_session &other,
                               int64_t newCapacity) {
  int64_t heads = model->info.kv_heads,
          row = model->info.head_size * model->cacheElementBytes();
  std::vector<repo_rt::Memory> grown(2 * model->info.layers);
  for (repo_rt::Memory &cache : grown)
    if (!(cache = model->allocate(size_t(batch * heads) *
                                  size_t(newCapacity * row))))
      return false;
  for (size_t i = 0; i < grown.size(); ++i) {
    for (int64_t sequence = 0; sequence < batch; ++sequence)
      if (int64_t length = other.lengths[sequence]) {
        size_t to = newCapacity * row, from = other.capacity * row;
        model->copyRows(
            {grown[i].data() + sequence * heads * to, to},
            {other.caches[i].data() + sequence * heads * from, from},
            length * row, heads);
      }
    // Old memory goes as new memory fills.
    if (this == &other)
      caches[i] = std::move(grown[i]);
  }
  if (this != &other)
    caches = std::move(grown);
  capacity = newCapacity;
  return true;
}

/// Grows at least twofold, so that appending token by token is linear.
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
  session->runs.device = model->device;
  session->batch = batch;
  session->lengths.resize(batch);
  session->caches.resize(2 * model->info.layers);
  *result = session.release();
  return REPO_RT_OK;
}

int32_t repo_rt_session_create_fixed(repo_rt_context *context,
                                     const repo_rt_model *model, int64_t batch,
                                     int64_t tokens, repo_rt_session **result) {
  *result = nullptr;
  if (tokens < 1 || tokens > maxTokens)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected a cache of 1 to %lld tokens, got %lld",
                        (long long)maxTokens, (long long)tokens);
  if (int32_t status = repo_rt_session_create(context, model, batch, result))
    return status;
  std::unique_ptr<repo_rt_session> session(*result);
  *result = nullptr;
  if (!session->copyFrom(*session, tokens))
    return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                        "out of memory: cannot hold %lld tokens of cache",
                        (long long)tokens);
  session->fixed = true;
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
  std::unique_ptr<repo_rt_session> copy(*result);
  *result = nullptr;
  copy->lengths = session->lengths;
  if (session->pages) {
    copy->pages = session->pages;
    for (const std::vector<int32_t> &table : session->tables) {
      copy->pages->retain(table);
      copy->tables.push_back(table);
    }
  } else if (int64_t kept =
                 session->fixed ? session->capacity : session->longest()) {
    // Only what is used is copied.
    if (!copy->copyFrom(*session, kept))
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot copy a cache");
    copy->fixed = session->fixed;
  }
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
  int64_t rows = session->batch * session->capacity;
  for (const std::vector<int32_t> &table : session->tables)
    rows += static_cast<int64_t>(table.size()) * info.page_size;
  return 2 * info.layers * rows * info.kv_heads * info.head_size *
         session->model->cacheElementBytes();
}

int32_t repo_rt_session_trim(repo_rt_context *context, repo_rt_session *session,
                             int64_t n) {
  if (n < 0 || n > session->longest())
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected to keep 0 to %lld tokens, got %lld",
                        (long long)session->longest(), (long long)n);
  for (int64_t i = 0; i < session->batch; ++i) {
    session->lengths[i] = std::min(session->lengths[i], n);
    if (session->pages)
      session->releasePages(i);
  }
  return REPO_RT_OK;
}
