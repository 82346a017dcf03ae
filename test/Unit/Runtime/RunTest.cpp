//===- RunTest.cpp - The checks of an entry's tensors ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/runtime.h"
#include <cstdlib>
#include <deque>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {
// An entry `f(x: f32 [N, 4], y: f32 [N]) -> out: f32 [N, 4]`, as the compiler
// emits it.
const repo_rt_library_info library = {REPO_RT_LIBRARY_MAGIC,
                                      REPO_RT_ABI_VERSION,
                                      sizeof(repo_rt_library_info),
                                      "",
                                      "{}",
                                      1};
const int64_t sizesX[] = {-1, 4}, sizesY[] = {-1}, sizesOut[] = {-1, 4};
const repo_rt_argument arguments[] = {{"x", sizesX, 2, 32, 2, 0, 0},
                                      {"y", sizesY, 2, 32, 1, 0, 0},
                                      {"out", sizesOut, 2, 32, 2, 3, 0}};
const repo_rt_signature signature = {&library, "f", arguments, 3, 1, 13};

std::vector<int64_t> seen;
void remember(repo_rt_context *, const int64_t *slots) {
  seen.assign(slots, slots + 13);
}

class Run : public testing::Test {
protected:
  Run() {
    x = tensor(data, {2, 4});
    y = tensor(data, {2});
    out = tensor(data + 100, {2, 4});
    seen.clear();
  }
  ~Run() override { repo_rt_context_destroy(context); }

  DLTensor tensor(float *memory, std::vector<int64_t> shape) {
    shapes.push_back(std::move(shape));
    DLTensor result = {};
    result.data = memory;
    result.device.device_type = 1;
    result.ndim = shapes.back().size();
    result.dtype = {2, 32, 1};
    result.shape = shapes.back().data();
    return result;
  }
  int32_t call(int32_t count = 3) {
    DLTensor *tensors[] = {&x, &y, &out};
    const repo_rt_api &api = **reinterpret_cast<const repo_rt_api **>(context);
    return api.run(context, entry, tensors, count, remember);
  }
  void expectError(const char *text) {
    EXPECT_EQ(call(), REPO_RT_BAD_ARGUMENT);
    EXPECT_STREQ(repo_rt_last_error(context), text);
    EXPECT_TRUE(seen.empty()) << "the entry was called";
  }

  repo_rt_context *context = repo_rt_context_create();
  const repo_rt_signature *entry = &signature;
  float data[200] = {};
  std::deque<std::vector<int64_t>> shapes;
  DLTensor x, y, out;
};
} // namespace

TEST_F(Run, PassesAddressSizesStrides) {
  int64_t strides[] = {10, 1};
  x.strides = strides;
  x.byte_offset = 8;
  EXPECT_EQ(call(), 0) << repo_rt_last_error(context);
  EXPECT_EQ(seen,
            (std::vector<int64_t>{int64_t(data) + 8, 2, 4, 10, 1, int64_t(data),
                                  2, 1, int64_t(data + 100), 2, 4, 4, 1}));
}

TEST_F(Run, Count) {
  EXPECT_EQ(call(2), REPO_RT_BAD_ARGUMENT);
  EXPECT_STREQ(repo_rt_last_error(context), "f: expected 3 tensors, got 2");
}

TEST_F(Run, ElementType) {
  y.dtype = {4, 16, 1};
  expectError("f: `y`: expected element type f32, got bf16");
}

TEST_F(Run, Rank) {
  y.ndim = 0;
  expectError("f: `y`: expected rank 1, got 0");
}

TEST_F(Run, StaticSize) {
  x.shape[1] = 5;
  expectError("f: `x`: expected dimension 1 to be 4, got 5");
}

TEST_F(Run, EqualSymbols) {
  y.shape[0] = 3;
  expectError("f: `y`: expected dimension 0 to be 2 as in `x`, got 3");
}

TEST_F(Run, NegativeSize) {
  x.shape[0] = -2;
  expectError(
      "f: `x`: expected dimension 0 to be a size that is not negative, got -2");
}

TEST_F(Run, InnerStride) {
  int64_t strides[] = {4, 2};
  x.strides = strides;
  expectError("f: `x`: expected stride 1 to be 1, got 2");
}

TEST_F(Run, StrideZeroOnInputsOnly) {
  int64_t strides[] = {0, 1};
  x.strides = strides;
  EXPECT_EQ(call(), 0);
  seen.clear();
  out.strides = strides;
  expectError("f: `out`: expected stride 0 to be a stride other than 0, as it "
              "is written, got 0");
}

TEST_F(Run, OutputSharesNoMemory) {
  out.data = data + 7;
  expectError("f: `out`: expected memory of its own, got memory shared with "
              "`x`");
  out.data = data + 8;
  EXPECT_EQ(call(), 0) << "beside each other";
}

TEST_F(Run, ColumnsOfOneMatrix) {
  // x and out are columns 0..3 and 4..7 of a matrix with rows of 8.
  int64_t strides[] = {8, 1};
  x.strides = out.strides = strides;
  out.data = data + 4;
  y.data = data + 100;
  EXPECT_EQ(call(), 0) << repo_rt_last_error(context);
  seen.clear();
  out.data = data + 3;
  expectError("f: `out`: expected memory of its own, got memory shared with "
              "`x`");
}

