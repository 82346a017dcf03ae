//===- CublasLt.cpp - Matrix products by cuBLASLt -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuBLASLt counts columns first: c = a b in rows is c^T = b^T a^T there. What
// it advises for a product is kept by the product's shape.
//
//===----------------------------------------------------------------------===//

#include "CublasLt.h"
#include "CudaDriver.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using namespace repo_rt;

// Numbers of cublasLt.h and cublas_api.h.
static constexpr int f32Type = 0, f32Compute = 68;
static constexpr int transposeFirst = 3; // CUBLASLT_MATMUL_DESC_TRANSA
static constexpr int batchCount = 5, batchOffset = 6;    // of a layout
static constexpr int maxWorkspace = 1, minAlignment = 5; // of a preference
static constexpr int notSupported = 15;

/// What a product may take of workspace.
static constexpr uint64_t workspaceLimit = 32 << 20;

namespace {
/// cublasLtMatmulHeuristicResult_t.
struct Advice {
  uint64_t algorithm[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};
} // namespace

#define REPO_CUBLASLT_FUNCTIONS(X)                                             \
  X(create, "cublasLtCreate", (void **))                                       \
  X(destroy, "cublasLtDestroy", (void *))                                      \
  X(createProduct, "cublasLtMatmulDescCreate", (void **, int, int))            \
  X(destroyProduct, "cublasLtMatmulDescDestroy", (void *))                     \
  X(setProduct, "cublasLtMatmulDescSetAttribute",                              \
    (void *, int, const void *, size_t))                                       \
  X(createLayout, "cublasLtMatrixLayoutCreate",                                \
    (void **, int, uint64_t, uint64_t, int64_t))                               \
  X(destroyLayout, "cublasLtMatrixLayoutDestroy", (void *))                    \
  X(setLayout, "cublasLtMatrixLayoutSetAttribute",                             \
    (void *, int, const void *, size_t))                                       \
  X(createPreference, "cublasLtMatmulPreferenceCreate", (void **))             \
  X(destroyPreference, "cublasLtMatmulPreferenceDestroy", (void *))            \
  X(setPreference, "cublasLtMatmulPreferenceSetAttribute",                     \
    (void *, int, const void *, size_t))                                       \
  X(advise, "cublasLtMatmulAlgoGetHeuristic",                                  \
    (void *, void *, void *, void *, void *, void *, void *, int, Advice *,    \
     int *))                                                                   \
  X(multiply, "cublasLtMatmul",                                                \
    (void *, void *, const void *, const void *, void *, const void *, void *, \
     const void *, const void *, void *, void *, void *, const void *, void *, \
     size_t, void *))

struct repo_rt::CublasLt {
#define REPO_DECLARE(name, symbol, arguments) int(*name) arguments = nullptr;
  REPO_CUBLASLT_FUNCTIONS(REPO_DECLARE)
#undef REPO_DECLARE
  /// Why it cannot be used, or "".
  std::string error;
};

template <typename Find>
static CublasLt openLibrary(const std::string &name, Find find) {
  CublasLt library;
#define REPO_FIND(member, symbol, arguments)                                   \
  library.member = reinterpret_cast<decltype(library.member)>(find(symbol));   \
  if (!library.member && library.error.empty())                                \
    library.error = name + " has no `" symbol "`: expected cuBLASLt of CUDA "  \
                           "12.0 or later";
  REPO_CUBLASLT_FUNCTIONS(REPO_FIND)
#undef REPO_FIND
  return library;
}

/// The library of the machine (REPO_CUBLASLT names another file), or the
/// emulator's stand-in.
static const CublasLt &getLibrary(bool emulated) {
  static const CublasLt machines = [] {
    const char *path = std::getenv("REPO_CUBLASLT");
    std::vector<std::string> names = {"libcublasLt.so.13", "libcublasLt.so.12",
                                      "libcublasLt.so"};
    if (path && *path)
      names = {path};
    for (const std::string &name : names)
      if (void *handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
        return openLibrary(name, [handle](const char *symbol) {
          return dlsym(handle, symbol);
        });
    CublasLt missing;
    missing.error = "no cuBLASLt: cannot open `" + names.front() +
                    "`, which multiplies the matrices of models";
    return missing;
  }();
  static const CublasLt standIn = [] {
    auto find = reinterpret_cast<void *(*)(const char *)>(
        dlsym(RTLD_DEFAULT, "repo_emulator_find"));
    return openLibrary("the emulator", [find](const char *symbol) {
      return find ? find(symbol) : nullptr;
    });
  }();
  return emulated ? standIn : machines;
}

struct MatrixProducts::Plan {
  explicit Plan(const CublasLt &library) : library(library) {}
  ~Plan() {
    if (product)
      library.destroyProduct(product);
    for (void *layout : {first, second, result})
      if (layout)
        library.destroyLayout(layout);
  }
  const CublasLt &library;
  void *product = nullptr, *first = nullptr, *second = nullptr,
       *result = nullptr;
  Advice advice = {};
};

MatrixProducts::MatrixProducts() = default;
MatrixProducts::~MatrixProducts() = default;

void MatrixProducts::close() {
  plans.clear();
  if (handle)
    library->destroy(handle);
  handle = nullptr;
}

int32_t MatrixProducts::open(repo_rt_context *context,
                             const CudaDriver &driver) {
  if (handle)
    return REPO_RT_OK;
  library = &getLibrary(driver.emulated);
  if (!library->error.empty())
    return repo_rt_fail(context, REPO_RT_DEVICE, "%s", library->error.c_str());
  if (int code = library->create(&handle)) {
    handle = nullptr;
    return repo_rt_fail(context, REPO_RT_DEVICE,
                        "cuBLASLt does not start: status %d", code);
  }
  return REPO_RT_OK;
}

/// The bytes that the address of an operand is known to be a multiple of.
static uint32_t alignmentOf(int64_t address) {
  return static_cast<uint32_t>(std::min<int64_t>(address & -address, 256));
}

int MatrixProducts::makePlan(const repo_rt_gemm &p, Plan &plan) {
  int type = static_cast<int>(p.type),
      resultType = static_cast<int>(p.result_type);
  auto makeLayout = [&](void *&layout, int element, int64_t rows,
                        int64_t columns, int64_t pitch, int64_t distance) {
    if (int code = library->createLayout(&layout, element, uint64_t(rows),
                                         uint64_t(columns), pitch))
      return code;
    int32_t count = static_cast<int32_t>(p.batch);
    if (count == 1)
      return 0;
    if (int code = library->setLayout(layout, batchCount, &count, sizeof count))
      return code;
    return library->setLayout(layout, batchOffset, &distance, sizeof distance);
  };
  int32_t transpose = p.transpose_b ? 1 : 0;
  int code = library->createProduct(&plan.product, f32Compute, f32Type);
  if (!code)
    code = library->setProduct(plan.product, transposeFirst, &transpose,
                               sizeof transpose);
  if (!code)
    code = makeLayout(plan.first, type, p.transpose_b ? p.depth : p.columns,
                      p.transpose_b ? p.columns : p.depth, p.b_row, 0);
  if (!code)
    code = makeLayout(plan.second, type, p.depth, p.rows, p.a_row, p.a_batch);
  if (!code)
    code = makeLayout(plan.result, resultType, p.columns, p.rows, p.c_row,
                      p.c_batch);
  void *preference = nullptr;
  if (!code)
    code = library->createPreference(&preference);
  if (!code)
    code = library->setPreference(preference, maxWorkspace, &workspaceLimit,
                                  sizeof workspaceLimit);
  const int64_t addresses[] = {p.b, p.a, p.c, p.c};
  for (int i = 0; i != 4 && !code; ++i) {
    uint32_t bytes = alignmentOf(addresses[i]);
    code = library->setPreference(preference, minAlignment + i, &bytes,
                                  sizeof bytes);
  }
  int found = 0;
  if (!code)
    code = library->advise(handle, plan.product, plan.first, plan.second,
                           plan.result, plan.result, preference, 1,
                           &plan.advice, &found);
  if (!code)
    code = found ? plan.advice.state : notSupported;
  if (preference)
    library->destroyPreference(preference);
  return code;
}

/// Rows that lie evenly are one group.
static void joinGroups(repo_rt_gemm &p) {
  if (p.batch == 1)
    return;
  if (p.rows == 1) {
    p.rows = p.batch;
    p.a_row = p.a_batch;
    p.c_row = p.c_batch;
  } else if (p.a_batch == p.rows * p.a_row && p.c_batch == p.rows * p.c_row) {
    p.rows *= p.batch;
  } else {
    return;
  }
  p.batch = 1;
  p.a_batch = p.c_batch = 0;
}

int32_t MatrixProducts::run(repo_rt_context *context, const CudaDriver &driver,
                            repo_rt_gemm p, void *stream) {
  if (p.batch == 0 || p.rows == 0 || p.columns == 0)
    return REPO_RT_OK;
  joinGroups(p);
  // Of one row nobody knows the distance; one that fits is expected.
  if (p.rows == 1) {
    p.a_row = std::max(p.a_row, p.depth);
    p.c_row = std::max(p.c_row, p.columns);
  }
  if (int32_t status = open(context, driver))
    return status;
  auto fail = [&](int code) {
    return repo_rt_fail(
        context, REPO_RT_DEVICE,
        "cuBLASLt cannot multiply [%lld x %lld, %lld] by [%lld, %lld]: status "
        "%d",
        (long long)p.batch, (long long)p.rows, (long long)p.depth,
        (long long)p.depth, (long long)p.columns, code);
  };
  std::vector<int64_t> key = {
      p.type,           p.result_type,    p.batch,         p.rows,
      p.columns,        p.depth,          p.a_batch,       p.a_row,
      p.c_batch,        p.c_row,          p.b_row,         p.transpose_b,
      alignmentOf(p.a), alignmentOf(p.b), alignmentOf(p.c)};
  std::unique_ptr<Plan> &plan = plans[key];
  if (!plan) {
    auto made = std::make_unique<Plan>(*library);
    if (int code = makePlan(p, *made))
      return fail(code);
    plan = std::move(made);
  }
  uint64_t workspace = 0;
  if (plan->advice.workspaceBytes)
    if (int code = driver.allocateAsync(&workspace, plan->advice.workspaceBytes,
                                        stream))
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "workspace of cuBLASLt: %s",
                          driver.describe(code).c_str());
  const float one = 1, beta = p.accumulate ? 1 : 0;
  auto at = [](int64_t address) { return reinterpret_cast<void *>(address); };
  int code = library->multiply(handle, plan->product, &one, at(p.b),
                               plan->first, at(p.a), plan->second, &beta,
                               at(p.c), plan->result, at(p.c), plan->result,
                               plan->advice.algorithm, at(int64_t(workspace)),
                               plan->advice.workspaceBytes, stream);
  if (workspace)
    driver.freeAsync(workspace, stream);
  return code ? fail(code) : int32_t(REPO_RT_OK);
}
