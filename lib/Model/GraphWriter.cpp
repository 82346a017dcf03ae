//===- GraphWriter.cpp - Pieces of a model as text of IR ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphWriter.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/SmallString.h"

using namespace mlir::repo;
using llvm::ArrayRef;
using llvm::StringRef;

std::string mlir::repo::tensorType(ArrayRef<int64_t> shape, StringRef element) {
  std::string text = "tensor<";
  for (int64_t size : shape)
    text += (size < 0 ? "?" : std::to_string(size)) + "x";
  return text + element.str() + ">";
}

StringRef mlir::repo::elementOf(StringRef type) {
  return type.rsplit('x').second.drop_back();
}

std::string mlir::repo::quote(double value) {
  llvm::SmallString<24> digits;
  llvm::APFloat(value).toString(digits, 0, 0);
  return digits.str().str();
}

static constexpr StringRef parallel3 =
    "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]";

void GraphWriter::writeSizes(const Val &like) {
  os << "  %zero = arith.constant 0.0 : f32\n"
     << "  %c0 = arith.constant 0 : index\n"
     << "  %b = tensor.dim " << like.name << ", %c0 : " << like.type << "\n";
  if (tokens < 0)
    os << "  %c1 = arith.constant 1 : index\n"
       << "  %n = tensor.dim " << like.name << ", %c1 : " << like.type << "\n";
}

Val GraphWriter::empty(int64_t width, StringRef element) {
  Val value = fresh("empty", rows(width, element));
  os << "  " << value.name << " = tensor.empty(" << dynamicSizes()
     << ") : " << value.type << "\n";
  return value;
}

Val GraphWriter::zeros(int64_t width) {
  Val init = empty(width), value = fresh("zeros", init.type);
  os << "  " << value.name << " = linalg.fill ins(%zero : f32) outs("
     << init.name << " : " << init.type << ") -> " << init.type << "\n";
  return value;
}

Val GraphWriter::linear(StringRef hint, const Val &input, const Val &weight,
                        int64_t width, const Val *given) {
  Val init = given ? *given : zeros(width), value = fresh(hint, init.type);
  os << "  " << value.name
     << " = linalg.contract indexing_maps = [#linear_in, #linear_weight, "
        "#linear_out] ins("
     << input.name << ", " << weight.name << " : " << input.type << ", "
     << weight.type << ") outs(" << init.name << " : " << init.type << ") -> "
     << init.type << "\n";
  return value;
}

Val GraphWriter::rounded(const Val &input, int64_t width, StringRef element) {
  if (elementOf(input.type) == element)
    return input;
  Val init = empty(width, element), value = fresh("rounded", init.type);
  os << "  " << value.name
     << " = linalg.generic {indexing_maps = [#element, #element], " << parallel3
     << "}\n      ins(" << input.name << " : " << input.type << ") outs("
     << init.name << " : " << init.type
     << ") {\n  ^bb0(%x: f32, %unused: " << element
     << "):\n    %y = arith.truncf %x : f32 to " << element
     << "\n    linalg.yield %y : " << element << "\n  } -> " << init.type
     << "\n";
  return value;
}

std::string GraphWriter::extend(StringRef element, StringRef name) {
  if (element == "f32")
    return name.str();
  os << "    " << name << "_f32 = arith.extf " << name << " : " << element
     << " to f32\n";
  return (name + "_f32").str();
}

