//===- Mutations.cpp - Kernels with one mistake ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A test of the checks: every kernel with a mistake in its synchronisation must
// be caught. Mistakes are made in intrinsics and inside of inline assembly
// alike.
//
//===----------------------------------------------------------------------===//

#include "Mutations.h"
#include "AssemblyParser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace repo::emulation;

namespace {
struct Mutation {
  std::string description;
  std::function<void()> apply;
};

class Mutator {
public:
  explicit Mutator(Module &code);
  std::vector<Mutation> mutations;

private:
  void visitIntrinsic(CallInst *call, StringRef name);
  void visitAssembly(CallInst *call, const InlineAsm *code);
  void add(CallInst *call, const Twine &what, std::function<void()> apply);
};
} // namespace

Mutator::Mutator(Module &code) {
  for (Function &function : code)
    for (Instruction &instruction : instructions(function)) {
      auto *call = dyn_cast<CallInst>(&instruction);
      if (!call)
        continue;
      if (auto *assembly = dyn_cast<InlineAsm>(call->getCalledOperand()))
        visitAssembly(call, assembly);
      else if (Function *callee = call->getCalledFunction())
        if (StringRef name = callee->getName();
            name.consume_front("llvm.nvvm."))
          visitIntrinsic(call, name);
    }
}

void Mutator::add(CallInst *call, const Twine &what,
                  std::function<void()> apply) {
  std::string place = call->getFunction()->getName().str() + " ";
  mutations.push_back({place + what.str(), std::move(apply)});
}

/// Instructions whose absence is a mistake, by the start of their names with
/// underscores as points.
static bool synchronizes(StringRef name) {
  static constexpr StringRef prefixes[] = {"barrier",
                                           "bar.",
                                           "cp.async.commit",
                                           "cp.async.wait",
                                           "cp.async.mbarrier",
                                           "cp.async.bulk.commit",
                                           "cp.async.bulk.wait",
                                           "mbarrier.init",
                                           "mbarrier.arrive",
                                           "mbarrier.expect",
                                           "mbarrier.try",
                                           "mbarrier.test",
                                           "fence.",
                                           "membar",
                                           "wgmma.fence",
                                           "wgmma.commit",
                                           "wgmma.wait"};
  std::string points = name.str();
  std::replace(points.begin(), points.end(), '_', '.');
  return any_of(prefixes, [&](StringRef prefix) {
    return StringRef(points).starts_with(prefix);
  });
}

/// The barrier behind the one that operand `index` of a call points to: those
/// of stages lie side by side.
static void useNextBarrier(CallInst *call, unsigned index) {
  IRBuilder<> builder(call);
  Value *old = call->getArgOperand(index);
  call->setArgOperand(
      index, old->getType()->isPointerTy()
                 ? builder.CreateConstGEP1_32(builder.getInt8Ty(), old, 8)
                 : builder.CreateAdd(old, ConstantInt::get(old->getType(), 8)));
}

void Mutator::visitIntrinsic(CallInst *call, StringRef name) {
  if (!synchronizes(name))
    return;
  // What a wait is asked is answered by "done".
  add(call, "without " + name, [call] {
    if (!call->getType()->isVoidTy())
      call->replaceAllUsesWith(
          call->getType()->isIntegerTy(1)
              ? static_cast<Value *>(ConstantInt::getTrue(call->getType()))
              : PoisonValue::get(call->getType()));
    call->eraseFromParent();
  });
  auto shift = [&](unsigned operand, const Twine &what) {
    add(call, what + " by one in " + name, [call, operand] {
      IRBuilder<> builder(call);
      Value *old = call->getArgOperand(operand);
      Value *one = ConstantInt::get(old->getType(), 1);
      // Where it must be a constant, so it stays one.
      call->setArgOperand(operand, isa<ConstantInt>(old)
                                       ? builder.CreateAdd(old, one)
                                       : builder.CreateXor(old, one));
    });
  };
  if (name.starts_with("cp.async.wait.group") ||
      name.starts_with("cp.async.bulk.wait.group") ||
      name.starts_with("wgmma.wait"))
    shift(0, "groups");
  if (name.contains(".wait.parity"))
    shift(1, "phase");
  if (name.starts_with("mbarrier.init"))
    shift(1, "count");
  if (name.starts_with("mbarrier.arrive"))
    add(call, "stage by one in " + name, [call] { useNextBarrier(call, 0); });
}

