//===- EmitCInterface.cpp - The C entry of every function -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An entry is three functions: NAME, which hands its arguments and a table that
// describes them to the runtime; NAME.call, which the runtime calls with the
// checked pointers, sizes and strides in an array of 64-bit slots; and
// NAME.body, the function on buffers.
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "repo/Conversion/Passes.h"
#include "repo/Conversion/Signature.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {
#define GEN_PASS_DEF_EMITCINTERFACE
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Emits constant tables. Layouts are those of repo/Runtime/runtime.h.
class TableEmitter {
public:
  TableEmitter(ModuleOp module)
      : module(module), builder(module.getContext()), loc(module.getLoc()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())) {}

  /// A NUL-terminated string.
  LLVM::GlobalOp string(StringRef name, StringRef text) {
    SmallString<64> bytes(text);
    bytes.push_back('\0');
    builder.setInsertionPointToEnd(module.getBody());
    return LLVM::GlobalOp::create(
        builder, loc,
        LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size()),
        /*isConstant=*/true, LLVM::Linkage::Internal, name,
        builder.getStringAttr(bytes));
  }

  LLVM::GlobalOp sizes(StringRef name, ArrayRef<int64_t> values) {
    builder.setInsertionPointToEnd(module.getBody());
    auto type = LLVM::LLVMArrayType::get(builder.getI64Type(), values.size());
    return LLVM::GlobalOp::create(builder, loc, type, /*isConstant=*/true,
                                  LLVM::Linkage::Internal, name,
                                  builder.getI64TensorAttr(values));
  }

  /// A global of struct type whose fields `fill` computes.
  LLVM::GlobalOp record(StringRef name, Type type, LLVM::Linkage linkage,
                        function_ref<Value(OpBuilder &)> fill) {
    builder.setInsertionPointToEnd(module.getBody());
    auto global = LLVM::GlobalOp::create(
        builder, loc, type, /*isConstant=*/true, linkage, name, Attribute());
    OpBuilder::InsertionGuard guard(builder);
    builder.createBlock(&global.getInitializerRegion());
    LLVM::ReturnOp::create(builder, loc, fill(builder));
    return global;
  }

  Value address(OpBuilder &b, LLVM::GlobalOp global) {
    return LLVM::AddressOfOp::create(b, loc, pointer, global.getSymName());
  }
  Value integer(OpBuilder &b, unsigned width, int64_t value) {
    return LLVM::ConstantOp::create(
        b, loc, b.getIntegerAttr(b.getIntegerType(width), value));
  }
  Value pack(OpBuilder &b, Type type, ValueRange fields) {
    Value result = LLVM::UndefOp::create(b, loc, type);
    for (auto [i, field] : llvm::enumerate(fields))
      result = LLVM::InsertValueOp::create(b, loc, result, field, i);
    return result;
  }

  ModuleOp module;
  OpBuilder builder;
  Location loc;
  Type pointer;
};
} // namespace

/// DLPack's type code: 0 int, 1 uint, 2 float, 4 bfloat, 6 bool.
static std::pair<int64_t, int64_t> getDLPackType(Type type) {
  if (type.isInteger(1))
    return {6, 8};
  if (type.isBF16())
    return {4, 16};
  return {isa<FloatType>(type)       ? 2
          : type.isUnsignedInteger() ? 1
                                     : 0,
          type.getIntOrFloatBitWidth()};
}

/// The device of an entry's tensors, DLPack's number: 1 CPU, 2 CUDA; 0 stands
/// for both, where the host emulates a device.
static int64_t getDeviceType(StringRef target) {
  return target == "cuda" ? 2 : target == "emulator" ? 0 : 1;
}

/// Slots of one argument: its address, sizes and strides.
static int64_t getNumSlots(const EntryArgument &argument) {
  return 1 + 2 * argument.shape.size();
}

