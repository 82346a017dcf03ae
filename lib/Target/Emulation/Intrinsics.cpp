//===- Intrinsics.cpp - Intrinsics of the NVPTX back end ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "repo/Emulator/emulator.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace repo::emulation;

namespace {
/// One call: `name` is what follows "llvm.nvvm.".
struct NvvmCall {
  Emitter &e;
  StringRef name;
  SmallVector<Value *> arguments;
  Type *type;
  Value *result = nullptr;

  Value *operator[](unsigned i) const { return arguments[i]; }
  bool is(StringRef prefix) const { return name.starts_with(prefix); }
  bool has(StringRef part) const { return name.contains(part); }
  void set(Values values) { result = e.makeResult(type, values); }
  ArrayRef<Value *> slice(unsigned from, unsigned count) const {
    return ArrayRef(arguments).slice(from, count);
  }
};
} // namespace

static bool emulateRegister(NvvmCall &i) {
  StringRef name = i.name;
  if (!name.consume_front("read.ptx.sreg."))
    return false;
  auto [base, dimension] = name.split('.');
  int number = StringSwitch<int>(base)
                   .Case("tid", REPO_EMULATOR_TID)
                   .Case("ntid", REPO_EMULATOR_NTID)
                   .Case("ctaid", REPO_EMULATOR_CTAID)
                   .Case("nctaid", REPO_EMULATOR_NCTAID)
                   .Case("laneid", REPO_EMULATOR_LANEID)
                   .Case("warpid", REPO_EMULATOR_WARPID)
                   .Case("dynamic_smem_size", REPO_EMULATOR_DYNAMIC_SHARED)
                   .Case("warpsize", -2)
                   .Default(-1);
  if (number == -1)
    return false;
  if (!dimension.empty())
    number += dimension[0] - 'x';
  i.result = number == -2 ? i.e.number(32)
                          : i.e.call("register", i.type, {i.e.number(number)},
                                     /*pure=*/true);
  return true;
}

static bool emulateBarrier(NvvmCall &i) {
  Emitter &e = i.e;
  Value *all = e.number(0);
  Type *i32 = e.builder.getInt32Ty();
  if (i.name == "barrier0") {
    e.call("barrier_sync", {all, all});
  } else if (i.is("barrier.cta.sync")) {
    e.call("barrier_sync", {i[0], i.has(".count") ? i[1] : all});
  } else if (i.is("barrier.cta.arrive")) {
    e.call("barrier_arrive", {i[0], i[1]});
  } else if (i.is("barrier.cta.red.popc")) {
    bool counted = i.has(".count");
    i.result =
        e.call("barrier_reduce", i32,
               {i[0], counted ? i[1] : all, e.toI32(i[counted ? 2 : 1])});
  } else if (i.name == "bar.warp.sync") {
    e.call("warp_sync", {i[0]});
  } else {
    return false;
  }
  return true;
}

static bool emulateWarp(NvvmCall &i) {
  Emitter &e = i.e;
  Type *i32 = e.builder.getInt32Ty(), *i64 = e.builder.getInt64Ty();
  if (i.is("shfl.sync.")) {
    int mode = StringSwitch<int>(i.name.drop_front(10).split('.').first)
                   .Case("up", REPO_EMULATOR_SHUFFLE_UP)
                   .Case("down", REPO_EMULATOR_SHUFFLE_DOWN)
                   .Case("bfly", REPO_EMULATOR_SHUFFLE_BUTTERFLY)
                   .Default(REPO_EMULATOR_SHUFFLE_INDEX);
    Value *both = e.call("shuffle", i64,
                         {e.number(mode), i[0], e.toI32(i[1]), i[2], i[3]});
    i.set(e.splitFlag(both, i[1]->getType()));
  } else if (i.is("vote.")) {
    int mode = StringSwitch<int>(i.name.split('.').second.split('.').first)
                   .Case("all", REPO_EMULATOR_VOTE_ALL)
                   .Case("any", REPO_EMULATOR_VOTE_ANY)
                   .Case("uni", REPO_EMULATOR_VOTE_UNIFORM)
                   .Default(REPO_EMULATOR_VOTE_BALLOT);
    i.set({e.call("vote", i32, {e.number(mode), i[0], e.toI32(i[1])})});
  } else if (i.is("redux.sync.")) {
    int mode = StringSwitch<int>(i.name.drop_front(11))
                   .Case("add", REPO_EMULATOR_REDUCE_ADD)
                   .Case("min", REPO_EMULATOR_REDUCE_MIN)
                   .Case("max", REPO_EMULATOR_REDUCE_MAX)
                   .Case("umin", REPO_EMULATOR_REDUCE_UMIN)
                   .Case("umax", REPO_EMULATOR_REDUCE_UMAX)
                   .Case("and", REPO_EMULATOR_REDUCE_AND)
                   .Case("or", REPO_EMULATOR_REDUCE_OR)
                   .Case("xor", REPO_EMULATOR_REDUCE_XOR)
                   .Default(-1);
    if (mode < 0)
      return false;
    i.result = e.call("reduce", i32, {e.number(mode), i[1], i[0]});
  } else if (i.name == "elect.sync") {
    i.set(e.splitFlag(e.call("elect", i64, {i[0]}), i32));
  } else {
    return false;
  }
  return true;
}

