//===- Devices.cpp - Devices and contexts of the emulated driver ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// There are two devices, alike. Their memory is the host's; but kernels of one
// may not use the other's, nor start while the other's context is current.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Streams.h"
#include <cstdio>
#include <vector>

using namespace repo::emulator;

#define REPO_API extern "C" __attribute__((visibility("default")))

/// The primary context of a device is its place here.
static int contexts[] = {0, 1};
static constexpr int numDevices = sizeof contexts / sizeof *contexts;

/// Contexts of this thread, the current one last.
static std::vector<void *> &getStack() {
  static thread_local std::vector<void *> stack;
  return stack;
}

int repo::emulator::currentDevice() {
  std::vector<void *> &stack = getStack();
  return stack.empty() || !stack.back() ? 0 : *static_cast<int *>(stack.back());
}

REPO_API int cuInit(unsigned) { return success; }
REPO_API int cuDriverGetVersion(int *version) {
  *version = 12080;
  return success;
}
REPO_API int cuDeviceGetCount(int *count) {
  *count = numDevices;
  return success;
}
REPO_API int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < numDevices
             ? success
             : fail(invalidDevice, "invalid device ordinal");
}
REPO_API int cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, size_t(length), "emulator");
  return success;
}
REPO_API int cuDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
  case 16: // MULTIPROCESSOR_COUNT
    *value = 2;
    return success;
  case 75: // COMPUTE_CAPABILITY_MAJOR
    *value = 9;
    return success;
  case 76: // COMPUTE_CAPABILITY_MINOR
    *value = 0;
    return success;
  case 97: // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    *value = sharedBytes - reservedBytes;
    return success;
  default:
    return fail(invalidValue, "the emulator does not have this attribute");
  }
}

REPO_API int cuDevicePrimaryCtxRetain(void **context, int device) {
  *context = &contexts[device];
  return success;
}
REPO_API int cuDevicePrimaryCtxRelease_v2(int) { return success; }
REPO_API int cuCtxSetCurrent(void *context) {
  if (!getStack().empty())
    getStack().pop_back();
  getStack().push_back(context);
  return success;
}
REPO_API int cuCtxGetCurrent(void **context) {
  *context = getStack().empty() ? nullptr : getStack().back();
  return success;
}
REPO_API int cuCtxPushCurrent_v2(void *context) {
  if (!context)
    return fail(invalidContext, "expected a context");
  getStack().push_back(context);
  return success;
}
REPO_API int cuCtxPopCurrent_v2(void **context) {
  if (getStack().empty())
    return fail(invalidContext, "there is no current context");
  *context = getStack().back();
  getStack().pop_back();
  return success;
}
REPO_API int cuCtxSynchronize() { return success; }
