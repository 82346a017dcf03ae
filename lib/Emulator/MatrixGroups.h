//===- MatrixGroups.h - Products of warpgroups under way --------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_EMULATOR_MATRIXGROUPS_H
#define REPO_LIB_EMULATOR_MATRIXGROUPS_H

#include "Machine.h"

namespace repo::emulator {

struct MatrixProduct {
  uint32_t number;
  unsigned columns;
  int32_t type;
  uint64_t descriptorA, descriptorB;
  bool hasRegisterA, accumulates, transposeA, transposeB;
  int32_t scaleA, scaleB;
  Agent agent;
  std::vector<uint32_t> accumulators, a;
};

struct MatrixGroup {
  std::deque<MatrixProduct> products; ///< Not yet executed.
  /// Of every committed group: its clock, and its last product.
  std::vector<std::pair<uint32_t, uint32_t>> committed;
  uint32_t time = 1;
  unsigned fenced = 0; ///< Warps that executed wgmma.fence.
};

struct MatrixGroups {
  std::vector<MatrixGroup> groups;
  std::map<uint32_t, std::vector<uint32_t>> results;
  uint32_t next = 0;
};

/// Executes some product; false where there is none.
bool deliverProduct(Machine &m);

} // namespace repo::emulator

#endif // REPO_LIB_EMULATOR_MATRIXGROUPS_H
