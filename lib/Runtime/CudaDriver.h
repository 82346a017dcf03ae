//===- CudaDriver.h - The CUDA driver API, opened at run time ---*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Functions and structs of cuda.h by their own types: handles are pointers,
// addresses 64-bit numbers, results ints.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CUDADRIVER_H
#define REPO_LIB_RUNTIME_CUDADRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace repo_rt {

/// CUlaunchConfig.
struct CudaLaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  void *stream, *attributes;
  unsigned numAttributes;
};

/// CUDA_MEMCPY2D.
struct CudaCopy {
  struct Side {
    size_t x = 0, y = 0;
    int memoryType = 0; ///< 1 host, 2 device
    const void *host = nullptr;
    uint64_t device = 0;
    void *array = nullptr;
    size_t pitch = 0;
  };
  Side from, to;
  size_t bytes = 0, rows = 0;
};

} // namespace repo_rt

#define REPO_CUDA_FUNCTIONS(X)                                                 \
  X(init, "cuInit", (unsigned))                                                \
  X(getDeviceCount, "cuDeviceGetCount", (int *))                               \
  X(getDevice, "cuDeviceGet", (int *, int))                                    \
  X(getDeviceAttribute, "cuDeviceGetAttribute", (int *, int, int))             \
  X(retainPrimary, "cuDevicePrimaryCtxRetain", (void **, int))                 \
  X(releasePrimary, "cuDevicePrimaryCtxRelease_v2", (int))                     \
  X(pushContext, "cuCtxPushCurrent_v2", (void *))                              \
  X(popContext, "cuCtxPopCurrent_v2", (void **))                               \
  X(synchronize, "cuCtxSynchronize", ())                                       \
  X(loadModule, "cuModuleLoadData", (void **, const void *))                   \
  X(unloadModule, "cuModuleUnload", (void *))                                  \
  X(getFunction, "cuModuleGetFunction", (void **, void *, const char *))       \
  X(setAttribute, "cuFuncSetAttribute", (void *, int, int))                    \
  X(launch, "cuLaunchKernelEx",                                                \
    (const repo_rt::CudaLaunchConfig *, void *, void **, void **))             \
  X(allocate, "cuMemAlloc_v2", (uint64_t *, size_t))                           \
  X(free, "cuMemFree_v2", (uint64_t))                                          \
  X(allocateAsync, "cuMemAllocAsync", (uint64_t *, size_t, void *))            \
  X(freeAsync, "cuMemFreeAsync", (uint64_t, void *))                           \
  X(copyAsync, "cuMemcpy2DAsync_v2", (const repo_rt::CudaCopy *, void *))      \
  X(setAsync, "cuMemsetD8Async", (uint64_t, unsigned char, size_t, void *))    \
  X(createStream, "cuStreamCreate", (void **, unsigned))                       \
  X(destroyStream, "cuStreamDestroy_v2", (void *))                             \
  X(synchronizeStream, "cuStreamSynchronize", (void *))                        \
  X(beginCapture, "cuStreamBeginCapture_v2", (void *, int))                    \
  X(endCapture, "cuStreamEndCapture", (void *, void **))                       \
  X(instantiateGraph, "cuGraphInstantiateWithFlags",                           \
    (void **, void *, unsigned long long))                                     \
  X(launchGraph, "cuGraphLaunch", (void *, void *))                            \
  X(destroyGraph, "cuGraphDestroy", (void *))                                  \
  X(destroyGraphExec, "cuGraphExecDestroy", (void *))                          \
  X(encodeMap, "cuTensorMapEncodeTiled",                                       \
    (void *, int, uint32_t, void *, const uint64_t *, const uint64_t *,        \
     const uint32_t *, const uint32_t *, int, int, int, int))                  \
  X(registerHost, "cuMemHostRegister_v2", (void *, size_t, unsigned))          \
  X(unregisterHost, "cuMemHostUnregister", (void *))                           \
  X(getErrorString, "cuGetErrorString", (int, const char **))

namespace repo_rt {

struct CudaDriver {
#define REPO_DECLARE(name, symbol, arguments) int(*name) arguments = nullptr;
  REPO_CUDA_FUNCTIONS(REPO_DECLARE)
#undef REPO_DECLARE
  /// Why it cannot be used, or "".
  std::string error;
  bool emulated = false;

  std::string describe(int code) const {
    const char *text = nullptr;
    getErrorString(code, &text);
    return text ? text : "unknown error";
  }
};

/// The driver of the machine (REPO_CUDA_DRIVER names another file), or the
/// emulator in this process. Opened once; `error` says where it was not.
const CudaDriver &getCudaDriver(bool emulated);

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CUDADRIVER_H
