//===- AssemblyParser.cpp - Statements of inline PTX ----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AssemblyParser.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace repo::emulation;

static constexpr StringRef spaces = " \t\n\r";

std::vector<std::string> repo::emulation::splitOperands(StringRef text) {
  std::vector<std::string> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    char c = i == text.size() ? ',' : text[i];
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (c != ',' || (depth && i != text.size()))
      continue;
    StringRef part = text.slice(start, i).trim(spaces);
    if (!part.empty())
      parts.push_back(part.str());
    start = i + 1;
  }
  return parts;
}

std::vector<std::string> repo::emulation::splitStatements(StringRef text) {
  std::vector<std::string> parts;
  bool inStatement = false;
  size_t start = 0;
  for (size_t i = 0; i != text.size(); ++i) {
    bool brace = text[i] == '{' || text[i] == '}';
    if (text[i] != ';' && (inStatement || !brace)) {
      inStatement = inStatement || !StringRef(spaces).contains(text[i]);
      continue;
    }
    parts.push_back(text.slice(start, i + 1).str());
    start = i + 1;
    inStatement = false;
  }
  if (start != text.size())
    parts.push_back(text.drop_front(start).str());
  return parts;
}

/// ".reg .b64 da, db" or ".reg .pred %p<3>".
static void parseRegisters(StringRef text, AssemblyBlock &block) {
  auto [type, names] = text.trim(spaces).split(' ');
  type = type.trim(". \t");
  for (const std::string &name : splitOperands(names)) {
    auto [base, count] = StringRef(name).split('<');
    unsigned number;
    if (count.empty() || count.drop_back().getAsInteger(10, number)) {
      block.registers.push_back({base.trim(spaces).str(), type.str()});
      continue;
    }
    for (unsigned i = 0; i != number; ++i)
      block.registers.push_back({(base + Twine(i)).str(), type.str()});
  }
}

bool repo::emulation::parseAssembly(StringRef text, AssemblyBlock &block,
                                    std::string &error) {
  while (true) {
    text = text.ltrim(spaces);
    if (text.consume_front("//")) {
      text = text.drop_until([](char c) { return c == '\n'; });
      continue;
    }
    // Scopes: names are unique enough without them.
    if (text.consume_front("{") || text.consume_front("}") ||
        text.consume_front(";"))
      continue;
    if (text.empty())
      return true;
    size_t name = text.find_first_not_of(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$%");
    if (name != 0 && name != StringRef::npos &&
        text.drop_front(name).ltrim(spaces).starts_with(":") &&
        !text.drop_front(name).ltrim(spaces).starts_with("::")) {
      AssemblyStatement &statement = block.statements.emplace_back();
      statement.label = text.take_front(name).str();
      text = text.drop_front(text.find(':') + 1);
      continue;
    }
    size_t end = text.find(';');
    if (end == StringRef::npos) {
      error = "inline assembly: expected `;` behind `" +
              text.rtrim(spaces).str() + "`";
      return false;
    }
    StringRef line = text.take_front(end).trim(spaces);
    text = text.drop_front(end + 1);
    if (line.consume_front(".reg")) {
      parseRegisters(line, block);
      continue;
    }
    AssemblyStatement &statement = block.statements.emplace_back();
    if (line.consume_front("@")) {
      statement.negated = line.consume_front("!");
      size_t space = line.find_first_of(spaces);
      statement.guard = line.take_front(space).str();
      line = line.drop_front(std::min(space, line.size())).ltrim(spaces);
    }
    size_t space = line.find_first_of(spaces);
    statement.opcode = line.take_front(space).str();
    statement.operands =
        splitOperands(line.drop_front(std::min(space, line.size())));
  }
}
