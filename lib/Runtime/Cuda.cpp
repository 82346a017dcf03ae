//===- Cuda.cpp - Kernels through the CUDA driver API ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// libcuda is opened when the first entry for a GPU runs; nothing links it.
// Primary contexts, so that arrays of other libraries are at home. An entry
// waits for nothing: launches, allocations and their release are in the order
// of the caller's stream.
//
//===----------------------------------------------------------------------===//

#include "Cuda.h"
#include "Context.h"
#include "CudaDriver.h"
#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

// Numbers of cuda.h.
static constexpr int computeMajor = 75, computeMinor = 76, maxDynamicShared = 8;
static constexpr uint32_t defaultShared = 48 << 10;
// What cuTensorMapEncodeTiled asks for and makes.
static constexpr int mapAlignment = 16;
static constexpr size_t mapBytes = 128;

using namespace repo_rt;

int64_t CudaState::takeSerial() {
  static std::atomic<int64_t> last{0};
  return ++last;
}

CudaState::~CudaState() {
  for (auto &[key, device] : devices) {
    const CudaDriver &cuda = *key.first;
    if (!device.primary || cuda.pushContext(device.primary))
      continue;
    // Kernels of the modules may still run.
    if (!device.modules.empty())
      cuda.synchronize();
    for (auto &[serial, module] : device.modules)
      cuda.unloadModule(module);
    device.products.close();
    void *popped;
    cuda.popContext(&popped);
    cuda.releasePrimary(device.ordinal);
  }
}

int32_t CudaState::fail(repo_rt_context *context, const std::string &what,
                        int code) {
  return repo_rt_fail(context, REPO_RT_DEVICE, "%s: %s", what.c_str(),
                      driver->describe(code).c_str());
}

int32_t CudaState::enter(repo_rt_context *context, int device, bool emulated) {
  driver = &getCudaDriver(emulated);
  if (!driver->error.empty())
    return repo_rt_fail(context, REPO_RT_DEVICE, "%s", driver->error.c_str());
  Device &state = devices[{driver, device}];
  if (!state.primary) {
    int handle = 0, major = 0, minor = 0;
    int code = driver->getDevice(&handle, device);
    if (!code)
      code = driver->getDeviceAttribute(&major, computeMajor, handle);
    if (!code)
      code = driver->getDeviceAttribute(&minor, computeMinor, handle);
    if (!code)
      code = driver->retainPrimary(&state.primary, handle);
    if (code) {
      state.primary = nullptr;
      return fail(context, "CUDA device " + std::to_string(device), code);
    }
    state.ordinal = handle;
    state.architecture = 10 * major + minor;
  }
  if (int code = driver->pushContext(state.primary))
    return fail(context, "CUDA device " + std::to_string(device), code);
  active = &state;
  return REPO_RT_OK;
}

void CudaState::leave() {
  if (!active)
    return;
  release(0);
  for (void *memory : hostMemory)
    driver->unregisterHost(memory);
  hostMemory.clear();
  void *popped;
  driver->popContext(&popped);
  active = nullptr;
}

void CudaState::allowHost(void *memory, uint64_t bytes) {
  if (bytes && !driver->registerHost(memory, bytes, 0))
    hostMemory.push_back(memory);
}

void *CudaState::allocate(repo_rt_context *context, uint64_t bytes) {
  uint64_t address = 0;
  if (int code = driver->allocateAsync(&address, bytes ? bytes : 1, stream)) {
    fail(context,
         "cannot allocate " + std::to_string(bytes) +
             " bytes of workspace on the device",
         code);
    return nullptr;
  }
  allocations.push_back(address);
  return reinterpret_cast<void *>(address);
}

void CudaState::release(uint64_t mark) {
  while (allocations.size() > mark) {
    driver->freeAsync(allocations.back(), stream);
    allocations.pop_back();
  }
}

/// The best image for the device: made for it; for an earlier one of the same
/// generation; PTX.
const repo_rt_kernel_image *
CudaState::choose(const repo_rt_kernel_images &images) const {
  const repo_rt_kernel_image *best = nullptr;
  int bestRank = 0;
  int device = active->architecture;
  for (int64_t i = 0; i != images.count; ++i) {
    const repo_rt_kernel_image &image = images.images[i];
    int rank = 0;
    if (image.format == 2)
      rank = 1;
    else if (image.architecture == device)
      rank = 100000 + image.is_specific;
    else if (image.is_specific || image.architecture > device)
      rank = 0;
    else if (image.format == 1)
      rank = image.architecture;
    else if (image.architecture / 10 == device / 10)
      rank = 1000 + image.architecture;
    if (rank > bestRank) {
      best = &image;
      bestRank = rank;
    }
  }
  return best;
}