/// The table of an entry: struct repo_rt_signature.
static LLVM::GlobalOp emitSignature(TableEmitter &tables,
                                    const EntrySignature &signature,
                                    LLVM::GlobalOp library) {
  MLIRContext *context = tables.module.getContext();
  Type pointer = tables.pointer;
  Type i8 = IntegerType::get(context, 8), i32 = IntegerType::get(context, 32),
       i64 = IntegerType::get(context, 64);
  const std::string &name = signature.name;
  auto argumentType = LLVM::LLVMStructType::getLiteral(
      context, {pointer, pointer, i8, i8, i8, i8, i32});
  int64_t slots = 0;
  SmallVector<std::pair<LLVM::GlobalOp, LLVM::GlobalOp>> strings;
  for (auto [i, argument] : llvm::enumerate(signature.arguments)) {
    std::string prefix = name + ".arg" + std::to_string(i);
    SmallVector<int64_t> shape = argument.shape;
    // A table is never empty, so that its address is one.
    if (shape.empty())
      shape.push_back(0);
    strings.push_back({tables.string(prefix + ".name", argument.name),
                       tables.sizes(prefix + ".sizes", shape)});
    slots += getNumSlots(argument);
  }
  auto arrayType =
      LLVM::LLVMArrayType::get(argumentType, signature.arguments.size());
  auto arguments = tables.record(
      name + ".arguments", arrayType, LLVM::Linkage::Internal,
      [&](OpBuilder &b) {
        SmallVector<Value> entries;
        for (auto [argument, globals] :
             llvm::zip(signature.arguments, strings)) {
          auto [code, bits] = getDLPackType(argument.elementType);
          entries.push_back(tables.pack(
              b, argumentType,
              {tables.address(b, globals.first),
               tables.address(b, globals.second), tables.integer(b, 8, code),
               tables.integer(b, 8, bits),
               tables.integer(b, 8, argument.shape.size()),
               tables.integer(b, 8, static_cast<int64_t>(argument.role)),
               // Two numbers of 16 bits.
               tables.integer(b, 32,
                              argument.alignment | int64_t(argument.isScalar)
                                                       << 16)}));
        }
        return tables.pack(b, arrayType, entries);
      });
  auto text = tables.string(name + ".name", name);
  auto type = LLVM::LLVMStructType::getLiteral(
      context, {pointer, pointer, pointer, i32, i32, i64});
  return tables.record(
      name + ".signature", type, LLVM::Linkage::Internal, [&](OpBuilder &b) {
        return tables.pack(b, type,
                           {tables.address(b, library), tables.address(b, text),
                            tables.address(b, arguments),
                            tables.integer(b, 32, signature.arguments.size()),
                            tables.integer(b, 32, signature.symbols.size()),
                            tables.integer(b, 64, slots)});
      });
}

/// NAME.call(ctx, slots): rebuilds buffers from the slots and calls the body.
static LLVM::LLVMFuncOp emitCall(func::FuncOp body,
                                 const EntrySignature &signature) {
  MLIRContext *context = body.getContext();
  Location loc = body.getLoc();
  OpBuilder builder(body);
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type i64 = builder.getI64Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context),
                                          {pointer, pointer});
  auto call = LLVM::LLVMFuncOp::create(builder, loc, signature.name + ".call",
                                       type, LLVM::Linkage::Internal);
  Block *block = call.addEntryBlock(builder);
  builder.setInsertionPointToStart(block);
  LLVMTypeConverter converter(context);

  int64_t slot = 0;
  auto load = [&](Type slotType) -> Value {
    Value address = LLVM::GEPOp::create(
        builder, loc, pointer, i64, block->getArgument(1),
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slot++)});
    return LLVM::LoadOp::create(builder, loc, slotType, address);
  };
  SmallVector<Value> operands = {block->getArgument(0)};
  for (Type argument : ArrayRef(body.getArgumentTypes()).drop_front()) {
    Value data = load(pointer);
    auto buffer = dyn_cast<MemRefType>(argument);
    if (!buffer) {
      Type stored = argument.isIndex() ? i64 : argument;
      Value scalar =
          LLVM::LoadOp::create(builder, loc, stored, data, /*alignment=*/1);
      if (argument.isIndex())
        scalar = arith::IndexCastOp::create(builder, loc, argument, scalar);
      operands.push_back(scalar);
      continue;
    }
    Value descriptor =
        LLVM::PoisonOp::create(builder, loc, converter.convertType(buffer));
    auto set = [&](Value value, ArrayRef<int64_t> position) {
      descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, value,
                                               position);
    };
    set(data, {0});
    set(data, {1});
    set(LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0)),
        {2});
    for (int64_t field : {3, 4})
      for (int64_t dim = 0; dim < buffer.getRank(); ++dim)
        set(load(i64), {field, dim});
    operands.push_back(
        UnrealizedConversionCastOp::create(builder, loc, buffer, descriptor)
            .getResult(0));
  }
  func::CallOp::create(builder, loc, body, operands);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return call;
}

