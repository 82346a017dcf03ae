//===- CudaDevice.cpp - Memory, copies and graphs of a device -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaDevice.h"

using namespace repo_rt;

// Numbers of cuda.h.
static constexpr unsigned nonBlocking = 1;
static constexpr int hostMemory = 1, deviceMemory = 2;
/// Other threads may allocate and load meanwhile.
static constexpr int threadLocalCapture = 1;

/// Calls with the device's context current.
template <typename Function> int CudaDevice::inContext(Function function) {
  if (int code = driver.pushContext(primary))
    return code;
  int code = function();
  void *popped;
  driver.popContext(&popped);
  return code;
}

std::shared_ptr<CudaDevice> CudaDevice::open(repo_rt_context *context,
                                             int ordinal, bool emulated) {
  const CudaDriver &driver = getCudaDriver(emulated);
  if (!driver.error.empty()) {
    repo_rt_fail(context, REPO_RT_DEVICE, "%s", driver.error.c_str());
    return nullptr;
  }
  int count = 0;
  driver.getDeviceCount(&count);
  if (ordinal < 0 || ordinal >= count) {
    repo_rt_fail(context, REPO_RT_DEVICE,
                 "expected a CUDA device from 0 to %d, got %d", count - 1,
                 ordinal);
    return nullptr;
  }
  std::shared_ptr<CudaDevice> device(new CudaDevice(driver));
  device->ordinal = ordinal;
  int code = driver.getDevice(&device->handle, ordinal);
  if (!code)
    code = driver.retainPrimary(&device->primary, device->handle);
  if (code) {
    device->primary = nullptr;
    device->fail(context, ("CUDA device " + std::to_string(ordinal)).c_str(),
                 code);
    return nullptr;
  }
  device->stream = device->createStream();
  return device;
}

CudaDevice::~CudaDevice() {
  if (!primary)
    return;
  destroyStream(stream);
  driver.releasePrimary(handle);
}

Memory CudaDevice::allocate(size_t bytes) {
  uint64_t address = 0;
  int code = inContext([&] {
    if (int code = driver.allocate(&address, bytes ? bytes : 1))
      return code;
    if (int code = driver.setAsync(address, 0, bytes, stream))
      return code;
    return driver.synchronizeStream(stream);
  });
  if (!address)
    return {};
  // Memory outlives neither its device nor the kernels that use it: these have
  // ended when a function of the interface returns.
  Memory memory(reinterpret_cast<char *>(address),
                [self = shared_from_this()](void *start) {
                  self->inContext([&] {
                    return self->driver.free(reinterpret_cast<uint64_t>(start));
                  });
                });
  return code ? Memory() : std::move(memory);
}

int CudaDevice::copy(Direction direction, Rows to, Rows from, size_t bytes,
                     size_t count, void *on) {
  if (bytes == 0 || count == 0)
    return 0;
  auto makeSide = [&](Rows rows, bool isHost) {
    CudaCopy::Side side;
    side.memoryType = isHost ? hostMemory : deviceMemory;
    if (isHost)
      side.host = rows.data;
    else
      side.device = reinterpret_cast<uint64_t>(rows.data);
    // Pitches have a limit, which one long row need not keep.
    side.pitch = count == 1 ? bytes : rows.pitch;
    return side;
  };
  CudaCopy copy = {makeSide(from, direction == Direction::toDevice),
                   makeSide(to, direction == Direction::toHost), bytes, count};
  return inContext([&] { return driver.copyAsync(&copy, on ? on : stream); });
}

int CudaDevice::synchronize(void *on) {
  return inContext([&] { return driver.synchronizeStream(on ? on : stream); });
}

void *CudaDevice::createStream() {
  void *created = nullptr;
  int code =
      inContext([&] { return driver.createStream(&created, nonBlocking); });
  return code ? nullptr : created;
}

void CudaDevice::destroyStream(void *old) {
  if (old)
    inContext([&] { return driver.destroyStream(old); });
}

int CudaDevice::beginCapture(void *on) {
  return inContext([&] { return driver.beginCapture(on, threadLocalCapture); });
}

int CudaDevice::endCapture(void *on, std::shared_ptr<void> &graph) {
  void *recorded = nullptr, *ready = nullptr;
  int code = inContext([&] {
    if (int code = driver.endCapture(on, &recorded))
      return code;
    int code = recorded ? driver.instantiateGraph(&ready, recorded, 0) : 0;
    if (recorded)
      driver.destroyGraph(recorded);
    return code;
  });
  if (ready)
    graph = {ready, [self = shared_from_this()](void *old) {
               self->inContext(
                   [&] { return self->driver.destroyGraphExec(old); });
             }};
  return code;
}

int CudaDevice::launchGraph(const std::shared_ptr<void> &graph, void *on) {
  return inContext([&] { return driver.launchGraph(graph.get(), on); });
}
