//===- Elements.h - Element types and their values --------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TOOLS_REPO_RUN_ELEMENTS_H
#define REPO_TOOLS_REPO_RUN_ELEMENTS_H

#include "repo/Runtime/runtime.h"
#include <cmath>
#include <cstring>
#include <string>

/// An element type by its name in manifests.
struct ElementType {
  const char *name;
  uint8_t code, bits;
};

inline const ElementType *findElementType(const std::string &name) {
  static const ElementType types[] = {
      {"f64", 2, 64}, {"f32", 2, 32}, {"f16", 2, 16}, {"bf16", 4, 16},
      {"i64", 0, 64}, {"i32", 0, 32}, {"i16", 0, 16}, {"i8", 0, 8},
      {"ui8", 1, 8},  {"bool", 6, 8}};
  for (const ElementType &type : types)
    if (name == type.name)
      return &type;
  return nullptr;
}

template <typename T> double loadAs(const void *data, size_t index) {
  T value;
  std::memcpy(&value, static_cast<const char *>(data) + index * sizeof(T),
              sizeof(T));
  return static_cast<double>(value);
}

inline double halfToDouble(uint16_t bits) {
  int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double value = exponent == 31  ? (mantissa ? NAN : INFINITY)
                 : exponent == 0 ? std::ldexp(mantissa, -24)
                                 : std::ldexp(mantissa + 1024, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

/// Element `index` of a row-major tensor.
inline double readElement(const DLTensor &tensor, size_t index) {
  const void *data =
      static_cast<const char *>(tensor.data) + tensor.byte_offset;
  if (tensor.dtype.code == 4) {
    uint32_t bits = uint32_t(uint16_t(loadAs<uint16_t>(data, index))) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  if (tensor.dtype.code == 2)
    return tensor.dtype.bits == 64 ? loadAs<double>(data, index)
           : tensor.dtype.bits == 32
               ? loadAs<float>(data, index)
               : halfToDouble(loadAs<uint16_t>(data, index));
  switch (tensor.dtype.bits) {
  case 64:
    return loadAs<int64_t>(data, index);
  case 32:
    return loadAs<int32_t>(data, index);
  case 16:
    return loadAs<int16_t>(data, index);
  default:
    return tensor.dtype.code == 0 ? loadAs<int8_t>(data, index)
                                  : loadAs<uint8_t>(data, index);
  }
}

#endif // REPO_TOOLS_REPO_RUN_ELEMENTS_H
