//===- Pages.cpp - Pages of keys and values that sequences share ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Session.h"

static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

//===----------------------------------------------------------------------===//
// Pages
//===----------------------------------------------------------------------===//

int32_t repo_rt_pages::take() {
  std::lock_guard<std::mutex> lock(mutex);
  if (free.empty())
    return -1;
  int32_t page = free.back();
  free.pop_back();
  uses[page] = 1;
  return page;
}

void repo_rt_pages::retain(const std::vector<int32_t> &pages) {
  std::lock_guard<std::mutex> lock(mutex);
  for (int32_t page : pages)
    ++uses[page];
}

void repo_rt_pages::release(int32_t page) {
  std::lock_guard<std::mutex> lock(mutex);
  if (--uses[page] == 0)
    free.push_back(page);
}

bool repo_rt_pages::isShared(int32_t page) {
  std::lock_guard<std::mutex> lock(mutex);
  return uses[page] > 1;
}

int64_t repo_rt_pages::countFree() {
  std::lock_guard<std::mutex> lock(mutex);
  return static_cast<int64_t>(free.size());
}

void repo_rt_pages::copy(int32_t from, int32_t to, int64_t tokens) {
  const repo_rt_model_info &info = model->info;
  int64_t row = info.head_size * model->cacheElementBytes(),
          head = info.page_size * row, page = info.kv_heads * head;
  for (repo_rt::Memory &cache : caches)
    model->copyRows({cache.data() + to * page, size_t(head)},
                    {cache.data() + from * page, size_t(head)}, tokens * row,
                    info.kv_heads);
}

int32_t repo_rt_pages_create(repo_rt_context *context,
                             const repo_rt_model *model, int64_t tokens,
                             repo_rt_pages **result) {
  *result = nullptr;
  int64_t size = model->info.page_size;
  if (tokens < 1 || ceilDiv(tokens, size) > INT32_MAX)
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected pages for 1 to %lld tokens, got %lld",
                        (long long)size * INT32_MAX, (long long)tokens);
  auto pages = std::make_shared<repo_rt_pages>();
  pages->model = model;
  pages->numPages = ceilDiv(tokens, size);
  int64_t bytes = pages->numPages * model->info.kv_heads * size *
                  model->info.head_size * model->cacheElementBytes();
  for (int64_t i = 0; i < 2 * model->info.layers; ++i) {
    pages->caches.push_back(model->allocate(bytes));
    if (!pages->caches.back())
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot hold %lld tokens of cache",
                          (long long)tokens);
  }
  pages->uses.resize(pages->numPages);
  // The first ones are taken first: what is never used is never touched.
  for (int64_t page = pages->numPages; page-- > 0;)
    pages->free.push_back(static_cast<int32_t>(page));
  pages->handle = pages;
  *result = pages.get();
  return REPO_RT_OK;
}

void repo_rt_pages_free(repo_rt_pages *pages) {
  if (pages)
    std::shared_ptr<repo_rt_pages>(std::move(pages->handle));
}

int64_t repo_rt_pages_count(const repo_rt_pages *pages) {
  return pages->numPages;
}

int64_t repo_rt_pages_count_free(repo_rt_pages *pages) {
  return pages->countFree();
}

//===----------------------------------------------------------------------===//
// Sequences on pages
//===----------------------------------------------------------------------===//

bool repo_rt_session::reservePages(int64_t sequence, int64_t wanted) {
  std::vector<int32_t> &table = tables[sequence];
  int64_t size = model->info.page_size, length = lengths[sequence];
  // The first page that is written to.
  size_t first = length / size;
  if (wanted > length && first < table.size() &&
      pages->isShared(table[first])) {
    int32_t page = pages->take();
    if (page < 0)
      return false;
    pages->copy(table[first], page, length % size);
    pages->release(table[first]);
    table[first] = page;
  }
  while (static_cast<int64_t>(table.size()) < ceilDiv(wanted, size)) {
    int32_t page = pages->take();
    if (page < 0)
      return false;
    table.push_back(page);
  }
  return true;
}

void repo_rt_session::releasePages(int64_t sequence) {
  std::vector<int32_t> &table = tables[sequence];
  size_t kept = ceilDiv(lengths[sequence], model->info.page_size);
  while (table.size() > kept) {
    pages->release(table.back());
    table.pop_back();
  }
}

repo_rt_session::~repo_rt_session() {
  for (std::vector<int32_t> &table : tables)
    for (int32_t page : table)
      pages->release(page);
}

int32_t repo_rt_session_create_paged(repo_rt_context *context,
                                     repo_rt_pages *pages, int64_t batch,
                                     repo_rt_session **result) {
  if (int32_t status =
          repo_rt_session_create(context, pages->model, batch, result))
    return status;
  (*result)->pages = pages->shared_from_this();
  (*result)->tables.resize(batch);
  return REPO_RT_OK;
}
