//===- Emitter.cpp - Calls of the emulator --------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "repo/Emulator/emulator.h"

using namespace llvm;
using namespace repo::emulation;

Value *Emitter::call(StringRef name, Type *result, ArrayRef<Value *> arguments,
                     bool pure) {
  SmallVector<Type *> types;
  for (Value *argument : arguments)
    types.push_back(argument->getType());
  auto *type = FunctionType::get(result, types, false);
  FunctionCallee callee =
      module.getOrInsertFunction(("repo_emulator_" + name).str(), type);
  if (pure) {
    auto *function = cast<Function>(callee.getCallee());
    function->setDoesNotAccessMemory();
    function->setDoesNotThrow();
    function->setWillReturn();
  }
  return builder.CreateCall(callee, arguments);
}

Value *Emitter::allocate(unsigned count) {
  BasicBlock &entry = builder.GetInsertBlock()->getParent()->getEntryBlock();
  IRBuilder<> first(&entry, entry.begin());
  return first.CreateAlloca(
      ArrayType::get(first.getInt32Ty(), std::max(count, 1u)));
}

Value *Emitter::pack(ArrayRef<Value *> registers) {
  Value *array = allocate(unsigned(registers.size()));
  for (auto [i, value] : enumerate(registers))
    builder.CreateStore(toI32(value), builder.CreateConstGEP1_32(
                                          builder.getInt32Ty(), array, i));
  return array;
}

Values Emitter::unpack(Value *array, unsigned count, Type *type) {
  Values values;
  for (unsigned i = 0; i != count; ++i)
    values.push_back(builder.CreateLoad(
        type, builder.CreateConstGEP1_32(builder.getInt32Ty(), array, i)));
  return values;
}

Value *Emitter::makeResult(Type *type, ArrayRef<Value *> values) {
  if (!type->isStructTy())
    return to(values.front(), type);
  Value *result = PoisonValue::get(type);
  for (auto [i, value] : enumerate(values))
    result = builder.CreateInsertValue(
        result, to(value, type->getStructElementType(i)), i);
  return result;
}

Values Emitter::splitFlag(Value *value, Type *type) {
  Value *flag =
      builder.CreateTrunc(builder.CreateLShr(value, 32), builder.getInt1Ty());
  return {to(builder.CreateTrunc(value, builder.getInt32Ty()), type), flag};
}

Value *Emitter::to(Value *value, Type *type) {
  Type *from = value->getType();
  if (from == type)
    return value;
  if (from->isPointerTy() && type->isPointerTy())
    return builder.CreateAddrSpaceCast(value, type);
  if (from->isPointerTy())
    return builder.CreatePtrToInt(value, type);
  if (!from->isIntegerTy())
    value = builder.CreateBitCast(
        value, builder.getIntNTy(from->getPrimitiveSizeInBits()));
  if (type->isPointerTy())
    return builder.CreateIntToPtr(value, type);
  unsigned bits = type->getPrimitiveSizeInBits();
  value = builder.CreateZExtOrTrunc(value, builder.getIntNTy(bits));
  return builder.CreateBitCast(value, type);
}

Value *Emitter::packHalves(Value *high, Value *low, Type *type) {
  auto half = [&](Value *value) {
    value = builder.CreateFPTrunc(to(value, builder.getFloatTy()), type);
    return builder.CreateZExt(
        builder.CreateBitCast(value, builder.getInt16Ty()),
        builder.getInt32Ty());
  };
  return builder.CreateOr(builder.CreateShl(half(high), 16), half(low));
}

Values Emitter::loadMatrix(unsigned count, bool transposed, Value *row) {
  Value *registers = allocate(count);
  call("ldmatrix", {registers, toI32(row), number(count), number(transposed)});
  return unpack(registers, count, builder.getInt32Ty());
}

void Emitter::storeMatrix(bool transposed, Value *row,
                          ArrayRef<Value *> registers) {
  call("stmatrix", {toI32(row), pack(registers), number(registers.size()),
                    number(transposed)});
}

Values Emitter::multiply(unsigned k, bool isBF16, ArrayRef<Value *> a,
                         ArrayRef<Value *> b, ArrayRef<Value *> c) {
  Value *accumulators = pack(c);
  call("mma",
       {number(k), number(isBF16 ? REPO_EMULATOR_BF16 : REPO_EMULATOR_F16),
        pack(a), pack(b), accumulators});
  return unpack(accumulators, unsigned(c.size()), builder.getFloatTy());
}

void Emitter::copyTensor(bool isLoad, Value *shared, Value *map, Value *barrier,
                         ArrayRef<Value *> coordinates) {
  Value *rank = number(coordinates.size());
  Value *at = pack(coordinates);
  if (isLoad)
    call("tensor_load",
         {rank, toI32(shared), toPointer(map), toI32(barrier), at});
  else
    call("tensor_store", {rank, toI32(shared), toPointer(map), at});
}
