//===- WarpgroupMatrix.cpp - wgmma ----------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A product reads shared memory and writes its accumulators any time from its
// start to the wait for its group. Until then the registers hold NaNs that name
// the product; a wait that is given registers replaces those of complete
// products. So whoever reads an accumulator without a wait that it depends on
// computes with NaN.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "MatrixGroups.h"
#include "Types.h"
#include <algorithm>

using namespace repo::emulator;

static constexpr unsigned rows = 64, depth = 16, maxColumns = 256,
                          maxKept = 256;

//===----------------------------------------------------------------------===//
// Registers that name the product they wait for
//===----------------------------------------------------------------------===//

static uint32_t makeTag(uint32_t product, uint32_t index) {
  return 0x7fc00000u | (product & 0x7fff) << 7 | index;
}

static bool isTag(uint32_t value) {
  return (value & 0xffc00000u) == 0x7fc00000u && (value & 0x3fff80);
}

/// The register's value, where its product is complete.
static uint32_t resolve(const MatrixGroups &all, uint32_t value,
                        unsigned lane) {
  if (!isTag(value))
    return value;
  auto it = all.results.find(value >> 7 & 0x7fff);
  if (it == all.results.end())
    return value;
  size_t count = it->second.size() / warpgroupSize;
  return it->second[lane * count + (value & 127)];
}

//===----------------------------------------------------------------------===//
// Descriptors
//===----------------------------------------------------------------------===//

namespace {
/// A matrix descriptor of shared memory (PTX ISA, "Matrix Descriptor Format").
struct Descriptor {
  Descriptor(Machine &m, uint64_t bits)
      : start(m.sharedBase + ((bits & 0x3fff) << 4)),
        leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4) {
    static constexpr uint32_t widths[] = {16, 128, 64, 32};
    width = widths[bits >> 62];
    uint32_t offset = bits >> 49 & 7;
    // Rows repeat after 8; the first must be at the start of the pattern.
    uint32_t phase = start >> 7 & (width / 16 - 1);
    if (width > 16 && phase != offset)
      m.fail("wgmma: matrix at %#x: expected a multiple of %u bytes for "
             "swizzled rows of %u, or a base offset of %u",
             start, 8 * width, width, phase);
  }

  uint32_t swizzle(uint32_t address) const {
    return address ^ ((address >> 7 & (width / 16 - 1)) << 4);
  }
  /// The 8 elements at `k` (a multiple of 8) of row `row`, where k is the
  /// contiguous dimension.
  uint32_t getAlongK(unsigned row, unsigned k) const {
    if (width == 16)
      return start + row / 8 * stride + row % 8 * 16 + k / 8 * leading;
    return swizzle(start + row / 8 * stride + row % 8 * width + k * 2);
  }
  /// The 8 elements at `row` (a multiple of 8), where rows are contiguous.
  uint32_t getAlongRows(unsigned row, unsigned k) const {
    unsigned span = width / 2;
    return swizzle(start + row / span * leading + k / 8 * stride +
                   k % 8 * width + row % span * 2);
  }

  uint32_t start, leading, stride, width;
};
} // namespace

