//===- Streams.h - Work in the order of a stream ----------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Work runs at once, or is recorded where its stream is being captured.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_EMULATOR_STREAMS_H
#define REPO_LIB_EMULATOR_STREAMS_H

#include <cstdint>
#include <functional>
#include <string>

namespace repo::emulator {

/// Numbers of the driver API (cuda.h).
enum Result {
  success = 0,
  invalidValue = 1,
  outOfMemory = 2,
  invalidDevice = 101,
  invalidImage = 200,
  invalidContext = 201,
  notFound = 500,
  launchFailed = 719,
  captureUnsupported = 900
};

/// Sets the text of cuGetErrorString for this thread; returns `code`.
int fail(int code, const std::string &text);

/// The device of this thread's current context; the first one without any.
int currentDevice();

bool isCaptured(void *stream);
/// Whether this thread captures any stream: some calls are then refused.
bool isCapturing();
/// Refuses a call that a capture does not allow.
int refuseInCapture(const char *name);
/// Runs or records.
int submit(void *stream, std::function<int()> work);

/// Memory of the current device that holds no number yet; null where there is
/// none.
void *allocate(uint64_t bytes);
void release(void *memory);
/// Lets kernels of a device use memory; of all devices where it is negative.
void allow(const void *memory, uint64_t bytes, int device);
/// Whether kernels of the current device may use all of these bytes.
bool isAllowed(const void *memory, uint64_t bytes);
/// Memory that lives as long as the graph that is recorded.
int allocateInGraph(void *stream, uint64_t bytes, uint64_t *address);

} // namespace repo::emulator

#endif // REPO_LIB_EMULATOR_STREAMS_H
