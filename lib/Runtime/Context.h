//===- Context.h - The inside of a context ----------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_CONTEXT_H
#define REPO_LIB_RUNTIME_CONTEXT_H

#include "Cuda.h"
#include "repo/Runtime/runtime.h"
#include <csetjmp>
#include <string>
#include <vector>

struct pthreadpool;
struct repo_rt_library;

/// Memory of entries: chunks that grow, used like a stack. A mark is the total
/// number of bytes in use.
class repo_rt_workspace {
public:
  ~repo_rt_workspace() { freeChunks(); }
  /// Null when memory cannot be had.
  void *allocate(uint64_t bytes);
  uint64_t mark() const { return used; }
  void release(uint64_t mark);
  /// Gives all back; joins several chunks to one, for the next entry.
  void reset();
  void setAllocator(void *(*allocate)(void *, size_t),
                    void (*release)(void *, void *), void *host);

private:
  struct Chunk {
    char *memory;
    uint64_t size, used;
  };
  void freeChunks();
  char *take(uint64_t bytes);
  void give(char *memory);

  std::vector<Chunk> chunks;
  uint64_t used = 0, peak = 0;
  void *(*hostAllocate)(void *, size_t) = nullptr;
  void (*hostRelease)(void *, void *) = nullptr;
  void *host = nullptr;
};

struct repo_rt_context {
  /// Emitted code finds the table here.
  const repo_rt_api *api;

  int32_t threads = 1;
  pthreadpool *pool = nullptr;
  repo_rt_parallel_for hostParallelFor = nullptr;
  void *host = nullptr;

  repo_rt_workspace workspace;
  std::vector<int64_t> slots, symbols;
  /// Where an entry goes that cannot go on; set while it runs. `failure` says
  /// why.
  std::jmp_buf *exit = nullptr;
  int32_t failure = 0;
  /// The entry that runs.
  const repo_rt_signature *entry = nullptr;
  repo_rt::CudaState cuda;
  /// The library that was last found to fit this host.
  const repo_rt_library_info *checked = nullptr;

  std::string error;
};

namespace repo_rt {
/// The table of every context.
extern const repo_rt_api api;
/// Checks magic, version and CPU features of a library; `name` is for the text.
int32_t checkLibrary(repo_rt_context *context, const repo_rt_library_info *info,
                     const char *name);
/// The device of a library's tensors, as repo_rt_library_info says.
int32_t getLibraryDevice(const repo_rt_library *library);
/// The threads this process may use.
int32_t defaultNumThreads();
void parallelFor(repo_rt_context *context, int64_t n, repo_rt_task task,
                 void *arguments);
} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_CONTEXT_H
