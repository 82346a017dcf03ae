//===- EmulateTiles.cpp - Tile instructions on any CPU --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every value of type x86_amx becomes a slot of 1 KB on the stack: 16 rows of
// 64 bytes, zeros past its shape. Values that die in the block that makes them
// share slots, so that a long run of unrolled code needs about as many as the
// hardware has registers.
//
//===----------------------------------------------------------------------===//

#include "EmulateTiles.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

/// Tiles are 16 rows of 64 bytes. tdpbf16ps sums even and odd elements of a row
/// of `a` apart and adds both to `c`, all with subnormal numbers taken as zero
/// (0x9fc0: no exceptions, flush to zero, denormals are zero).
static constexpr StringLiteral definitions = R"(
define void @repo.tile.zero(ptr %t) {
  call void @llvm.memset.p0.i64(ptr align 64 %t, i8 0, i64 1024, i1 false)
  ret void
}

define void @repo.tile.copy(ptr %to, ptr %from) {
  call void @llvm.memmove.p0.p0.i64(ptr align 64 %to, ptr align 64 %from, i64 1024, i1 false)
  ret void
}

define void @repo.tile.load(ptr %t, i16 %rows, i16 %bytes, ptr %p, i64 %stride) {
entry:
  call void @llvm.memset.p0.i64(ptr align 64 %t, i8 0, i64 1024, i1 false)
  %n = zext i16 %rows to i64
  %b = zext i16 %bytes to i64
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %next, %row ]
  %at = mul i64 %i, %stride
  %from = getelementptr i8, ptr %p, i64 %at
  %off = shl i64 %i, 6
  %to = getelementptr i8, ptr %t, i64 %off
  call void @llvm.memcpy.p0.p0.i64(ptr align 64 %to, ptr %from, i64 %b, i1 false)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %row, label %end
end:
  ret void
}

define void @repo.tile.store(ptr %t, i16 %rows, i16 %bytes, ptr %p, i64 %stride) {
entry:
  %n = zext i16 %rows to i64
  %b = zext i16 %bytes to i64
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %next, %row ]
  %at = mul i64 %i, %stride
  %to = getelementptr i8, ptr %p, i64 %at
  %off = shl i64 %i, 6
  %from = getelementptr i8, ptr %t, i64 %off
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr align 64 %from, i64 %b, i1 false)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %row, label %end
end:
  ret void
}

define void @repo.tile.products(ptr %d, ptr %c, ptr %a, ptr %b, i64 %rows, i64 %pairs) noinline {
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %nexti, %rowend ]
  %rowoff = shl i64 %i, 6
  %arow = getelementptr i8, ptr %a, i64 %rowoff
  br label %pair
pair:
  %r = phi i64 [ 0, %row ], [ %nextr, %pair ]
  %even = phi <16 x float> [ zeroinitializer, %row ], [ %even1, %pair ]
  %odd = phi <16 x float> [ zeroinitializer, %row ], [ %odd1, %pair ]
  %boff = shl i64 %r, 6
  %brow = getelementptr i8, ptr %b, i64 %boff
  %bb = load <16 x i32>, ptr %brow, align 64
  %below = shl <16 x i32> %bb, splat (i32 16)
  %behigh = and <16 x i32> %bb, splat (i32 -65536)
  %be = bitcast <16 x i32> %below to <16 x float>
  %bo = bitcast <16 x i32> %behigh to <16 x float>
  %ap = getelementptr i32, ptr %arow, i64 %r
  %aa = load i32, ptr %ap, align 4
  %alow = shl i32 %aa, 16
  %ahigh = and i32 %aa, -65536
  %ae = bitcast i32 %alow to float
  %ao = bitcast i32 %ahigh to float
  %ae0 = insertelement <16 x float> poison, float %ae, i64 0
  %aes = shufflevector <16 x float> %ae0, <16 x float> poison, <16 x i32> zeroinitializer
  %ao0 = insertelement <16 x float> poison, float %ao, i64 0
  %aos = shufflevector <16 x float> %ao0, <16 x float> poison, <16 x i32> zeroinitializer
  %even1 = call <16 x float> @llvm.fma.v16f32(<16 x float> %aes, <16 x float> %be, <16 x float> %even)
  %odd1 = call <16 x float> @llvm.fma.v16f32(<16 x float> %aos, <16 x float> %bo, <16 x float> %odd)
  %nextr = add i64 %r, 1
  %morer = icmp ult i64 %nextr, %pairs
  br i1 %morer, label %pair, label %rowend
