//===- AssemblyInstructions.cpp - What an instruction of PTX does ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AssemblyTranslator.h"
#include "repo/Emulator/emulator.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace repo::emulation;

bool AssemblyTranslator::translateArithmetic(StringRef opcode,
                                             ArrayRef<std::string> operands) {
  SmallVector<StringRef> parts;
  opcode.split(parts, '.');
  StringRef name = parts[0];
  Type *type = getType(parts.back());
  if (name == "mov" || name == "mapa") {
    write(operands[0], read(operands[1], type));
  } else if (name == "setp") {
    Value *x = read(operands[1], type), *y = read(operands[2], type);
    bool isSigned = parts.back().starts_with("s");
    auto compare = [&](CmpInst::Predicate integers, CmpInst::Predicate floats) {
      return type->isFloatTy() ? b.CreateFCmp(floats, x, y)
                               : b.CreateICmp(integers, x, y);
    };
    using P = CmpInst;
    Value *result = nullptr;
    if (parts[1] == "eq")
      result = compare(P::ICMP_EQ, P::FCMP_OEQ);
    else if (parts[1] == "ne")
      result = compare(P::ICMP_NE, P::FCMP_UNE);
    else if (parts[1] == "lt")
      result = compare(isSigned ? P::ICMP_SLT : P::ICMP_ULT, P::FCMP_OLT);
    else if (parts[1] == "le")
      result = compare(isSigned ? P::ICMP_SLE : P::ICMP_ULE, P::FCMP_OLE);
    else if (parts[1] == "gt")
      result = compare(isSigned ? P::ICMP_SGT : P::ICMP_UGT, P::FCMP_OGT);
    else if (parts[1] == "ge")
      result = compare(isSigned ? P::ICMP_SGE : P::ICMP_UGE, P::FCMP_OGE);
    if (!result)
      return false;
    write(operands[0], result);
  } else if (name == "selp") {
    write(operands[0],
          b.CreateSelect(read(operands[3], b.getInt1Ty()),
                         read(operands[1], type), read(operands[2], type)));
  } else if (is_contained({"add", "sub", "and", "or", "xor", "shl"}, name) &&
             type->isIntegerTy()) {
    Value *x = read(operands[1], type), *y = read(operands[2], type);
    write(operands[0], name == "add"   ? b.CreateAdd(x, y)
                       : name == "sub" ? b.CreateSub(x, y)
                       : name == "and" ? b.CreateAnd(x, y)
                       : name == "or"  ? b.CreateOr(x, y)
                       : name == "xor" ? b.CreateXor(x, y)
                                       : b.CreateShl(x, y));
  } else if (is_contained(
                 {"ex2", "lg2", "sin", "cos", "tanh", "rsqrt", "rcp", "sqrt"},
                 name) &&
             type->isFloatTy()) {
    write(operands[0], emitter.call(name, type, {read(operands[1], type)},
                                    /*pure=*/true));
  } else if (opcode == "cvt.rn.bf16x2.f32" || opcode == "cvt.rn.f16x2.f32") {
    Type *half = parts[2] == "bf16x2" ? b.getBFloatTy() : b.getHalfTy();
    write(operands[0], emitter.packHalves(read(operands[1], type),
                                          read(operands[2], type), half));
  } else if (name == "cvta") {
    write(operands[0], readI64(operands[1]));
  } else {
    return false;
  }
  return true;
}

bool AssemblyTranslator::translateMemory(StringRef opcode,
                                         ArrayRef<std::string> operands) {
  SmallVector<StringRef> parts;
  opcode.split(parts, '.');
  if (parts[0] != "ld" && parts[0] != "st")
    return false;
  bool isLoad = parts[0] == "ld";
  Type *type = getType(parts.back());
  unsigned count = is_contained(parts, "v4")   ? 4
                   : is_contained(parts, "v2") ? 2
                                               : 1;
  unsigned bytes = count * type->getPrimitiveSizeInBits() / 8;
  Value *address = emitter.toPointer(readAddress(operands[isLoad ? 1 : 0]));
  emitter.call("access", {address, emitter.number(bytes), emitter.number(bytes),
                          emitter.number(isLoad ? REPO_EMULATOR_LOAD
                                                : REPO_EMULATOR_STORE)});
  Values values;
  if (!isLoad)
    values = readList(operands[1], type);
  for (unsigned i = 0; i != count; ++i) {
    Value *element = b.CreateConstGEP1_32(type, address, i);
    if (isLoad)
      values.push_back(b.CreateLoad(type, element));
    else
      b.CreateStore(values[i], element);
  }
  if (isLoad)
    writeList(operands[0], values);
  return true;
}

bool AssemblyTranslator::translateBarrier(StringRef opcode,
                                          ArrayRef<std::string> operands) {
  StringRef name = opcode;
  if (!name.consume_front("barrier.cta.") && !name.consume_front("barrier.") &&
      !name.consume_front("bar."))
    return false;
  if (name.starts_with("warp.sync")) {
    emitter.call("warp_sync", {readI32(operands[0])});
    return true;
  }
  if (!name.starts_with("sync") && !name.starts_with("arrive"))
    return false;
  emitter.call(name.starts_with("sync") ? "barrier_sync" : "barrier_arrive",
               {readI32(operands[0]), operands.size() > 1 ? readI32(operands[1])
                                                          : emitter.number(0)});
  return true;
}

