//===- EmulateKernels.cpp - Kernels rewritten for the host ----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The code of a kernel stays as it goes to the NVPTX back end. Intrinsics and
// inline assembly become calls of the emulator, accesses to memory are
// announced to it, and shared memory lies where it says.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "Emulation.h"
#include "repo/Emulator/emulator.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace repo::emulation;

static constexpr unsigned sharedSpace = 3;

namespace {
class KernelEmulation {
public:
  KernelEmulation(Module &module, std::string &error)
      : module(module), context(module.getContext()), error(error) {}

  LogicalResult run(StringRef imageName);

private:
  void placeShared();
  void announceAccesses(Function &function);
  LogicalResult replaceInstructions(Function &function);
  Constant *makeKernel(Function &function);

  Module &module;
  LLVMContext &context;
  std::string &error;
  uint64_t staticShared = 0, dynamicOffset = 0;
  StringMap<Function *> assembly;
};
} // namespace

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Gives every variable in shared memory a place; arrays without a size are the
/// dynamic part behind the others.
void KernelEmulation::placeShared() {
  const DataLayout &layout = module.getDataLayout();
  SmallVector<GlobalVariable *> variables;
  for (GlobalVariable &variable : module.globals())
    if (variable.getAddressSpace() == sharedSpace)
      variables.push_back(&variable);
  auto getSize = [&](GlobalVariable *variable) {
    return layout.getTypeAllocSize(variable->getValueType()).getFixedValue();
  };
  auto getAlign = [&](GlobalVariable *variable) {
    return std::max(variable->getAlign().valueOrOne(),
                    layout.getPreferredAlign(variable));
  };
  DenseMap<GlobalVariable *, uint64_t> offsets;
  for (GlobalVariable *variable : variables)
    if (uint64_t size = getSize(variable)) {
      offsets[variable] = alignTo(staticShared, getAlign(variable));
      staticShared = offsets[variable] + size;
    }
  dynamicOffset = staticShared;
  for (GlobalVariable *variable : variables)
    if (!getSize(variable))
      dynamicOffset = alignTo(dynamicOffset, getAlign(variable));

  for (GlobalVariable *variable : variables) {
    convertUsersOfConstantsToInstructions({variable});
    auto it = offsets.find(variable);
    uint64_t offset = it == offsets.end() ? dynamicOffset : it->second;
    DenseMap<Function *, Value *> addresses;
    for (Use &use : make_early_inc_range(variable->uses())) {
      auto *user = cast<Instruction>(use.getUser());
      Value *&address = addresses[user->getFunction()];
      if (!address) {
        Emitter emitter(&*user->getFunction()->getEntryBlock().begin());
        address = emitter.to(emitter.call("shared", emitter.builder.getPtrTy(),
                                          {emitter.number(offset)},
                                          /*pure=*/true),
                             variable->getType());
      }
      use.set(address);
    }
    variable->eraseFromParent();
  }
}

/// Whether memory is the thread's own, or constant.
static bool isPrivate(const Value *pointer) {
  unsigned space = pointer->getType()->getPointerAddressSpace();
  if (space > 1 && space != sharedSpace)
    return true;
  const Value *object = getUnderlyingObject(pointer, /*MaxLookup=*/32);
  if (isa<AllocaInst>(object))
    return true;
  if (const auto *argument = dyn_cast<Argument>(object))
    return argument->hasByValAttr();
  const auto *variable = dyn_cast<GlobalVariable>(object);
  return variable && variable->getAddressSpace() != sharedSpace;
}