rowend:
  %crow = getelementptr i8, ptr %c, i64 %rowoff
  %drow = getelementptr i8, ptr %d, i64 %rowoff
  %old = load <16 x float>, ptr %crow, align 64
  %sum = fadd <16 x float> %even1, %odd1
  %new = fadd <16 x float> %old, %sum
  store <16 x float> %new, ptr %drow, align 64
  %nexti = add i64 %i, 1
  %morei = icmp ult i64 %nexti, %rows
  br i1 %morei, label %row, label %end
end:
  ret void
}

define void @repo.tile.dpbf16(ptr %d, i16 %m, i16 %n, i16 %k, ptr %c, ptr %a, ptr %b) {
entry:
  %saved = alloca i32
  %flush = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %saved)
  store i32 40896, ptr %flush
  call void @llvm.x86.sse.ldmxcsr(ptr %flush)
  %rows = zext i16 %m to i64
  %bytes = zext i16 %k to i64
  %pairs = lshr i64 %bytes, 2
  call void @repo.tile.products(ptr %d, ptr %c, ptr %a, ptr %b, i64 %rows, i64 %pairs)
  call void @llvm.x86.sse.ldmxcsr(ptr %saved)
  %full = icmp eq i64 %rows, 16
  br i1 %full, label %end, label %rest
rest:
  ; Rows past the shape are zero.
  %off = shl i64 %rows, 6
  %to = getelementptr i8, ptr %d, i64 %off
  %left = sub i64 1024, %off
  call void @llvm.memset.p0.i64(ptr align 64 %to, i8 0, i64 %left, i1 false)
  br label %end
end:
  ret void
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
)";

namespace {
/// Rewrites the tiles of one function.
class TileEmulator {
public:
  TileEmulator(llvm::Function &function, std::string &error)
      : function(function), builder(function.getContext()), error(error) {}

  LogicalResult run() {
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (instruction.getType()->isX86_AMXTy() && !diesInBlock(instruction))
        slots[&instruction] = createSlot();
    for (llvm::BasicBlock &block : function) {
      free.append(local.begin(), local.end());
      local.clear();
      for (llvm::Instruction &instruction : block)
        if (failed(emulate(instruction)))
          return failure();
    }
    for (llvm::Instruction *instruction : llvm::reverse(replaced)) {
      instruction->replaceAllUsesWith(
          llvm::PoisonValue::get(instruction->getType()));
      instruction->eraseFromParent();
    }
    return success();
  }

private:
  static bool diesInBlock(llvm::Instruction &instruction) {
    return !isa<llvm::PHINode>(instruction) &&
           llvm::all_of(instruction.users(), [&](llvm::User *user) {
             return !isa<llvm::PHINode>(user) &&
                    cast<llvm::Instruction>(user)->getParent() ==
                        instruction.getParent();
           });
  }

  llvm::Value *createSlot() {
    llvm::BasicBlock &entry = function.getEntryBlock();
    llvm::IRBuilder<> atEntry(&entry, entry.getFirstInsertionPt());
    llvm::AllocaInst *slot =
        atEntry.CreateAlloca(llvm::ArrayType::get(atEntry.getInt8Ty(), 1024));
    slot->setAlignment(llvm::Align(64));
    return slot;
  }

  /// Gives back the slot of `value` where `user` is the last to read it.
  void release(llvm::Value *value, llvm::Instruction &user) {
    auto *instruction = dyn_cast<llvm::Instruction>(value);
    if (!instruction || !diesInBlock(*instruction) ||
        llvm::any_of(instruction->users(), [&](llvm::User *other) {
          return other != &user &&
                 user.comesBefore(cast<llvm::Instruction>(other));
        }))
      return;
    llvm::Value *slot = slots.lookup(value);
    if (llvm::is_contained(local, slot)) {
      llvm::erase(local, slot);
      free.push_back(slot);
    }
  }

  llvm::Value *getSlot(llvm::Instruction &instruction) {
    llvm::Value *&slot = slots[&instruction];
    if (!slot) {
      slot = free.empty() ? createSlot() : free.pop_back_val();
      local.push_back(slot);
    }
    return slot;
  }

  void call(StringRef name, ArrayRef<llvm::Value *> arguments) {
    builder.CreateCall(function.getParent()->getFunction(name), arguments);
  }