/// Reads `count` rows by 16 into `values` [row][k].
static void readMatrix(Machine &m, const MatrixProduct &product, uint64_t bits,
                       unsigned count, bool alongRows, float sign,
                       float (*values)[depth]) {
  Descriptor matrix(m, bits);
  if (alongRows && matrix.width == 16)
    m.fail("wgmma: the emulator has no transposed matrix without swizzle");
  auto read = [&](uint32_t address, auto store) {
    m.checkShared(address, 16, 16, "wgmma");
    m.accessShared(address, 16, Machine::Access::asyncRead, "wgmma",
                   &product.agent);
    uint16_t elements[8];
    std::memcpy(elements, reinterpret_cast<void *>(uint64_t(address)), 16);
    for (unsigned i = 0; i != 8; ++i)
      store(i, sign * toFloat(elements[i], product.type));
  };
  if (!alongRows) {
    for (unsigned row = 0; row != count; ++row)
      for (unsigned k = 0; k != depth; k += 8)
        read(matrix.getAlongK(row, k),
             [&](unsigned i, float x) { values[row][k + i] = x; });
    return;
  }
  for (unsigned k = 0; k != depth; ++k)
    for (unsigned row = 0; row != count; row += 8)
      read(matrix.getAlongRows(row, k),
           [&](unsigned i, float x) { values[row + i][k] = x; });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

__attribute__((target_clones("default", "avx2", "avx512f"))) static void
multiply(float (*c)[maxColumns], const float (*a)[depth],
         const float (*b)[maxColumns], unsigned columns) {
  for (unsigned i = 0; i != rows; ++i)
    for (unsigned k = 0; k != depth; ++k)
      for (unsigned j = 0; j != columns; ++j)
        c[i][j] += a[i][k] * b[k][j];
}

/// Calls with every element of the accumulators: its lane of the warpgroup,
/// register, row and column.
template <typename Function>
static void forEachAccumulator(unsigned columns, Function function) {
  for (unsigned lane = 0; lane != warpgroupSize; ++lane) {
    unsigned row = 16 * (lane / 32) + lane % 32 / 4, column = lane % 4 * 2;
    for (unsigned q = 0; q != columns / 8; ++q)
      for (unsigned i = 0; i != 4; ++i)
        function(lane, 4 * q + i, row + 8 * (i >> 1), 8 * q + column + (i & 1));
  }
}

static void execute(Machine &m, MatrixGroups &all,
                    const MatrixProduct &product) {
  static float a[rows][depth], b[maxColumns][depth], bt[depth][maxColumns],
      c[rows][maxColumns];
  unsigned n = product.columns, count = n / 2;
  if (product.hasRegisterA) {
    for (unsigned lane = 0; lane != warpgroupSize; ++lane)
      for (unsigned i = 0; i != 4; ++i)
        for (unsigned j = 0; j != 2; ++j)
          a[16 * (lane / 32) + lane % 32 / 4 + 8 * (i & 1)][lane % 4 * 2 +
                                                            8 * (i >> 1) + j] =
              product.scaleA *
              toFloat(product.a[4 * lane + i] >> 16 * j & 0xffff, product.type);
  } else {
    readMatrix(m, product, product.descriptorA, rows, product.transposeA,
               float(product.scaleA), a);
  }
  readMatrix(m, product, product.descriptorB, n, product.transposeB,
             float(product.scaleB), b);
  for (unsigned j = 0; j != n; ++j)
    for (unsigned k = 0; k != depth; ++k)
      bt[k][j] = b[j][k];
  forEachAccumulator(
      n, [&](unsigned lane, unsigned i, unsigned row, unsigned column) {
        c[row][column] =
            product.accumulates
                ? fromBits(resolve(all, product.accumulators[lane * count + i],
                                   lane))
                : 0.0f;
      });
  multiply(c, a, bt, n);
  std::vector<uint32_t> &result = all.results[product.number];
  result.resize(warpgroupSize * count);
  forEachAccumulator(
      n, [&](unsigned lane, unsigned i, unsigned row, unsigned column) {
        std::memcpy(&result[lane * count + i], &c[row][column], 4);
      });
  all.results.erase((product.number - maxKept) & 0x7fff);
}

/// Runs the oldest product of a warpgroup.
static void executeNext(Machine &m, MatrixGroups &all, unsigned group) {
  std::deque<MatrixProduct> &queue = all.groups[group].products;
  MatrixProduct product = std::move(queue.front());
  queue.pop_front();
  execute(m, all, product);
}

bool repo::emulator::deliverProduct(Machine &m) {
  for (unsigned i = 0; i != m.matrices->groups.size(); ++i)
    if (!m.matrices->groups[i].products.empty()) {
      executeNext(m, *m.matrices, i);
      return true;
    }
  return false;
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

namespace {
struct Arguments {
  int32_t columns, accumulates;
  uint32_t *accumulators, *a;
  uint64_t descriptorA, descriptorB;
};
} // namespace

static MatrixGroup &getGroup(Machine &m) {
  return m.matrices->groups[m.current->index / warpgroupSize];
}

void repo_emulator_wgmma_fence() {
  Machine &m = *machine;
  getGroup(m).fenced |= 1u << m.current->warp % 4;
}

void repo_emulator_wgmma(int32_t columns, int32_t type, uint32_t *accumulators,
                         uint32_t *a, uint64_t descriptorA,
                         uint64_t descriptorB, int32_t accumulates,
                         int32_t scaleA, int32_t scaleB, int32_t transposeA,
                         int32_t transposeB) {
  Machine &m = *machine;
  MatrixGroups &all = *m.matrices;
  unsigned index = m.current->index / warpgroupSize;
  MatrixGroup &group = getGroup(m);
  unsigned count = unsigned(columns) / 2;
  // Registers that anything else may have touched need a fence.
  bool inFlight = accumulates && !a &&
                  std::all_of(accumulators, accumulators + count, isTag);
  if (m.checks && !inFlight && !(group.fenced >> m.current->warp % 4 & 1))
    m.fail("wgmma: expected wgmma.fence between other accesses to its "
           "registers and the product");
  Arguments mine{columns, accumulates, accumulators,
                 a,       descriptorA, descriptorB};
  m.gather<Arguments>(
      m.groups[index], m.current->index % warpgroupSize, warpgroupSize,
      index * warpgroupSize, ~0u, "wgmma", mine, [&](Arguments **lanes) {
        all.next = all.next % 0x7fff + 1;
        MatrixProduct product;
        product.number = all.next;
        product.columns = unsigned(columns);
        product.type = type;
        product.descriptorA = descriptorA;
        product.descriptorB = descriptorB;
        product.hasRegisterA = a != nullptr;
        product.accumulates = accumulates;
        product.scaleA = scaleA;
        product.scaleB = scaleB;
        product.transposeA = transposeA;
        product.transposeB = transposeB;
        product.agent = m.startAgent(m.matrixAgent(index), group.time);
        // Each of the four warps starts its part when it comes there, and
        // waits for no other: it is behind what all of them know.
        for (unsigned warp = 4 * index; warp != 4 * index + 4; ++warp)
          m.meet(product.agent.clocks, m.knows[warp]);
        product.agent.clocks[m.matrixAgent(index)] = group.time;
        product.accumulators.resize(warpgroupSize * count);
        product.a.resize(warpgroupSize * 4);
        for (unsigned lane = 0; lane != warpgroupSize; ++lane) {
          const Arguments &other = *lanes[lane];
          if (other.descriptorA != descriptorA ||
              other.descriptorB != descriptorB || other.columns != columns ||
              other.accumulates != accumulates)
            m.fail("wgmma: expected the same descriptors and flags in all "
                   "threads of the warpgroup");
          if (accumulates)
            std::memcpy(&product.accumulators[lane * count], other.accumulators,
                        4 * count);
          if (a)
            std::memcpy(&product.a[4 * lane], other.a, 16);
          for (unsigned i = 0; i != count; ++i)
            other.accumulators[i] = makeTag(product.number, i);
        }
        group.products.push_back(std::move(product));
        if (m.isEager() || (!m.isLate() && m.draw(2)))
          while (!group.products.empty())
            executeNext(m, all, index);
      });
}

void repo_emulator_wgmma_commit() {
  Machine &m = *machine;
  unsigned index = m.current->index / warpgroupSize;
  MatrixGroup &group = getGroup(m);
  int nothing = 0;
  m.gather<int>(m.groups[index], m.current->index % warpgroupSize,
                warpgroupSize, index * warpgroupSize, ~0u, "wgmma.commit_group",
                nothing, [&](int **) {
                  group.committed.push_back({group.time++, m.matrices->next});
                  group.fenced = 0;
                });
  m.mayYield();
}

void repo_emulator_wgmma_wait(int32_t left, uint32_t *accumulators,
                              int32_t count) {
  Machine &m = *machine;
  MatrixGroups &all = *m.matrices;
  unsigned index = m.current->index / warpgroupSize;
  MatrixGroup &group = getGroup(m);
  if (int64_t last = int64_t(group.committed.size()) - 1 - left; last >= 0) {
    auto [time, product] = group.committed[size_t(last)];
    while (!group.products.empty() && group.products.front().agent.time <= time)
      executeNext(m, all, index);
    m.learn(m.matrixAgent(index), time);
  }
  // Registers are others' again.
  group.fenced &= ~(1u << m.current->warp % 4);
  m.orderLane();
  for (int32_t i = 0; i != count; ++i)
    accumulators[i] =
        resolve(all, accumulators[i], m.current->index % warpgroupSize);
  m.mayYield();
}
