//===- Memory.cpp - Bounds and alignment ----------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Streams.h"
#include <mutex>

using namespace repo::emulator;

namespace {
/// Memory that kernels may use.
struct Range {
  uint64_t end = 0;
  unsigned count = 0;
  /// Of whose kernels; negative where all may.
  int device = -1;
  bool isOf(int other) const { return device < 0 || device == other; }
};
struct Ranges {
  std::mutex mutex;
  std::map<uint64_t, Range> map; // by the first address
  uint64_t lastBegin = 1, lastEnd = 0;
  int lastDevice = -1;
};
} // namespace

static Ranges &getRanges() {
  static Ranges ranges;
  return ranges;
}

void repo::emulator::allow(const void *memory, uint64_t bytes, int device) {
  Ranges &ranges = getRanges();
  std::lock_guard<std::mutex> lock(ranges.mutex);
  uint64_t begin = reinterpret_cast<uint64_t>(memory);
  Range &range = ranges.map[begin];
  range.end = std::max(range.end, begin + bytes);
  range.device = device;
  ++range.count;
}

void repo_emulator_allow(const void *memory, uint64_t bytes) {
  allow(memory, bytes, /*device=*/-1);
}

void repo_emulator_forbid(const void *memory) {
  Ranges &ranges = getRanges();
  std::lock_guard<std::mutex> lock(ranges.mutex);
  ranges.lastBegin = 1;
  ranges.lastEnd = 0;
  auto it = ranges.map.find(reinterpret_cast<uint64_t>(memory));
  if (it != ranges.map.end() && --it->second.count == 0)
    ranges.map.erase(it);
}

bool repo::emulator::isAllowed(const void *memory, uint64_t bytes) {
  Ranges &ranges = getRanges();
  std::lock_guard<std::mutex> lock(ranges.mutex);
  uint64_t address = reinterpret_cast<uint64_t>(memory);
  for (auto it = ranges.map.upper_bound(address); it != ranges.map.begin();)
    if (address + bytes <= (--it)->second.end &&
        it->second.isOf(currentDevice()))
      return true;
  return false;
}

void Machine::checkGlobal(uint64_t address, uint64_t bytes, uint32_t alignment,
                          const char *what) {
  if (address % alignment)
    fail("%s at %#llx: expected an address that is a multiple of %u", what,
         static_cast<unsigned long long>(address), alignment);
  Ranges &ranges = getRanges();
  if (!checks ||
      (address >= ranges.lastBegin && address + bytes <= ranges.lastEnd &&
       ranges.lastDevice == device))
    return;
  // Ranges may overlap; nothing known means that nobody said.
  if (ranges.map.empty())
    return;
  for (auto it = ranges.map.upper_bound(address); it != ranges.map.begin();) {
    --it;
    if (address + bytes > it->second.end)
      continue;
    if (!it->second.isOf(device))
      fail("%s of %llu bytes at %#llx: memory of device %d, the kernel runs on "
           "device %d",
           what, static_cast<unsigned long long>(bytes),
           static_cast<unsigned long long>(address), it->second.device, device);
    ranges.lastBegin = it->first;
    ranges.lastEnd = it->second.end;
    ranges.lastDevice = device;
    return;
  }
  auto it = ranges.map.upper_bound(address);
  if (it == ranges.map.begin())
    fail("%s of %llu bytes at %#llx: outside all memory it was given", what,
         static_cast<unsigned long long>(bytes),
         static_cast<unsigned long long>(address));
  --it;
  fail("%s of %llu bytes at %#llx: outside of what it was given, %lld bytes "
       "behind the start of %llu",
       what, static_cast<unsigned long long>(bytes),
       static_cast<unsigned long long>(address),
       static_cast<long long>(address - it->first),
       static_cast<unsigned long long>(it->second.end - it->first));
}

void Machine::checkShared(uint32_t address, uint32_t bytes, uint32_t alignment,
                          const char *what) {
  if (address % alignment)
    fail("%s at %#x of shared memory: expected an address that is a multiple "
         "of %u",
         what, address, alignment);
  if (address - sharedBase < reservedBytes ||
      uint64_t(address) + bytes > sharedEnd || address < sharedBase)
    fail("%s of %u bytes at %#x: outside of shared memory, %u bytes at %#x",
         what, bytes, address, sharedEnd - sharedBase - reservedBytes,
         sharedBase + reservedBytes);
}

void repo_emulator_access(const void *pointer, int32_t bytes, int32_t alignment,
                          int32_t kind) {
  Machine &m = *machine;
  uint64_t address = reinterpret_cast<uint64_t>(pointer);
  const char *what = kind == REPO_EMULATOR_LOAD    ? "load"
                     : kind == REPO_EMULATOR_STORE ? "store"
                                                   : "atomic";
  if (!m.isShared(address)) {
    if (!m.isFiberStack(address))
      m.checkGlobal(address, bytes, alignment, what);
    return;
  }
  m.checkShared(uint32_t(address), bytes, alignment, what);
  if (kind == REPO_EMULATOR_ATOMIC)
    return;
  m.accessShared(uint32_t(address), bytes,
                 kind == REPO_EMULATOR_LOAD ? Machine::Access::read
                                            : Machine::Access::write,
                 what);
}
