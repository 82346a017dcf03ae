//===- Repo.h - The repo dialect: ops, attributes, interfaces ---*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPO_H
#define REPO_DIALECT_REPO_IR_REPO_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/IndexingMapOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "repo/Dialect/Repo/IR/RepoDialect.h.inc"
#include "repo/Dialect/Repo/IR/RepoEnums.h.inc"

#include "repo/Dialect/Repo/IR/RepoAttrInterfaces.h.inc"

namespace mlir {
namespace repo {
/// A real parameter of an attribute: a double that can be hashed, and that is
/// printed with as many digits as it takes to read the same number back.
class Real {
public:
  explicit Real(double value = 0.0) : value(value) {}
  operator double() const { return value; }
  friend llvm::hash_code hash_value(Real real) {
    return llvm::hash_value(llvm::bit_cast<uint64_t>(real.value));
  }

private:
  double value;
};
AsmPrinter &operator<<(AsmPrinter &printer, Real real);
/// The shortest text of a number, for diagnostics.
std::string toString(Real real);
} // namespace repo

template <> struct FieldParser<repo::Real> {
  static FailureOr<repo::Real> parse(AsmParser &parser);
};
} // namespace mlir

#define GET_ATTRDEF_CLASSES
#include "repo/Dialect/Repo/IR/RepoAttrs.h.inc"

#define GET_OP_CLASSES
#include "repo/Dialect/Repo/IR/RepoOps.h.inc"

#endif // REPO_DIALECT_REPO_IR_REPO_H
