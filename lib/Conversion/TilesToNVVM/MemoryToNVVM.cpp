//===- MemoryToNVVM.cpp - Copies, loads and stores by threads -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::repo::tile;

/// Copies of a thread that are written out, rather than a loop.
static constexpr int64_t maxUnrolledCopies = 16;

/// Tells LLVM not to write out a loop.
static void keepLoop(scf::ForOp loop) {
  MLIRContext *context = loop.getContext();
  auto unroll = LLVM::LoopUnrollAttr::get(
      context, /*disable=*/BoolAttr::get(context, true), {}, {}, {}, {}, {},
      {});
  loop->setAttr("loop_annotation", LLVM::LoopAnnotationAttr::get(
                                       context, {}, {}, {}, unroll, {}, {}, {},
                                       {}, {}, {}, {}, {}, {}, {}, {}));
}

namespace {
struct CopyAsyncPattern : OpConversionPattern<CopyAsyncOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(CopyAsyncOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    MemRefType type = op.getTarget().getType();
    int64_t stageRows = type.getDimSize(2), rows = op.getCopiedRows(),
            panels = type.getDimSize(1), chunks = panels * panelColumns / 8,
            rowsAtOnce = op.getThreads() / chunks;
    Value thread = op.getWarp() ? t.lane() : t.thread();
    Value firstRow = t.shiftRight(thread, llvm::Log2_64(chunks));
    Value chunk = t.both(thread, chunks - 1);

    // Rows of the stage that exist are those with r - low < high - low,
    // unsigned: one comparison a row.
    auto clamp = [&](Value bound) {
      Value row = op.getRow();
      Value relative = arith::SubIOp::create(rewriter, loc, bound, row);
      relative = arith::MaxSIOp::create(rewriter, loc, relative, t.index(0));
      relative = arith::MinSIOp::create(rewriter, loc, relative, t.index(rows));
      return t.toI32(relative);
    };
    Value low = clamp(op.getFrom()), high = clamp(op.getTo());
    Value count = arith::SubIOp::create(rewriter, loc, high, low);
    count = arith::MaxSIOp::create(rewriter, loc, count, t.i32(0));

    RowAddress address(t, op.getSource());
    Value wide = arith::ExtUIOp::create(rewriter, loc, rewriter.getI64Type(),
                                        t.shiftLeft(chunk, 4));
    auto sourceRow = [&](Value r) -> Value {
      return arith::AddIOp::create(rewriter, loc, op.getRow(), t.toIndex(r));
    };
    auto sourceOf = [&](Value r) -> Value {
      return t.move(address.get(t, sourceRow(r)), wide);
    };
    // The swizzle begins anew with every eighth row.
    Value start =
        t.move(t.stage(adaptor.getTarget().front(), type, op.getStage()),
               int64_t(op.getTargetRow()) * panelRowBytes);
    Value panel = t.mul(t.shiftRight(chunk, 3), stageRows * panelRowBytes);
    Value inPanel = t.both(chunk, 7);
    // The place of a thread's first chunk, and of one `rowsAtOnce` rows on: the
    // swizzle is the same where that is a multiple of 8.
    auto place = [&](Value r) {
      Value swizzled = t.exclusiveOr(inPanel, t.both(r, 7));
      return t.move(start, t.add(panel, t.add(t.shiftLeft(r, 7),
                                              t.shiftLeft(swizzled, 4))));
    };
    // How much of a chunk is copied: 16 bytes or none.
    auto bytesOf = [&](Value r) -> Value {
      Value exists =
          t.compare(arith::CmpIPredicate::ult,
                    arith::SubIOp::create(rewriter, loc, r, low), count);
      if (op.getWhere())
        exists = loadIf(t, exists, op.getWhere(), sourceRow(r));
      return arith::SelectOp::create(rewriter, loc, exists, t.i32(16),
                                     t.i32(0));
    };
    auto copy = [&](Value target, Value from, Value bytes) {
      NVVM::CpAsyncOp::create(rewriter, loc, target, from, 16,
                              NVVM::LoadCacheModifierKind::CG, bytes);
    };
    Value source = sourceOf(firstRow), step;
    if (!address.isNested())
      step = arith::MulIOp::create(
          rewriter, loc, address.rowBytes,
          arith::ConstantOp::create(rewriter, loc,
                                    rewriter.getI64IntegerAttr(rowsAtOnce)));
    auto next = [&](Value from, Value r) {
      return step ? t.move(from, step) : sourceOf(r);
    };
    // Few threads with much to do go round: the addresses of all their chunks
    // would take hundreds of registers.
    if (rows / rowsAtOnce > maxUnrolledCopies) {
      auto loop = scf::ForOp::create(rewriter, loc, t.i32(0), t.i32(rows),
                                     t.i32(rowsAtOnce), source);
      keepLoop(loop);
      rewriter.setInsertionPointToStart(loop.getBody());
      Value r = t.add(firstRow, loop.getInductionVar());
      Value from = loop.getRegionIterArg(0);
      copy(place(r), from, bytesOf(r));
      scf::YieldOp::create(rewriter, loc, next(from, t.add(r, rowsAtOnce)));
      rewriter.eraseOp(op);
      return success();
    }
    // Loads, if there are any, all before the first copy needs one.
    SmallVector<Value> bytes;
    for (int64_t first = 0; first != rows; first += rowsAtOnce)
      bytes.push_back(bytesOf(t.add(firstRow, first)));
    for (int64_t first = 0; first != rows; first += rowsAtOnce) {
      Value r = t.add(firstRow, first);
      Value target = rowsAtOnce % 8 == 0
                         ? t.move(place(firstRow), first * panelRowBytes)
                         : place(r);
      if (first != 0)
        source = next(source, r);
      copy(target, source, bytes[first / rowsAtOnce]);
    }
    rewriter.eraseOp(op);
    return success();
  }

private:
  /// Element `index` of a vector of booleans where `exists`, and false.
  static Value loadIf(ThreadBuilder &t, Value exists, Value vector,
                      Value index) {
    auto branch = scf::IfOp::create(
        t.b, t.loc, exists,
        [&](OpBuilder &b, Location loc) {
          Value loaded = memref::LoadOp::create(b, loc, vector, index);
          scf::YieldOp::create(b, loc, loaded);
        },
        [&](OpBuilder &b, Location loc) {
          Value no = arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
          scf::YieldOp::create(b, loc, no);
        });
    return branch.getResult(0);
  }
};

