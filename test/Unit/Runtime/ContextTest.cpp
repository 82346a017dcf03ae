//===- ContextTest.cpp - Contexts, errors, threads ------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/runtime.h"
#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {
/// The table is the first member of a context.
const repo_rt_api &getApi(repo_rt_context *context) {
  return **reinterpret_cast<const repo_rt_api **>(context);
}

struct Counts {
  std::vector<std::atomic<int>> values;
  explicit Counts(size_t n) : values(n) {}
};

void countTask(repo_rt_context *, int64_t index, void *arguments) {
  ++static_cast<Counts *>(arguments)->values[index];
}

struct Context {
  repo_rt_context *get = repo_rt_context_create();
  ~Context() { repo_rt_context_destroy(get); }
};
} // namespace

TEST(Context, TableHasTheVersionOfTheHeader) {
  Context context;
  EXPECT_EQ(getApi(context.get).abi_version, REPO_RT_ABI_VERSION);
  EXPECT_EQ(getApi(context.get).size, int32_t(sizeof(repo_rt_api)));
}

TEST(Context, ErrorsAreOneLine) {
  Context context;
  EXPECT_STREQ(repo_rt_last_error(context.get), "");
  EXPECT_EQ(repo_rt_fail(context.get, REPO_RT_BAD_FILE, "%s\nthe %d", "a", 3),
            REPO_RT_BAD_FILE);
  EXPECT_STREQ(repo_rt_last_error(context.get), "a the 3");
}

TEST(Context, NumberOfThreads) {
  setenv("REPO_NUM_THREADS", "3", 1);
  Context context;
  EXPECT_EQ(repo_rt_get_num_threads(context.get), 3);
  EXPECT_EQ(repo_rt_set_num_threads(context.get, 2), 0);
  EXPECT_EQ(repo_rt_get_num_threads(context.get), 2);
  EXPECT_EQ(repo_rt_set_num_threads(context.get, -1), REPO_RT_BAD_ARGUMENT);
  EXPECT_STREQ(repo_rt_last_error(context.get),
               "expected a number of threads that is not negative, got -1");
  unsetenv("REPO_NUM_THREADS");
}

TEST(ParallelFor, EveryIndexOnce) {
  for (int threads : {1, 2, 4}) {
    Context context;
    repo_rt_set_num_threads(context.get, threads);
    for (int64_t n : {0, 1, 2, 7, 1000}) {
      Counts counts(n);
      getApi(context.get).parallel_for(context.get, n, countTask, &counts);
      for (std::atomic<int> &value : counts.values)
        EXPECT_EQ(value, 1);
    }
  }
}

TEST(ParallelFor, UsesTheHostsPool) {
  Context context;
  int calls = 0;
  repo_rt_set_parallel_for(
      context.get,
      [](void *host, int64_t n, repo_rt_task task, repo_rt_context *context,
         void *arguments) {
        ++*static_cast<int *>(host);
        for (int64_t i = n; i-- > 0;)
          task(context, i, arguments);
      },
      &calls);
  Counts counts(5);
  getApi(context.get).parallel_for(context.get, 5, countTask, &counts);
  EXPECT_EQ(calls, 1);
  for (std::atomic<int> &value : counts.values)
    EXPECT_EQ(value, 1);
}

TEST(Library, RefusesWhatIsNone) {
  Context context;
  repo_rt_library *library;
  EXPECT_EQ(repo_rt_library_open(context.get, "/nowhere/x.so", &library),
            REPO_RT_BAD_LIBRARY);
  EXPECT_NE(std::string(repo_rt_last_error(context.get)).find("/nowhere/x.so"),
            std::string::npos);
  EXPECT_EQ(repo_rt_library_open(context.get, "libm.so.6", &library),
            REPO_RT_BAD_LIBRARY);
}
