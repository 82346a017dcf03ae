//===- Emulator.cpp - Kernels on the CPU ----------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Emulator/emulator.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <ucontext.h>
#include <vector>

namespace {
constexpr size_t stackBytes = 128 << 10;

/// One thread of a block with a stack of its own.
struct Fiber {
  repo_emulator_thread thread = {};
  ucontext_t context = {};
  std::unique_ptr<char[]> stack;
  bool finished = false, waits = false;
};

/// Runs the blocks of one launch after each other.
class Launch {
public:
  Launch(repo_emulator_thread_function kernel, void *arguments,
         const int64_t *grid, const int64_t *block)
      : kernel(kernel), arguments(arguments), grid(grid), block(block) {
    if (const char *order = std::getenv("REPO_EMULATOR_ORDER"))
      random = std::make_unique<std::mt19937>(std::atoi(order));
  }

  void run(bool meets);
  void wait();

private:
  repo_emulator_thread getThread(int64_t blockIndex, int64_t threadIndex);
  void runFibers(int64_t blockIndex, const std::vector<int64_t> &threads);
  std::vector<int64_t> getOrder(int64_t count);
  static void enter();

  repo_emulator_thread_function kernel;
  void *arguments;
  const int64_t *grid, *block;
  std::unique_ptr<std::mt19937> random;
  std::vector<Fiber> fibers;
  ucontext_t scheduler = {};
  Fiber *current = nullptr;
};

thread_local Launch *active = nullptr;
} // namespace

std::vector<int64_t> Launch::getOrder(int64_t count) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (random)
    std::shuffle(order.begin(), order.end(), *random);
  return order;
}

repo_emulator_thread Launch::getThread(int64_t blockIndex,
                                       int64_t threadIndex) {
  repo_emulator_thread thread;
  for (int i = 0; i != 3; ++i) {
    thread.block_size[i] = int32_t(block[i]);
    thread.grid_size[i] = int32_t(grid[i]);
    thread.thread_index[i] = int32_t(threadIndex % block[i]);
    thread.block_index[i] = int32_t(blockIndex % grid[i]);
    threadIndex /= block[i];
    blockIndex /= grid[i];
  }
  return thread;
}

void Launch::enter() {
  Fiber &fiber = *active->current;
  active->kernel(&fiber.thread, active->arguments);
  fiber.finished = true;
  swapcontext(&fiber.context, &active->scheduler);
}

void Launch::wait() {
  Fiber &fiber = *current;
  fiber.waits = true;
  swapcontext(&fiber.context, &scheduler);
}

void Launch::runFibers(int64_t blockIndex,
                       const std::vector<int64_t> &threads) {
  fibers.resize(threads.size());
  for (size_t i = 0; i != threads.size(); ++i) {
    Fiber &fiber = fibers[i];
    fiber.thread = getThread(blockIndex, int64_t(i));
    fiber.finished = fiber.waits = false;
    if (!fiber.stack)
      fiber.stack = std::make_unique<char[]>(stackBytes);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Launch::enter, 0);
  }
  // From barrier to barrier, in an order of its own each time.
  for (size_t finished = 0; finished != fibers.size();) {
    for (int64_t index : getOrder(int64_t(fibers.size()))) {
      current = &fibers[index];
      if (!current->finished)
        swapcontext(&scheduler, &current->context);
    }
    size_t waiting = 0;
    finished = 0;
    for (Fiber &fiber : fibers) {
      finished += fiber.finished;
      waiting += !fiber.finished && fiber.waits;
      fiber.waits = false;
    }
    if (finished && waiting) {
      std::fprintf(stderr,
                   "emulator: %zu threads of a block wait at a barrier that "
                   "%zu have left out\n",
                   waiting, finished);
      std::abort();
    }
  }
}

void Launch::run(bool meets) {
  int64_t blocks = grid[0] * grid[1] * grid[2],
          threads = block[0] * block[1] * block[2];
  Launch *outer = active;
  active = this;
  for (int64_t blockIndex : getOrder(blocks)) {
    std::vector<int64_t> order = getOrder(threads);
    if (meets) {
      runFibers(blockIndex, order);
      continue;
    }
    for (int64_t index : order) {
      repo_emulator_thread thread = getThread(blockIndex, index);
      kernel(&thread, arguments);
    }
  }
  active = outer;
}

void repo_emulator_launch(repo_emulator_thread_function kernel, void *arguments,
                          int64_t grid_x, int64_t grid_y, int64_t grid_z,
                          int64_t block_x, int64_t block_y, int64_t block_z,
                          int32_t meets) {
  const int64_t grid[] = {grid_x, grid_y, grid_z},
                block[] = {block_x, block_y, block_z};
  Launch(kernel, arguments, grid, block).run(meets != 0);
}

void repo_emulator_barrier(repo_emulator_thread *) { active->wait(); }