struct LoadSharedPattern : OpConversionPattern<LoadSharedOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LoadSharedOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    MemRefType buffer = op.getSource().getType();
    FragmentType type = op.getResult().getType();
    Value start = t.stage(adaptor.getSource().front(), buffer, op.getStage());
    // Lanes 0-15 address rows, lanes 16-31 the same rows eight columns on.
    Value row = t.add(t.toI32(op.getRow()), t.both(t.lane(), 15));
    if (type.isWarpgroup())
      row = t.add(row, t.shiftLeft(t.both(t.shiftRight(t.thread(), 5), 3), 4));
    Value half = t.shiftRight(t.lane(), 4);
    auto pair = VectorType::get(2, type.getElementType());
    SmallVector<Value> registers;
    for (int64_t step = 0; step != type.getRows(); step += type.getRowStep())
      for (int64_t k = 0; k != type.getColumns(); k += 16)
        for (Value matrix : t.loadMatrices(
                 t.chunk(start, buffer, row, step, half, k / 8), false))
          registers.push_back(
              LLVM::BitcastOp::create(rewriter, op.getLoc(), pair, matrix));
    rewriter.replaceOpWithMultiple(op, {registers});
    return success();
  }
};

/// Pair by pair: the lanes of a warp, four pairs of eight rows, meet in no
/// bank.
struct StoreSharedPattern : OpConversionPattern<StoreSharedOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(StoreSharedOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    MemRefType buffer = op.getTarget().getType();
    FragmentType type = op.getValue().getType();
    Value start = t.stage(adaptor.getTarget().front(), buffer, op.getStage());
    Value row = t.add(t.toI32(op.getRow()), t.firstRow(type));
    // Rows of a thread are the same mod 8, so the swizzle is too.
    Value low = t.shiftRight(t.lane(), 2);
    Value inChunk = t.shiftLeft(t.both(t.lane(), 3), 2);
    int64_t panelBytes = buffer.getDimSize(2) * panelRowBytes;
    for (int64_t i = 0; i != type.getNumElements(); i += 2) {
      auto [r, column] = type.getElementPlace(i);
      int64_t chunk = column / 8;
      Value swizzled = t.exclusiveOr(t.i32(chunk % 8), low);
      Value offset =
          t.add(t.add(t.shiftLeft(row, 7), inChunk), t.shiftLeft(swizzled, 4));
      Value place = t.move(t.move(start, offset),
                           chunk / 8 * panelBytes + r * panelRowBytes);
      LLVM::StoreOp::create(rewriter, op.getLoc(), adaptor.getValue()[i / 2],
                            place, 4);
    }
    rewriter.eraseOp(op);
    return success();
  }
};

