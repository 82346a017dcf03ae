//===- Cuda.h - Kernels through the CUDA driver API -------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CUDA_H
#define REPO_LIB_RUNTIME_CUDA_H

#include "CublasLt.h"
#include "repo/Runtime/runtime.h"
#include <map>
#include <string>
#include <vector>

namespace repo_rt {

/// Functions of the driver, by the types of cuda.h: handles are pointers,
/// addresses 64-bit numbers, results ints.
struct CudaDriver;

/// The device of the entry that runs, and what was loaded to devices before.
class CudaState {
public:
  ~CudaState();
  /// Opens the driver, once; makes a device current. `emulated`: the driver is
  /// the emulator in this process.
  int32_t enter(repo_rt_context *context, int device, bool emulated);
  void leave();
  bool isActive() const { return active != nullptr; }

  /// Workspace on the device, in the order of the stream; null on failure.
  void *allocate(repo_rt_context *context, uint64_t bytes);
  uint64_t mark() const { return allocations.size(); }
  void release(uint64_t mark);

  int32_t launch(repo_rt_context *context, const repo_rt_kernel *kernel,
                 const int64_t *sizes, void **parameters);

  int32_t encodeMap(repo_rt_context *context, const repo_rt_map *map,
                    void *encoded);

  int32_t multiply(repo_rt_context *context, const repo_rt_gemm &product) {
    return active->products.run(context, *driver, product, stream);
  }

  /// Tensors of the host that emulated kernels may use, until `leave`.
  void allowHost(void *memory, uint64_t bytes);

  /// A number of this state alone.
  int64_t getSerial() const { return serial; }

  void *stream = nullptr;

private:
  struct Device {
    int ordinal = 0;
    void *primary = nullptr;
    int architecture = 0;
    MatrixProducts products;
    /// By the number of the images: a library may lie where another one was.
    std::map<int64_t, void *> modules;
    struct Function {
      void *handle = nullptr;
      uint32_t shared = 0; ///< Dynamic shared memory that was asked for.
    };
    std::map<std::pair<int64_t, const repo_rt_kernel *>, Function> functions;
  };
  int32_t fail(repo_rt_context *context, const std::string &what, int code);
  int32_t findFunction(repo_rt_context *context, const repo_rt_kernel *kernel,
                       Device::Function *&function);
  const repo_rt_kernel_image *choose(const repo_rt_kernel_images &images) const;

  static int64_t takeSerial();

  const int64_t serial = takeSerial();
  const CudaDriver *driver = nullptr;
  Device *active = nullptr;
  std::map<std::pair<const CudaDriver *, int>, Device> devices;
  std::vector<uint64_t> allocations;
  std::vector<void *> hostMemory;
};

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CUDA_H
