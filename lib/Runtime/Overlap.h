//===- Overlap.h - Whether tensors share memory -----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emitted code assumes that what it writes is nothing it reads. Tensors whose
// address ranges meet may still share no element (columns of one matrix), so
// ranges alone do not decide.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_OVERLAP_H
#define REPO_LIB_RUNTIME_OVERLAP_H

#include <cstdint>

namespace repo_rt {

/// A strided view of memory; strides count elements and are not negative.
struct View {
  int64_t address;
  int64_t elementBytes;
  int32_t rank;
  const int64_t *sizes, *strides;
};

/// Where the range of addresses of a view ends; where it starts if it is empty.
int64_t getEnd(const View &view);

/// Whether an element of `a` and one of `b` share a byte. Says no where it
/// would take too long to find out, which no strides of a contiguous buffer's
/// slices do.
bool overlap(const View &a, const View &b);

/// Whether two elements of `view` share a byte.
bool overlapsItself(const View &view);

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_OVERLAP_H
