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
#include <memory>

namespace repo_rt {

/// Zeroed memory, aligned to 64 bytes, that the system provides where it is
/// touched.
class Memory {
public:
  Memory() = default;
  /// Empty (false) when it cannot be had.
  static Memory allocate(size_t bytes) {
    Memory memory;
    if (bytes <= SIZE_MAX - alignment)
      memory.block.reset(std::calloc(bytes + alignment, 1));
    return memory;
  }
  explicit operator bool() const { return block != nullptr; }
  char *data() const {
    uintptr_t address = reinterpret_cast<uintptr_t>(block.get());
    return reinterpret_cast<char *>((address + alignment - 1) / alignment *
                                    alignment);
  }

private:
  struct Free {
    void operator()(void *block) const { std::free(block); }
  };
  static constexpr size_t alignment = 64;
  std::unique_ptr<void, Free> block;
};

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_MEMORY_H
