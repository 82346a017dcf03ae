//===- WarpgroupMatrixToNVVM.cpp - Products of a warpgroup by threads -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A product is one piece of PTX: the fence, all steps of 16, the commit. ptxas
// serialises products between which it finds moves of their sums, and LLVM
// would put moves there. (`nvvm.wgmma.mma_async` takes no operand A from
// registers, and is one step.) A wait hands the sums on, so that nothing reads
// them before it.
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::repo::tile;

namespace {
/// Inline PTX whose first operands are f32 results.
class Assembly {
public:
  Assembly(ThreadBuilder &t, size_t numResults)
      : t(t), numResults(numResults), next(numResults) {
    for (size_t i = 0; i != numResults; ++i)
      constraints += "=f,";
  }

  /// Inputs in the registers that become the results.
  void tie(ValueRange sums) {
    for (size_t i = 0; i != sums.size(); ++i)
      constraints += std::to_string(i) + ",";
    addOperands(sums);
  }
  /// An operand of its own; returns its name.
  std::string input(Value value, StringRef constraint) {
    constraints += constraint.str() + ",";
    addOperands(value);
    return "$" + std::to_string(next - 1);
  }
  /// The list of the results.
  std::string results() const {
    std::string list = "{";
    for (size_t i = 0; i != numResults; ++i)
      list += (i ? ", $" : "$") + std::to_string(i);
    return list + "}";
  }
  void line(const Twine &code) { text += (code + ";\n").str(); }

  SmallVector<Value> create() {
    Type type = LLVM::LLVMStructType::getLiteral(
        t.b.getContext(), SmallVector<Type>(numResults, t.b.getF32Type()));
    auto call = LLVM::InlineAsmOp::create(
        t.b, t.loc, type, operands, "{\n" + text + "}",
        constraints + "~{memory}", /*has_side_effects=*/true,
        /*is_align_stack=*/false, LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr::get(t.b.getContext(), LLVM::AsmDialect::AD_ATT),
        ArrayAttr());
    SmallVector<Value> values;
    for (size_t i = 0; i != numResults; ++i)
      values.push_back(
          LLVM::ExtractValueOp::create(t.b, t.loc, call.getRes(), i));
    return values;
  }

private:
  void addOperands(ValueRange values) {
    llvm::append_range(operands, values);
    next += values.size();
  }

  ThreadBuilder &t;
  size_t numResults, next;
  std::string text, constraints;
  SmallVector<Value> operands;
};

/// A stage in shared memory as wgmma reads it: what it is told (PTX ISA,
/// "Matrix descriptor": an address, two distances between blocks of 8 rows by
/// 128 bytes, in units of 16 bytes, and the 128-byte swizzle), and how far the
/// steps of 16 in K are apart.
struct StageDescriptor {
  /// `rowsAreK`: the rows of the stage are the K of the product.
  StageDescriptor(ThreadBuilder &t, Value buffer, MemRefType type, Value stage,
                  bool rowsAreK)
      : panel(type.getDimSize(2) * panelRowBytes / 16), rowsAreK(rowsAreK) {
    Value address = LLVM::PtrToIntOp::create(t.b, t.loc, t.b.getI32Type(),
                                             t.stage(buffer, type, stage));
    address = t.both(t.shiftRight(address, 4), 0x3fff);
    Value wide = arith::ExtUIOp::create(t.b, t.loc, t.b.getI64Type(), address);
    // Eight rows are 1024 bytes; where rows are K, panels follow in N.
    int64_t leading = rowsAreK ? panel : 1, stride = 64;
    int64_t rest = (leading << 16) | (stride << 32) | (int64_t(1) << 62);
    value = arith::OrIOp::create(
        t.b, t.loc, wide,
        arith::ConstantOp::create(t.b, t.loc, t.b.getI64IntegerAttr(rest)));
  }
  /// The distance from the first step to step `k`.
  int64_t step(int64_t k) const {
    return rowsAreK ? k * 128 : k / 4 * panel + k % 4 * 2;
  }

  Value value;
  int64_t panel;
  bool rowsAreK;
};

/// Operand A: registers, or a descriptor of a stage.
struct OperandA {
  SmallVector<Value> registers;
  std::optional<StageDescriptor> stage;
};
} // namespace

