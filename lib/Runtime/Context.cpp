//===- Context.cpp - Contexts, errors, workspace --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include "Memory.h"
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <pthreadpool.h>

//===----------------------------------------------------------------------===//
// Workspace
//===----------------------------------------------------------------------===//

static constexpr uint64_t alignment = 64;

char *repo_rt_workspace::take(uint64_t bytes) {
  if (hostAllocate)
    return static_cast<char *>(hostAllocate(host, bytes));
  auto *memory = static_cast<char *>(std::aligned_alloc(alignment, bytes));
  if (memory)
    repo_rt::adviseHugePages(memory, bytes);
  return memory;
}

void repo_rt_workspace::give(char *memory) {
  if (hostAllocate)
    hostRelease(host, memory);
  else
    std::free(memory);
}

void repo_rt_workspace::freeChunks() {
  for (Chunk &chunk : chunks)
    give(chunk.memory);
  chunks.clear();
  used = 0;
}

void *repo_rt_workspace::allocate(uint64_t bytes) {
  if (bytes > UINT64_MAX / 4)
    return nullptr;
  bytes = std::max(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (chunks.empty() || chunks.back().size - chunks.back().used < bytes) {
    // At least doubles, so that there are few chunks.
    uint64_t size = std::max({bytes, peak, uint64_t(1) << 16});
    char *memory = take(size);
    if (!memory && size != bytes)
      memory = take(size = bytes);
    if (!memory)
      return nullptr;
    chunks.push_back({memory, size, 0});
  }
  Chunk &chunk = chunks.back();
  void *result = chunk.memory + chunk.used;
  chunk.used += bytes;
  used += bytes;
  peak = std::max(peak, used);
  return result;
}

void repo_rt_workspace::release(uint64_t mark) {
  while (used > mark) {
    Chunk &chunk = chunks.back();
    uint64_t back = std::min(chunk.used, used - mark);
    chunk.used -= back;
    used -= back;
    if (chunk.used == 0 && used > mark) {
      give(chunk.memory);
      chunks.pop_back();
    }
  }
}

void repo_rt_workspace::reset() {
  // Chunks given back within an entry count too: else each entry would ask the
  // system for them again, and touch new pages.
  if (!chunks.empty() && chunks.front().size < peak)
    freeChunks();
  for (Chunk &chunk : chunks)
    chunk.used = 0;
  used = 0;
}

void repo_rt_workspace::setAllocator(void *(*allocate)(void *, size_t),
                                     void (*release)(void *, void *),
                                     void *host) {
  freeChunks();
  hostAllocate = allocate;
  hostRelease = release;
  this->host = host;
}

//===----------------------------------------------------------------------===//
// Contexts
//===----------------------------------------------------------------------===//

repo_rt_context *repo_rt_context_create(void) {
  auto *context = new (std::nothrow) repo_rt_context();
  if (!context)
    return nullptr;
  context->api = &repo_rt::api;
  context->threads = repo_rt::defaultNumThreads();
  return context;
}

void repo_rt_context_destroy(repo_rt_context *context) {
  if (!context)
    return;
  if (context->pool)
    pthreadpool_destroy(context->pool);
  delete context;
}

int32_t repo_rt_set_num_threads(repo_rt_context *context, int32_t threads) {
  if (threads < 0)
    return repo_rt_fail(
        context, REPO_RT_BAD_ARGUMENT,
        "expected a number of threads that is not negative, got %d", threads);
  threads = threads ? threads : repo_rt::defaultNumThreads();
  if (threads != context->threads && context->pool) {
    pthreadpool_destroy(context->pool);
    context->pool = nullptr;
  }
  context->threads = threads;
  return REPO_RT_OK;
}

int32_t repo_rt_get_num_threads(const repo_rt_context *context) {
  return context->threads;
}

const char *repo_rt_last_error(const repo_rt_context *context) {
  return context->error.c_str();
}

int32_t repo_rt_fail(repo_rt_context *context, int32_t code, const char *format,
                     ...) {
  char text[2048];
  va_list arguments;
  va_start(arguments, format);
  int length = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  // One line, whatever names a file holds.
  for (char *c = text; *c; ++c)
    if (static_cast<unsigned char>(*c) < 32 || *c == 127)
      *c = ' ';
  context->error = text;
  // No half of a character where a long text ends.
  if (length >= static_cast<int>(sizeof text)) {
    std::string &error = context->error;
    size_t last = error.size() - 1;
    while (last > 0 && (error[last] & 0xc0) == 0x80)
      --last;
    if (error[last] & 0x80)
      error.resize(last);
    error += "...";
  }
  return code;
}

void repo_rt_set_parallel_for(repo_rt_context *context,
                              repo_rt_parallel_for parallel_for, void *host) {
  context->hostParallelFor = parallel_for;
  context->host = host;
}

void repo_rt_set_allocator(repo_rt_context *context,
                           void *(*allocate)(void *host, size_t bytes),
                           void (*release)(void *host, void *memory),
                           void *host) {
  context->workspace.setAllocator(allocate, release, host);
}
