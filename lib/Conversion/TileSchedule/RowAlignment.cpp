//===- RowAlignment.cpp - Where rows of buffers may begin -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowAlignment.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

void mlir::repo::assertRowAlignment(OpBuilder &b, Location loc, Value buffer,
                                    StringRef name, int64_t bytes) {
  auto type = cast<MemRefType>(buffer.getType());
  int64_t elementBytes = type.getElementTypeBitWidth() / 8;
  if (elementBytes >= bytes)
    return;
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, buffer);
  auto scale = [&](Value elements) {
    return arith::MulIOp::create(b, loc, elements, index(elementBytes));
  };
  // All starts of rows are such multiples if these numbers are.
  Value all = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer);
  auto add = [&](Value number) {
    all = arith::OrIOp::create(b, loc, all, number);
  };
  add(scale(metadata.getOffset()));
  for (int64_t d = 0; d + 1 < type.getRank(); ++d) {
    // The stride of a single row, or of none, says nothing.
    Value several = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt,
                                          metadata.getSizes()[d], index(1));
    add(arith::SelectOp::create(b, loc, several,
                                scale(metadata.getStrides()[d]), index(0)));
  }
  Value rest = arith::AndIOp::create(b, loc, all, index(bytes - 1));
  Value fits =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest, index(0));
  cf::AssertOp::create(b, loc, fits,
                       ("expected the rows of the " + name +
                        " to begin at multiples of " + Twine(bytes) + " bytes")
                           .str());
}
