//===- EmulatorTest.cpp - Threads, barriers, orders, errors ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Emulator/emulator.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

extern "C" {
int cuModuleLoadData(void **, const void *);
int cuModuleUnload(void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned,
                   unsigned, unsigned, void *, void **, void **);
int cuGetErrorString(int, const char **);
}

namespace {
/// Sets the order of blocks and threads for one test.
struct Order {
  explicit Order(int value) {
    setenv("REPO_EMULATOR_ORDER", std::to_string(value).c_str(), 1);
  }
  ~Order() { unsetenv("REPO_EMULATOR_ORDER"); }
};

int get(int which) { return repo_emulator_register(which); }

void number(void **parameters) {
  int *counts = *static_cast<int **>(parameters[0]);
  int block = get(REPO_EMULATOR_CTAID) +
              get(REPO_EMULATOR_NCTAID) * get(REPO_EMULATOR_CTAID + 1);
  int index = get(REPO_EMULATOR_TID) +
              get(REPO_EMULATOR_NTID) * get(REPO_EMULATOR_TID + 1);
  ++counts[block * get(REPO_EMULATOR_NTID) * get(REPO_EMULATOR_NTID + 1) +
           index];
}

/// Reverses 64 numbers through shared memory, with or without a barrier in the
/// middle.
template <bool waits> void reverse(void **parameters) {
  int *values = *static_cast<int **>(parameters[0]);
  auto *shared = static_cast<int *>(repo_emulator_shared(0));
  int index = get(REPO_EMULATOR_TID);
  repo_emulator_access(shared + index, 4, 4, REPO_EMULATOR_STORE);
  shared[index] = values[index];
  if (waits)
    repo_emulator_barrier_sync(0, 0);
  repo_emulator_access(shared + 63 - index, 4, 4, REPO_EMULATOR_LOAD);
  values[index] = shared[63 - index];
}

void leaveHalf(void **) {
  if (get(REPO_EMULATOR_TID) % 2)
    repo_emulator_barrier_sync(0, 0);
}

void readBehind(void **parameters) {
  int *values = *static_cast<int **>(parameters[0]);
  repo_emulator_access(values + 64, 4, 4, REPO_EMULATOR_LOAD);
}

void outsideShared(void **) {
  repo_emulator_access(repo_emulator_shared(256), 4, 4, REPO_EMULATOR_STORE);
}

void arriveTooOften(void **) {
  auto barrier = uint32_t(reinterpret_cast<uint64_t>(repo_emulator_shared(0)));
  repo_emulator_mbarrier_init(barrier, 2);
  repo_emulator_mbarrier_arrive(barrier, 3);
}

void poll(void **) {
  auto barrier = uint32_t(reinterpret_cast<uint64_t>(repo_emulator_shared(0)));
  repo_emulator_mbarrier_init(barrier, 1);
  while (!repo_emulator_mbarrier_test(barrier, 0, 1))
    ;
}

/// Launches a kernel on `values`; the text of its error, or "".
std::string launch(void (*run)(void **), std::vector<int> &values, unsigned x,
                   unsigned y, unsigned threadsX, unsigned threadsY) {
  const repo_emulator_kernel kernel = {"k", run, 1, 256, 256, 0};
  const repo_emulator_image image = {REPO_EMULATOR_MAGIC, 1, &kernel};
  void *module, *function;
  EXPECT_EQ(cuModuleLoadData(&module, &image), 0);
  EXPECT_EQ(cuModuleGetFunction(&function, module, "k"), 0);
  repo_emulator_allow(values.data(), values.size() * sizeof(int));
  void *data = values.data(), *parameters[] = {&data};
  int code = cuLaunchKernel(function, x, y, 1, threadsX, threadsY, 1, 0,
                            nullptr, parameters, nullptr);
  repo_emulator_forbid(values.data());
  const char *text = "";
  if (code)
    cuGetErrorString(code, &text);
  std::string error = text;
  cuModuleUnload(module);
  return error;
}

std::vector<int> count64() {
  std::vector<int> values(64);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

void expectError(void (*run)(void **), const std::string &part) {
  std::vector<int> values = count64();
  std::string error = launch(run, values, 1, 1, 64, 1);
  EXPECT_NE(error.find(part), std::string::npos) << error;
}
} // namespace

TEST(Emulator, EveryThreadOfEveryBlockRunsOnce) {
  for (int order : {0, 1, 2}) {
    Order shuffled(order);
    std::vector<int> counts(3 * 5 * 4 * 2, 0);
    EXPECT_EQ(launch(number, counts, 3, 5, 4, 2), "");
    EXPECT_EQ(counts, std::vector<int>(counts.size(), 1));
  }
}

TEST(Emulator, BarriersOrderWritesBeforeReads) {
  for (int order : {0, 1, 2, 3}) {
    Order shuffled(order);
    std::vector<int> values = count64(), expected = values;
    EXPECT_EQ(launch(reverse<true>, values, 1, 1, 64, 1), "");
    std::reverse(expected.begin(), expected.end());
    EXPECT_EQ(values, expected);
  }
}

TEST(Emulator, AMissingBarrierIsARace) {
  for (int order : {0, 1, 2, 3}) {
    Order shuffled(order);
    expectError(reverse<false>, "no barrier orders the two");
  }
}

TEST(Emulator, ABarrierThatSomeLeaveOut) {
  expectError(leaveHalf,
              "emulator: kernel `k`, block (0, 0, 0): no thread can go on: 32 "
              "wait at bar.sync 0 (first: 1), 32 have left");
}

TEST(Emulator, Bounds) {
  expectError(readBehind, "outside of what it was given, 256 bytes behind the "
                          "start of 256");
  expectError(outsideShared, "outside of shared memory, 256 bytes at");
}

TEST(Emulator, MisuseOfBarriers) {
  expectError(arriveTooOften, "3 arrivals in a phase that waits for 2 more");
  expectError(poll, "expected mbarrier.inval");
}

TEST(Emulator, PollingWithoutEnd) {
  std::vector<int> values = count64();
  std::string error = launch(poll, values, 1, 1, 1, 1);
  EXPECT_NE(error.find("polls without end"), std::string::npos) << error;
}

TEST(Emulator, BlocksThatCannotBe) {
  std::vector<int> values = count64();
  EXPECT_EQ(launch(number, values, 1, 1, 1025, 1),
            "kernel `k`: expected blocks of 1 to 1024 threads, got 1025");
  EXPECT_NE(launch(number, values, 0, 1, 1, 1), "");
}