/// Starts init + a b, without `init` from 0; the results are in flight. Without
/// `commit` they are waited for with those of the next product.
static SmallVector<Value> startProduct(ThreadBuilder &t, FragmentType type,
                                       Type element, const OperandA &a,
                                       const StageDescriptor &b, int64_t k,
                                       ValueRange init, bool commit = true) {
  Assembly assembly(t, type.getNumElements());
  assembly.tie(init);
  SmallVector<std::string> registers;
  for (Value pair : a.registers)
    registers.push_back(assembly.input(
        LLVM::BitcastOp::create(t.b, t.loc, t.b.getI32Type(), pair), "r"));
  std::string aBase = a.stage ? assembly.input(a.stage->value, "l") : "",
              bBase = assembly.input(b.value, "l");
  assembly.line(".reg .b64 da, db");
  assembly.line(".reg .pred first, more");
  assembly.line("setp.ne.b32 first, " + Twine(init.empty() ? 0 : 1) + ", 0");
  assembly.line("setp.ne.b32 more, 1, 0");
  assembly.line("wgmma.fence.sync.aligned");
  StringRef name = element.isBF16() ? "bf16" : "f16";
  for (int64_t step = 0; step != k / 16; ++step) {
    std::string operand = "da";
    if (a.stage)
      assembly.line("add.s64 da, " + aBase + ", " + Twine(a.stage->step(step)));
    else
      operand =
          "{" + llvm::join(ArrayRef(registers).slice(4 * step, 4), ", ") + "}";
    assembly.line("add.s64 db, " + bBase + ", " + Twine(b.step(step)));
    assembly.line("wgmma.mma_async.sync.aligned.m64n" +
                  Twine(type.getColumns()) + "k16.f32." + name + "." + name +
                  " " + assembly.results() + ", " + operand + ", db, " +
                  (step ? "more" : "first") + ", 1, 1, " +
                  (a.stage ? "0, " : "") + (b.rowsAreK ? "1" : "0"));
  }
  if (commit)
    assembly.line("wgmma.commit_group.sync.aligned");
  return assembly.create();
}

/// Waits for all products but the last `left`. A number of `after` that is
/// negative, which none is, would be stored: so the wait is behind them.
static SmallVector<Value> waitForProducts(ThreadBuilder &t, ValueRange sums,
                                          int64_t left, ValueRange after) {
  Assembly assembly(t, sums.size());
  assembly.tie(sums);
  if (!after.empty()) {
    Value place = LLVM::PtrToIntOp::create(t.b, t.loc, t.b.getI32Type(),
                                           t.sharedMemory(0));
    std::string address = assembly.input(place, "r");
    assembly.line(".reg .pred never");
    for (Value number : after) {
      std::string name = assembly.input(number, "f");
      assembly.line("setp.lt.f32 never, " + name + ", 0f00000000");
      assembly.line("@never st.shared.f32 [" + address + "], " + name);
    }
  }
  assembly.line("wgmma.wait_group.sync.aligned " + Twine(left));
  return assembly.create();
}

namespace {
/// A product that is waited for at once.
struct WarpgroupMmaPattern : OpConversionPattern<MmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto type = cast<FragmentType>(op.getInit().getType());
    if (!type.isWarpgroup())
      return rewriter.notifyMatchFailure(op, "a product of a warp");
    auto aType = cast<FragmentType>(op.getA().getType());
    StageDescriptor b(t, adaptor.getB().front(), op.getB().getType(),
                      op.getStage(), !op.getTransposeB());
    OperandA a{SmallVector<Value>(adaptor.getA()), std::nullopt};
    SmallVector<Value> sums =
        startProduct(t, type, aType.getElementType(), a, b, aType.getColumns(),
                     adaptor.getInit());
    rewriter.replaceOpWithMultiple(op, {waitForProducts(t, sums, 0, {})});
    return success();
  }
};

struct MmaAsyncPattern : OpConversionPattern<MmaAsyncOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MmaAsyncOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    MemRefType bType = op.getB().getType();
    bool rowsAreK = !op.getTransposeB();
    StageDescriptor b(t, adaptor.getB().front(), bType, op.getStage(),
                      rowsAreK);
    OperandA a;
    if (auto buffer = dyn_cast<MemRefType>(op.getA().getType()))
      a.stage.emplace(t, adaptor.getA().front(), buffer, op.getAStage(),
                      /*rowsAreK=*/false);
    else
      a.registers = SmallVector<Value>(adaptor.getA());
    auto [rows, columns] = getStageShape(bType);
    rewriter.replaceOpWithMultiple(
        op, {startProduct(t, op.getResult().getType().getAccumulator(),
                          bType.getElementType(), a, b,
                          rowsAreK ? rows : columns, adaptor.getInit(),
                          /*commit=*/!op.getJoined())});
    return success();
  }
};

struct WaitMmaPattern : OpConversionPattern<WaitMmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(WaitMmaOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    rewriter.replaceOpWithMultiple(
        op, {waitForProducts(t, adaptor.getInput(), op.getLeft(),
                             adaptor.getAfter())});
    return success();
  }
};
} // namespace

void mlir::repo::tile::populateWarpgroupMatrixPatterns(
    const TypeConverter &types, RewritePatternSet &patterns) {
  patterns.add<WarpgroupMmaPattern, MmaAsyncPattern, WaitMmaPattern>(
      types, patterns.getContext());
}
