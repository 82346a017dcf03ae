//===- GraphWriter.h - Pieces of a model as text of IR ----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What every transformer is made of: linear maps, norms, sums, activations over
// [B, N, width]. Each function writes its ops and returns the value they give.
// Ranges of tokens are dynamic in prefill and one token in decode.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_MODEL_GRAPHWRITER_H
#define REPO_LIB_MODEL_GRAPHWRITER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdint>
#include <string>

namespace mlir {
namespace repo {

/// An SSA value and its type.
struct Val {
  std::string name, type;
};

/// tensor<?x2x3xf32>; a negative size is dynamic.
std::string tensorType(llvm::ArrayRef<int64_t> shape, llvm::StringRef element);
/// The element type in the text of a tensor type.
llvm::StringRef elementOf(llvm::StringRef type);
/// A number as an attribute that reads back as the same double.
std::string quote(double value);

class GraphWriter {
public:
  GraphWriter() : os(text) {}

protected:
  Val fresh(llvm::StringRef hint, const std::string &type) {
    return {"%" + hint.str() + "_" + std::to_string(counter++), type};
  }
  /// [B, N, width], N as `tokens` says.
  std::string rows(int64_t width, llvm::StringRef element = "f32") {
    return tensorType({-1, tokens, width}, element);
  }
  /// The dynamic sizes among B and N, as operands.
  llvm::StringRef dynamicSizes() { return tokens < 0 ? "%b, %n" : "%b"; }
  std::string tokenSize() {
    return tokens < 0 ? std::string("%n") : std::to_string(tokens);
  }

  /// Constants and the sizes %b and %n of `like`, which every function starts
  /// with.
  void writeSizes(const Val &like);

  Val empty(int64_t width, llvm::StringRef element = "f32");
  Val zeros(int64_t width);
  /// input [B, N, I] times weight [O, I], transposed; over `init` where given.
  Val linear(llvm::StringRef hint, const Val &input, const Val &weight,
             int64_t width, const Val *init = nullptr);
  /// The input rounded to `element`, or itself where it is of that type.
  Val rounded(const Val &input, int64_t width, llvm::StringRef element);
  /// input / sqrt(mean(input^2) + eps) * weight over the whole row.
  Val norm(llvm::StringRef hint, const Val &input, const Val &weight,
           int64_t width, double epsilon);
  /// The residual sum, written over `stream`.
  Val addInPlace(const Val &stream, const Val &update);
  /// silu(gate) * up, written over `gate`.
  Val swiglu(const Val &gate, const Val &up);
  /// [B, N, heads * size] as [B, N, heads, size].
  Val splitHeads(const Val &input, int64_t heads, int64_t size);
  /// [B, N, heads, size] as [B, N, heads * size].
  Val mergeHeads(const Val &input, int64_t width);

  /// An element as f32, inside a region.
  std::string extend(llvm::StringRef element, llvm::StringRef name);

  std::string text;
  llvm::raw_string_ostream os;
  /// N: -1, dynamic, or a number.
  int64_t tokens = -1;

private:
  unsigned counter = 0;
};

} // namespace repo
} // namespace mlir

#endif // REPO_LIB_MODEL_GRAPHWRITER_H
