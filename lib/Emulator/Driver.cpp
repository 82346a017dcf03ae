//===- Driver.cpp - The CUDA driver API over the emulator -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functions that the runtime's launcher (lib/Runtime) opens in libcuda, by
// the same names: the host's code runs as on a device. Devices and contexts are
// in Devices.cpp, streams and graphs in Streams.cpp.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Streams.h"
#include "TensorMap.h"
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <sys/mman.h>

using namespace repo::emulator;

#define REPO_API extern "C" __attribute__((visibility("default")))

// Numbers of the driver API (cuda.h).
namespace {
constexpr int smemAttribute = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_...
constexpr uint32_t defaultShared = 48 << 10;

struct Function {
  const repo_emulator_kernel *kernel;
  int device;
  uint32_t maxDynamic = defaultShared;
};
struct Module {
  std::map<std::string, Function> functions;
};
/// CUlaunchConfig.
struct LaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  void *stream, *attributes;
  unsigned numAttributes;
};
/// CUDA_MEMCPY2D.
struct Copy2D {
  struct Side {
    size_t x, y;
    int memoryType;
    const void *host;
    uint64_t device;
    void *array;
    size_t pitch;
  };
  Side from, to;
  size_t bytes, rows;
};
} // namespace

Machine *repo::emulator::machine = nullptr;

static std::mutex &getMutex() {
  static std::mutex mutex;
  return mutex;
}

/// The last failed launch of this thread, for cuGetErrorString.
static thread_local std::string lastError;

int repo::emulator::fail(int code, const std::string &text) {
  lastError = text;
  return code;
}

Machine::Machine() {
  // Shared addresses have 32 bits, of which descriptors keep the low 18.
  constexpr size_t alignment = 256 << 10;
  void *memory =
      mmap(nullptr, 2 * alignment, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return;
  sharedBase =
      uint32_t((uint64_t(memory) + alignment - 1) / alignment * alignment);
}

Machine::~Machine() = default;

void *repo_emulator_shared(uint32_t offset) {
  return reinterpret_cast<void *>(
      uint64_t(machine->sharedBase + reservedBytes + offset));
}

void *repo_emulator_find(const char *name) {
  // The library this code is in, or the program.
  Dl_info info;
  void *here = nullptr;
  if (dladdr(reinterpret_cast<void *>(&repo_emulator_find), &info))
    here = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  return dlsym(here ? here : dlopen(nullptr, RTLD_NOW), name);
}

REPO_API int cuGetErrorString(int code, const char **text) {
  *text = code == success     ? "no error"
          : lastError.empty() ? "unknown error"
                              : lastError.c_str();
  return success;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

REPO_API int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  if (isCapturing())
    return refuseInCapture("cuMemAlloc");
  *address = uint64_t(allocate(bytes));
  return *address ? success : fail(outOfMemory, "out of memory");
}
REPO_API int cuMemFree_v2(uint64_t address) {
  if (isCapturing())
    return refuseInCapture("cuMemFree");
  release(reinterpret_cast<void *>(address));
  return success;
}
REPO_API int cuMemAllocAsync(uint64_t *address, size_t bytes, void *stream) {
  return isCaptured(stream) ? allocateInGraph(stream, bytes, address)
                            : cuMemAlloc_v2(address, bytes);
}
REPO_API int cuMemFreeAsync(uint64_t address, void *stream) {
  return isCaptured(stream) ? int(success) : cuMemFree_v2(address);
}
REPO_API int cuMemHostRegister_v2(void *memory, size_t bytes, unsigned) {
  repo_emulator_allow(memory, bytes);
  return success;
}
REPO_API int cuMemHostUnregister(void *memory) {
  repo_emulator_forbid(memory);
  return success;
}
REPO_API int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return success;
}
REPO_API int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return success;
}
REPO_API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes,
                                  void *stream) {
  return submit(stream, [=] {
    std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from),
                 bytes);
    return int(success);
  });
}
REPO_API int cuMemcpy2DAsync_v2(const Copy2D *copy, void *stream) {
  auto start = [](const Copy2D::Side &side) {
    uint64_t base = side.memoryType == 1 ? uint64_t(side.host) : side.device;
    return reinterpret_cast<char *>(base + side.y * side.pitch + side.x);
  };
  for (const Copy2D::Side *side : {&copy->from, &copy->to})
    if (side->memoryType != 1 && side->memoryType != 2)
      return fail(invalidValue, "cuMemcpy2DAsync: expected memory of the host "
                                "or the device");
  if (copy->rows > 1 &&
      (copy->from.pitch < copy->bytes || copy->to.pitch < copy->bytes))
    return fail(invalidValue, "cuMemcpy2DAsync: expected a pitch of at least "
                              "the bytes of a row");
  return submit(stream,
                [copy = *copy, from = start(copy->from), to = start(copy->to)] {
                  for (size_t row = 0; row != copy.rows; ++row)
                    std::memmove(to + row * copy.to.pitch,
                                 from + row * copy.from.pitch, copy.bytes);
                  return int(success);
                });
}
REPO_API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes,
                             void *stream) {
  return submit(stream, [=] {
    std::memset(reinterpret_cast<void *>(to), value, bytes);
    return int(success);
  });
}