/// NAME(ctx, tensors, count): the exported entry.
static void emitEntry(LLVM::LLVMFuncOp call, LLVM::GlobalOp signature,
                      StringRef name) {
  MLIRContext *context = call.getContext();
  Location loc = call.getLoc();
  OpBuilder builder(context);
  builder.setInsertionPointAfter(call);
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type i32 = builder.getI32Type();
  auto type = LLVM::LLVMFunctionType::get(i32, {pointer, pointer, i32});
  auto entry = LLVM::LLVMFuncOp::create(builder, loc, name, type);
  Block *block = entry.addEntryBlock(builder);
  builder.setInsertionPointToStart(block);
  Value table =
      LLVM::AddressOfOp::create(builder, loc, pointer, signature.getSymName());
  Value target =
      LLVM::AddressOfOp::create(builder, loc, pointer, call.getSymName());
  Value status = callRuntime(
      builder, loc, block->getArgument(0), RuntimeFunction::run, i32,
      {table, block->getArgument(1), block->getArgument(2), target});
  LLVM::ReturnOp::create(builder, loc, status);
}

/// NAME_size(): the bytes that NAME writes.
static void emitPackedSize(ModuleOp module, StringRef name, int64_t bytes) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = module.getLoc();
  Type i64 = builder.getI64Type();
  auto function =
      LLVM::LLVMFuncOp::create(builder, loc, (name + "_size").str(),
                               LLVM::LLVMFunctionType::get(i64, {}));
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  Value size =
      LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(bytes));
  LLVM::ReturnOp::create(builder, loc, size);
}

namespace {
struct EmitCInterface : repo::impl::EmitCInterfaceBase<EmitCInterface> {
  using EmitCInterfaceBase::EmitCInterfaceBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    MLIRContext *context = &getContext();
    SmallVector<func::FuncOp> entries;
    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPublic() && !function.isExternal())
        entries.push_back(function);

    for (auto function : module.getOps<func::FuncOp>())
      if (function.isPrivate() && !function.isExternal())
        function->setAttr(
            "llvm.linkage",
            LLVM::LinkageAttr::get(context, LLVM::Linkage::Internal));

    std::vector<EntrySignature> signatures;
    llvm::json::Array manifestEntries;
    for (func::FuncOp function : entries) {
      FailureOr<EntrySignature> signature = analyzeSignature(function);
      if (failed(signature))
        return signalPassFailure();
      checkOutputSizes(function, *signature);
      manifestEntries.push_back(signature->toJSON());
      signatures.push_back(std::move(*signature));
    }

    TableEmitter tables(module);
    std::string manifest;
    llvm::raw_string_ostream(manifest) << llvm::json::Value(
        llvm::json::Object{{"format", 1},
                           {"compiler", compiler},
                           {"target", target},
                           {"features", features},
                           {"entries", std::move(manifestEntries)}});
    auto manifestText = tables.string("repo_library_info.manifest", manifest);
    auto featureText = tables.string("repo_library_info.features", features);
    Type i32 = IntegerType::get(context, 32),
         i64 = IntegerType::get(context, 64);
    auto type = LLVM::LLVMStructType::getLiteral(
        context, {i64, i32, i32, tables.pointer, tables.pointer, i32, i32});
    auto library = tables.record(
        "repo_library_info", type, LLVM::Linkage::External, [&](OpBuilder &b) {
          return tables.pack(b, type,
                             {tables.integer(b, 64, libraryMagic),
                              tables.integer(b, 32, runtimeAbiVersion),
                              tables.integer(b, 32, 40),
                              tables.address(b, featureText),
                              tables.address(b, manifestText),
                              tables.integer(b, 32, getDeviceType(target)),
                              tables.integer(b, 32, 0)});
        });

    for (auto [function, signature] : llvm::zip(entries, signatures)) {
      function.setName(signature.name + ".body");
      function.setPrivate();
      function->setAttr("llvm.linkage", LLVM::LinkageAttr::get(
                                            context, LLVM::Linkage::Internal));
      for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
        for (StringRef name :
             {RepoDialect::kNameAttrName, RepoDialect::kConstantAttrName,
              RepoDialect::kInoutAttrName, RepoDialect::kBooleanAttrName,
              RepoDialect::kPackedAttrName})
          function.removeArgAttr(i, name);
      if (signature.packedBytes)
        emitPackedSize(module, signature.name, *signature.packedBytes);
      LLVM::GlobalOp table = emitSignature(tables, signature, library);
      emitEntry(emitCall(function, signature), table, signature.name);
    }
  }
};
} // namespace
