//===- Threads.cpp - Parallel loops ---------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <pthreadpool.h>
#include <sched.h>

// The pool is not instrumented: where a program runs under ThreadSanitizer, it
// is told of the hand-over. The names resolve then, whatever this library was
// built with.
extern "C" __attribute__((weak)) void __tsan_acquire(void *);
extern "C" __attribute__((weak)) void __tsan_release(void *);

static void acquire(void *address) {
  if (__tsan_acquire)
    __tsan_acquire(address);
}

static void release(void *address) {
  if (__tsan_release)
    __tsan_release(address);
}

/// The CPUs that the control group's quota pays for, 0 without one.
static int32_t quotaThreads() {
  long long quota = -1, period = 0;
  if (FILE *file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    char text[64];
    if (std::fscanf(file, "%63s %lld", text, &period) == 2)
      quota = std::atoll(text); // "max" gives 0
    std::fclose(file);
  } else if (FILE *file =
                 std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(file, "%lld", &quota) != 1)
      quota = -1;
    std::fclose(file);
    if (FILE *other = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (std::fscanf(other, "%lld", &period) != 1)
        period = 0;
      std::fclose(other);
    }
  }
  if (quota <= 0 || period <= 0)
    return 0;
  return static_cast<int32_t>((quota + period - 1) / period);
}

int32_t repo_rt::defaultNumThreads() {
  if (const char *text = std::getenv("REPO_NUM_THREADS")) {
    char *end;
    long threads = std::strtol(text, &end, 10);
    if (*text && !*end && threads >= 1 && threads <= 4096)
      return static_cast<int32_t>(threads);
  }
  cpu_set_t set;
  int32_t threads = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    threads = std::max(1, CPU_COUNT(&set));
  if (int32_t quota = quotaThreads())
    threads = std::min(threads, quota);
  return threads;
}

namespace {
struct Loop {
  repo_rt_context *context;
  repo_rt_task task;
  void *arguments;
};
} // namespace

static void runTask(void *pointer, size_t index) {
  auto *loop = static_cast<Loop *>(pointer);
  acquire(loop);
  loop->task(loop->context, static_cast<int64_t>(index), loop->arguments);
  release(loop);
}

void repo_rt::parallelFor(repo_rt_context *context, int64_t n,
                          repo_rt_task task, void *arguments) {
  if (n <= 0)
    return;
  if (context->hostParallelFor) {
    context->hostParallelFor(context->host, n, task, context, arguments);
    return;
  }
  if (n == 1 || context->threads == 1) {
    for (int64_t i = 0; i < n; ++i)
      task(context, i, arguments);
    return;
  }
  if (!context->pool)
    context->pool = pthreadpool_create(context->threads);
  Loop loop = {context, task, arguments};
  release(&loop);
  // A null pool (no threads to be had) runs the loop on this thread.
  pthreadpool_parallelize_1d(context->pool, runTask, &loop, n,
                             /*flags=*/0);
  acquire(&loop);
}
