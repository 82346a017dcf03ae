//===- DeviceRun.h - An entry with arguments of the host --------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_DEVICERUN_H
#define REPO_LIB_RUNTIME_DEVICERUN_H

#include "CudaDevice.h"
#include <map>
#include <vector>

namespace repo_rt {

/// How an argument of an entry gets to the device.
enum class Transfer {
  none,    ///< It is there.
  input,   ///< It is copied there before.
  output,  ///< It is copied back.
  scratch, ///< Nobody reads what the entry writes.
};

/// What a session keeps for its runs on a device.
struct DeviceRuns {
  /// Takes the arguments of the host on their way.
  Memory staging;
  size_t stagingBytes = 0;
  void *stream = nullptr;
  /// Steps by their arguments: how often they ran, and the recorded graph.
  struct Step {
    int64_t runs = 0;
    std::shared_ptr<void> graph;
  };
  std::map<std::vector<int64_t>, Step> steps;
  std::shared_ptr<CudaDevice> device;

  ~DeviceRuns();
};

/// Runs an entry on a device, and waits for it. Tensors with a transfer are the
/// host's, and their dimensions but the innermost lie at one distance. With
/// `repeats`, calls with equal arguments are recorded once and launched as a
/// graph.
int32_t runOnDevice(repo_rt_context *context, DeviceRuns &runs,
                    repo_rt_entry entry, std::vector<DLTensor *> tensors,
                    const std::vector<Transfer> &transfers, bool repeats);

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_DEVICERUN_H