void KernelEmulation::announceAccesses(Function &function) {
  const DataLayout &layout = module.getDataLayout();
  for (Instruction &instruction :
       make_early_inc_range(instructions(function))) {
    auto announce = [&](Value *pointer, uint64_t bytes, uint64_t alignment,
                        int kind) {
      if (isPrivate(pointer))
        return;
      Emitter emitter(&instruction);
      emitter.call("access", {emitter.toPointer(pointer), emitter.number(bytes),
                              emitter.number(alignment), emitter.number(kind)});
    };
    auto getSize = [&](Type *type) {
      return layout.getTypeStoreSize(type).getFixedValue();
    };
    if (auto *load = dyn_cast<LoadInst>(&instruction)) {
      announce(load->getPointerOperand(), getSize(load->getType()),
               load->getAlign().value(), REPO_EMULATOR_LOAD);
    } else if (auto *store = dyn_cast<StoreInst>(&instruction)) {
      announce(store->getPointerOperand(),
               getSize(store->getValueOperand()->getType()),
               store->getAlign().value(), REPO_EMULATOR_STORE);
    } else if (auto *atomic = dyn_cast<AtomicRMWInst>(&instruction)) {
      announce(atomic->getPointerOperand(), getSize(atomic->getType()),
               atomic->getAlign().value(), REPO_EMULATOR_ATOMIC);
    } else if (auto *swap = dyn_cast<AtomicCmpXchgInst>(&instruction)) {
      announce(swap->getPointerOperand(),
               getSize(swap->getNewValOperand()->getType()),
               swap->getAlign().value(), REPO_EMULATOR_ATOMIC);
    } else if (auto *copy = dyn_cast<MemIntrinsic>(&instruction)) {
      auto *length = dyn_cast<ConstantInt>(copy->getLength());
      if (!length)
        continue;
      announce(copy->getRawDest(), length->getZExtValue(), 1,
               REPO_EMULATOR_STORE);
      if (auto *transfer = dyn_cast<MemTransferInst>(copy))
        announce(transfer->getRawSource(), length->getZExtValue(), 1,
                 REPO_EMULATOR_LOAD);
    }
  }
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

LogicalResult KernelEmulation::replaceInstructions(Function &function) {
  for (Instruction &instruction :
       make_early_inc_range(instructions(function))) {
    auto *call = dyn_cast<CallInst>(&instruction);
    if (!call)
      continue;
    if (auto *code = dyn_cast<InlineAsm>(call->getCalledOperand())) {
      std::string key = code->getAsmString().str() + "|" +
                        code->getConstraintString().str() + "|";
      raw_string_ostream(key) << *call->getFunctionType();
      Function *&translated = assembly[key];
      if (!translated && !(translated = translateAssembly(call, error)))
        return failure();
      call->setCalledFunction(translated);
      call->setAttributes({});
      continue;
    }
    Function *callee = call->getCalledFunction();
    if (!callee) {
      error = "the emulator has no calls of pointers";
      return failure();
    }
    StringRef name = callee->getName();
    if (name.starts_with("llvm.nvvm.") && !emulateIntrinsic(call)) {
      error = ("the emulator has no `" + name + "`").str();
      return failure();
    }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// The number of threads that "nvvm.maxntid" allows, or 0.
static uint64_t getMaxThreads(const Function &function) {
  StringRef text = function.getFnAttribute("nvvm.maxntid").getValueAsString();
  if (text.empty())
    return 0;
  uint64_t product = 1;
  for (StringRef part : split(text, ',')) {
    uint64_t size = 1;
    part.trim().getAsInteger(10, size);
    product *= size;
  }
  return product;
}

/// The entry of a kernel in the image: its name, a function that takes
/// pointers to its parameters, and what it needs.
Constant *KernelEmulation::makeKernel(Function &function) {
  std::string name = function.getName().str();
  uint64_t maxThreads = getMaxThreads(function);
  SmallVector<bool> byPointer;
  SmallVector<uint32_t> bytes;
  for (Argument &argument : function.args()) {
    byPointer.push_back(argument.hasByValAttr());
    Type *type =
        byPointer.back() ? argument.getParamByValType() : argument.getType();
    bytes.push_back(module.getDataLayout().getTypeAllocSize(type));
  }

  Type *pointer = PointerType::get(context, 0);
  auto *run = Function::Create(
      FunctionType::get(Type::getVoidTy(context), {pointer}, false),
      GlobalValue::InternalLinkage, name + ".run", module);
  Emitter emitter(BasicBlock::Create(context, "", run));
  IRBuilder<> &b = emitter.builder;
  SmallVector<Value *> arguments;
  for (auto [i, type] : enumerate(function.getFunctionType()->params())) {
    Value *slot = b.CreateLoad(
        pointer, b.CreateConstGEP1_32(pointer, run->getArg(0), unsigned(i)));
    arguments.push_back(byPointer[i] ? emitter.to(slot, type)
                                     : b.CreateLoad(type, slot));
  }
  b.CreateCall(&function, arguments);
  b.CreateRetVoid();
  function.setLinkage(GlobalValue::InternalLinkage);
  function.setName(name + ".thread");

  Constant *sizes = ConstantDataArray::get(context, bytes);
  auto *sizesGlobal =
      new GlobalVariable(module, sizes->getType(), /*isConstant=*/true,
                         GlobalValue::InternalLinkage, sizes, name + ".bytes");
  Type *i32 = b.getInt32Ty();
  auto *record =
      StructType::get(context, {pointer, pointer, i32, i32, i32, i32, pointer});
  return ConstantStruct::get(
      record, {b.CreateGlobalString(name, name + ".name", 0, &module), run,
               b.getInt32(arguments.size()), b.getInt32(staticShared),
               b.getInt32(dynamicOffset), b.getInt32(maxThreads), sizesGlobal});
}

LogicalResult KernelEmulation::run(StringRef imageName) {
  placeShared();
  SmallVector<Function *> functions;
  for (Function &function : module)
    if (!function.isDeclaration())
      functions.push_back(&function);
  for (Function *function : functions) {
    announceAccesses(*function);
    if (failed(replaceInstructions(*function)))
      return failure();
  }
  SmallVector<Constant *> kernels;
  for (Function *function : functions) {
    if (function->getCallingConv() == CallingConv::PTX_Kernel)
      kernels.push_back(makeKernel(*function));
    function->setCallingConv(CallingConv::C);
    function->setAttributes({});
    function->setSection("");
    for (User *user : function->users())
      if (auto *call = dyn_cast<CallInst>(user)) {
        call->setCallingConv(CallingConv::C);
        call->setAttributes({});
      }
  }
  if (kernels.empty()) {
    error = "expected at least one kernel";
    return failure();
  }
  auto *type = ArrayType::get(kernels.front()->getType(), kernels.size());
  auto *table = new GlobalVariable(
      module, type, /*isConstant=*/true, GlobalValue::InternalLinkage,
      ConstantArray::get(type, kernels), imageName + ".kernels");
  Type *i64 = Type::getInt64Ty(context);
  Constant *image =
      ConstantStruct::getAnon({ConstantInt::get(i64, REPO_EMULATOR_MAGIC),
                               ConstantInt::get(i64, kernels.size()), table});
  auto *variable =
      new GlobalVariable(module, image->getType(), /*isConstant=*/true,
                         GlobalValue::ExternalLinkage, image, imageName);
  variable->setDSOLocal(true);
  // What the NVPTX back end alone reads.
  SmallVector<NamedMDNode *> metadata;
  for (NamedMDNode &node : module.named_metadata())
    if (node.getName().starts_with("nvvm"))
      metadata.push_back(&node);
  for (NamedMDNode *node : metadata)
    node->eraseFromParent();
  raw_string_ostream stream(error);
  return failure(verifyModule(module, &stream));
}

LogicalResult repo::emulation::emulateKernels(Module &code, StringRef imageName,
                                              std::string &error) {
  return KernelEmulation(code, error).run(imageName);
}
