//===- MatrixToNVVM.cpp - Products of a warp by threads -------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::repo::tile;

/// One m16n8k16: four registers of A, two of B, four sums.
static SmallVector<Value> multiply(ThreadBuilder &t, Type element,
                                   ArrayRef<Value> a, ArrayRef<Value> b,
                                   ArrayRef<Value> c) {
  bool isBF16 = element.isBF16();
  auto types = isBF16 ? NVVM::MMATypes::bf16 : NVVM::MMATypes::f16;
  // bf16 operands are passed as i32, f16 operands as pairs.
  Type operand = isBF16 ? Type(t.b.getI32Type()) : VectorType::get(2, element);
  auto as = [&](ArrayRef<Value> values) {
    return llvm::map_to_vector(values, [&](Value value) -> Value {
      if (value.getType() == operand)
        return value;
      return LLVM::BitcastOp::create(t.b, t.loc, operand, value);
    });
  };
  Type result = LLVM::LLVMStructType::getLiteral(
      t.b.getContext(), SmallVector<Type>(4, t.b.getF32Type()));
  Value sums = NVVM::MmaOp::create(
      t.b, t.loc, result, as(a), as(b), c, ArrayRef<int64_t>{16, 8, 16},
      std::nullopt, std::nullopt, std::array{types, types},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  SmallVector<Value> values;
  for (int64_t i = 0; i != 4; ++i)
    values.push_back(LLVM::ExtractValueOp::create(t.b, t.loc, sums, i));
  return values;
}

namespace {
struct MmaPattern : OpConversionPattern<MmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto aType = cast<FragmentType>(op.getA().getType());
    auto type = cast<FragmentType>(op.getInit().getType());
    if (type.isWarpgroup())
      return rewriter.notifyMatchFailure(op, "a product of a warpgroup");
    MemRefType buffer = op.getB().getType();
    bool transposed = op.getTransposeB();
    Value start = t.stage(adaptor.getB().front(), buffer, op.getStage());
    // Four 8x8 matrices of B, for a step of 16 in K and two tiles in N. Where
    // rows of the stage are N, lanes 8-15 and 24-31 address the second half of
    // K, lanes 16-31 the second tile; where they are K, the other way round.
    Value lane = t.lane(), low = t.both(lane, 7),
          second = t.both(t.shiftRight(lane, 3), 1),
          third = t.shiftRight(lane, 4);
    Value row = t.add(low, t.shiftLeft(transposed ? third : second, 3));
    Value chunk = transposed ? second : third;

    int64_t steps = type.getRows() / 16, k = aType.getColumns(),
            n = type.getColumns();
    SmallVector<Value> sums(adaptor.getInit());
    SmallVector<Value> a(adaptor.getA());
    for (int64_t i = 0; i != k; i += 16)
      for (int64_t j = 0; j != n; j += 16) {
        SmallVector<Value> b = t.loadMatrices(
            transposed ? t.chunk(start, buffer, row, j, chunk, i / 8)
                       : t.chunk(start, buffer, row, i, chunk, j / 8),
            !transposed);
        for (int64_t step = 0; step != steps; ++step)
          for (int64_t tile : {0, 1}) {
            int64_t at = type.getElementAt(step * 16, j + 8 * tile);
            int64_t operand = aType.getElementAt(step * 16, i) / 2;
            MutableArrayRef<Value> sum =
                MutableArrayRef<Value>(sums).slice(at, 4);
            llvm::copy(multiply(t, aType.getElementType(),
                                ArrayRef<Value>(a).slice(operand, 4),
                                ArrayRef<Value>(b).slice(2 * tile, 2), sum),
                       sum.begin());
          }
      }
    rewriter.replaceOpWithMultiple(op, {sums});
    return success();
  }
};
} // namespace

void mlir::repo::tile::populateMatrixPatterns(const TypeConverter &types,
                                              RewritePatternSet &patterns) {
  patterns.add<MmaPattern>(types, patterns.getContext());
}
