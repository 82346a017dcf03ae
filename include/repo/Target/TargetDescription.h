//===- TargetDescription.h - What a CPU can do ------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A target is a list of features, never the name of a CPU: the CPU of a virtual
// machine can lack features its name promises, or have some its name denies.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TARGET_TARGETDESCRIPTION_H
#define REPO_TARGET_TARGETDESCRIPTION_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringSet.h"
#include <string>
#include <vector>

namespace mlir {
namespace repo {

struct TargetDescription {
  /// The x86 features the code may use, in LLVM's names, sorted. Only those
  /// that the runtime can check are ever in it.
  std::vector<std::string> features;
  /// Bytes of a first- and second-level data cache of a core.
  int64_t l1Bytes = 32 << 10;
  int64_t l2Bytes = 1 << 20;
  /// Tile instructions are replaced by calls.
  bool matrixUnitIsEmulated = false;

  bool has(StringRef feature) const;
  /// f32 lanes of a vector: 16, 8 or 4.
  int64_t getVectorLanes() const;
  /// Vector registers: 32 or 16.
  int64_t getVectorRegisters() const;
  /// Whether there are bf16 tiles (AMX), or they are emulated.
  bool hasMatrixUnit() const;
  /// Whether vectors multiply pairs of bf16 faster than f32 (AVX512-BF16).
  /// Measured: twice as fast on Zen 4; on Intel's cores, which have a matrix
  /// unit for bf16, half as fast.
  bool multipliesPairs() const;
  /// From now on there are tiles, by calls: the features need not have them,
  /// and those that do are dropped.
  void emulateMatrixUnit();
  /// "+avx2,+fma,...", as LLVM takes them.
  std::string getFeatureString() const;
  /// "avx2 fma ...", as a manifest names them.
  std::string getFeatureList() const;
};

/// Describes `cpu` ("native" or a name LLVM knows, such as "x86-64-v3") changed
/// by `features` ("+amx-bf16,-avx512f"). On failure `error` says what was
/// expected.
FailureOr<TargetDescription> describeTarget(StringRef cpu, StringRef features,
                                            std::string &error);

} // namespace repo
} // namespace mlir

#endif // REPO_TARGET_TARGETDESCRIPTION_H
