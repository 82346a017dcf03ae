//===- DeviceOps.cpp - What the host asks of a device ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/TypeUtilities.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

LogicalResult GemmOp::verify() {
  MemRefType a = getA().getType(), b = getB().getType(), c = getC().getType();
  // (C1)
  unsigned inner = getTransposeB() ? 1 : 0;
  int64_t k = b.getDimSize(inner), n = b.getDimSize(1 - inner);
  if (a.getRank() != c.getRank() ||
      failed(verifyCompatibleShape(a.getShape().drop_back(),
                                   c.getShape().drop_back())))
    return emitOpError("expected `c` to have the rows of `a`, got ")
           << c << " and " << a;
  if (failed(verifyCompatibleDims({a.getShape().back(), k})) ||
      failed(verifyCompatibleDims({c.getShape().back(), n})))
    return emitOpError("expected `b` to be a matrix from the columns of `a` to "
                       "those of `c`, got ")
           << b;
  // (C2)
  if (a.getElementType() != b.getElementType())
    return emitOpError("expected `a` and `b` of one element type, got ")
           << a.getElementType() << " and " << b.getElementType();
  // (C3)
  for (MemRefType type : {a, b, c})
    if (type.getStridesAndOffset().first.back() != 1)
      return emitOpError("expected an innermost stride of 1, got ") << type;
  return success();
}
