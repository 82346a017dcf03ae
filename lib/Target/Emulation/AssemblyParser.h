//===- AssemblyParser.h - Statements of inline PTX --------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATION_ASSEMBLYPARSER_H
#define REPO_LIB_TARGET_EMULATION_ASSEMBLYPARSER_H

#include "llvm/ADT/StringRef.h"
#include <string>
#include <utility>
#include <vector>

namespace repo::emulation {

/// A label, or an instruction.
struct AssemblyStatement {
  std::string label;
  std::string guard; ///< The predicate behind `@`, or "".
  bool negated = false;
  std::string opcode;
  std::vector<std::string> operands;
};

struct AssemblyBlock {
  /// Names and types (b32, pred, ...) of registers.
  std::vector<std::pair<std::string, std::string>> registers;
  std::vector<AssemblyStatement> statements;
};

bool parseAssembly(llvm::StringRef text, AssemblyBlock &block,
                   std::string &error);

/// The text in pieces that end behind `;` or a brace at the level of
/// statements.
std::vector<std::string> splitStatements(llvm::StringRef text);

/// Splits at commas outside of braces and brackets.
std::vector<std::string> splitOperands(llvm::StringRef text);

} // namespace repo::emulation

#endif // REPO_LIB_TARGET_EMULATION_ASSEMBLYPARSER_H
