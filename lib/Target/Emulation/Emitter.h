//===- Emitter.h - Calls of the emulator ------------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATION_EMITTER_H
#define REPO_LIB_TARGET_EMULATION_EMITTER_H

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

namespace repo::emulation {

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Type;
using llvm::Value;

using Values = llvm::SmallVector<Value *, 8>;

/// Emits calls of the functions of repo/Emulator/emulator.h.
class Emitter {
public:
  explicit Emitter(llvm::Instruction *before)
      : builder(before), module(*before->getModule()) {}
  explicit Emitter(llvm::BasicBlock *end)
      : builder(end), module(*end->getModule()) {}

  /// Calls repo_emulator_NAME. `pure`: depends on nothing but its arguments.
  Value *call(StringRef name, Type *result, ArrayRef<Value *> arguments,
              bool pure = false);
  Value *call(StringRef name, ArrayRef<Value *> arguments) {
    return call(name, builder.getVoidTy(), arguments);
  }

  /// Registers of 32 bits as an array in memory.
  Value *pack(ArrayRef<Value *> registers);
  Value *allocate(unsigned count);
  Values unpack(Value *array, unsigned count, Type *type);
  /// Values as the struct, or the one value, of type `type`.
  Value *makeResult(Type *type, ArrayRef<Value *> values);
  /// The low 32 bits and the flag that some functions return.
  Values splitFlag(Value *value, Type *type);

  /// Conversions of operands: bits stay, sizes change.
  Value *to(Value *value, Type *type);
  Value *toI32(Value *value) { return to(value, builder.getInt32Ty()); }
  Value *toI64(Value *value) { return to(value, builder.getInt64Ty()); }
  Value *toPointer(Value *value) { return to(value, builder.getPtrTy()); }
  Value *number(int64_t value) { return builder.getInt32(uint32_t(value)); }
  /// Two f32 rounded to a pair of 16-bit floats in 32 bits.
  Value *packHalves(Value *high, Value *low, Type *type);

  // Instructions whose operands come in groups.
  Values loadMatrix(unsigned count, bool transposed, Value *row);
  void storeMatrix(bool transposed, Value *row, ArrayRef<Value *> registers);
  Values multiply(unsigned k, bool isBF16, ArrayRef<Value *> a,
                  ArrayRef<Value *> b, ArrayRef<Value *> c);
  void copyTensor(bool isLoad, Value *shared, Value *map, Value *barrier,
                  ArrayRef<Value *> coordinates);

  llvm::IRBuilder<> builder;
  llvm::Module &module;
};

/// Replaces a call of an intrinsic of the NVVM dialect. False where the
/// emulator does not have it.
bool emulateIntrinsic(llvm::CallInst *call);

/// A function that does what inline assembly says; null, with a text in
/// `error`, where the emulator does not have an instruction.
llvm::Function *translateAssembly(llvm::CallInst *call, std::string &error);

} // namespace repo::emulation

#endif // REPO_LIB_TARGET_EMULATION_EMITTER_H
