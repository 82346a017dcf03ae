//===- RuntimeTable.h - Calls through the table of a context ----*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emitted code has no undefined symbols of the runtime: it reaches it through
// `struct repo_rt_api`, to which the first member of a context points. The
// numbers here are the layout of that struct in repo/Runtime/runtime.h.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_RUNTIMETABLE_H
#define REPO_LIB_CONVERSION_RUNTIMETABLE_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace mlir::repo {

/// Version of the interface between emitted code and the runtime
/// (REPO_RT_ABI_VERSION).
constexpr int32_t runtimeAbiVersion = 3;

/// The first field of `repo_library_info` (REPO_RT_LIBRARY_MAGIC): "REPOLIB1".
constexpr int64_t libraryMagic = 0x3142494c4f504552;

/// Functions of `struct repo_rt_api`, in order, behind its 8 bytes of header.
enum class RuntimeFunction : int32_t {
  run,          // int32_t (ctx, signature, tensors, count, call)
  parallel_for, // void (ctx, int64_t n, task, void *arguments)
  allocate,     // void *(ctx, uint64_t bytes); does not return on failure
  mark,         // uint64_t (ctx)
  release,      // void (ctx, uint64_t mark)
  launch,       // void (ctx, kernel, sizes, parameters)
  encode_map,   // void (ctx, map, encoded)
  wrong_size,   // void (ctx, int32_t argument, int32_t dim, int64_t expected,
                // int64_t found); does not return
  gemm,         // void (ctx, gemm)
  refuse,       // void (ctx, const char *message); does not return
};

/// Calls a function of the runtime; the result is null where it returns
/// nothing.
inline Value callRuntime(OpBuilder &builder, Location loc, Value context,
                         RuntimeFunction function, Type result,
                         ValueRange arguments) {
  MLIRContext *mlirContext = builder.getContext();
  auto pointer = LLVM::LLVMPointerType::get(mlirContext);
  Value table = LLVM::LoadOp::create(builder, loc, pointer, context);
  Value slot = LLVM::GEPOp::create(
      builder, loc, pointer, builder.getI8Type(), table,
      ArrayRef<LLVM::GEPArg>{8 + 8 * static_cast<int32_t>(function)});
  Value callee = LLVM::LoadOp::create(builder, loc, pointer, slot);
  SmallVector<Value> operands = {callee, context};
  llvm::append_range(operands, arguments);
  SmallVector<Type> types = {pointer};
  llvm::append_range(types, arguments.getTypes());
  auto type = LLVM::LLVMFunctionType::get(
      result ? result : LLVM::LLVMVoidType::get(mlirContext), types);
  auto call = LLVM::CallOp::create(builder, loc, type, operands);
  return result ? call.getResult() : Value();
}

} // namespace mlir::repo

#endif // REPO_LIB_CONVERSION_RUNTIMETABLE_H
