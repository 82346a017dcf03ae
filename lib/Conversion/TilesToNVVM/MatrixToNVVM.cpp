//===- MatrixToNVVM.cpp - Multiplications by threads ----------------------===//
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

/// What wgmma is told of a stage in shared memory (PTX ISA, "Matrix
/// descriptor"): its address, two distances between blocks of 8 rows by 128
/// bytes, all in units of 16 bytes, and the 128-byte swizzle.
static Value getDescriptor(ThreadBuilder &t, Value start, int64_t leading,
                           int64_t stride) {
  Value address = LLVM::PtrToIntOp::create(t.b, t.loc, t.b.getI32Type(), start);
  address = t.both(t.shiftRight(address, 4), 0x3fff);
  Value wide = arith::ExtUIOp::create(t.b, t.loc, t.b.getI64Type(), address);
  int64_t rest = (leading << 16) | (stride << 32) | (int64_t(1) << 62);
  return arith::OrIOp::create(
      t.b, t.loc, wide,
      arith::ConstantOp::create(t.b, t.loc, t.b.getI64IntegerAttr(rest)));
}

/// Inline PTX whose results are `count` f32, tied to the first inputs.
static SmallVector<Value> assemble(ThreadBuilder &t, const std::string &text,
                                   ValueRange sums, ValueRange others,
                                   StringRef constraints) {
  std::string all;
  for (size_t i = 0; i != sums.size(); ++i)
    all += "=f,";
  for (size_t i = 0; i != sums.size(); ++i)
    all += std::to_string(i) + ",";
  all += constraints.str() + "~{memory}";
  Type type = LLVM::LLVMStructType::getLiteral(
      t.b.getContext(), SmallVector<Type>(sums.size(), t.b.getF32Type()));
  SmallVector<Value> operands(sums);
  llvm::append_range(operands, others);
  auto call = LLVM::InlineAsmOp::create(
      t.b, t.loc, type, operands, text, all, /*has_side_effects=*/true,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(t.b.getContext(), LLVM::AsmDialect::AD_ATT),
      ArrayAttr());
  SmallVector<Value> results;
  for (size_t i = 0; i != sums.size(); ++i)
    results.push_back(
        LLVM::ExtractValueOp::create(t.b, t.loc, call.getRes(), i));
  return results;
}

namespace {
/// All steps in one piece of PTX: ptxas serialises products between which it
/// finds moves of their sums. The wait hands the sums on, so that nothing reads
/// them before.
struct WarpgroupMmaPattern : OpConversionPattern<MmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto aType = cast<FragmentType>(op.getA().getType());
    auto type = cast<FragmentType>(op.getInit().getType());
    if (!type.isWarpgroup())
      return rewriter.notifyMatchFailure(op, "a product of a warp");
    MemRefType buffer = op.getB().getType();
    bool transposed = op.getTransposeB();
    Value start = t.stage(adaptor.getB().front(), buffer, op.getStage());
    int64_t panel = buffer.getDimSize(2) * panelRowBytes / 16;
    // Eight rows are 1024 bytes. Rows of the stage are N (transposed): within a
    // panel, steps of K are 32 bytes apart. Rows are K: panels follow in N.
    Value descriptor = getDescriptor(t, start, transposed ? 1 : panel, 64);

    SmallVector<Value> sums(adaptor.getInit()), others;
    for (Value pair : adaptor.getA())
      others.push_back(LLVM::BitcastOp::create(rewriter, op.getLoc(),
                                               rewriter.getI32Type(), pair));
    size_t count = sums.size(), firstA = 2 * count,
           place = firstA + others.size();
    std::string constraints;
    for (size_t i = 0; i != others.size(); ++i)
      constraints += "r,";
    constraints += "l,";
    others.push_back(descriptor);

    auto list = [](size_t from, size_t size) {
      std::string text = "{";
      for (size_t i = 0; i != size; ++i)
        text += (i ? ", $" : "$") + std::to_string(from + i);
      return text + "}";
    };
    StringRef element = aType.getElementType().isBF16() ? "bf16" : "f16";
    std::string text = "{\n.reg .b64 db;\n.reg .pred p;\nsetp.ne.b32 p, 1, "
                       "0;\nwgmma.fence.sync.aligned;\n";
    for (int64_t k = 0; k != aType.getColumns() / 16; ++k) {
      int64_t offset = transposed ? k / 4 * panel + k % 4 * 2 : k * 128;
      text += ("add.s64 db, $" + Twine(place) + ", " + Twine(offset) +
               ";\nwgmma.mma_async.sync.aligned.m64n" +
               Twine(type.getColumns()) + "k16.f32." + element + "." + element +
               " " + list(0, count) + ", " + list(firstA + 4 * k, 4) +
               ", db, p, 1, 1, " + (transposed ? "0" : "1") + ";\n")
                  .str();
    }
    text += "wgmma.commit_group.sync.aligned;\n}";
    sums = assemble(t, text, sums, others, constraints);
    sums = assemble(t, "wgmma.wait_group.sync.aligned 0;", sums, {}, "");
    rewriter.replaceOpWithMultiple(op, {sums});
    return success();
  }
};
} // namespace

void mlir::repo::tile::populateMatrixPatterns(const TypeConverter &types,
                                              RewritePatternSet &patterns) {
  patterns.add<MmaPattern, WarpgroupMmaPattern>(types, patterns.getContext());
}