bool AssemblyTranslator::translatePhaseBarrier(StringRef opcode,
                                               ArrayRef<std::string> operands) {
  StringRef name = opcode;
  if (!name.consume_front("mbarrier."))
    return false;
  Type *i32 = b.getInt32Ty(), *i64 = b.getInt64Ty();
  auto address = [&](unsigned i) {
    return emitter.toI32(readAddress(operands[i]));
  };
  if (name.starts_with("init")) {
    emitter.call("mbarrier_init", {address(0), readI32(operands[1])});
  } else if (name.starts_with("inval")) {
    emitter.call("mbarrier_inval", {address(0)});
  } else if (name.starts_with("expect_tx")) {
    emitter.call("mbarrier_expect", {address(0), readI32(operands[1])});
  } else if (name.starts_with("complete_tx")) {
    emitter.call("mbarrier_complete", {address(0), readI32(operands[1])});
  } else if (name.starts_with("arrive") && !name.contains("drop")) {
    // "_" or a register for the state may come first.
    unsigned first = operands[0].find('[') == std::string::npos ? 1 : 0;
    Value *barrier = address(first);
    bool expects = name.contains("expect_tx");
    Value *count = operands.size() > first + 1 ? readI32(operands[first + 1])
                                               : emitter.number(1);
    if (expects)
      emitter.call("mbarrier_expect", {barrier, count});
    Value *state = emitter.call("mbarrier_arrive", i64,
                                {barrier, expects ? emitter.number(1) : count});
    if (first)
      write(operands[0], state);
  } else if (name.starts_with("test_wait") || name.starts_with("try_wait")) {
    write(operands[0], emitter.call(name.starts_with("test") ? "mbarrier_test"
                                                             : "mbarrier_try",
                                    i32,
                                    {address(1), readI64(operands[2]),
                                     emitter.number(name.contains("parity"))}));
  } else {
    return false;
  }
  return true;
}

bool AssemblyTranslator::translateCopy(StringRef opcode,
                                       ArrayRef<std::string> operands) {
  StringRef name = opcode;
  if (!name.consume_front("cp.async."))
    return false;
  auto address = [&](unsigned i) { return readAddress(operands[i]); };
  if (name.starts_with("ca.shared") || name.starts_with("cg.shared")) {
    Value *bytes = readI32(operands[2]);
    emitter.call("cp_async",
                 {emitter.toI32(address(0)), emitter.toPointer(address(1)),
                  bytes, operands.size() > 3 ? readI32(operands[3]) : bytes});
  } else if (name == "commit_group") {
    emitter.call("cp_async_commit", {});
  } else if (name == "wait_group") {
    emitter.call("cp_async_wait", {readI32(operands[0])});
  } else if (name == "wait_all") {
    emitter.call("cp_async_wait", {emitter.number(-1)});
  } else if (name.starts_with("mbarrier.arrive")) {
    emitter.call("cp_async_arrive", {emitter.toI32(address(0)),
                                     emitter.number(name.contains("noinc"))});
  } else if (name == "bulk.commit_group") {
    emitter.call("bulk_commit", {});
  } else if (name.starts_with("bulk.wait_group")) {
    emitter.call("bulk_wait", {readI32(operands[0])});
  } else if (name.starts_with("bulk.tensor.") && !name.contains("multicast") &&
             name.contains(".tile")) {
    // [shared], [map, {coordinates}], [barrier] or the other way round.
    bool isLoad = name.contains("shared::cluster.global") ||
                  name.contains("shared::cta.global");
    auto parts = splitOperands(
        StringRef(operands[isLoad ? 1 : 0]).trim().drop_front().drop_back());
    Values coordinates = readList(parts[1], b.getInt32Ty());
    emitter.copyTensor(isLoad, address(isLoad ? 0 : 1), readI64(parts[0]),
                       isLoad ? address(2) : nullptr, coordinates);
  } else if (name.starts_with("bulk.shared::cluster.global.mbarrier") ||
             name.starts_with("bulk.shared::cta.global.mbarrier")) {
    emitter.call("bulk_load",
                 {emitter.toI32(address(0)), emitter.toPointer(address(1)),
                  readI32(operands[2]), emitter.toI32(address(3))});
  } else if (name.starts_with("bulk.global.shared::cta.bulk_group")) {
    emitter.call("bulk_store",
                 {emitter.toPointer(address(0)), emitter.toI32(address(1)),
                  readI32(operands[2])});
  } else {
    return name.starts_with("bulk.prefetch");
  }
  return true;
}

