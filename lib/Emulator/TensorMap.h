//===- TensorMap.h - Tensor maps of the emulator ----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_EMULATOR_TENSORMAP_H
#define REPO_LIB_EMULATOR_TENSORMAP_H

#include <array>
#include <cstddef>
#include <cstdint>

namespace repo::emulator {

/// What the emulator keeps in a CUtensorMap, 128 bytes. Sizes are in elements,
/// strides in bytes, innermost dimension first.
struct TensorMap {
  static constexpr uint32_t validMagic = 0x54504552;

  uint32_t magic;
  uint8_t rank, elementBytes;
  uint8_t width; ///< Of swizzled rows in bytes: 128, 64, 32 or 0.
  uint8_t reserved;
  char *base;
  uint64_t size[5];
  uint64_t stride[5];
  uint16_t box[5];
  uint16_t reserved2;

  /// Addresses of 16 bytes change places within 8 rows.
  uint32_t swizzle(uint32_t address) const {
    return width ? address ^ ((address >> 7 & (width / 16u - 1)) << 4)
                 : address;
  }
  size_t getBoxBytes() const {
    size_t bytes = elementBytes;
    for (unsigned d = 0; d < rank; ++d)
      bytes *= box[d];
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= 128);

} // namespace repo::emulator

#endif // REPO_LIB_EMULATOR_TENSORMAP_H