TEST_F(Run, OutputElementsApart) {
  int64_t strides[] = {3, 1};
  x.strides = strides;
  EXPECT_EQ(call(), 0) << "inputs may overlap";
  seen.clear();
  out.strides = strides;
  expectError("f: `out`: expected strides that keep its elements apart, got "
              "elements that overlap");
}

TEST_F(Run, EmptyOutputOverlapsNothing) {
  shapes[0][0] = shapes[1][0] = shapes[2][0] = 0;
  out.data = data;
  EXPECT_EQ(call(), 0) << repo_rt_last_error(context);
}

TEST_F(Run, InOutIsOneTensor) {
  // Role 2: read and written. It may not meet another one, only itself.
  const repo_rt_argument both[] = {{"x", sizesX, 2, 32, 2, 2, 0},
                                   {"y", sizesY, 2, 32, 1, 0, 0},
                                   {"out", sizesOut, 2, 32, 2, 3, 0}};
  const repo_rt_signature inPlace = {&library, "f", both, 3, 1, 13};
  entry = &inPlace;
  y.data = data + 50;
  EXPECT_EQ(call(), 0) << repo_rt_last_error(context);
  seen.clear();
  out.data = data;
  expectError("f: `out`: expected memory of its own, got memory shared with "
              "`x`");
}

TEST_F(Run, Device) {
  x.device.device_type = 2;
  expectError("f: `x`: expected a tensor on the CPU (device type 1), got "
              "device type 2");
}

TEST_F(Run, NoData) {
  x.data = nullptr;
  expectError("f: `x`: expected data, got NULL");
  x.shape[0] = y.shape[0] = out.shape[0] = 0;
  EXPECT_EQ(call(), 0) << "an empty tensor needs no data";
}

TEST_F(Run, OtherVersion) {
  repo_rt_library_info other = library;
  other.abi_version = 99;
  repo_rt_signature changed = signature;
  changed.library = &other;
  entry = &changed;
  EXPECT_EQ(call(), REPO_RT_BAD_LIBRARY);
  std::string expected = "f: expected version " +
                         std::to_string(REPO_RT_ABI_VERSION) +
                         " of the interface, got 99";
  EXPECT_EQ(repo_rt_last_error(context), expected);
}

TEST_F(Run, MissingFeatures) {
  repo_rt_library_info other = library;
  other.features = "sse3 warp-drive";
  repo_rt_signature changed = signature;
  changed.library = &other;
  entry = &changed;
  EXPECT_EQ(call(), REPO_RT_BAD_LIBRARY);
  EXPECT_STREQ(repo_rt_last_error(context),
               "f: the code needs CPU features this host lacks: warp-drive");
}

namespace {
const repo_rt_api *table;
/// Nested workspace; then more than there is.
void allocateTooMuch(repo_rt_context *context, const int64_t *) {
  uint64_t mark = table->mark(context);
  for (int i = 0; i < 1000; ++i) {
    auto address =
        reinterpret_cast<uintptr_t>(table->allocate(context, 1000 * i));
    EXPECT_EQ(address % 64, 0u);
  }
  table->release(context, mark);
  EXPECT_EQ(table->mark(context), mark);
  table->allocate(context, UINT64_MAX / 2);
  ADD_FAILURE() << "allocate returned";
}

/// Two buffers at a time, as a loop over heads asks for them.
void allocateInLoop(repo_rt_context *context, const int64_t *) {
  for (int i = 0; i < 4; ++i) {
    uint64_t mark = table->mark(context);
    EXPECT_TRUE(table->allocate(context, 1 << 20));
    EXPECT_TRUE(table->allocate(context, 1 << 20));
    table->release(context, mark);
  }
}
} // namespace

TEST_F(Run, OutOfMemoryIsAnError) {
  table = *reinterpret_cast<const repo_rt_api **>(context);
  DLTensor *tensors[] = {&x, &y, &out};
  EXPECT_EQ(table->run(context, &signature, tensors, 3, allocateTooMuch),
            REPO_RT_OUT_OF_MEMORY);
  EXPECT_STREQ(
      repo_rt_last_error(context),
      "out of memory: cannot allocate 9223372036854775807 bytes of workspace");
  EXPECT_EQ(call(), 0) << "the context is usable afterwards";
}

// Else every call would take memory from the system, and give it back.
TEST_F(Run, WorkspaceStays) {
  table = *reinterpret_cast<const repo_rt_api **>(context);
  int taken = 0;
  repo_rt_set_allocator(
      context,
      [](void *host, size_t bytes) {
        ++*static_cast<int *>(host);
        return std::aligned_alloc(64, bytes);
      },
      [](void *, void *memory) { std::free(memory); }, &taken);
  DLTensor *tensors[] = {&x, &y, &out};
  auto run = [&] {
    EXPECT_EQ(table->run(context, &signature, tensors, 3, allocateInLoop), 0);
  };
  run();
  run();
  int warm = taken;
  run();
  EXPECT_EQ(taken, warm);
  repo_rt_context_destroy(context);
  context = nullptr;
}