/// Inline assembly with statement `index` left out, or replaced.
static void replaceStatement(CallInst *call, unsigned index,
                             const std::string &replacement) {
  auto *code = cast<InlineAsm>(call->getCalledOperand());
  std::vector<std::string> statements = splitStatements(code->getAsmString());
  statements[index] = replacement;
  call->setCalledOperand(
      InlineAsm::get(code->getFunctionType(), join(statements, ""),
                     code->getConstraintString(), code->hasSideEffects(),
                     code->isAlignStack(), code->getDialect()));
}

void Mutator::visitAssembly(CallInst *call, const InlineAsm *code) {
  std::vector<std::string> statements = splitStatements(code->getAsmString());
  for (auto [index, text] : enumerate(statements)) {
    AssemblyBlock block;
    std::string error;
    if (!parseAssembly(text, block, error) || block.statements.empty())
      continue;
    const AssemblyStatement &statement = block.statements.back();
    if (!synchronizes(statement.opcode))
      continue;
    // A label stays, and so does the end of a wait that is asked in a loop.
    std::string rest = text.substr(0, text.find(statement.opcode));
    if (StringRef(statement.opcode).contains("_wait"))
      rest += "setp.eq.u32 " + statement.operands[0] + ", 0, 0;";
    if (!statement.guard.empty())
      rest = rest.substr(0, rest.rfind('@'));
    unsigned number = unsigned(index);
    add(call, "without " + Twine(statement.opcode),
        [=] { replaceStatement(call, number, rest); });
    auto shift = [&](const std::string &what, const std::string &operand,
                     const std::string &other) {
      size_t at = text.rfind(operand);
      std::string changed = text;
      changed.replace(at, operand.size(), other);
      add(call, what + " by one in " + statement.opcode,
          [=] { replaceStatement(call, number, changed); });
    };
    if (StringRef(statement.opcode).contains("wait_group")) {
      unsigned groups = 0;
      if (!StringRef(statement.operands[0]).getAsInteger(10, groups))
        shift("groups", statement.operands[0], std::to_string(groups + 1));
    }
    if (StringRef(statement.opcode).contains("wait.parity")) {
      // Operand 2 is "$i": the call's argument i less its outputs.
      unsigned operand = 0;
      StringRef reference = statement.operands[2];
      if (reference.consume_front("$") &&
          !reference.getAsInteger(10, operand) && call->getType()->isVoidTy())
        add(call, "phase by one in " + statement.opcode, [=] {
          Value *old = call->getArgOperand(operand);
          call->setArgOperand(operand,
                              IRBuilder<>(call).CreateXor(
                                  old, ConstantInt::get(old->getType(), 1)));
        });
      StringRef address = StringRef(statement.operands[1]).trim("[] ");
      unsigned place = 0;
      if (address.consume_front("$") && !address.getAsInteger(10, place) &&
          call->getType()->isVoidTy())
        add(call, "stage by one in " + statement.opcode,
            [call, place] { useNextBarrier(call, place); });
    }
  }
}

std::vector<std::string> repo::emulation::listMutations(Module &code) {
  std::vector<std::string> lines;
  for (const Mutation &mutation : Mutator(code).mutations)
    lines.push_back(mutation.description);
  return lines;
}

bool repo::emulation::mutate(Module &code, unsigned index) {
  Mutator mutator(code);
  if (index >= mutator.mutations.size())
    return false;
  mutator.mutations[index].apply();
  return true;
}
