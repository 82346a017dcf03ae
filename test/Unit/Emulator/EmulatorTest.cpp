//===- EmulatorTest.cpp - Threads, barriers, orders -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Emulator/emulator.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <numeric>
#include <vector>

namespace {
/// Sets the order of blocks and threads for one test.
struct Order {
  explicit Order(const char *value) { setenv("REPO_EMULATOR_ORDER", value, 1); }
  ~Order() { unsetenv("REPO_EMULATOR_ORDER"); }
};

void number(repo_emulator_thread *thread, void *arguments) {
  auto *counts = static_cast<int *>(arguments);
  int block =
      thread->block_index[0] + thread->grid_size[0] * thread->block_index[1];
  int index =
      thread->thread_index[0] + thread->block_size[0] * thread->thread_index[1];
  ++counts[block * thread->block_size[0] * thread->block_size[1] + index];
}

/// Reverses 64 numbers in place, with or without a barrier in the middle.
template <bool waits>
void reverse(repo_emulator_thread *thread, void *arguments) {
  auto *values = static_cast<int *>(arguments);
  int index = thread->thread_index[0];
  int value = values[63 - index];
  if (waits)
    repo_emulator_barrier(thread);
  values[index] = value;
}

void leaveHalf(repo_emulator_thread *thread, void *) {
  if (thread->thread_index[0] % 2)
    repo_emulator_barrier(thread);
}

std::vector<int> runReverse(repo_emulator_thread_function kernel) {
  std::vector<int> values(64);
  std::iota(values.begin(), values.end(), 0);
  repo_emulator_launch(kernel, values.data(), 1, 1, 1, 64, 1, 1, 1);
  return values;
}
} // namespace

TEST(Emulator, EveryThreadOfEveryBlockRunsOnce) {
  for (const char *order : {"0", "1", "2"}) {
    Order shuffled(order);
    std::vector<int> counts(3 * 5 * 4 * 2, 0);
    repo_emulator_launch(number, counts.data(), 3, 5, 1, 4, 2, 1, 0);
    EXPECT_EQ(counts, std::vector<int>(counts.size(), 1));
  }
}

TEST(Emulator, AnEmptyGridRunsNothing) {
  int count = 0;
  repo_emulator_launch(number, &count, 0, 1, 1, 1, 1, 1, 0);
  EXPECT_EQ(count, 0);
}

TEST(Emulator, BarriersOrderReadsBeforeWrites) {
  std::vector<int> expected(64);
  for (int i = 0; i != 64; ++i)
    expected[i] = 63 - i;
  EXPECT_EQ(runReverse(reverse<true>), expected);
  for (const char *order : {"1", "2", "3"}) {
    Order shuffled(order);
    EXPECT_EQ(runReverse(reverse<true>), expected);
  }
}

TEST(Emulator, AMissingBarrierShows) {
  std::vector<int> expected(64);
  for (int i = 0; i != 64; ++i)
    expected[i] = 63 - i;
  EXPECT_NE(runReverse(reverse<false>), expected);
}

TEST(EmulatorDeathTest, ABarrierThatSomeLeaveOut) {
  EXPECT_DEATH(repo_emulator_launch(leaveHalf, nullptr, 1, 1, 1, 8, 1, 1, 1),
               "emulator: 4 threads of a block wait at a barrier that 4 have "
               "left out");
}
