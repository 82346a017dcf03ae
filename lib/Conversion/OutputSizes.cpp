//===- OutputSizes.cpp - Outputs whose sizes are computed -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Conversion/Signature.h"

using namespace mlir;
using namespace mlir::repo;

/// Leaves the entry with an error where dimension `dim` of `result` is not that
/// of `destination`.
static void emitCheck(OpBuilder &builder, Location loc, Value context,
                      int32_t argument, int64_t dim, Value result,
                      Value destination) {
  Value expected = tensor::DimOp::create(builder, loc, result, dim);
  Value found = memref::DimOp::create(builder, loc, destination, dim);
  Value differ = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne,
                                       expected, found);
  scf::IfOp::create(builder, loc, differ, [&](OpBuilder &nested, Location loc) {
    Type i32 = nested.getI32Type(), i64 = nested.getI64Type();
    auto constant = [&](int64_t value) {
      return arith::ConstantOp::create(nested, loc,
                                       nested.getIntegerAttr(i32, value))
          .getResult();
    };
    auto asInteger = [&](Value size) {
      return arith::IndexCastOp::create(nested, loc, i64, size).getResult();
    };
    callRuntime(nested, loc, context, RuntimeFunction::wrong_size, nullptr,
                {constant(argument), constant(dim), asInteger(expected),
                 asInteger(found)});
    scf::YieldOp::create(nested, loc);
  });
}

void mlir::repo::checkOutputSizes(func::FuncOp function,
                                  const EntrySignature &signature) {
  llvm::SmallDenseSet<int64_t> given;
  for (const EntryArgument &argument : signature.arguments)
    if (argument.role != EntryArgument::Role::output)
      given.insert_range(argument.shape);
  function.walk([&](bufferization::MaterializeInDestinationOp op) {
    auto destination = dyn_cast<BlockArgument>(op.getDest());
    if (!destination || destination.getOwner()->getParentOp() != function)
      return;
    int32_t number = destination.getArgNumber() - 1; // behind the context
    SmallVector<int64_t> dims;
    for (auto [dim, size] : llvm::enumerate(signature.arguments[number].shape))
      if (size < 0 && !given.contains(size))
        dims.push_back(dim);
    if (dims.empty())
      return;
    // In a buffer of its own until the sizes are known to fit.
    OpBuilder builder(op);
    Location loc = op.getLoc();
    Value result = bufferization::AllocTensorOp::create(
        builder, loc, cast<RankedTensorType>(op.getSource().getType()),
        ValueRange(), op.getSource());
    for (int64_t dim : dims)
      emitCheck(builder, loc, function.getArgument(0), number, dim, result,
                destination);
    op.getSourceMutable().assign(result);
  });
}
