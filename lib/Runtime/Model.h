//===- Model.h - The inside of a model --------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_MODEL_H
#define REPO_LIB_RUNTIME_MODEL_H

#include "repo/Runtime/model.h"
#include <vector>

/// Model.cpp opens it, Session.cpp runs it.
struct repo_rt_model {
  repo_rt_model_info info = {};
  std::vector<int32_t> endTokens;
  repo_rt_library *library = nullptr;
  repo_rt_safetensors *checkpoint = nullptr;
  repo_rt_entry forward = nullptr, step = nullptr;
  /// In the order in which the entries take them.
  std::vector<const DLTensor *> weights;

  ~repo_rt_model() {
    if (checkpoint)
      repo_rt_safetensors_close(checkpoint);
    repo_rt_library_close(library);
  }
};

#endif // REPO_LIB_RUNTIME_MODEL_H