/// CUDA_ERROR_INVALID_VALUE with what is wrong, as the driver itself would not
/// say.
static int refuseMap(const char *what) {
  return fail(invalidValue, std::string("cuTensorMapEncodeTiled: ") + what);
}

REPO_API int cuTensorMapEncodeTiled(void *encoded, int type, uint32_t rank,
                                    void *base, const uint64_t *size,
                                    const uint64_t *stride, const uint32_t *box,
                                    const uint32_t *elementStride,
                                    int interleave, int swizzle, int,
                                    int fill) {
  // CU_TENSOR_MAP_DATA_TYPE_*: u8, u16, u32, s32, u64, s64, f16, f32, f64,
  // bf16.
  static constexpr uint8_t bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};
  static constexpr uint8_t widths[] = {0, 32, 64, 128};
  if (type < 0 || type >= 10)
    return refuseMap("the emulator does not have this element type");
  if (rank < 1 || rank > 5)
    return refuseMap("expected a rank from 1 to 5");
  if (interleave || fill)
    return refuseMap("the emulator has no interleaved tensors and no NaN fill");
  if (swizzle < 0 || swizzle > 3)
    return refuseMap("the emulator does not have this swizzle");
  if (uint64_t(base) % 16)
    return refuseMap("expected a base address that is a multiple of 16");
  TensorMap map = {};
  map.magic = TensorMap::validMagic;
  map.rank = uint8_t(rank);
  map.elementBytes = bytes[type];
  map.width = widths[swizzle];
  map.base = static_cast<char *>(base);
  for (uint32_t d = 0; d != rank; ++d) {
    if (size[d] == 0 || size[d] > uint64_t(1) << 32)
      return refuseMap("expected sizes from 1 to 2^32");
    if (box[d] == 0 || box[d] > 256)
      return refuseMap("expected a box of 1 to 256 in every dimension");
    if (elementStride[d] != 1)
      return refuseMap("the emulator has no element strides");
    if (d && (stride[d - 1] % 16 || stride[d - 1] >= uint64_t(1) << 40))
      return refuseMap("expected strides that are multiples of 16 below 2^40");
    map.size[d] = size[d];
    map.box[d] = uint16_t(box[d]);
    map.stride[d] = d ? stride[d - 1] : map.elementBytes;
  }
  uint32_t row = box[0] * map.elementBytes;
  if (row % 16)
    return refuseMap("expected rows of the box of a multiple of 16 bytes");
  if (map.width && row > map.width)
    return refuseMap("expected rows of the box no longer than the swizzle");
  std::memset(encoded, 0, 128);
  std::memcpy(encoded, &map, sizeof map);
  return success;
}

//===----------------------------------------------------------------------===//
// Modules and launches
//===----------------------------------------------------------------------===//

REPO_API int cuModuleLoadData(void **module, const void *data) {
  if (isCapturing())
    return refuseInCapture("cuModuleLoadData");
  const auto *image = static_cast<const repo_emulator_image *>(data);
  if (image->magic != REPO_EMULATOR_MAGIC)
    return fail(invalidImage, "the emulator loads only images of emulated "
                              "kernels");
  auto *loaded = new Module;
  auto add = [&](const repo_emulator_image &kernels) {
    for (uint64_t i = 0; i != kernels.num_kernels; ++i)
      loaded->functions.insert_or_assign(
          kernels.kernels[i].name,
          Function{&kernels.kernels[i], currentDevice()});
  };
  add(*image);
  if (const char *path = std::getenv("REPO_EMULATOR_KERNELS"); path && *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const void *other = library ? dlsym(library, "repo_kernels") : nullptr;
    if (!other) {
      delete loaded;
      return fail(invalidImage, std::string("REPO_EMULATOR_KERNELS: expected a "
                                            "library of repo-emulate, got ") +
                                    path);
    }
    add(*static_cast<const repo_emulator_image *>(other));
  }
  *module = loaded;
  return success;
}
REPO_API int cuModuleUnload(void *module) {
  delete static_cast<Module *>(module);
  return success;
}
REPO_API int cuModuleGetFunction(void **function, void *module,
                                 const char *name) {
  auto &functions = static_cast<Module *>(module)->functions;
  auto it = functions.find(name);
  if (it == functions.end())
    return fail(notFound, std::string("no kernel `") + name + "`");
  *function = &it->second;
  return success;
}
REPO_API int cuFuncSetAttribute(void *function, int attribute, int value) {
  auto *f = static_cast<Function *>(function);
  if (attribute != smemAttribute)
    return success;
  if (value < 0 ||
      uint32_t(value) + f->kernel->dynamic_offset > sharedBytes - reservedBytes)
    return fail(invalidValue, "more shared memory than a block can have");
  f->maxDynamic = uint32_t(value);
  return success;
}

