//===- Matrix.cpp - Matrix instructions of a warp -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Types.h"
#include <cstring>

using namespace repo::emulator;

//===----------------------------------------------------------------------===//
// ldmatrix, stmatrix
//===----------------------------------------------------------------------===//

namespace {
struct Rows {
  uint32_t row;
  uint32_t *registers;
};
} // namespace

/// Moves `count` 8x8 matrices of 16-bit elements between rows in shared memory,
/// matrix i's in lanes 8 i to 8 i + 7, and registers.
static void moveMatrices(const char *what, uint32_t row, uint32_t *registers,
                         int32_t count, bool transposed, bool isStore) {
  Machine &m = *machine;
  if (int32_t(m.current->lane) < 8 * count) {
    m.checkShared(row, 16, 16, what);
    m.accessShared(row, 16,
                   isStore ? Machine::Access::write : Machine::Access::read,
                   what);
  }
  Rows mine{row, registers};
  m.gatherWarp<Rows>(what, ~0u, mine, [=](Rows **lanes) {
    for (int matrix = 0; matrix != count; ++matrix)
      for (int lane = 0; lane != int(warpSize); ++lane)
        for (int half = 0; half != 2; ++half) {
          int r = lane / 4, c = lane % 4 * 2 + half;
          if (transposed)
            std::swap(r, c);
          char *memory =
              reinterpret_cast<char *>(uint64_t(lanes[8 * matrix + r]->row)) +
              2 * c;
          char *value =
              reinterpret_cast<char *>(&lanes[lane]->registers[matrix]) +
              2 * half;
          std::memcpy(isStore ? memory : value, isStore ? value : memory, 2);
        }
  });
}

void repo_emulator_ldmatrix(uint32_t *registers, uint32_t row, int32_t count,
                            int32_t transposed) {
  moveMatrices("ldmatrix", row, registers, count, transposed, false);
}

void repo_emulator_stmatrix(uint32_t row, uint32_t *registers, int32_t count,
                            int32_t transposed) {
  moveMatrices("stmatrix", row, registers, count, transposed, true);
}

//===----------------------------------------------------------------------===//
// mma.sync
//===----------------------------------------------------------------------===//

namespace {
struct Product {
  uint32_t *a, *b, *c;
};
} // namespace

/// m16n8k8 or m16n8k16, A row-major, B column-major, C and D f32.
static void multiply(Product **lanes, int k, int32_t type) {
  float a[16][16], b[16][8], c[16][8];
  for (int lane = 0; lane != int(warpSize); ++lane) {
    int g = lane / 4, t = lane % 4;
    const Product &p = *lanes[lane];
    for (int i = 0; i != k / 4; ++i)
      for (int j = 0; j != 2; ++j)
        a[g + 8 * (i & 1)][2 * t + 8 * (i >> 1) + j] =
            toFloat(p.a[i] >> 16 * j & 0xffff, type);
    for (int i = 0; i != k / 8; ++i)
      for (int j = 0; j != 2; ++j)
        b[2 * t + 8 * i + j][g] = toFloat(p.b[i] >> 16 * j & 0xffff, type);
    for (int i = 0; i != 4; ++i)
      std::memcpy(&c[g + 8 * (i >> 1)][2 * t + (i & 1)], &p.c[i], 4);
  }
  for (int i = 0; i != 16; ++i)
    for (int l = 0; l != k; ++l)
      for (int j = 0; j != 8; ++j)
        c[i][j] += a[i][l] * b[l][j];
  for (int lane = 0; lane != int(warpSize); ++lane)
    for (int i = 0; i != 4; ++i)
      std::memcpy(&lanes[lane]->c[i],
                  &c[lane / 4 + 8 * (i >> 1)][2 * (lane % 4) + (i & 1)], 4);
}

void repo_emulator_mma(int32_t k, int32_t type, uint32_t *a, uint32_t *b,
                       uint32_t *c) {
  Product mine{a, b, c};
  machine->gatherWarp<Product>("mma.sync", ~0u, mine, [=](Product **lanes) {
    multiply(lanes, k, type);
  });
}