int32_t CudaState::findFunction(repo_rt_context *context,
                                const repo_rt_kernel *kernel,
                                Device::Function *&function) {
  static std::mutex mutex;
  static int64_t serials = 0;
  int64_t serial;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!kernel->images->serial)
      kernel->images->serial = ++serials;
    serial = kernel->images->serial;
  }
  function = &active->functions[{serial, kernel}];
  if (function->handle)
    return REPO_RT_OK;
  void *&module = active->modules[serial];
  if (!module) {
    const repo_rt_kernel_image *image = choose(*kernel->images);
    if (!image) {
      std::string list;
      for (int64_t i = 0; i != kernel->images->count; ++i) {
        const repo_rt_kernel_image &other = kernel->images->images[i];
        list += (i ? ", sm_" : "sm_") + std::to_string(other.architecture) +
                (other.is_specific ? "a" : "");
      }
      return repo_rt_fail(context, REPO_RT_BAD_LIBRARY,
                          "expected a device that runs code for %s, got sm_%d",
                          list.c_str(), active->architecture);
    }
    if (int code = driver->loadModule(&module, image->data)) {
      module = nullptr;
      return fail(context, "cannot load the kernels", code);
    }
  }
  if (int code = driver->getFunction(&function->handle, module, kernel->name)) {
    function->handle = nullptr;
    return fail(context, std::string("kernel `") + kernel->name + "`", code);
  }
  return REPO_RT_OK;
}

int32_t CudaState::launch(repo_rt_context *context,
                          const repo_rt_kernel *kernel, const int64_t *sizes,
                          void **parameters) {
  Device::Function *function = nullptr;
  if (int32_t status = findFunction(context, kernel, function))
    return status;
  CudaLaunchConfig config = {};
  for (int i = 0; i != 3; ++i) {
    if (sizes[i] <= 0)
      return REPO_RT_OK;
    if (sizes[i] > (i ? 65535 : INT32_MAX))
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "kernel `%s`: expected at most %d blocks in "
                          "dimension %d, got %lld",
                          kernel->name, i ? 65535 : INT32_MAX, i,
                          static_cast<long long>(sizes[i]));
    config.grid[i] = static_cast<unsigned>(sizes[i]);
    config.block[i] = static_cast<unsigned>(sizes[3 + i]);
  }
  config.sharedBytes = static_cast<unsigned>(sizes[6]);
  config.stream = stream;
  if (config.sharedBytes > defaultShared &&
      config.sharedBytes > function->shared) {
    if (int code = driver->setAttribute(function->handle, maxDynamicShared,
                                        static_cast<int>(config.sharedBytes)))
      return fail(context,
                  std::string("kernel `") + kernel->name +
                      "`: " + std::to_string(config.sharedBytes) +
                      " bytes of shared memory",
                  code);
    function->shared = config.sharedBytes;
  }
  if (int code = driver->launch(&config, function->handle, parameters, nullptr))
    return fail(context, std::string("kernel `") + kernel->name + "`", code);
  return REPO_RT_OK;
}

int32_t CudaState::encodeMap(repo_rt_context *context, const repo_rt_map *map,
                             void *encoded) {
  uint64_t sizes[5], strides[5];
  uint32_t box[5], steps[5];
  auto expect = [&](const char *what, int64_t found) {
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                        "expected %s that is a multiple of %d bytes, as the "
                        "copy engine needs it, got %lld",
                        what, mapAlignment, static_cast<long long>(found));
  };
  // Nobody reads a tensor without elements, and the driver takes none.
  if (std::find(map->sizes, map->sizes + map->rank, 0) !=
      map->sizes + map->rank) {
    std::memset(encoded, 0, mapBytes);
    return REPO_RT_OK;
  }
  if (map->address % mapAlignment)
    return expect("a tensor at an address", map->address);
  for (int d = 0; d != 5; ++d) {
    sizes[d] = static_cast<uint64_t>(map->sizes[d]);
    // The driver takes no stride of the innermost dimension. That of a
    // dimension of size 1 does not matter.
    int next = d == 4 ? d : d + 1;
    bool matters = next < map->rank && map->sizes[next] > 1;
    if (matters && map->strides[next] % mapAlignment)
      return expect("a tensor with a stride", map->strides[next]);
    strides[d] =
        matters ? static_cast<uint64_t>(map->strides[next]) : mapAlignment;
    box[d] = static_cast<uint32_t>(map->box[d]);
    steps[d] = 1;
  }
  int code = driver->encodeMap(
      encoded, static_cast<int>(map->element_type),
      static_cast<uint32_t>(map->rank), reinterpret_cast<void *>(map->address),
      sizes, strides, box, steps, 0, static_cast<int>(map->swizzle),
      static_cast<int>(map->l2_promotion), static_cast<int>(map->fill));
  if (!code)
    return REPO_RT_OK;
  std::string what =
      "tensor map of a tensor at " + std::to_string(map->address);
  for (int64_t d = 0; d != map->rank; ++d)
    what += (d ? ", " : " (size * stride in bytes, innermost first: ") +
            std::to_string(map->sizes[d]) + " * " +
            std::to_string(map->strides[d]);
  return fail(context, what + ")", code);
}

void repo_rt_set_stream(repo_rt_context *context, void *stream) {
  context->cuda.stream = stream;
}