  LogicalResult emulate(llvm::Instruction &instruction) {
    if (auto *phi = dyn_cast<llvm::PHINode>(&instruction)) {
      if (phi->getType()->isX86_AMXTy())
        emulatePhi(*phi);
      return success();
    }
    auto *intrinsic = dyn_cast<llvm::IntrinsicInst>(&instruction);
    bool isTile = instruction.getType()->isX86_AMXTy() ||
                  llvm::any_of(instruction.operand_values(), [](auto *value) {
                    return value->getType()->isX86_AMXTy();
                  });
    if (!isTile)
      return success();
    builder.SetInsertPoint(&instruction);
    auto operand = [&](unsigned i) { return intrinsic->getArgOperand(i); };
    auto slotOf = [&](unsigned i) { return slots.lookup(operand(i)); };
    replaced.push_back(&instruction);
    switch (intrinsic ? intrinsic->getIntrinsicID()
                      : llvm::Intrinsic::not_intrinsic) {
    case llvm::Intrinsic::x86_tilezero_internal:
      call("repo.tile.zero", getSlot(instruction));
      return success();
    case llvm::Intrinsic::x86_tileloadd64_internal:
    case llvm::Intrinsic::x86_tileloaddt164_internal:
      call("repo.tile.load", {getSlot(instruction), operand(0), operand(1),
                              operand(2), operand(3)});
      return success();
    case llvm::Intrinsic::x86_tilestored64_internal:
      call("repo.tile.store",
           {slotOf(4), operand(0), operand(1), operand(2), operand(3)});
      release(operand(4), instruction);
      return success();
    case llvm::Intrinsic::x86_tdpbf16ps_internal: {
      llvm::Value *sums = slotOf(3), *a = slotOf(4), *b = slotOf(5);
      // The result may take the place of the sums, not that of a factor.
      release(operand(3), instruction);
      call("repo.tile.dpbf16", {getSlot(instruction), operand(0), operand(1),
                                operand(2), sums, a, b});
      release(operand(4), instruction);
      release(operand(5), instruction);
      return success();
    }
    default:
      error.clear();
      llvm::raw_string_ostream(error)
          << "no emulation of this use of a tile:" << instruction;
      return failure();
    }
  }

  /// Incoming values are copied to a slot of the phi at the end of the blocks
  /// they come from, and from there to the slot of the value, so that phis may
  /// read each other.
  void emulatePhi(llvm::PHINode &phi) {
    llvm::Value *incoming = createSlot();
    for (auto [value, block] : llvm::zip(phi.incoming_values(), phi.blocks())) {
      if (isa<llvm::UndefValue>(value))
        continue;
      builder.SetInsertPoint(block->getTerminator());
      call("repo.tile.copy", {incoming, slots.lookup(value)});
    }
    builder.SetInsertPoint(phi.getParent(),
                           phi.getParent()->getFirstInsertionPt());
    call("repo.tile.copy", {slots.lookup(&phi), incoming});
    replaced.push_back(&phi);
  }

  llvm::Function &function;
  llvm::IRBuilder<> builder;
  std::string &error;
  DenseMap<llvm::Value *, llvm::Value *> slots;
  SmallVector<llvm::Value *> free, local;
  SmallVector<llvm::Instruction *> replaced;
};
} // namespace

LogicalResult mlir::repo::emulateTiles(llvm::Module &module,
                                       std::string &error) {
  llvm::SMDiagnostic diagnostic;
  std::unique_ptr<llvm::Module> emulation =
      llvm::parseAssemblyString(definitions, diagnostic, module.getContext());
  if (!emulation) {
    error = diagnostic.getMessage().str();
    return failure();
  }
  SmallVector<llvm::Function *> functions;
  for (llvm::Function &function : module)
    if (llvm::any_of(llvm::instructions(function), [](llvm::Instruction &i) {
          return i.getType()->isX86_AMXTy();
        }))
      functions.push_back(&function);
  if (functions.empty())
    return success();
  emulation->setTargetTriple(module.getTargetTriple());
  emulation->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(emulation))) {
    error = "cannot add the emulation of tiles";
    return failure();
  }
  // What is local already would not have been linked.
  for (llvm::Function &function : module)
    if (!function.isDeclaration() &&
        function.getName().starts_with("repo.tile"))
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  for (llvm::Function *function : functions)
    if (failed(TileEmulator(*function, error).run()))
      return failure();
  return success();
}
