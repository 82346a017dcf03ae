//===- CPU.cpp - The features of this host --------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPU.h"
#include <cpuid.h>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {
enum Register { eax, ebx, ecx, edx };

/// Where cpuid says that a feature is there, and which registers the kernel
/// must save for it (bits of xcr0).
struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  uint64_t state;
};

constexpr uint64_t none = 0, ymm = 0x6, zmm = 0xe6, tiles = 0x60000;

/// The same features as lib/Target/TargetDescription.cpp.
const Feature features[] = {
    {"sse3", 1, 0, ecx, 0, none},
    {"ssse3", 1, 0, ecx, 9, none},
    {"fma", 1, 0, ecx, 12, ymm},
    {"cx16", 1, 0, ecx, 13, none},
    {"sse4.1", 1, 0, ecx, 19, none},
    {"sse4.2", 1, 0, ecx, 20, none},
    {"movbe", 1, 0, ecx, 22, none},
    {"popcnt", 1, 0, ecx, 23, none},
    {"avx", 1, 0, ecx, 28, ymm},
    {"f16c", 1, 0, ecx, 29, ymm},
    {"sahf", 0x80000001, 0, ecx, 0, none},
    {"lzcnt", 0x80000001, 0, ecx, 5, none},
    {"bmi", 7, 0, ebx, 3, none},
    {"avx2", 7, 0, ebx, 5, ymm},
    {"bmi2", 7, 0, ebx, 8, none},
    {"avx512f", 7, 0, ebx, 16, zmm},
    {"avx512dq", 7, 0, ebx, 17, zmm},
    {"avx512ifma", 7, 0, ebx, 21, zmm},
    {"avx512cd", 7, 0, ebx, 28, zmm},
    {"avx512bw", 7, 0, ebx, 30, zmm},
    {"avx512vl", 7, 0, ebx, 31, zmm},
    {"avx512vbmi", 7, 0, ecx, 1, zmm},
    {"avx512vbmi2", 7, 0, ecx, 6, zmm},
    {"avx512vnni", 7, 0, ecx, 11, zmm},
    {"avx512bitalg", 7, 0, ecx, 12, zmm},
    {"avx512vpopcntdq", 7, 0, ecx, 14, zmm},
    {"amx-bf16", 7, 0, edx, 22, tiles},
    {"avx512fp16", 7, 0, edx, 23, zmm},
    {"amx-tile", 7, 0, edx, 24, tiles},
    {"amx-int8", 7, 0, edx, 25, tiles},
    {"avxvnni", 7, 1, eax, 4, ymm},
    {"avx512bf16", 7, 1, eax, 5, zmm},
    {"amx-fp16", 7, 1, eax, 21, tiles},
};
} // namespace

static uint64_t readSavedState() {
  unsigned registers[4];
  if (!__get_cpuid(1, &registers[0], &registers[1], &registers[2],
                   &registers[3]) ||
      !(registers[ecx] & (1u << 27)))
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

/// Linux hands out the tile registers on request only.
static bool requestTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

static bool hasFeature(const Feature &feature) {
  unsigned r[4] = {};
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &r[0], &r[1], &r[2],
                         &r[3]))
    return false;
  return (r[feature.reg] & (1u << feature.bit)) &&
         (readSavedState() & feature.state) == feature.state;
}

/// Which of the features there are. Asked once: a virtual machine takes some
/// microseconds for every cpuid, and programs call libraries by turns.
static const std::vector<bool> &presentFeatures() {
  static const std::vector<bool> present = [] {
    std::vector<bool> result;
    for (const Feature &feature : features)
      result.push_back(hasFeature(feature));
    return result;
  }();
  return present;
}

static bool hasTiles() {
  static const bool granted = requestTiles();
  return granted;
}

std::string repo_rt::findMissingFeatures(const char *list) {
  const std::vector<bool> &there = presentFeatures();
  std::istringstream words(list);
  std::string name, missing;
  while (words >> name) {
    bool present = false;
    for (size_t i = 0; i < there.size(); ++i)
      if (name == features[i].name)
        present = there[i] && (features[i].state != tiles || hasTiles());
    if (!present)
      missing += (missing.empty() ? "" : " ") + name;
  }
  return missing;
}