bool AssemblyTranslator::translateProduct(StringRef opcode,
                                          ArrayRef<std::string> operands) {
  // wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
  SmallVector<StringRef> parts;
  opcode.split(parts, '.');
  unsigned columns = 0;
  if (parts.size() != 8 || parts[5] != "f32" || parts[6] != parts[7] ||
      (parts[6] != "bf16" && parts[6] != "f16") ||
      !parts[4].consume_front("m64n") || !parts[4].consume_back("k16") ||
      parts[4].getAsInteger(10, columns) || columns % 8 || columns > 256)
    return false;
  bool inRegisters = StringRef(operands[1]).trim().starts_with("{");
  Value *accumulators = emitter.pack(readList(operands[0], b.getInt32Ty()));
  Value *a = ConstantPointerNull::get(b.getPtrTy());
  Value *descriptor = b.getInt64(0);
  if (inRegisters)
    a = emitter.pack(readList(operands[1], b.getInt32Ty()));
  else
    descriptor = readI64(operands[1]);
  // Behind the flag: scales of A and B, transpositions of A (if in memory), B.
  auto getFlag = [&](unsigned i) {
    return i < operands.size() ? readI32(operands[i]) : emitter.number(0);
  };
  emitter.call("wgmma",
               {emitter.number(columns),
                emitter.number(parts[6] == "bf16" ? REPO_EMULATOR_BF16
                                                  : REPO_EMULATOR_F16),
                accumulators, a, descriptor, readI64(operands[2]),
                b.CreateZExt(read(operands[3], b.getInt1Ty()), b.getInt32Ty()),
                getFlag(4), getFlag(5),
                inRegisters ? emitter.number(0) : getFlag(6),
                getFlag(inRegisters ? 6 : 7)});
  writeList(operands[0],
            emitter.unpack(accumulators, columns / 2, b.getInt32Ty()));
  return true;
}

bool AssemblyTranslator::translateMatrix(StringRef opcode,
                                         ArrayRef<std::string> operands) {
  unsigned count = opcode.contains(".x4") ? 4 : opcode.contains(".x2") ? 2 : 1;
  bool transposed = opcode.contains(".trans");
  Type *i32 = b.getInt32Ty();
  if (opcode.starts_with("ldmatrix.sync.aligned.m8n8")) {
    writeList(operands[0],
              emitter.loadMatrix(count, transposed, readAddress(operands[1])));
  } else if (opcode.starts_with("stmatrix.sync.aligned.m8n8")) {
    emitter.storeMatrix(transposed, readAddress(operands[0]),
                        readList(operands[1], i32));
  } else if (opcode.starts_with("mma.sync.aligned.m16n8k")) {
    bool isBF16 = opcode.ends_with("row.col.f32.bf16.bf16.f32");
    if (!isBF16 && !opcode.ends_with("row.col.f32.f16.f16.f32"))
      return false;
    unsigned k = opcode.contains("k16.") ? 16 : 8;
    writeList(operands[0],
              emitter.multiply(k, isBF16, readList(operands[1], i32),
                               readList(operands[2], i32),
                               readList(operands[3], i32)));
  } else if (opcode.starts_with("wgmma.mma_async")) {
    return translateProduct(opcode, operands);
  } else if (opcode.starts_with("wgmma.fence")) {
    emitter.call("wgmma_fence", {});
  } else if (opcode.starts_with("wgmma.commit_group")) {
    emitter.call("wgmma_commit", {});
  } else if (opcode.starts_with("wgmma.wait_group")) {
    // Outputs are the accumulators that the wait hands over.
    Values values;
    for (auto [variable, type] : outputs)
      values.push_back(b.CreateLoad(type, variable));
    Value *registers = emitter.pack(values);
    emitter.call("wgmma_wait", {readI32(operands[0]), registers,
                                emitter.number(values.size())});
    values = emitter.unpack(registers, unsigned(values.size()), i32);
    for (auto [output, value] : zip(outputs, values))
      b.CreateStore(emitter.to(value, output.second), output.first);
  } else {
    return false;
  }
  return true;
}

bool AssemblyTranslator::translateWarp(StringRef opcode,
                                       ArrayRef<std::string> operands) {
  if (opcode.starts_with("shfl.sync.")) {
    StringRef mode = opcode.drop_front(10).split('.').first;
    int number = mode == "up"     ? REPO_EMULATOR_SHUFFLE_UP
                 : mode == "down" ? REPO_EMULATOR_SHUFFLE_DOWN
                 : mode == "bfly" ? REPO_EMULATOR_SHUFFLE_BUTTERFLY
                                  : REPO_EMULATOR_SHUFFLE_INDEX;
    auto [value, flag] = StringRef(operands[0]).split('|');
    Values both = emitter.splitFlag(
        emitter.call("shuffle", b.getInt64Ty(),
                     {emitter.number(number), readI32(operands[4]),
                      readI32(operands[1]), readI32(operands[2]),
                      readI32(operands[3])}),
        b.getInt32Ty());
    write(value, both[0]);
    write(flag, both[1]);
  } else if (opcode == "elect.sync") {
    auto [value, flag] = StringRef(operands[0]).split('|');
    Values both = emitter.splitFlag(
        emitter.call("elect", b.getInt64Ty(), {readI32(operands[1])}),
        b.getInt32Ty());
    write(value, both[0]);
    write(flag, both[1]);
  } else {
    return false;
  }
  return true;
}
