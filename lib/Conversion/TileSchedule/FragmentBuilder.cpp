//===- FragmentBuilder.cpp - Fragments of a kernel ------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FragmentBuilder.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::tile;

FragmentType FragmentBuilder::accumulatorType(int64_t columns) {
  return FragmentType::get(b.getContext(), {rows, columns}, b.getF32Type(),
                           unit == MatrixUnit::mma ? Layout::mma_acc
                                                   : Layout::wgmma_acc);
}

FragmentType FragmentBuilder::operandType(int64_t columns) {
  return FragmentType::get(b.getContext(), {rows, columns}, element,
                           unit == MatrixUnit::mma ? Layout::mma_a
                                                   : Layout::wgmma_a);
}

FragmentType FragmentBuilder::rowType(Type type) {
  return accumulatorType(8).getRowType(type);
}

SmallVector<Value> FragmentBuilder::map(ValueRange inputs, TypeRange results,
                                        Body body) {
  return MapOp::create(b, loc, results, inputs, body).getResults();
}

Value FragmentBuilder::fill(FragmentType type, double value) {
  return map({}, type,
             [&](OpBuilder &nested, Location at,
                 ValueRange) -> SmallVector<Value> {
               return {ElementBuilder(nested, at).number(value)};
             })
      .front();
}
