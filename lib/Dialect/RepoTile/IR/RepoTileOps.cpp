//===- RepoTileOps.cpp - What tile ops accept -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::repo::tile;

#define GET_OP_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileOps.cpp.inc"

/// Whether the elements of the last dimension lie side by side.
static bool hasUnitStride(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

LogicalResult SharedBufferOp::verify() {
  if (getOffset() < 0 || getOffset() % 1024 != 0)
    return emitOpError("expected `offset` to be a multiple of 1024, got ")
           << getOffset();
  return success();
}

LogicalResult CopyAsyncOp::verify() {
  MemRefType source = getSource().getType(), target = getTarget().getType();
  auto [rows, columns] = getStageShape(target);
  if (source.getElementType() != target.getElementType())
    return emitOpError("expected elements ")
           << target.getElementType() << " as in the stage, got "
           << source.getElementType();
  if (source.getShape().back() != columns || !hasUnitStride(source))
    return emitOpError("expected a source with ")
           << columns << " columns side by side, got " << source;
  if (source.getRank() == 3 && source.isDynamicDim(1))
    return emitOpError("expected matrices of a static number of rows, got ")
           << source;
  int64_t firstRow = getTargetRow(), copied = getCopiedRows();
  if (firstRow < 0 || firstRow % 8 != 0 || copied <= 0 ||
      firstRow + copied > rows)
    return emitOpError("expected rows of a stage of ")
           << rows << " from a multiple of 8 on, got " << copied << " from "
           << firstRow << " on";
  int64_t chunks = columns / 8, threads = getThreads();
  if (threads <= 0 || threads % 32 != 0 || threads % chunks != 0 ||
      copied * chunks % threads != 0)
    return emitOpError("expected `threads` to be a multiple of 32 and of the ")
           << chunks << " chunks of a row that divides the " << copied * chunks
           << " of a stage, got " << threads;
  if (getWarp() && threads != 32)
    return emitOpError("expected 32 `threads` with `warp`, got ") << threads;
  return success();
}

LogicalResult LoadSharedOp::verify() {
  FragmentType result = getResult().getType();
  MemRefType source = getSource().getType();
  int64_t columns = getStageShape(source).second;
  if (result.getColumns() != columns ||
      result.getElementType() != source.getElementType())
    return emitOpError("expected a fragment with ")
           << columns << " columns of " << source.getElementType() << ", got "
           << result;
  return success();
}

LogicalResult StoreSharedOp::verify() {
  FragmentType value = getValue().getType();
  MemRefType target = getTarget().getType();
  int64_t columns = getStageShape(target).second;
  if (value.getColumns() != columns ||
      value.getElementType() != target.getElementType())
    return emitOpError("expected a fragment with ")
           << columns << " columns of " << target.getElementType() << ", got "
           << value;
  return success();
}

LogicalResult LoadRowsOp::verify() {
  Type expected = getSource().getType().getElementType();
  if (getResult().getType().getElementType() != expected)
    return emitOpError("expected a row vector of ")
           << expected << ", got " << getResult().getType();
  return success();
}

LogicalResult StoreOp::verify() {
  auto value = cast<FragmentType>(getValue().getType());
  MemRefType target = getTarget().getType();
  if (target.getRank() != int64_t(value.getShape().size()))
    return emitOpError("expected a target of rank ")
           << value.getShape().size() << ", got " << target.getRank();
  if (!value.isRow() &&
      (target.getDimSize(1) != value.getColumns() || !hasUnitStride(target)))
    return emitOpError("expected a target with ")
           << value.getColumns() << " columns side by side, got " << target;
  Type element = target.getElementType();
  bool legal = value.isAccumulator() ? isa<FloatType>(element)
                                     : element == value.getElementType();
  if (!legal)
    return emitOpError("expected a target of ")
           << (value.isAccumulator() ? "floats" : "the fragment's elements")
           << ", got " << element;
  return success();
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

/// Checks arguments and yielded values of a region.
static LogicalResult verifyBody(Operation *op, Block &body,
                                ArrayRef<Type> arguments,
                                ArrayRef<Type> yielded) {
  if (body.getArgumentTypes() != TypeRange(arguments))
    return op->emitOpError("expected a block with arguments (")
           << arguments << "), got ("
           << llvm::to_vector(body.getArgumentTypes()) << ")";
  auto types = body.getTerminator()->getOperandTypes();
  if (types != TypeRange(yielded))
    return op->emitOpError("expected the block to yield (")
           << yielded << "), got (" << llvm::to_vector(types) << ")";
  return success();
}

void MapOp::build(
    OpBuilder &builder, OperationState &state, TypeRange results,
    ValueRange inputs,
    function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)> body) {
  state.addOperands(inputs);
  state.addTypes(results);
  SmallVector<Type> arguments;
  for (Type type : inputs.getTypes())
    arguments.push_back(cast<FragmentType>(type).getElementType());
  arguments.append(2, builder.getI32Type());
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(
      state.addRegion(), {}, arguments,
      SmallVector<Location>(arguments.size(), state.location));
  YieldOp::create(builder, state.location,
                  body(builder, state.location, block->getArguments()));
}

LogicalResult MapOp::verify() {
  if (getResults().empty())
    return emitOpError("expected at least one result");
  auto first = cast<FragmentType>(getResultTypes().front());
  for (Type type :
       llvm::concat<const Type>(llvm::to_vector(getInputs().getTypes()),
                                llvm::to_vector(getResultTypes()))) {
    auto fragment = cast<FragmentType>(type);
    bool rows = fragment.isRow() &&
                fragment == first.getRowType(fragment.getElementType());
    bool same = fragment.getShape() == first.getShape() &&
                fragment.getLayout() == first.getLayout();
    if (!rows && !same)
      return emitOpError("expected fragments like the result ")
             << first << (first.isRow() ? "" : ", or its row vectors")
             << ", got " << fragment;
  }
  for (Type type : getResultTypes())
    if (cast<FragmentType>(type).isRow() != first.isRow())
      return emitOpError("expected results that are all matrices or all row "
                         "vectors, got ")
             << first << " and " << type;
  SmallVector<Type> arguments, yielded;
  for (Type type : getInputs().getTypes())
    arguments.push_back(cast<FragmentType>(type).getElementType());
  arguments.append(2, IntegerType::get(getContext(), 32));
  for (Type type : getResultTypes())
    yielded.push_back(cast<FragmentType>(type).getElementType());
  return verifyBody(*this, getBody().front(), arguments, yielded);
}

std::pair<int64_t, int64_t> MapPairsOp::getPair(int64_t f) {
  if (getPairing() == Pairing::interleaved)
    return {2 * f, 2 * f + 1};
  return {f, f + int64_t(getDim()) / 2};
}

LogicalResult MapPairsOp::verify() {
  FragmentType input = getInput().getType();
  SmallVector<Type> arguments(2, input.getElementType());
  for (Type type : getRows().getTypes()) {
    auto row = cast<FragmentType>(type);
    if (row != input.getRowType(row.getElementType()))
      return emitOpError("expected row vectors of ")
             << input << ", got " << row;
    arguments.push_back(row.getElementType());
  }
  int64_t step = getPairing() == Pairing::half ? 32 : 16, dim = getDim();
  if (dim <= 0 || dim > input.getColumns() || dim % step != 0)
    return emitOpError("expected `dim` to be a multiple of ")
           << step << " up to the " << input.getColumns()
           << " columns, so that a thread holds both columns of a pair, got "
           << dim;
  arguments.append(2, IntegerType::get(getContext(), 32));
  return verifyBody(*this, getBody().front(), arguments,
                    SmallVector<Type>(2, input.getElementType()));
}

LogicalResult ReduceOp::verify() {
  FragmentType input = getInput().getType();
  FragmentType expected = input.getRowType(input.getElementType());
  if (getInit().getType() != expected)
    return emitOpError("expected `init` to be ")
           << expected << ", got " << getInit().getType();
  return success();
}

LogicalResult ConvertOp::verify() {
  auto from = cast<FragmentType>(getInput().getType());
  auto to = cast<FragmentType>(getResult().getType());
  if (!from.isAccumulator() || !to.isOperand())
    return emitOpError("cannot make layout `")
           << stringifyLayout(to.getLayout()) << "` of `"
           << stringifyLayout(from.getLayout())
           << "` in registers: only an accumulator becomes an operand A";
  if (from.isWarpgroup() != to.isWarpgroup())
    return emitOpError("cannot make layout `")
           << stringifyLayout(to.getLayout()) << "` of `"
           << stringifyLayout(from.getLayout())
           << "` in registers: the rows of a warpgroup lie in four warps";
  if (from.getShape() != to.getShape())
    return emitOpError("expected a result with ")
           << from.getRows() << " rows and " << from.getColumns()
           << " columns, got " << to.getRows() << " and " << to.getColumns();
  return success();
}

LogicalResult SplitOp::verify() {
  FragmentType input = getInput().getType();
  int64_t columns = 0;
  for (Type type : getResultTypes()) {
    auto result = cast<FragmentType>(type);
    columns += result.getColumns();
    if (result.getRows() != input.getRows() ||
        result.getLayout() != input.getLayout())
      return emitOpError("expected results with the rows and the layout of ")
             << input << ", got " << result;
  }
  if (columns != input.getColumns())
    return emitOpError("expected results of ")
           << input.getColumns() << " columns together, got " << columns;
  return success();
}

LogicalResult MmaOp::verify() {
  auto a = cast<FragmentType>(getA().getType());
  FragmentType init = getInit().getType();
  MemRefType b = getB().getType();
  if (!a.isOperand())
    return emitOpError("cannot consume layout `")
           << stringifyLayout(a.getLayout())
           << "` as operand A: expected `mma_a` or `wgmma_a`"
           << (a.isAccumulator() ? ", which repo_tile.convert makes of it"
                                 : "");
  if (a.isWarpgroup() != init.isWarpgroup())
    return emitOpError("cannot consume layout `")
           << stringifyLayout(init.getLayout())
           << "` as accumulator beside an operand `"
           << stringifyLayout(a.getLayout()) << "`";
  if (a.getElementType() != b.getElementType())
    return emitOpError("expected operands of the same elements, got ")
           << a.getElementType() << " and " << b.getElementType();
  auto [k, n] = getStageShape(b);
  if (getTransposeB())
    std::swap(k, n);
  if (a.getRows() != init.getRows() || a.getColumns() != k ||
      init.getColumns() != n)
    return emitOpError("expected `a` [")
           << init.getRows() << ", " << k << "] and `init` [" << init.getRows()
           << ", " << n << "], got [" << a.getRows() << ", " << a.getColumns()
           << "] and [" << init.getRows() << ", " << init.getColumns() << "]";
  if (n % 16 != 0)
    return emitOpError("expected a multiple of 16 columns, got ") << n;
  if (init.isWarpgroup() && (init.getRows() != 64 || n > 256))
    return emitOpError("expected 64 rows and at most 256 columns of a "
                       "warpgroup, got ")
           << init.getRows() << " and " << n;
  return success();
}
