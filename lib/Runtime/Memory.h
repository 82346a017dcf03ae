//===- Memory.h - Large blocks of memory ------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_MEMORY_H
#define REPO_LIB_RUNTIME_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <sys/mman.h>

namespace repo_rt {

/// Asks for huge pages where there is room for several: what is read from one
/// end to the other, such as weights, comes a third faster, and is provided
/// with a few hundred faults instead of a million. To be called before the
/// memory is touched; a system that has none does without.
inline void adviseHugePages(char *start, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = 2 << 20;
  uintptr_t begin = reinterpret_cast<uintptr_t>(start), end = begin + bytes;
  begin = (begin + page - 1) / page * page;
  end = end / page * page;
  if (end > begin + page)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)start;
  (void)bytes;
#endif
}

/// Zeroed memory, aligned to 64 bytes: the host's, which the system provides
/// where it is touched, or a device's.
class Memory {
public:
  Memory() = default;
  /// Memory of somebody who takes it back.
  Memory(char *start, std::function<void(void *)> release)
      : start(start), block(start, std::move(release)) {}
  /// Memory of the host; empty (false) when it cannot be had.
  static Memory allocate(size_t bytes) {
    Memory memory;
    if (bytes > SIZE_MAX - alignment)
      return memory;
    memory.block = {std::calloc(bytes + alignment, 1), std::free};
    uintptr_t address = reinterpret_cast<uintptr_t>(memory.block.get());
    memory.start = reinterpret_cast<char *>((address + alignment - 1) /
                                            alignment * alignment);
    adviseHugePages(memory.start, bytes);
    return memory;
  }
  explicit operator bool() const { return block != nullptr; }
  char *data() const { return start; }

private:
  static constexpr size_t alignment = 64;
  char *start = nullptr;
  std::unique_ptr<void, std::function<void(void *)>> block{nullptr, std::free};
};

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_MEMORY_H
