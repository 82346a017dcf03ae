//===- ThreadBuilder.cpp - The code of one thread -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::repo::tile;

Value ThreadBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
}
Value ThreadBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}
Value ThreadBuilder::toI32(Value index) {
  return arith::IndexCastOp::create(b, loc, b.getI32Type(), index);
}
Value ThreadBuilder::toIndex(Value number) {
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), number);
}
Value ThreadBuilder::add(Value x, Value y) {
  return arith::AddIOp::create(b, loc, x, y);
}
Value ThreadBuilder::add(Value x, int64_t y) {
  return y == 0 ? x : add(x, i32(y));
}
Value ThreadBuilder::mul(Value x, int64_t y) {
  return arith::MulIOp::create(b, loc, x, i32(y));
}
Value ThreadBuilder::both(Value x, int64_t mask) {
  return arith::AndIOp::create(b, loc, x, i32(mask));
}
Value ThreadBuilder::shiftLeft(Value x, int64_t bits) {
  return arith::ShLIOp::create(b, loc, x, i32(bits));
}
Value ThreadBuilder::shiftRight(Value x, int64_t bits) {
  return arith::ShRUIOp::create(b, loc, x, i32(bits));
}
Value ThreadBuilder::exclusiveOr(Value x, Value y) {
  return arith::XOrIOp::create(b, loc, x, y);
}
Value ThreadBuilder::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, loc, predicate, x, y);
}

Value ThreadBuilder::sharedMemory(int64_t offset) {
  auto type = LLVM::LLVMPointerType::get(b.getContext(), 3);
  return move(LLVM::AddressOfOp::create(b, loc, type, sharedMemoryName),
              offset);
}

Value ThreadBuilder::thread() {
  return NVVM::ThreadIdXOp::create(b, loc, b.getI32Type());
}

Value ThreadBuilder::firstRow(FragmentType type) {
  Value row = shiftRight(lane(), 2);
  if (!type.isWarpgroup())
    return row;
  Value warp = both(shiftRight(thread(), 5), 3);
  return add(shiftLeft(warp, 4), row);
}

Value ThreadBuilder::rowOf(FragmentType type, int64_t index) {
  return add(firstRow(type), type.getElementPlace(index).first);
}
Value ThreadBuilder::columnOf(FragmentType type, int64_t index) {
  if (type.isRow())
    return i32(0);
  return add(firstColumn(), type.getElementPlace(index).second);
}

Value ThreadBuilder::move(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(b, loc, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value ThreadBuilder::move(Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(b, loc, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{int32_t(bytes)});
}

Value ThreadBuilder::stage(Value buffer, MemRefType type, Value stage) {
  return move(buffer, mul(toI32(stage), getStageBytes(type)));
}

Value ThreadBuilder::chunk(Value start, MemRefType type, Value laneRow,
                           int64_t row, Value laneChunk, int64_t chunk) {
  int64_t panelBytes = type.getDimSize(2) * panelRowBytes;
  Value swizzled = exclusiveOr(add(laneChunk, chunk % 8), both(lane(), 7));
  Value offset = add(shiftLeft(laneRow, 7), shiftLeft(swizzled, 4));
  // Apart, so that the constant becomes part of the instruction.
  return move(move(start, offset),
              chunk / 8 * panelBytes + row * panelRowBytes);
}

SmallVector<Value> ThreadBuilder::loadMatrices(Value address, bool transpose) {
  auto shape = NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8);
  Type type = LLVM::LLVMStructType::getLiteral(
      b.getContext(), SmallVector<Type>(4, b.getI32Type()));
  Value loaded = NVVM::LdMatrixOp::create(b, loc, type, address, /*num=*/4,
                                          transpose ? NVVM::MMALayout::col
                                                    : NVVM::MMALayout::row,
                                          shape, NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> matrices;
  for (int64_t i = 0; i != 4; ++i)
    matrices.push_back(LLVM::ExtractValueOp::create(b, loc, loaded, i));
  return matrices;
}

Value ThreadBuilder::pack(Value low, Value high, Type element) {
  Type type = VectorType::get(2, element);
  if (element.isBF16())
    return NVVM::ConvertF32x2ToBF16x2Op::create(
        b, loc, type, high, low, Value(), NVVM::FPRoundingMode::RN);
  return NVVM::ConvertF32x2ToF16x2Op::create(b, loc, type, high, low, Value(),
                                             NVVM::FPRoundingMode::RN);
}

Value ThreadBuilder::exchange(Value value, int64_t mask) {
  return NVVM::ShflOp::create(b, loc, value.getType(), i32(-1), value,
                              i32(mask), i32(31), NVVM::ShflKind::bfly,
                              UnitAttr());
}

RowAddress::RowAddress(ThreadBuilder &t, Value memref) {
  OpBuilder &b = t.b;
  auto type = cast<MemRefType>(memref.getType());
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  auto metadata = memref::ExtractStridedMetadataOp::create(b, t.loc, memref);
  auto scale = [&](Value elements) -> Value {
    Value scaled = arith::MulIOp::create(b, t.loc, elements, t.index(bytes));
    return arith::IndexCastOp::create(b, t.loc, b.getI64Type(), scaled);
  };
  Value start =
      memref::ExtractAlignedPointerAsIndexOp::create(b, t.loc, memref);
  start = arith::IndexCastOp::create(b, t.loc, b.getI64Type(), start);
  start = arith::AddIOp::create(b, t.loc, start, scale(metadata.getOffset()));
  base = LLVM::IntToPtrOp::create(
      b, t.loc, LLVM::LLVMPointerType::get(b.getContext(), 1), start);
  rowBytes = scale(metadata.getStrides()[type.getRank() == 3]);
  if (type.getRank() == 3)
    matrixBytes = scale(metadata.getStrides().front());
  matrixRows = type.getRank() == 3 ? type.getDimSize(1) : 0;
}

Value RowAddress::get(ThreadBuilder &t, Value row) const {
  auto offset = [&](Value count, Value bytes) -> Value {
    Value wide =
        arith::IndexCastOp::create(t.b, t.loc, t.b.getI64Type(), count);
    return arith::MulIOp::create(t.b, t.loc, wide, bytes);
  };
  if (!isNested())
    return t.move(base, offset(row, rowBytes));
  Value rows = t.index(matrixRows);
  Value matrix = arith::DivUIOp::create(t.b, t.loc, row, rows);
  Value rest = arith::RemUIOp::create(t.b, t.loc, row, rows);
  return t.move(t.move(base, offset(matrix, matrixBytes)),
                offset(rest, rowBytes));
}

Value mlir::repo::tile::getElement(ThreadBuilder &t, FragmentType type,
                                   ValueRange registers, int64_t index) {
  if (!type.isOperand())
    return registers[index];
  return vector::ExtractOp::create(t.b, t.loc, registers[index / 2], index % 2);
}

SmallVector<Value> mlir::repo::tile::packElements(ThreadBuilder &t,
                                                  FragmentType type,
                                                  ArrayRef<Value> elements) {
  if (!type.isOperand())
    return llvm::to_vector(elements);
  SmallVector<Value> registers;
  auto pair = VectorType::get(2, type.getElementType());
  for (size_t i = 0; i < elements.size(); i += 2)
    registers.push_back(
        vector::FromElementsOp::create(t.b, t.loc, pair, elements.slice(i, 2)));
  return registers;
}
