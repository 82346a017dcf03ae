//===- DeviceRun.cpp - An entry with arguments of the host ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Arguments of the host lie one after the other in memory of the session, at
// places that follow from their sizes: a step of the same sizes has the same
// addresses, so that it can be recorded. The first run loads kernels, which no
// recording may do; the second one is recorded.
//
//===----------------------------------------------------------------------===//

#include "DeviceRun.h"
#include "Context.h"

using namespace repo_rt;

static constexpr size_t alignment = 256;
/// Steps that a session remembers.
static constexpr size_t maxSteps = 16;

DeviceRuns::~DeviceRuns() {
  steps.clear();
  if (device)
    device->destroyStream(stream);
}

namespace {
/// A tensor of the host as blocks of rows, which are the same number of bytes
/// apart within a block.
struct HostTensor {
  explicit HostTensor(const DLTensor &tensor) {
    size_t element = tensor.dtype.bits / 8;
    int32_t last = tensor.ndim - 1;
    rowBytes = element * static_cast<size_t>(tensor.shape[last]);
    pitch = rowBytes;
    blocks.push_back(static_cast<char *>(tensor.data));
    size_t rowMajor = rowBytes;
    bool isOpen = true; // the dimension belongs to the block
    for (int32_t d = last - 1; d >= 0; --d) {
      size_t size = static_cast<size_t>(tensor.shape[d]);
      size_t stride = tensor.strides
                          ? element * static_cast<size_t>(tensor.strides[d])
                          : rowMajor;
      rowMajor *= size;
      if (size == 1)
        continue;
      isOpen = isOpen && (count == 1 || stride == count * pitch);
      if (!isOpen) {
        std::vector<char *> all;
        for (size_t i = 0; i != size; ++i)
          for (char *block : blocks)
            all.push_back(block + i * stride);
        blocks = std::move(all);
        continue;
      }
      if (count == 1)
        pitch = stride;
      count *= size;
    }
  }
  size_t blockBytes() const { return rowBytes * count; }
  size_t bytes() const { return blockBytes() * blocks.size(); }

  std::vector<char *> blocks;
  size_t rowBytes, count = 1, pitch;
};

/// Uses the stream for what the context starts, unless the program set one.
class StreamScope {
public:
  StreamScope(repo_rt_context *context, void *stream)
      : context(context), before(context->cuda.stream) {
    if (!before)
      context->cuda.stream = stream;
  }
  ~StreamScope() { context->cuda.stream = before; }
  void *get() const { return context->cuda.stream; }

private:
  repo_rt_context *context;
  void *before;
};
} // namespace

/// Copies a tensor of the host to the device, where it is row-major, or back.
static int copy(CudaDevice &device, const HostTensor &host, char *there,
                bool isUpload, void *stream) {
  for (char *block : host.blocks) {
    Rows here = {block, host.pitch}, other = {there, host.rowBytes};
    if (int code = isUpload
                       ? device.copy(CudaDevice::Direction::toDevice, other,
                                     here, host.rowBytes, host.count, stream)
                       : device.copy(CudaDevice::Direction::toHost, here, other,
                                     host.rowBytes, host.count, stream))
      return code;
    there += host.blockBytes();
  }
  return 0;
}

/// Records a step whose kernels are loaded.
static int32_t record(repo_rt_context *context, CudaDevice &device,
                      void *stream, repo_rt_entry entry,
                      std::vector<DLTensor *> &tensors,
                      std::shared_ptr<void> &graph) {
  if (int code = device.beginCapture(stream))
    return device.fail(context, "cannot record a step", code);
  int32_t status =
      entry(context, tensors.data(), static_cast<int32_t>(tensors.size()));
  std::string error = context->error;
  int code = device.endCapture(stream, graph);
  if (status) {
    graph.reset();
    context->error = error;
    return status;
  }
  return code ? device.fail(context, "cannot record a step", code) : REPO_RT_OK;
}