struct LoadRowsPattern : OpConversionPattern<LoadRowsOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LoadRowsOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    FragmentType type = op.getResult().getType();
    SmallVector<Value> registers;
    for (int64_t i = 0; i != type.getNumElements(); ++i) {
      Value row = arith::AddIOp::create(rewriter, loc, op.getRow(),
                                        t.toIndex(t.rowOf(type, i)));
      Value exists = t.compare(arith::CmpIPredicate::slt, row, op.getLimit());
      auto branch = scf::IfOp::create(
          rewriter, loc, exists,
          [&](OpBuilder &b, Location loc) {
            Value value =
                memref::LoadOp::create(b, loc, op.getSource(), ValueRange(row));
            scf::YieldOp::create(b, loc, value);
          },
          [&](OpBuilder &b, Location loc) {
            Value zero = arith::ConstantOp::create(
                b, loc, b.getZeroAttr(type.getElementType()));
            scf::YieldOp::create(b, loc, zero);
          });
      registers.push_back(branch.getResult(0));
    }
    rewriter.replaceOpWithMultiple(op, {registers});
    return success();
  }
};

struct StorePattern : OpConversionPattern<StoreOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(StoreOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    ThreadBuilder t(rewriter, loc);
    auto type = cast<FragmentType>(op.getValue().getType());
    FragmentType rows = type.getRowType(rewriter.getF32Type());
    RowAddress address(t, op.getTarget());
    for (int64_t i = 0; i != rows.getNumElements(); ++i) {
      Value row = arith::AddIOp::create(rewriter, loc, op.getRow(),
                                        t.toIndex(t.rowOf(rows, i)));
      Value writes = t.compare(arith::CmpIPredicate::slt, row, op.getLimit());
      // The four threads of a row have the same element of a row vector.
      if (type.isRow())
        writes = arith::AndIOp::create(
            rewriter, loc, writes,
            t.compare(arith::CmpIPredicate::eq, t.firstColumn(), t.i32(0)));
      auto branch = scf::IfOp::create(rewriter, loc, writes);
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPoint(branch.thenYield());
      Value start = address.get(t, row);
      if (type.isRow())
        LLVM::StoreOp::create(rewriter, loc, adaptor.getValue()[i], start, 4);
      else
        storeRow(op, t, type, adaptor.getValue(), rows.getElementPlace(i).first,
                 start);
    }
    rewriter.eraseOp(op);
    return success();
  }

private:
  static void storeRow(StoreOp op, ThreadBuilder &t, FragmentType type,
                       ValueRange registers, int64_t row, Value start) {
    Type element = op.getTarget().getType().getElementType();
    int64_t bytes = element.getIntOrFloatBitWidth() / 8;
    Value first = t.move(start, t.mul(t.firstColumn(), bytes));
    for (int64_t column = 0; column != type.getColumns(); column += 8) {
      int64_t index = type.getElementAt(row, column);
      Value place = t.move(first, column * bytes);
      if (element.isF32()) {
        LLVM::StoreOp::create(t.b, t.loc, registers[index], place, 4);
        LLVM::StoreOp::create(t.b, t.loc, registers[index + 1],
                              t.move(place, int64_t(4)), 4);
        continue;
      }
      Value pair = type.isOperand() ? registers[index / 2]
                                    : t.pack(registers[index],
                                             registers[index + 1], element);
      LLVM::StoreOp::create(t.b, t.loc, pair, place, 4);
    }
  }
};
} // namespace

void mlir::repo::tile::populateMemoryPatterns(const TypeConverter &types,
                                              RewritePatternSet &patterns) {
  patterns.add<SharedPlacePattern<SharedBufferOp>, CopyAsyncPattern,
               LoadSharedPattern, StoreSharedPattern, LoadRowsPattern,
               StorePattern>(types, patterns.getContext());
}
