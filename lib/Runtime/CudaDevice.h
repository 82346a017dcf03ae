//===- CudaDevice.h - Memory, copies and graphs of a device -----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a model on a GPU needs beside kernels. A model has one device; its
// sessions and pages share it. Usable by several threads at once.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CUDADEVICE_H
#define REPO_LIB_RUNTIME_CUDADEVICE_H

#include "CudaDriver.h"
#include "Memory.h"
#include "repo/Runtime/runtime.h"

namespace repo_rt {

/// A matrix of bytes: rows that begin `pitch` bytes apart.
struct Rows {
  char *data;
  size_t pitch;
};

class CudaDevice : public std::enable_shared_from_this<CudaDevice> {
public:
  /// Opens a device; null, with the error in the context, where there is none.
  static std::shared_ptr<CudaDevice> open(repo_rt_context *context, int ordinal,
                                          bool emulated);
  ~CudaDevice();

  int getOrdinal() const { return ordinal; }

  /// Zeroed memory, aligned to 256 bytes; empty when it cannot be had.
  Memory allocate(size_t bytes);

  enum class Direction { toDevice, toHost, within };
  /// Copies `count` rows of `bytes` bytes in the order of a stream. Memory of
  /// the host may be changed as soon as an upload returns, and read after
  /// `synchronize`.
  int copy(Direction direction, Rows to, Rows from, size_t bytes, size_t count,
           void *stream);
  int synchronize(void *stream);

  /// A stream that does not wait for the default stream; null on failure.
  void *createStream();
  void destroyStream(void *stream);

  /// What is started on the stream until `endCapture` is recorded, not run.
  int beginCapture(void *stream);
  /// The work since `beginCapture`, to be launched again and again.
  int endCapture(void *stream, std::shared_ptr<void> &graph);
  int launchGraph(const std::shared_ptr<void> &graph, void *stream);

  int32_t fail(repo_rt_context *context, const char *what, int code) const {
    return repo_rt_fail(context, REPO_RT_DEVICE, "%s: %s", what,
                        driver.describe(code).c_str());
  }

private:
  explicit CudaDevice(const CudaDriver &driver) : driver(driver) {}
  template <typename Function> int inContext(Function function);

  const CudaDriver &driver;
  int ordinal = 0, handle = 0;
  void *primary = nullptr;
  /// Of memory and copies outside of a session.
  void *stream = nullptr;
};

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CUDADEVICE_H
