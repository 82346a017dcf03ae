//===- AssemblyTranslator.h - Inline assembly as a function -----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_TARGET_EMULATION_ASSEMBLYTRANSLATOR_H
#define REPO_LIB_TARGET_EMULATION_ASSEMBLYTRANSLATOR_H

#include "AssemblyParser.h"
#include "Emitter.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/InlineAsm.h"

namespace repo::emulation {

/// Writes the body of a function that does what a block of inline assembly
/// does.
class AssemblyTranslator {
public:
  AssemblyTranslator(llvm::Function *function, const llvm::InlineAsm *code,
                     const AssemblyBlock &block)
      : function(function), block(block),
        emitter(llvm::BasicBlock::Create(function->getContext(), "", function)),
        b(emitter.builder) {
    bindOperands(code);
  }

  bool run(std::string &error);

private:
  void bindOperands(const llvm::InlineAsm *code);
  bool translate(const AssemblyStatement &statement);
  // Groups of instructions; false where there is none of that name.
  bool translateArithmetic(StringRef opcode, ArrayRef<std::string> operands);
  bool translateMemory(StringRef opcode, ArrayRef<std::string> operands);
  bool translateBarrier(StringRef opcode, ArrayRef<std::string> operands);
  bool translatePhaseBarrier(StringRef opcode, ArrayRef<std::string> operands);
  bool translateCopy(StringRef opcode, ArrayRef<std::string> operands);
  bool translateMatrix(StringRef opcode, ArrayRef<std::string> operands);
  bool translateProduct(StringRef opcode, ArrayRef<std::string> operands);
  bool translateWarp(StringRef opcode, ArrayRef<std::string> operands);

  Type *getType(StringRef suffix);
  Value *read(StringRef operand, Type *type);
  Value *readI32(StringRef operand) { return read(operand, b.getInt32Ty()); }
  Value *readI64(StringRef operand) { return read(operand, b.getInt64Ty()); }
  Values readList(StringRef operand, Type *type);
  void write(StringRef operand, Value *value);
  void writeList(StringRef operand, ArrayRef<Value *> values);
  /// The address in "[x]" or "[x+8]".
  Value *readAddress(StringRef operand);
  llvm::BasicBlock *getLabel(StringRef name);
  /// Goes on in a new block.
  void startBlock(llvm::BasicBlock *next) { b.SetInsertPoint(next); }

  llvm::Function *function;
  const AssemblyBlock &block;
  Emitter emitter;
  llvm::IRBuilder<> &b;
  /// Where operand $i is: an argument, or a variable of an output.
  llvm::SmallVector<Value *> operands;
  llvm::SmallVector<std::pair<Value *, Type *>> outputs;
  llvm::StringMap<std::pair<Value *, Type *>> registers;
  llvm::StringMap<llvm::BasicBlock *> labels;
};

} // namespace repo::emulation

#endif // REPO_LIB_TARGET_EMULATION_ASSEMBLYTRANSLATOR_H
