//===- RunModel.h - Run a compiled model ------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TOOLS_REPO_RUN_RUNMODEL_H
#define REPO_TOOLS_REPO_RUN_RUNMODEL_H

#include <cstdint>
#include <string>
#include <vector>

/// What the command line asks for; numbers were checked.
struct ModelRequest {
  std::string model, weights, logits, positions, threads;
  std::vector<int32_t> tokens;
  int64_t generate = 0, batch = 1, device = 0;
  float temperature = 0, topP = 0;
  int32_t topK = 0;
  uint64_t seed = 0;
  bool ignoreEnd = false, json = false, pack = false;
  /// Tokens the cache holds, taken at once; 0: it grows.
  int64_t context = 0;
  /// The cache is in pages.
  bool paged = false;
};

/// Evaluates and generates; returns the exit status.
int runModel(const ModelRequest &request);

#endif // REPO_TOOLS_REPO_RUN_RUNMODEL_H
