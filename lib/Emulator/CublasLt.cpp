//===- CublasLt.cpp - A stand-in for cuBLASLt -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functions that the runtime opens in libcublasLt, by the same names, for
// products of bf16, f16 and f32 with sums in f32. What the library would refuse
// is refused, and operands must lie in memory of the device. Columns come
// first, as there.
//
//===----------------------------------------------------------------------===//

#include "Streams.h"
#include "Types.h"
#include "repo/Emulator/emulator.h"
#include <algorithm>
#include <cstring>
#include <vector>

using namespace repo::emulator;

#define REPO_API extern "C" __attribute__((visibility("default")))

// Numbers of cublas_api.h, cublasLt.h and library_types.h.
namespace {
enum Status { ok = 0, badValue = 7, failed = 13, unsupported = 15 };
enum ElementType { f32 = 0, f16 = 2, bf16 = 14 };
constexpr int f32Compute = 68;

struct Product {
  int32_t transpose[2] = {0, 0};
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t pitch;
  int32_t batch = 1;
  int64_t distance = 0;

  int64_t elementBytes() const { return type == f32 ? 4 : 2; }
  /// From the first element to behind the last.
  int64_t bytes() const {
    return ((batch - 1) * distance + (int64_t(columns) - 1) * pitch +
            int64_t(rows)) *
           elementBytes();
  }
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t alignments[4] = {256, 256, 256, 256};
};
/// Says which product an algorithm is for.
constexpr uint64_t algorithmMark = 0x4d4d4f474c41;
struct Advice {
  uint64_t algorithm[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};
} // namespace

template <typename T> static T *to(void *handle) {
  return static_cast<T *>(handle);
}

template <typename T>
static int set(T &member, const void *value, size_t bytes) {
  if (bytes != sizeof(T))
    return badValue;
  std::memcpy(&member, value, bytes);
  return ok;
}

//===----------------------------------------------------------------------===//
// Descriptions
//===----------------------------------------------------------------------===//

REPO_API int cublasLtCreate(void **handle) {
  *handle = new int(0);
  return ok;
}
REPO_API int cublasLtDestroy(void *handle) {
  delete to<int>(handle);
  return ok;
}
REPO_API int cublasLtMatmulDescCreate(void **product, int compute, int scale) {
  if (compute != f32Compute || scale != f32)
    return unsupported;
  *product = new Product;
  return ok;
}
REPO_API int cublasLtMatmulDescDestroy(void *product) {
  delete to<Product>(product);
  return ok;
}
REPO_API int cublasLtMatmulDescSetAttribute(void *product, int attribute,
                                            const void *value, size_t bytes) {
  if (attribute != 3 && attribute != 4) // CUBLASLT_MATMUL_DESC_TRANSA, TRANSB
    return unsupported;
  return set(to<Product>(product)->transpose[attribute - 3], value, bytes);
}
REPO_API int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows,
                                        uint64_t columns, int64_t pitch) {
  if ((type != f32 && type != f16 && type != bf16) || pitch < int64_t(rows))
    return badValue;
  *layout = new Layout{type, rows, columns, pitch};
  return ok;
}
REPO_API int cublasLtMatrixLayoutDestroy(void *layout) {
  delete to<Layout>(layout);
  return ok;
}
REPO_API int cublasLtMatrixLayoutSetAttribute(void *layout, int attribute,
                                              const void *value, size_t bytes) {
  auto *l = to<Layout>(layout);
  switch (attribute) {
  case 5: // CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT
    return set(l->batch, value, bytes);
  case 6: // CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET
    return set(l->distance, value, bytes);
  default:
    return unsupported;
  }
}
REPO_API int cublasLtMatmulPreferenceCreate(void **preference) {
  *preference = new Preference;
  return ok;
}
REPO_API int cublasLtMatmulPreferenceDestroy(void *preference) {
  delete to<Preference>(preference);
  return ok;
}
REPO_API int cublasLtMatmulPreferenceSetAttribute(void *preference,
                                                  int attribute,
                                                  const void *value,
                                                  size_t bytes) {
  auto *p = to<Preference>(preference);
  if (attribute == 1) // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
    return set(p->workspace, value, bytes);
  if (attribute >= 5 && attribute <= 8) // ..._MIN_ALIGNMENT_A_BYTES to D
    return set(p->alignments[attribute - 5], value, bytes);
  return unsupported;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Whether sizes and types of a product fit.
static int check(const Product &product, const Layout &a, const Layout &b,
                 const Layout &c) {
  uint64_t rows = product.transpose[0] ? a.columns : a.rows,
           depth = product.transpose[0] ? a.rows : a.columns,
           depthOfB = product.transpose[1] ? b.columns : b.rows,
           columns = product.transpose[1] ? b.rows : b.columns;
  if (rows != c.rows || columns != c.columns || depth != depthOfB ||
      a.batch != c.batch || b.batch != c.batch || c.batch < 1)
    return badValue;
  if (a.type != b.type || (c.type != f32 && c.type != bf16))
    return unsupported;
  return ok;
}

REPO_API int cublasLtMatmulAlgoGetHeuristic(void *, void *product, void *a,
                                            void *b, void *c, void *d,
                                            void *preference, int wanted,
                                            Advice *advice, int *found) {
  *found = 0;
  if (wanted < 1 || c != d)
    return badValue;
  if (int code = check(*to<Product>(product), *to<Layout>(a), *to<Layout>(b),
                       *to<Layout>(c)))
    return code;
  *advice = {};
  advice->algorithm[0] = algorithmMark;
  advice->algorithm[1] = to<Layout>(c)->columns;
  for (int i = 0; i != 4; ++i)
    advice->algorithm[2 + i] = to<Preference>(preference)->alignments[i];
  // Some, so that the caller has to provide it.
  advice->workspaceBytes =
      std::min<uint64_t>(to<Preference>(preference)->workspace, 1024);
  *found = 1;
  return ok;
}

static float load(const char *memory, int type, int64_t index) {
  if (type == f32) {
    float value;
    std::memcpy(&value, memory + 4 * index, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, memory + 2 * index, 2);
  return toFloat(bits, type == bf16 ? REPO_EMULATOR_BF16 : REPO_EMULATOR_F16);
}

static void store(char *memory, int type, int64_t index, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (type == f32) {
    std::memcpy(memory + 4 * index, &bits, 4);
    return;
  }
  bits += 0x7fff + (bits >> 16 & 1);
  auto rounded = uint16_t(bits >> 16);
  std::memcpy(memory + 2 * index, &rounded, 2);
}

namespace {
struct Operands {
  Product product;
  Layout a, b, c;
  const char *aData, *bData;
  char *cData;
  float alpha, beta;
};
} // namespace

static void multiply(const Operands &o) {
  int64_t depth = int64_t(o.product.transpose[0] ? o.a.rows : o.a.columns);
  auto gather = [&](const Layout &layout, const char *data, bool transposed,
                    int64_t batch, int64_t index, std::vector<float> &line) {
    // Element i of row (or column) `index` of the product's operand.
    for (int64_t i = 0; i != depth; ++i)
      line[size_t(i)] = load(data, layout.type,
                             batch * layout.distance +
                                 (transposed ? index * layout.pitch + i
                                             : i * layout.pitch + index));
  };
  int64_t rows = int64_t(o.c.rows), columns = int64_t(o.c.columns);
  for (int64_t batch = 0; batch != o.c.batch; ++batch) {
    std::vector<float> other(static_cast<size_t>(depth));
    std::vector<std::vector<float>> lines(static_cast<size_t>(rows), other);
    for (int64_t i = 0; i != rows; ++i)
      gather(o.a, o.aData, o.product.transpose[0], batch, i, lines[size_t(i)]);
    for (int64_t j = 0; j != columns; ++j) {
      gather(o.b, o.bData, !o.product.transpose[1], batch, j, other);
      for (int64_t i = 0; i != rows; ++i) {
        float sum = 0;
        for (int64_t k = 0; k != depth; ++k)
          sum += lines[size_t(i)][size_t(k)] * other[size_t(k)];
        int64_t place = batch * o.c.distance + j * o.c.pitch + i;
        float before =
            o.beta == 0 ? 0 : o.beta * load(o.cData, o.c.type, place);
        store(o.cData, o.c.type, place, o.alpha * sum + before);
      }
    }
  }
}

REPO_API int cublasLtMatmul(void *, void *product, const void *alpha,
                            const void *a, void *aLayout, const void *b,
                            void *bLayout, const void *beta, const void *c,
                            void *cLayout, void *d, void *dLayout,
                            const uint64_t *algorithm, void *workspace,
                            size_t workspaceBytes, void *stream) {
  if (c != d || cLayout != dLayout || !algorithm ||
      algorithm[0] != algorithmMark)
    return badValue;
  Operands o = {*to<Product>(product),
                *to<Layout>(aLayout),
                *to<Layout>(bLayout),
                *to<Layout>(cLayout),
                static_cast<const char *>(a),
                static_cast<const char *>(b),
                static_cast<char *>(d),
                0,
                0};
  std::memcpy(&o.alpha, alpha, 4);
  std::memcpy(&o.beta, beta, 4);
  if (int code = check(o.product, o.a, o.b, o.c))
    return code;
  const void *addresses[] = {a, b, c, d};
  for (int i = 0; i != 4; ++i)
    if (reinterpret_cast<uint64_t>(addresses[i]) % algorithm[2 + i])
      return badValue;
  if (!isAllowed(a, uint64_t(o.a.bytes())) ||
      !isAllowed(b, uint64_t(o.b.bytes())) ||
      !isAllowed(d, uint64_t(o.c.bytes())) ||
      (workspaceBytes && !isAllowed(workspace, workspaceBytes)))
    return failed;
  return submit(stream, [=] {
    std::memset(workspace, 0x7f, workspaceBytes);
    multiply(o);
    return int(success);
  });
}
