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

/// A function may carry `repo.packed_only`: an entry that is called with packed
/// weights alone, as those of models are.
LogicalResult RepoDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attr) {
  if (attr.getName() == "repo.packed_only")
    return isa<FunctionOpInterface>(op) && isa<UnitAttr>(attr.getValue())
               ? success()
               : op->emitOpError("expected `repo.packed_only` to be a unit "
                                 "attribute of a function");
  return op->emitOpError("unknown attribute `")
         << attr.getName().strref() << "`";
}

/// The attributes an argument of a function may carry:
///   repo.constant           a weight, the same at every call;
///   repo.packed             a part of the packed weights, in our own layout;
///   repo.boolean            bytes at the C boundary that stand for booleans;
///   repo.name = "q"         the name of the tensor in files and headers;
///   repo.inout = 1 : index  the buffer of this argument also holds result 1.
LogicalResult RepoDialect::verifyRegionArgAttribute(Operation *op, unsigned,
                                                    unsigned argIndex,
                                                    NamedAttribute attr) {
  StringRef name = attr.getName().strref();
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError("`") << name << "` belongs on a function argument";
  if (name == "repo.constant" || name == "repo.packed" ||
      name == "repo.boolean")
    return isa<UnitAttr>(attr.getValue()) ? success()
                                          : op->emitOpError("expected `")
                                                << name
                                                << "` to be a unit attribute";
  if (name == "repo.name")
    return isa<StringAttr>(attr.getValue())
               ? success()
               : op->emitOpError("expected `repo.name` to be a string");
  if (name == "repo.inout") {
    auto result = dyn_cast<IntegerAttr>(attr.getValue());
    if (!result || result.getInt() < 0)
      return op->emitOpError(
          "expected `repo.inout` to be the number of a result");
    return success();
  }
  return op->emitOpError("unknown argument attribute `") << name << "`";
}

/// A result may carry `repo.name`, the name of the tensor in files and headers,
/// and `repo.packed`, where it is a part of the packed weights.
LogicalResult RepoDialect::verifyRegionResultAttribute(Operation *op, unsigned,
                                                       unsigned,
                                                       NamedAttribute attr) {
  if (attr.getName() == "repo.name" && isa<StringAttr>(attr.getValue()))
    return success();
  if (attr.getName() == "repo.packed" && isa<UnitAttr>(attr.getValue()))
    return success();
  return op->emitOpError("unknown result attribute `")
         << attr.getName().strref() << "`";
}
