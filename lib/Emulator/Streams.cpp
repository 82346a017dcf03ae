//===- Streams.cpp - Streams and graphs of the emulated device ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A graph is a list of what was started between the two ends of a capture. What
// a driver does not allow meanwhile is refused here too. Memory that is
// allocated in a graph has one address in all its launches, and holds nothing
// at their start.
//
//===----------------------------------------------------------------------===//

#include "Streams.h"
#include "repo/Emulator/emulator.h"
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

using namespace repo::emulator;

#define REPO_API extern "C" __attribute__((visibility("default")))

namespace {
struct Graph {
  std::vector<std::function<int()>> work;
  std::vector<void *> memory;
  ~Graph() {
    for (void *block : memory)
      release(block);
  }
};
using GraphHandle = std::shared_ptr<Graph>;
struct Stream {
  GraphHandle capture;
};
} // namespace

static thread_local int captures = 0;

static Stream *toStream(void *stream) { return static_cast<Stream *>(stream); }

bool repo::emulator::isCapturing() { return captures != 0; }

bool repo::emulator::isCaptured(void *stream) {
  return stream && toStream(stream)->capture;
}

int repo::emulator::refuseInCapture(const char *name) {
  return fail(captureUnsupported, std::string(name) +
                                      " is not permitted while a stream is "
                                      "captured");
}

int repo::emulator::submit(void *stream, std::function<int()> work) {
  if (!isCaptured(stream))
    return work();
  toStream(stream)->capture->work.push_back(std::move(work));
  return success;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

void *repo::emulator::allocate(uint64_t bytes) {
  void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!memory)
    return nullptr;
  // Nobody may rely on what new memory holds.
  std::memset(memory, 0xff, bytes);
  allow(memory, bytes, currentDevice());
  return memory;
}

void repo::emulator::release(void *memory) {
  repo_emulator_forbid(memory);
  std::free(memory);
}

int repo::emulator::allocateInGraph(void *stream, uint64_t bytes,
                                    uint64_t *address) {
  void *memory = allocate(bytes);
  if (!memory)
    return fail(outOfMemory, "out of memory");
  Graph &graph = *toStream(stream)->capture;
  graph.memory.push_back(memory);
  graph.work.push_back([=] {
    std::memset(memory, 0xff, bytes);
    return int(success);
  });
  *address = reinterpret_cast<uint64_t>(memory);
  return success;
}

//===----------------------------------------------------------------------===//
// The driver API
//===----------------------------------------------------------------------===//

REPO_API int cuStreamCreate(void **stream, unsigned) {
  *stream = new Stream;
  return success;
}
REPO_API int cuStreamDestroy_v2(void *stream) {
  delete toStream(stream);
  return success;
}
REPO_API int cuStreamSynchronize(void *stream) {
  return isCaptured(stream) ? refuseInCapture("cuStreamSynchronize")
                            : int(success);
}

REPO_API int cuStreamBeginCapture_v2(void *stream, int) {
  if (!stream)
    return fail(captureUnsupported, "the default stream cannot be captured");
  if (isCaptured(stream))
    return fail(invalidValue, "the stream is captured already");
  toStream(stream)->capture = std::make_shared<Graph>();
  ++captures;
  return success;
}
REPO_API int cuStreamEndCapture(void *stream, void **graph) {
  *graph = nullptr;
  if (!isCaptured(stream))
    return fail(invalidValue, "the stream is not captured");
  *graph = new GraphHandle(std::move(toStream(stream)->capture));
  toStream(stream)->capture = nullptr;
  --captures;
  return success;
}
REPO_API int cuGraphDestroy(void *graph) {
  delete static_cast<GraphHandle *>(graph);
  return success;
}
REPO_API int cuGraphInstantiateWithFlags(void **exec, void *graph,
                                         unsigned long long) {
  *exec = new GraphHandle(*static_cast<GraphHandle *>(graph));
  return success;
}
REPO_API int cuGraphExecDestroy(void *exec) {
  delete static_cast<GraphHandle *>(exec);
  return success;
}
REPO_API int cuGraphLaunch(void *exec, void *stream) {
  return submit(stream, [graph = *static_cast<GraphHandle *>(exec)] {
    for (const std::function<int()> &work : graph->work)
      if (int code = work())
        return code;
    return int(success);
  });
}
