//===- Session.h - The inside of a session ----------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A session holds `batch` sequences, each with a length of its own, in caches
// of its own or in pages that sessions share. Nothing past the length of a
// sequence is ever read, so lengths alone say what a cache holds.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_SESSION_H
#define REPO_LIB_RUNTIME_SESSION_H

#include "DeviceRun.h"
#include "Model.h"
#include <algorithm>
#include <memory>
#include <mutex>

/// Pages for the keys and values of many sequences. A page holds `page_size`
/// tokens of one sequence, in every layer. Sequences that start alike share
/// pages: one that writes to a shared page takes a copy first.
struct repo_rt_pages : std::enable_shared_from_this<repo_rt_pages> {
  const repo_rt_model *model = nullptr;
  int64_t numPages = 0;
  /// Two per layer, [pages, KV heads, page size, head size].
  std::vector<repo_rt::Memory> caches;

  /// A page nobody uses, or -1.
  int32_t take();
  void retain(const std::vector<int32_t> &pages);
  void release(int32_t page);
  bool isShared(int32_t page);
  /// Copies the first `tokens` tokens of a page to another one.
  void copy(int32_t from, int32_t to, int64_t tokens);
  int64_t countFree();

  /// The handle of the program; sessions keep the pages alive after it is
  /// freed.
  std::shared_ptr<repo_rt_pages> handle;
  /// Sessions of several threads may share pages; each page is written by one.
  std::mutex mutex;
  std::vector<int32_t> uses; // sequences that hold each page
  std::vector<int32_t> free;
};

struct repo_rt_session {
  const repo_rt_model *model = nullptr;
  int64_t batch = 0;
  /// The tokens of each sequence.
  std::vector<int64_t> lengths;

  /// Contiguous: two per layer, [batch, KV heads, capacity, head size].
  std::vector<repo_rt::Memory> caches;
  int64_t capacity = 0;
  /// Whether the capacity stays as it is.
  bool fixed = false;

  /// Paged: where the pages are, and those of each sequence.
  std::shared_ptr<repo_rt_pages> pages;
  std::vector<std::vector<int32_t>> tables;

  /// Of a model on a device.
  repo_rt::DeviceRuns runs;

  ~repo_rt_session();

  int64_t longest() const {
    return *std::max_element(lengths.begin(), lengths.end());
  }
  /// Grows contiguous caches to hold `wanted` tokens of every sequence.
  bool reserve(int64_t wanted);
  /// Takes contiguous caches of `newCapacity` with the tokens of `other`.
  bool copyFrom(const repo_rt_session &other, int64_t newCapacity);
  /// Takes pages for tokens `lengths[sequence] .. wanted - 1` of a sequence, to
  /// which nobody else writes; false when there are too few.
  bool reservePages(int64_t sequence, int64_t wanted);
  /// Gives back the pages past the length of a sequence.
  void releasePages(int64_t sequence);
};

namespace repo_rt {
/// Integer positions are exact in f32 up to here. max_position_embeddings is no
/// limit: it says what a model was trained on, and models run past it.
constexpr int64_t maxTokens = int64_t(1) << 24;
} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_SESSION_H
