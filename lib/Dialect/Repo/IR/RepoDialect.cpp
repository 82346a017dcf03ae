//===- RepoDialect.cpp - Registration and dialect-wide rules --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::repo;

#include "repo/Dialect/Repo/IR/RepoDialect.cpp.inc"

#define GET_OP_CLASSES
#include "repo/Dialect/Repo/IR/RepoOps.cpp.inc"

namespace {
/// Prints rotary rules as aliases, once above the module.
struct RepoAsmInterface : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;
  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    if (!isa<RopeAttr>(attr))
      return AliasResult::NoAlias;
    os << "rope";
    return AliasResult::OverridableAlias;
  }
};
} // namespace

void RepoDialect::initialize() {
  registerAttributes();
  addInterfaces<RepoAsmInterface>();
  addOperations<
#define GET_OP_LIST
#include "repo/Dialect/Repo/IR/RepoOps.cpp.inc"
      >();
}

LogicalResult RepoDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attr) {
  return op->emitOpError("unknown attribute `")
         << attr.getName().strref() << "`";
}

// What each attribute of an entry means stands in RepoDialect.td.

LogicalResult RepoDialect::verifyRegionArgAttribute(Operation *op, unsigned,
                                                    unsigned argIndex,
                                                    NamedAttribute attr) {
  StringRef name = attr.getName().strref();
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError("`") << name << "` belongs on a function argument";
  if (name == kConstantAttrName || name == kPackedAttrName ||
      name == kBooleanAttrName)
    return isa<UnitAttr>(attr.getValue()) ? success()
                                          : op->emitOpError("expected `")
                                                << name
                                                << "` to be a unit attribute";
  if (name == kNameAttrName)
    return isa<StringAttr>(attr.getValue())
               ? success()
               : op->emitOpError("expected `repo.name` to be a string");
  if (name == kInoutAttrName) {
    auto result = dyn_cast<IntegerAttr>(attr.getValue());
    if (!result || result.getInt() < 0)
      return op->emitOpError(
          "expected `repo.inout` to be the number of a result");
    return success();
  }
  return op->emitOpError("unknown argument attribute `") << name << "`";
}

LogicalResult RepoDialect::verifyRegionResultAttribute(Operation *op, unsigned,
                                                       unsigned,
                                                       NamedAttribute attr) {
  if (attr.getName() == kNameAttrName && isa<StringAttr>(attr.getValue()))
    return success();
  if (attr.getName() == kPackedAttrName && isa<UnitAttr>(attr.getValue()))
    return success();
  return op->emitOpError("unknown result attribute `")
         << attr.getName().strref() << "`";
}
