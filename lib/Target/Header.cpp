//===- Header.cpp - The C header of a library -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Target/Compile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

/// Words that are no names in C or C++, and the names the header itself uses.
static bool isReserved(StringRef name) {
  static const llvm::StringSet<> words = {
      "alignas",   "alignof",  "and",      "asm",       "auto",     "bool",
      "break",     "case",     "catch",    "char",      "class",    "const",
      "continue",  "context",  "count",    "default",   "delete",   "do",
      "double",    "else",     "enum",     "explicit",  "export",   "extern",
      "false",     "float",    "for",      "friend",    "goto",     "if",
      "inline",    "int",      "long",     "main",      "mutable",  "namespace",
      "new",       "not",      "nullptr",  "operator",  "or",       "private",
      "protected", "public",   "register", "requires",  "restrict", "return",
      "short",     "signed",   "sizeof",   "static",    "struct",   "switch",
      "template",  "tensors",  "this",     "throw",     "true",     "try",
      "typedef",   "typename", "typeof",   "union",     "unsigned", "using",
      "virtual",   "void",     "volatile", "wchar_t",   "while",    "xor",
      "DLTensor",  "concept",  "typeid",   "constexpr", "int32_t"};
  return words.contains(name);
}

static bool isIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name[0]) && !isReserved(name) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

/// C identifiers made of the names of parameters, each different.
static SmallVector<std::string> getIdentifiers(ArrayRef<StringRef> names) {
  SmallVector<std::string> result;
  llvm::StringSet<> used;
  for (StringRef name : names) {
    std::string identifier;
    for (char c : name)
      identifier.push_back(llvm::isAlnum(c) ? c : '_');
    if (identifier.empty() || llvm::isDigit(identifier[0]))
      identifier.insert(identifier.begin(), '_');
    while (isReserved(identifier) || !used.insert(identifier).second)
      identifier.push_back('_');
    result.push_back(identifier);
  }
  return result;
}

/// Text that does not end a comment.
static std::string getCommentText(StringRef text) {
  std::string result;
  for (char c : text) {
    bool ends = c == '/' && !result.empty() && result.back() == '*';
    result.push_back(ends || !llvm::isPrint(c) ? '?' : c);
  }
  return result;
}

static std::string getShape(const llvm::json::Array &shape) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "[";
  llvm::interleaveComma(shape, stream, [&](const llvm::json::Value &size) {
    if (auto number = size.getAsInteger())
      stream << *number;
    else
      stream << size.getAsString().value_or("?");
  });
  stream << "]";
  return text;
}

/// The runtime's header where it can be found, else what is needed of it and of
/// DLPack: the header can be used with nothing but the library.
static constexpr StringLiteral declarations = R"(#include <stdint.h>
#ifdef __has_include
#if __has_include("repo/Runtime/runtime.h")
#include "repo/Runtime/runtime.h"
#endif
#endif

#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
#define REPO_RT_OWN_DLTENSOR 1
typedef struct {
  int32_t device_type; /* 1: CPU, 2: CUDA */
  int32_t device_id;
} DLDevice;
typedef struct {
  uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat, 6 bool */
  uint8_t bits;
  uint16_t lanes; /* 1 */
} DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements, or NULL: row-major */
  uint64_t byte_offset;
} DLTensor;
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct repo_rt_context;

)";

/// One entry: its declaration and a function with a parameter per tensor.
static void emitEntry(raw_ostream &os, const llvm::json::Object &entry) {
  StringRef name = entry.getString("name").value_or("");
  const llvm::json::Array &arguments = *entry.getArray("args");
  SmallVector<StringRef> names;
  os << "/* " << getCommentText(name) << "\n";
  for (const llvm::json::Value &item : arguments) {
    const llvm::json::Object &argument = *item.getAsObject();
    names.push_back(argument.getString("name").value_or(""));
    os << llvm::formatv(
        " *   {0,-8} {1}  {2} {3}\n", argument.getString("role").value_or(""),
        getCommentText(names.back()), argument.getString("dtype").value_or(""),
        getShape(*argument.getArray("shape")));
  }
  if (!isIdentifier(name)) {
    os << " *\n * Its name is none in C: find it by repo_rt_library_entry.\n"
          " */\n\n";
    return;
  }
  if (const llvm::json::Array *parts = entry.getArray("parts"))
    if (!parts->empty())
      os << llvm::formatv(" *   packed of {0} parts, layout {1}\n",
                          parts->size(),
                          entry.getString("packed_layout").value_or(""));
  os << " */\n";
  if (entry.getArray("parts"))
    os << "int64_t " << name << "_size(void);\n";
  os << "int32_t " << name
     << "(struct repo_rt_context *context, DLTensor *const *tensors,\n"
        "    int32_t count);\n\nstatic inline int32_t "
     << name << "_call(struct repo_rt_context *context";
  SmallVector<std::string> parameters = getIdentifiers(names);
  for (const std::string &parameter : parameters)
    os << ",\n    DLTensor *" << parameter;
  os << ") {\n  DLTensor *tensors[" << std::max<size_t>(1, parameters.size())
     << "];\n";
  for (auto [i, parameter] : llvm::enumerate(parameters))
    os << "  tensors[" << i << "] = " << parameter << ";\n";
  if (parameters.empty())
    os << "  tensors[0] = 0;\n";
  os << "  return " << name << "(context, tensors, " << parameters.size()
     << ");\n}\n\n";
}

std::string mlir::repo::emitHeader(StringRef manifest) {
  llvm::Expected<llvm::json::Value> parsed = llvm::json::parse(manifest);
  if (!parsed) {
    llvm::consumeError(parsed.takeError());
    return "";
  }
  const llvm::json::Object &library = *parsed->getAsObject();
  std::string text;
  llvm::raw_string_ostream os(text);
  // Two libraries may be used by one program.
  std::string guard =
      "REPO_LIBRARY_" + llvm::utohexstr(llvm::xxh3_64bits(manifest)) + "_H";
  os << "/* Made by " << library.getString("compiler").value_or("repo")
     << ". Target " << library.getString("target").value_or("cpu")
     << ", features: " << library.getString("features").value_or("") << ".\n"
     << " *\n"
     << " * Each entry takes a context (one per calling thread, see\n"
     << " * repo/Runtime/runtime.h) and its tensors, inputs before outputs, "
        "and returns\n"
     << " * 0 or an error code; repo_rt_last_error(context) has the text. "
        "Sizes with the\n"
     << " * same name must be equal. NAME_packed takes the constants of NAME "
        "as "
        "one tensor\n"
     << " * of bytes, aligned to 64, that NAME_pack wrote.\n */\n";
  os << "#ifndef " << guard << "\n#define " << guard << "\n\n" << declarations;
  for (const llvm::json::Value &value : *library.getArray("entries"))
    emitEntry(os, *value.getAsObject());
  os << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
  return text;
}