static bool emulateMatrix(NvvmCall &i) {
  Emitter &e = i.e;
  unsigned count = i.has(".x4.") ? 4 : i.has(".x2.") ? 2 : 1;
  bool transposed = i.has(".trans");
  if (i.is("ldmatrix.sync.aligned.m8n8.") && i.has(".b16")) {
    i.set(e.loadMatrix(count, transposed, i[0]));
  } else if (i.is("stmatrix.sync.aligned.m8n8.") && i.has(".b16")) {
    e.storeMatrix(transposed, i[0], i.slice(1, count));
  } else if (i.is("mma.m16n8k16.row.col.") || i.is("mma.m16n8k8.row.col.")) {
    unsigned k = i.is("mma.m16n8k16") ? 16 : 8;
    bool isBF16 = i.name.ends_with(".bf16");
    if (!isBF16 && !i.name.ends_with(".f32.f32"))
      return false;
    i.set(e.multiply(k, isBF16, i.slice(0, k / 4), i.slice(k / 4, k / 8),
                     i.slice(k / 4 + k / 8, 4)));
  } else if (i.is("wgmma.fence")) {
    e.call("wgmma_fence", {});
  } else if (i.is("wgmma.commit_group")) {
    e.call("wgmma_commit", {});
  } else if (i.is("wgmma.wait_group")) {
    e.call("wgmma_wait",
           {e.toI32(i[0]), ConstantPointerNull::get(e.builder.getPtrTy()),
            e.number(0)});
  } else {
    return false;
  }
  return true;
}

/// The rank in a name such as cp.async.bulk.tensor.g2s.tile.4d.
static unsigned getRank(StringRef name) {
  return unsigned(name[name.size() - 2] - '0');
}

static bool emulateCopy(NvvmCall &i) {
  Emitter &e = i.e;
  if (i.is("cp.async.ca.shared.global.") ||
      i.is("cp.async.cg.shared.global.")) {
    unsigned bytes = 0;
    i.name.drop_front(26).split('.').first.getAsInteger(10, bytes);
    e.call("cp_async", {e.toI32(i[0]), e.toPointer(i[1]), e.number(bytes),
                        i.name.ends_with(".s") ? i[2] : e.number(bytes)});
  } else if (i.name == "cp.async.commit.group") {
    e.call("cp_async_commit", {});
  } else if (i.name == "cp.async.wait.group") {
    e.call("cp_async_wait", {i[0]});
  } else if (i.name == "cp.async.wait.all") {
    e.call("cp_async_wait", {e.number(-1)});
  } else if (i.is("cp.async.mbarrier.arrive")) {
    e.call("cp_async_arrive", {e.toI32(i[0]), e.number(i.has("noinc"))});
  } else if (i.is("cp.async.bulk.tensor.g2s.tile.") ||
             i.is("cp.async.bulk.tensor.g2s.cta.tile.")) {
    e.copyTensor(true, i[0], i[2], i[1], i.slice(3, getRank(i.name)));
  } else if (i.is("cp.async.bulk.tensor.s2g.tile.")) {
    e.copyTensor(false, i[0], i[1], nullptr, i.slice(2, getRank(i.name)));
  } else if (i.is("cp.async.bulk.global.to.shared.")) {
    e.call("bulk_load",
           {e.toI32(i[0]), e.toPointer(i[2]), i[3], e.toI32(i[1])});
  } else if (i.name == "cp.async.bulk.shared.cta.to.global") {
    e.call("bulk_store", {e.toPointer(i[0]), e.toI32(i[1]), i[2]});
  } else if (i.name == "cp.async.bulk.commit.group") {
    e.call("bulk_commit", {});
  } else if (i.is("cp.async.bulk.wait.group")) {
    e.call("bulk_wait", {i[0]});
  } else {
    return false;
  }
  return true;
}