Val GraphWriter::norm(StringRef hint, const Val &input, const Val &weight,
                      int64_t width, double epsilon) {
  std::string sumType = tensorType({-1, tokens}, "f32");
  Val sumInit = fresh("empty", sumType), sumZero = fresh("zeros", sumType),
      sum = fresh("squares", sumType);
  os << "  " << sumInit.name << " = tensor.empty(" << dynamicSizes()
     << ") : " << sumType << "\n  " << sumZero.name
     << " = linalg.fill ins(%zero : f32) outs(" << sumInit.name << " : "
     << sumType << ") -> " << sumType << "\n  " << sum.name
     << " = linalg.generic {indexing_maps = [#element, #token], iterator_types "
        "= [\"parallel\", \"parallel\", \"reduction\"]}\n      ins("
     << input.name << " : " << input.type << ") outs(" << sumZero.name << " : "
     << sumType << ") {\n  ^bb0(%x: f32, %acc: f32):\n"
     << "    %square = arith.mulf %x, %x : f32\n"
     << "    %next = arith.addf %acc, %square : f32\n"
     << "    linalg.yield %next : f32\n  } -> " << sumType << "\n";
  Val init = empty(width), value = fresh(hint, init.type);
  StringRef element = elementOf(weight.type);
  os << "  " << value.name
     << " = linalg.generic {indexing_maps = [#element, #token, #channel, "
        "#element], "
     << parallel3 << "}\n      ins(" << input.name << ", " << sum.name << ", "
     << weight.name << " : " << input.type << ", " << sumType << ", "
     << weight.type << ") outs(" << init.name << " : " << init.type
     << ") {\n  ^bb0(%x: f32, %sum: f32, %w: " << element
     << ", %unused: f32):\n"
     << "    %width = arith.constant " << quote(double(width)) << " : f32\n"
     << "    %eps = arith.constant " << quote(epsilon) << " : f32\n"
     << "    %mean = arith.divf %sum, %width : f32\n"
     << "    %shifted = arith.addf %mean, %eps : f32\n"
     << "    %root = math.sqrt %shifted : f32\n"
     << "    %scaled = arith.divf %x, %root : f32\n";
  std::string w = extend(element, "%w");
  os << "    %result = arith.mulf " << w << ", %scaled : f32\n"
     << "    linalg.yield %result : f32\n  } -> " << init.type << "\n";
  return value;
}

Val GraphWriter::addInPlace(const Val &stream, const Val &update) {
  Val value = fresh("h", stream.type);
  os << "  " << value.name
     << " = linalg.generic {indexing_maps = [#element, #element], " << parallel3
     << "}\n      ins(" << update.name << " : " << update.type << ") outs("
     << stream.name << " : " << stream.type
     << ") {\n  ^bb0(%update: f32, %h_old: f32):\n"
     << "    %sum = arith.addf %h_old, %update : f32\n"
     << "    linalg.yield %sum : f32\n  } -> " << stream.type << "\n";
  return value;
}

Val GraphWriter::swiglu(const Val &gate, const Val &up) {
  Val value = fresh("activated", gate.type);
  os << "  " << value.name
     << " = linalg.generic {indexing_maps = [#element, #element], " << parallel3
     << "}\n      ins(" << up.name << " : " << up.type << ") outs(" << gate.name
     << " : " << gate.type << ") {\n  ^bb0(%u: f32, %g: f32):\n"
     << "    %one = arith.constant 1.0 : f32\n"
     << "    %minus = arith.negf %g : f32\n"
     << "    %exp = math.exp %minus : f32\n"
     << "    %sum = arith.addf %exp, %one : f32\n"
     << "    %silu = arith.divf %g, %sum : f32\n"
     << "    %product = arith.mulf %silu, %u : f32\n"
     << "    linalg.yield %product : f32\n  } -> " << gate.type << "\n";
  return value;
}

Val GraphWriter::splitHeads(const Val &input, int64_t heads, int64_t size) {
  Val value = fresh(
      "heads", tensorType({-1, tokens, heads, size}, elementOf(input.type)));
  os << "  " << value.name << " = tensor.expand_shape " << input.name
     << " [[0], [1], [2, 3]] output_shape [%b, " << tokenSize() << ", " << heads
     << ", " << size << "] : " << input.type << " into " << value.type << "\n";
  return value;
}

Val GraphWriter::mergeHeads(const Val &input, int64_t width) {
  Val merged = fresh("merged", rows(width, elementOf(input.type)));
  os << "  " << merged.name << " = tensor.collapse_shape " << input.name
     << " [[0], [1], [2, 3]] : " << input.type << " into " << merged.type
     << "\n";
  return merged;
}
