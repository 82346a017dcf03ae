//===- Types.h - Elements of 16 bits ----------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_EMULATOR_TYPES_H
#define REPO_LIB_EMULATOR_TYPES_H

#include "repo/Emulator/emulator.h"
#include <cmath>
#include <cstdint>
#include <cstring>

namespace repo::emulator {

inline float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// bf16 or f16, exactly.
inline float toFloat(uint32_t bits, int32_t type) {
  if (type == REPO_EMULATOR_BF16)
    return fromBits(bits << 16);
  uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31,
           fraction = bits & 0x3ff;
  if (exponent == 0)
    return std::copysign(float(fraction) * 0x1p-24f, fromBits(sign | 1));
  if (exponent == 31)
    return fromBits(sign | 0x7f800000 | fraction << 13);
  return fromBits(sign | (exponent + 112) << 23 | fraction << 13);
}

} // namespace repo::emulator

#endif // REPO_LIB_EMULATOR_TYPES_H
