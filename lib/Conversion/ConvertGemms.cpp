//===- ConvertGemms.cpp - Matrix products as calls of the runtime ---------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/Passes.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTGEMMS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

/// The number of an element type in library_types.h.
static int64_t getTypeNumber(Type type) {
  return type.isBF16() ? 14 : type.isF16() ? 2 : 0;
}

/// Stores the numbers of struct repo_rt_gemm and calls.
static LogicalResult convert(GemmOp op) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  auto pointer = LLVM::LLVMPointerType::get(op.getContext());
  if (function.getNumArguments() == 0 ||
      function.getArgument(0).getType() != pointer)
    return op.emitError(
        "expected a product in a function with the context as argument 0");
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<Value> numbers;
  auto add = [&](Value value) {
    numbers.push_back(
        arith::IndexCastOp::create(b, loc, b.getI64Type(), value));
  };
  auto addNumber = [&](int64_t value) {
    add(arith::ConstantIndexOp::create(b, loc, value));
  };
  addNumber(getTypeNumber(op.getA().getType().getElementType()));
  addNumber(getTypeNumber(op.getC().getType().getElementType()));
  struct Matrix {
    memref::ExtractStridedMetadataOp metadata;
    int64_t rank;
    Value size(int64_t d) { return metadata.getSizes()[d]; }
    Value stride(int64_t d) { return metadata.getStrides()[d]; }
  };
  SmallVector<Matrix> matrices;
  for (Value buffer : {op.getA(), op.getB(), op.getC()}) {
    auto type = cast<MemRefType>(buffer.getType());
    matrices.push_back(
        {memref::ExtractStridedMetadataOp::create(b, loc, buffer),
         type.getRank()});
    Value start =
        memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer);
    Value bytes = arith::ConstantIndexOp::create(
        b, loc, type.getElementTypeBitWidth() / 8);
    Value offset = arith::MulIOp::create(
        b, loc, matrices.back().metadata.getOffset(), bytes);
    add(arith::AddIOp::create(b, loc, start, offset));
  }
  Matrix &a = matrices[0], &weights = matrices[1], &c = matrices[2];
  // batch, rows, columns, depth
  if (a.rank == 3)
    add(a.size(0));
  else
    addNumber(1);
  add(a.size(a.rank - 2));
  add(c.size(c.rank - 1));
  add(a.size(a.rank - 1));
  // Distances of batches and rows.
  for (Matrix *matrix : {&a, &c}) {
    if (matrix->rank == 3)
      add(matrix->stride(0));
    else
      addNumber(0);
    add(matrix->stride(matrix->rank - 2));
  }
  add(weights.stride(0));
  addNumber(op.getTransposeB());
  addNumber(op.getAccumulate());

  OpBuilder entry(&function.getFunctionBody().front().front());
  auto type = LLVM::LLVMArrayType::get(b.getI64Type(), numbers.size());
  Value one = LLVM::ConstantOp::create(entry, loc, entry.getI64IntegerAttr(1));
  Value memory = LLVM::AllocaOp::create(entry, loc, pointer, type, one);
  for (auto [i, number] : llvm::enumerate(numbers)) {
    Value place = LLVM::GEPOp::create(b, loc, pointer, type, memory,
                                      ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
    LLVM::StoreOp::create(b, loc, number, place);
  }
  callRuntime(b, loc, function.getArgument(0), RuntimeFunction::gemm, Type(),
              {memory});
  op.erase();
  return success();
}

namespace {
struct ConvertGemms : repo::impl::ConvertGemmsBase<ConvertGemms> {
  void runOnOperation() override {
    SmallVector<GemmOp> ops;
    getOperation().walk([&](GemmOp op) { ops.push_back(op); });
    for (GemmOp op : ops)
      if (failed(convert(op)))
        return signalPassFailure();
  }
};
} // namespace
