//===- Assembly.cpp - Inline assembly -------------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Inline PTX becomes a function: registers are variables, labels are blocks, an
// instruction is what AssemblyInstructions.cpp says. An instruction that is not
// there is an error.
//
//===----------------------------------------------------------------------===//

#include "AssemblyTranslator.h"
#include "repo/Emulator/emulator.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace repo::emulation;

void AssemblyTranslator::bindOperands(const InlineAsm *code) {
  Type *result = function->getReturnType();
  unsigned argument = 0;
  for (const InlineAsm::ConstraintInfo &constraint : code->ParseConstraints()) {
    if (constraint.Type == InlineAsm::isClobber)
      continue;
    if (constraint.Type == InlineAsm::isOutput) {
      Type *type = result->isStructTy()
                       ? result->getStructElementType(outputs.size())
                       : result;
      Value *variable = b.CreateAlloca(type);
      outputs.push_back({variable, type});
      operands.push_back(variable);
      continue;
    }
    Value *value = function->getArg(argument++);
    operands.push_back(value);
    // "0": the register that output 0 becomes.
    if (constraint.Codes.empty())
      continue;
    unsigned tied;
    if (!StringRef(constraint.Codes[0]).getAsInteger(10, tied))
      b.CreateStore(emitter.to(value, outputs[tied].second),
                    outputs[tied].first);
  }
  for (auto &[name, type] : block.registers) {
    Type *llvmType = getType(type);
    registers[name] = {b.CreateAlloca(llvmType), llvmType};
  }
}

/// The type that a suffix such as b32 or pred names.
Type *AssemblyTranslator::getType(StringRef suffix) {
  if (suffix == "pred")
    return b.getInt1Ty();
  if (suffix == "f32")
    return b.getFloatTy();
  if (suffix == "f64")
    return b.getDoubleTy();
  unsigned bits = 32;
  if (suffix.drop_front().getAsInteger(10, bits))
    bits = 32;
  return b.getIntNTy(bits);
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

Value *AssemblyTranslator::read(StringRef operand, Type *type) {
  operand = operand.trim();
  unsigned index;
  if (operand.consume_front("$") && !operand.getAsInteger(10, index)) {
    if (index < outputs.size())
      return emitter.to(
          b.CreateLoad(outputs[index].second, outputs[index].first), type);
    return emitter.to(operands[index], type);
  }
  uint64_t bits;
  if (operand.starts_with("0f") &&
      !operand.drop_front(2).getAsInteger(16, bits))
    return emitter.to(b.getInt32(uint32_t(bits)), type);
  int64_t number;
  if (!operand.getAsInteger(0, number))
    return emitter.to(b.getInt64(uint64_t(number)), type);
  if (auto it = registers.find(operand); it != registers.end())
    return emitter.to(b.CreateLoad(it->second.second, it->second.first), type);
  return PoisonValue::get(type);
}

Values AssemblyTranslator::readList(StringRef operand, Type *type) {
  Values values;
  for (const std::string &part : splitOperands(operand.trim("{} \t\n")))
    values.push_back(read(part, type));
  return values;
}

void AssemblyTranslator::write(StringRef operand, Value *value) {
  operand = operand.trim();
  unsigned index;
  if (operand.consume_front("$") && !operand.getAsInteger(10, index)) {
    if (index < outputs.size())
      b.CreateStore(emitter.to(value, outputs[index].second),
                    outputs[index].first);
    return;
  }
  if (auto it = registers.find(operand); it != registers.end())
    b.CreateStore(emitter.to(value, it->second.second), it->second.first);
}

void AssemblyTranslator::writeList(StringRef operand,
                                   ArrayRef<Value *> values) {
  for (auto [part, value] : zip(splitOperands(operand.trim("{} \t\n")), values))
    write(part, value);
}

Value *AssemblyTranslator::readAddress(StringRef operand) {
  operand = operand.trim("[] \t\n");
  auto [base, offset] = operand.split('+');
  Value *address = readI64(base.trim());
  if (!offset.empty())
    address = b.CreateAdd(address, readI64(offset.trim()));
  return address;
}

BasicBlock *AssemblyTranslator::getLabel(StringRef name) {
  BasicBlock *&label = labels[name];
  if (!label)
    label = BasicBlock::Create(b.getContext(), name, function);
  return label;
}

//===----------------------------------------------------------------------===//
// Statements
//===----------------------------------------------------------------------===//

bool AssemblyTranslator::translate(const AssemblyStatement &statement) {
  StringRef opcode = statement.opcode;
  const std::vector<std::string> &operands = statement.operands;
  if (opcode == "trap") {
    emitter.call("trap", {});
    return true;
  }
  if (opcode.starts_with("fence.proxy.async")) {
    emitter.call("fence", {emitter.number(REPO_EMULATOR_FENCE_PROXY)});
    return true;
  }
  if (opcode.starts_with("fence.mbarrier_init")) {
    emitter.call("fence", {emitter.number(REPO_EMULATOR_FENCE_INIT)});
    return true;
  }
  for (StringRef hint : {"fence.", "membar.", "setmaxnreg.", "prefetch",
                         "griddepcontrol.", "nanosleep", "createpolicy."})
    if (opcode.starts_with(hint))
      return true;
  return translateMatrix(opcode, operands) ||
         translatePhaseBarrier(opcode, operands) ||
         translateCopy(opcode, operands) ||
         translateBarrier(opcode, operands) ||
         translateWarp(opcode, operands) || translateMemory(opcode, operands) ||
         translateArithmetic(opcode, operands);
}

bool AssemblyTranslator::run(std::string &error) {
  for (const AssemblyStatement &statement : block.statements) {
    if (!statement.label.empty()) {
      BasicBlock *label = getLabel(statement.label);
      b.CreateBr(label);
      startBlock(label);
      continue;
    }
    bool isBranch = StringRef(statement.opcode).starts_with("bra");
    BasicBlock *next = nullptr;
    if (!statement.guard.empty() || isBranch) {
      next = BasicBlock::Create(b.getContext(), "", function);
      BasicBlock *taken =
          isBranch ? getLabel(statement.operands[0])
                   : BasicBlock::Create(b.getContext(), "", function);
      if (statement.guard.empty()) {
        b.CreateBr(taken);
      } else {
        Value *condition = read(statement.guard, b.getInt1Ty());
        if (statement.negated)
          condition = b.CreateNot(condition);
        b.CreateCondBr(condition, taken, next);
      }
      startBlock(isBranch ? next : taken);
    }
    if (isBranch)
      continue;
    if (!translate(statement)) {
      error = "the emulator has no `" + statement.opcode + "`";
      return false;
    }
    if (next) {
      b.CreateBr(next);
      startBlock(next);
    }
  }
  Values values;
  for (auto [variable, type] : outputs)
    values.push_back(b.CreateLoad(type, variable));
  if (values.empty())
    b.CreateRetVoid();
  else
    b.CreateRet(emitter.makeResult(function->getReturnType(), values));
  return true;
}

Function *repo::emulation::translateAssembly(CallInst *call,
                                             std::string &error) {
  auto *code = cast<InlineAsm>(call->getCalledOperand());
  AssemblyBlock block;
  if (!parseAssembly(code->getAsmString(), block, error))
    return nullptr;
  auto *function =
      Function::Create(call->getFunctionType(), GlobalValue::InternalLinkage,
                       "assembly", *call->getModule());
  function->addFnAttr(Attribute::AlwaysInline);
  if (!AssemblyTranslator(function, code, block).run(error))
    return nullptr;
  return function;
}