/// What tells calls of an entry apart: numbers of all tensors, and the context,
/// which has the kernels.
static std::vector<int64_t> getKey(const repo_rt_context *context,
                                   repo_rt_entry entry,
                                   const std::vector<DLTensor *> &tensors) {
  std::vector<int64_t> key = {context->cuda.getSerial(),
                              reinterpret_cast<int64_t>(context->cuda.stream),
                              reinterpret_cast<int64_t>(entry)};
  for (const DLTensor *tensor : tensors) {
    key.push_back(reinterpret_cast<int64_t>(tensor->data));
    key.insert(key.end(), tensor->shape, tensor->shape + tensor->ndim);
    if (tensor->strides)
      key.insert(key.end(), tensor->strides, tensor->strides + tensor->ndim);
  }
  return key;
}

/// Starts the work of an entry whose arguments are all on the device.
static int32_t start(repo_rt_context *context, DeviceRuns &runs, void *stream,
                     repo_rt_entry entry, std::vector<DLTensor *> &tensors,
                     bool repeats) {
  auto call = [&] {
    return entry(context, tensors.data(), static_cast<int32_t>(tensors.size()));
  };
  if (!repeats)
    return call();
  std::vector<int64_t> key = getKey(context, entry, tensors);
  if (runs.steps.size() >= maxSteps && !runs.steps.count(key))
    runs.steps.clear();
  DeviceRuns::Step &step = runs.steps[key];
  if (step.runs++ == 0)
    return call();
  if (!step.graph)
    if (int32_t status =
            record(context, *runs.device, stream, entry, tensors, step.graph))
      return status;
  if (int code = runs.device->launchGraph(step.graph, stream))
    return runs.device->fail(context, "cannot launch a recorded step", code);
  return REPO_RT_OK;
}

int32_t repo_rt::runOnDevice(repo_rt_context *context, DeviceRuns &runs,
                             repo_rt_entry entry,
                             std::vector<DLTensor *> tensors,
                             const std::vector<Transfer> &transfers,
                             bool repeats) {
  CudaDevice &device = *runs.device;
  size_t total = 0;
  for (size_t i = 0; i != tensors.size(); ++i)
    if (transfers[i] != Transfer::none)
      total += (HostTensor(*tensors[i]).bytes() + alignment - 1) / alignment *
               alignment;
  if (total > runs.stagingBytes) {
    size_t grown = std::max(total, 2 * runs.stagingBytes);
    runs.staging = Memory();
    runs.stagingBytes = 0;
    if (!(runs.staging = device.allocate(grown)))
      return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
                          "out of memory: cannot hold %zu bytes of inputs and "
                          "outputs on the device",
                          grown);
    runs.stagingBytes = grown;
  }
  if (!runs.stream && !(runs.stream = device.createStream()))
    return repo_rt_fail(context, REPO_RT_DEVICE, "cannot create a CUDA stream");
  StreamScope stream(context, runs.stream);

  std::vector<DLTensor> moved;
  moved.reserve(tensors.size());
  size_t place = 0;
  struct Download {
    HostTensor host;
    char *from;
  };
  std::vector<Download> downloads;
  for (size_t i = 0; i != tensors.size(); ++i) {
    if (transfers[i] == Transfer::none)
      continue;
    HostTensor host(*tensors[i]);
    char *there = runs.staging.data() + place;
    place += (host.bytes() + alignment - 1) / alignment * alignment;
    if (transfers[i] == Transfer::input)
      if (int code = copy(device, host, there, true, stream.get()))
        return device.fail(context, "copying to the device", code);
    if (transfers[i] == Transfer::output)
      downloads.push_back({host, there});
    moved.push_back(*tensors[i]);
    moved.back().data = there;
    moved.back().strides = nullptr;
    moved.back().device = {static_cast<decltype(DLDevice::device_type)>(2),
                           device.getOrdinal()};
    tensors[i] = &moved.back();
  }
  if (int32_t status =
          start(context, runs, stream.get(), entry, tensors, repeats)) {
    // Nothing of it may still run when the caller gives back memory.
    std::string error = context->error;
    device.synchronize(stream.get());
    context->error = error;
    return status;
  }
  for (const Download &download : downloads)
    if (int code =
            copy(device, download.host, download.from, false, stream.get()))
      return device.fail(context, "copying from the device", code);
  if (int code = device.synchronize(stream.get()))
    return device.fail(context, "running the model", code);
  return REPO_RT_OK;
}