static bool emulatePhaseBarrier(NvvmCall &i) {
  Emitter &e = i.e;
  StringRef name = i.name;
  if (!name.consume_front("mbarrier."))
    return false;
  if (name.contains(".space.cluster") || name.contains("drop"))
    return false;
  Type *i32 = e.builder.getInt32Ty(), *i64 = e.builder.getInt64Ty();
  Value *barrier = e.toI32(i[0]), *one = e.number(1);
  if (name.starts_with("init")) {
    e.call("mbarrier_init", {barrier, i[1]});
  } else if (name.starts_with("inval")) {
    e.call("mbarrier_inval", {barrier});
  } else if (name.starts_with("arrive.expect.tx")) {
    e.call("mbarrier_expect", {barrier, i[1]});
    i.result = e.call("mbarrier_arrive", i64, {barrier, one});
  } else if (name.starts_with("arrive")) {
    bool counted = i.arguments.size() > 1;
    i.result = e.call("mbarrier_arrive", i64, {barrier, counted ? i[1] : one});
  } else if (name.starts_with("expect.tx")) {
    e.call("mbarrier_expect", {barrier, i[1]});
  } else if (name.starts_with("complete.tx")) {
    e.call("mbarrier_complete", {barrier, i[1]});
  } else if (name.starts_with("test.wait") || name.starts_with("try.wait")) {
    i.set({e.call(
        name.starts_with("test") ? "mbarrier_test" : "mbarrier_try", i32,
        {barrier, e.toI64(i[1]), e.number(name.contains("parity"))})});
  } else {
    return false;
  }
  return true;
}

static bool emulateMathematics(NvvmCall &i) {
  Emitter &e = i.e;
  Type *f32 = e.builder.getFloatTy();
  auto [base, rest] = i.name.split('.');
  if (is_contained({"ex2", "lg2", "sin", "cos", "tanh", "rsqrt"}, base) &&
      i.type == f32 && rest.starts_with("approx")) {
    i.result = e.call(base, f32, {i[0]}, /*pure=*/true);
  } else if (is_contained({"rcp", "sqrt"}, base) && i.type == f32) {
    i.result = e.call(base, f32, {i[0]}, /*pure=*/true);
  } else if (i.name == "ff2bf16x2.rn" || i.name == "ff2f16x2.rn") {
    i.set({e.packHalves(i[0], i[1],
                        i.is("ff2b") ? e.builder.getBFloatTy()
                                     : e.builder.getHalfTy())});
  } else if (i.name == "f2bf16.rn" || i.name == "f2f16.rn") {
    i.result = e.builder.CreateFPTrunc(i[0], i.type);
  } else if (i.name == "fmax.f" || i.name == "fmax.ftz.f") {
    i.result = e.builder.CreateMaxNum(i[0], i[1]);
  } else if (i.name == "fmin.f" || i.name == "fmin.ftz.f") {
    i.result = e.builder.CreateMinNum(i[0], i[1]);
  } else if (i.name == "div.full" || i.name == "div.full.ftz" ||
             i.is("div.approx")) {
    i.result = e.builder.CreateFDiv(i[0], i[1]);
  } else {
    return false;
  }
  return true;
}

/// What has no effect that the emulator could show, and fences.
static bool emulateHint(NvvmCall &i) {
  if (i.is("fence.proxy.async") && !i.has("async_generic")) {
    i.e.call("fence", {i.e.number(REPO_EMULATOR_FENCE_PROXY)});
    return true;
  }
  if (i.is("fence.mbarrier_init")) {
    i.e.call("fence", {i.e.number(REPO_EMULATOR_FENCE_INIT)});
    return true;
  }
  return i.is("setmaxnreg.") || i.is("prefetch.") || i.is("prefetchu.") ||
         i.is("griddepcontrol.") || i.is("membar.") || i.is("fence.") ||
         i.is("nanosleep") || i.is("cp.async.bulk.prefetch");
}

bool repo::emulation::emulateIntrinsic(CallInst *call) {
  StringRef name = call->getCalledFunction()->getName();
  name.consume_front("llvm.nvvm.");
  Emitter emitter(call);
  NvvmCall intrinsic{emitter, name, SmallVector<Value *>(call->args()),
                     call->getType()};
  using Emulate = bool (*)(NvvmCall &);
  for (Emulate emulate : {Emulate(emulateRegister), Emulate(emulateBarrier),
                          Emulate(emulateWarp), Emulate(emulateMatrix),
                          Emulate(emulateCopy), Emulate(emulatePhaseBarrier),
                          Emulate(emulateMathematics), Emulate(emulateHint)})
    if (emulate(intrinsic)) {
      if (intrinsic.result)
        call->replaceAllUsesWith(intrinsic.result);
      else if (!call->getType()->isVoidTy())
        call->replaceAllUsesWith(PoisonValue::get(call->getType()));
      call->eraseFromParent();
      return true;
    }
  return false;
}
