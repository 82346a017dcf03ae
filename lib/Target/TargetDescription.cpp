//===- TargetDescription.cpp - What a CPU can do --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Target/TargetDescription.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"
#include <unistd.h>

using namespace mlir;
using namespace mlir::repo;

/// The features code may use and the runtime can check (lib/Runtime/CPU.cpp has
/// the same list).
static constexpr StringLiteral knownFeatures[] = {
    "sse3",       "ssse3",       "sse4.1",       "sse4.2",
    "popcnt",     "cx16",        "sahf",         "avx",
    "avx2",       "bmi",         "bmi2",         "f16c",
    "fma",        "lzcnt",       "movbe",        "avx512f",
    "avx512bw",   "avx512cd",    "avx512dq",     "avx512vl",
    "avx512vnni", "avx512bf16",  "avx512fp16",   "avx512ifma",
    "avx512vbmi", "avx512vbmi2", "avx512bitalg", "avx512vpopcntdq",
    "avxvnni",    "amx-tile",    "amx-bf16",     "amx-int8",
    "amx-fp16"};

bool TargetDescription::has(StringRef feature) const {
  return llvm::is_contained(features, feature);
}

int64_t TargetDescription::getVectorLanes() const {
  // Code for 16 lanes uses the doubleword instructions too.
  return has("avx512f") && has("avx512dq") ? 16 : has("avx2") ? 8 : 4;
}

int64_t TargetDescription::getVectorRegisters() const {
  return has("avx512f") ? 32 : 16;
}

bool TargetDescription::hasMatrixUnit() const {
  return matrixUnitIsEmulated || (has("amx-tile") && has("amx-bf16"));
}

bool TargetDescription::multipliesPairs() const {
  return getVectorLanes() == 16 && has("avx512bf16") && !hasMatrixUnit();
}

void TargetDescription::emulateMatrixUnit() {
  matrixUnitIsEmulated = true;
  llvm::erase_if(features,
                 [](StringRef feature) { return feature.starts_with("amx"); });
}

std::string TargetDescription::getFeatureString() const {
  return llvm::join(
      llvm::map_range(features, [](StringRef f) { return ("+" + f).str(); }),
      ",");
}

std::string TargetDescription::getFeatureList() const {
  return llvm::join(features, " ");
}

FailureOr<TargetDescription> mlir::repo::describeTarget(StringRef cpu,
                                                        StringRef features,
                                                        std::string &error) {
  // A feature brings what it builds on, and takes with it what builds on it.
  llvm::StringMap<bool> implied;
  auto set = [&](StringRef feature, bool on) {
    implied[feature] = on;
    llvm::X86::updateImpliedFeatures(feature, on, implied);
  };
  if (cpu.empty() || cpu == "native") {
    for (auto &feature : llvm::sys::getHostCPUFeatures())
      if (feature.second)
        set(feature.first(), true);
  } else {
    SmallVector<StringRef> names, valid;
    llvm::X86::fillValidCPUArchList(valid, /*Only64Bit=*/true);
    if (!llvm::is_contained(valid, cpu)) {
      error = ("unknown cpu `" + cpu +
               "`: expected native, x86-64-v2, x86-64-v3, x86-64-v4 or an "
               "x86-64 CPU "
               "name of LLVM")
                  .str();
      return failure();
    }
    llvm::X86::getFeaturesForCPU(cpu, names);
    for (StringRef name : names)
      set(name, true);
  }
  SmallVector<StringRef> changes;
  features.split(changes, ',', -1, /*KeepEmpty=*/false);
  for (StringRef change : changes) {
    StringRef name = change.drop_front();
    if ((change[0] != '+' && change[0] != '-') ||
        !llvm::is_contained(knownFeatures, name)) {
      error =
          ("unknown feature `" + change + "`: expected + or - and one of " +
           llvm::join(std::begin(knownFeatures), std::end(knownFeatures), " "))
              .str();
      return failure();
    }
    set(name, change[0] == '+');
  }

  TargetDescription target;
  for (StringRef name : knownFeatures)
    if (implied.lookup(name))
      target.features.push_back(name.str());
  llvm::sort(target.features);
  if (cpu.empty() || cpu == "native") {
    if (long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE); bytes > 0)
      target.l1Bytes = bytes;
    if (long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); bytes > 0)
      target.l2Bytes = bytes;
  }
  return target;
}
