//===- Header.cpp - The C header of a library -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Target/Compile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

/// A C identifier made of a name.
static std::string getIdentifier(StringRef name) {
  std::string result;
  for (char c : name)
    result.push_back(llvm::isAlnum(c) ? c : '_');
  if (result.empty() || llvm::isDigit(result[0]))
    result.insert(result.begin(), '_');
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

std::string mlir::repo::emitHeader(StringRef manifest, StringRef name) {
  llvm::Expected<llvm::json::Value> parsed = llvm::json::parse(manifest);
  if (!parsed) {
    llvm::consumeError(parsed.takeError());
    return "";
  }
  const llvm::json::Object &library = *parsed->getAsObject();
  std::string text;
  llvm::raw_string_ostream os(text);
  std::string guard = StringRef(getIdentifier(name)).upper() + "_H";
  os << "/* Made by " << library.getString("compiler").value_or("repo")
     << ". Target " << library.getString("target").value_or("cpu")
     << ", features: " << library.getString("features").value_or("") << ".\n"
     << " *\n"
     << " * Each entry takes a context (one per calling thread, see\n"
     << " * repo/Runtime/runtime.h) and its tensors, inputs before outputs, "
        "and returns\n"
     << " * 0 or an error code; repo_rt_last_error(context) has the text. "
        "Sizes with the\n"
     << " * same name must be equal.\n */\n";
  os << "#ifndef " << guard << "\n#define " << guard << "\n\n"
     << "#include <stdint.h>\n#include \"repo/Runtime/runtime.h\"\n\n"
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
  for (const llvm::json::Value &value : *library.getArray("entries")) {
    const llvm::json::Object &entry = *value.getAsObject();
    StringRef entryName = entry.getString("name").value_or("");
    const llvm::json::Array &arguments = *entry.getArray("args");
    os << "int32_t " << entryName
       << "(repo_rt_context *context, DLTensor *const *tensors, int32_t "
          "count);\n\n";
    os << "/* " << entryName << "\n";
    SmallVector<std::string> parameters;
    for (const llvm::json::Value &item : arguments) {
      const llvm::json::Object &argument = *item.getAsObject();
      parameters.push_back(
          getIdentifier(argument.getString("name").value_or("")));
      os << llvm::formatv(" *   {0,-8} {1}  {2} {3}\n",
                          argument.getString("role").value_or(""),
                          argument.getString("name").value_or(""),
                          argument.getString("dtype").value_or(""),
                          getShape(*argument.getArray("shape")));
    }
    os << " */\nstatic inline int32_t " << entryName
       << "_call(repo_rt_context *context";
    for (const std::string &parameter : parameters)
      os << ",\n    DLTensor *" << parameter;
    os << ") {\n  DLTensor *tensors[" << std::max<size_t>(1, parameters.size())
       << "] = {";
    llvm::interleaveComma(parameters, os);
    os << (parameters.empty() ? "0" : "") << "};\n  return " << entryName
       << "(context, tensors, " << parameters.size() << ");\n}\n\n";
  }
  os << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
  return text;
}
