//===- Signature.h - What an entry function takes ---------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The description of an entry that the C wrapper, the generated header and the
// manifest of a library are made from.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_CONVERSION_SIGNATURE_H
#define REPO_CONVERSION_SIGNATURE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/JSON.h"

namespace mlir {
namespace repo {

/// A tensor at the boundary; scalars have rank 0.
struct EntryArgument {
  enum class Role { input, constant, inout, output };
  std::string name;
  Role role = Role::input;
  /// The element type; booleans are i1 here and bytes in memory.
  Type elementType;
  /// A size, or -(1 + s) for symbol s.
  SmallVector<int64_t> shape;
  /// Bytes of which its address is a multiple; 0: those of an element.
  int64_t alignment = 0;
  /// The function takes a value: the host reads it.
  bool isScalar = false;
};

/// Packed weights and every part of them start at a multiple of so many bytes.
inline constexpr int64_t packedAlignment = 64;

/// A part of packed weights.
struct PackedPart {
  /// The entry that makes this part alone.
  std::string entry;
  /// The constants it is made of.
  std::vector<std::string> sources;
  /// Where it lies, with the zeros up to the next part.
  int64_t offset, bytes;
};

struct EntrySignature {
  std::string name;
  SmallVector<EntryArgument> arguments;
  /// The names of the symbols: "N", or "s0" where the module gives none.
  SmallVector<std::string> symbols;
  /// Of an entry that writes packed weights: their size and parts, and a number
  /// that says how they lie. Packed weights fit another entry whose number is
  /// the same.
  std::optional<int64_t> packedBytes;
  SmallVector<PackedPart> parts;
  uint64_t packedLayout = 0;

  llvm::json::Value toJSON() const;
};

StringRef stringifyRole(EntryArgument::Role role);
/// "f32", "bf16", "i32", "bool", ...
std::string stringifyElementType(Type type);

/// Describes a function whose arguments are the context and buffers (the output
/// of repo-materialize-destinations), before its repo ops are decomposed: two
/// dynamic sizes get one symbol if the ops of the body need them to be equal.
FailureOr<EntrySignature> analyzeSignature(func::FuncOp function);

/// Outputs with sizes that the function computes, rather than reads from its
/// inputs, are written only where they are those of the caller's tensor; else
/// the entry ends with an error.
void checkOutputSizes(func::FuncOp function, const EntrySignature &signature);

} // namespace repo
} // namespace mlir

#endif // REPO_CONVERSION_SIGNATURE_H