static int launch(const Function &function, const unsigned *grid,
                  const unsigned *block, unsigned dynamic, void **parameters) {
  const repo_emulator_kernel &kernel = *function.kernel;
  uint64_t threads = uint64_t(block[0]) * block[1] * block[2];
  std::string name = std::string("kernel `") + kernel.name + "`: ";
  if (function.device != currentDevice())
    return fail(invalidContext, name + "it was loaded on device " +
                                    std::to_string(function.device) +
                                    ", the current one is " +
                                    std::to_string(currentDevice()));
  if (!threads || threads > maxThreads ||
      (kernel.max_threads && threads > kernel.max_threads))
    return fail(invalidValue,
                name + "expected blocks of 1 to " +
                    std::to_string(kernel.max_threads ? kernel.max_threads
                                                      : maxThreads) +
                    " threads, got " + std::to_string(threads));
  if (!grid[0] || !grid[1] || !grid[2] || grid[1] > 65535 || grid[2] > 65535)
    return fail(invalidValue, name + "expected a grid of at least 1 and at "
                                     "most 65535 in y and z");
  if (dynamic > function.maxDynamic)
    return fail(invalidValue, name + "expected at most " +
                                  std::to_string(function.maxDynamic) +
                                  " bytes of dynamic shared memory, got " +
                                  std::to_string(dynamic));
  std::lock_guard<std::mutex> lock(getMutex());
  if (!machine)
    machine = new Machine;
  if (!machine->sharedBase)
    return fail(outOfMemory, "emulator: no memory below 4 GiB");
  machine->device = function.device;
  machine->sharedEnd = machine->sharedBase + reservedBytes +
                       std::max(kernel.static_shared,
                                dynamic ? kernel.dynamic_offset + dynamic : 0);
  if (!machine->launch(kernel, parameters, grid, block, dynamic))
    return fail(launchFailed, machine->error);
  return success;
}

/// Launches, or records with a copy of the parameters.
static int launchOn(void *stream, const Function &function,
                    const unsigned *grid, const unsigned *block,
                    unsigned dynamic, void **parameters) {
  if (!isCaptured(stream))
    return launch(function, grid, block, dynamic, parameters);
  const repo_emulator_kernel &kernel = *function.kernel;
  std::vector<std::vector<char>> values;
  for (uint32_t i = 0; i != kernel.num_parameters; ++i) {
    auto *start = static_cast<const char *>(parameters[i]);
    values.emplace_back(
        start,
        start + (kernel.parameter_bytes ? kernel.parameter_bytes[i] : 8));
  }
  std::array<unsigned, 3> blocks = {grid[0], grid[1], grid[2]},
                          threads = {block[0], block[1], block[2]};
  return submit(stream, [&function, values, blocks, threads, dynamic]() {
    std::vector<void *> pointers;
    for (const std::vector<char> &value : values)
      pointers.push_back(const_cast<char *>(value.data()));
    return launch(function, blocks.data(), threads.data(), dynamic,
                  pointers.data());
  });
}

REPO_API int cuLaunchKernelEx(const LaunchConfig *config, void *function,
                              void **parameters, void **) {
  return launchOn(config->stream, *static_cast<Function *>(function),
                  config->grid, config->block, config->sharedBytes, parameters);
}
REPO_API int cuLaunchKernel(void *function, unsigned gridX, unsigned gridY,
                            unsigned gridZ, unsigned blockX, unsigned blockY,
                            unsigned blockZ, unsigned shared, void *stream,
                            void **parameters, void **) {
  const unsigned grid[] = {gridX, gridY, gridZ},
                 block[] = {blockX, blockY, blockZ};
  return launchOn(stream, *static_cast<Function *>(function), grid, block,
                  shared, parameters);
}
