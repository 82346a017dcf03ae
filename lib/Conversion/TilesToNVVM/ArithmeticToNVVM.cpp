//===- ArithmeticToNVVM.cpp - Arithmetic on fragments by threads ----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TilesToNVVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::repo::tile;

/// A copy of a region's only block, without its terminator; returns what it
/// yields. Indices are made where the region uses them.
static SmallVector<Value> inlineBody(ThreadBuilder &t, Block &body,
                                     ArrayRef<Value> elements,
                                     function_ref<Value()> row,
                                     function_ref<Value()> column) {
  IRMapping mapping;
  mapping.map(body.getArguments().take_front(elements.size()), elements);
  BlockArgument rowIndex = body.getArgument(elements.size()),
                columnIndex = body.getArgument(elements.size() + 1);
  if (!rowIndex.use_empty())
    mapping.map(rowIndex, row());
  if (!columnIndex.use_empty())
    mapping.map(columnIndex, column());
  for (Operation &op : body.without_terminator())
    t.b.clone(op, mapping);
  return llvm::map_to_vector(
      body.getTerminator()->getOperands(),
      [&](Value value) { return mapping.lookupOrDefault(value); });
}

/// The element of a row vector beside element `index` of a matrix.
static Value getRowElement(FragmentType matrix, ValueRange row, int64_t index) {
  FragmentType type = matrix.getRowType(row.front().getType());
  return row[type.getElementAt(matrix.getElementPlace(index).first, 0)];
}

namespace {
struct MapPattern : OpConversionPattern<MapOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MapOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto type = cast<FragmentType>(op.getResultTypes().front());
    SmallVector<SmallVector<Value>> results(op->getNumResults());
    for (int64_t i = 0; i != type.getNumElements(); ++i) {
      SmallVector<Value> elements;
      for (auto [input, registers] :
           llvm::zip_equal(op.getInputs(), adaptor.getInputs())) {
        auto inputType = cast<FragmentType>(input.getType());
        elements.push_back(inputType.isRow()
                               ? getRowElement(type, registers, i)
                               : getElement(t, inputType, registers, i));
      }
      SmallVector<Value> yielded = inlineBody(
          t, op.getBody().front(), elements, [&] { return t.rowOf(type, i); },
          [&] { return t.columnOf(type, i); });
      for (auto [result, value] : llvm::zip_equal(results, yielded))
        result.push_back(value);
    }
    for (auto [result, resultType] :
         llvm::zip_equal(results, op.getResultTypes()))
      result = packElements(t, cast<FragmentType>(resultType), result);
    rewriter.replaceOpWithMultiple(op, std::move(results));
    return success();
  }
};

struct MapPairsPattern : OpConversionPattern<MapPairsOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(MapPairsOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    FragmentType type = op.getInput().getType();
    SmallVector<Value> elements;
    for (int64_t i = 0; i != type.getNumElements(); ++i)
      elements.push_back(getElement(t, type, adaptor.getInput(), i));
    // A thread's pairs: those whose first column it holds.
    for (int64_t i = 0; i != type.getNumElements(); ++i) {
      auto [row, column] = type.getElementPlace(i);
      bool interleaved = op.getPairing() == Pairing::interleaved;
      int64_t dim = op.getDim();
      if (interleaved ? column % 2 || column >= dim : column >= dim / 2)
        continue;
      int64_t other =
          type.getElementAt(row, interleaved ? column + 1 : column + dim / 2);
      SmallVector<Value> inputs = {elements[i], elements[other]};
      for (ValueRange registers : adaptor.getRows())
        inputs.push_back(getRowElement(type, registers, i));
      SmallVector<Value> yielded = inlineBody(
          t, op.getBody().front(), inputs, [&] { return t.rowOf(type, i); },
          [&] {
            Value column = t.columnOf(type, i);
            return interleaved ? t.shiftRight(column, 1) : column;
          });
      elements[i] = yielded[0];
      elements[other] = yielded[1];
    }
    rewriter.replaceOpWithMultiple(op, {packElements(t, type, elements)});
    return success();
  }
};

struct ReducePattern : OpConversionPattern<ReduceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ReduceOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto combine = [&](Value x, Value y) -> Value {
      if (op.getCombiner() == Combiner::sum)
        return arith::AddFOp::create(rewriter, op.getLoc(), x, y);
      return arith::MaxNumFOp::create(rewriter, op.getLoc(), x, y);
    };
    FragmentType type = op.getInput().getType();
    SmallVector<SmallVector<Value>> rows(adaptor.getInit().size());
    FragmentType rowType = op.getInit().getType();
    for (int64_t i = 0; i != type.getNumElements(); ++i)
      rows[rowType.getElementAt(type.getElementPlace(i).first, 0)].push_back(
          adaptor.getInput()[i]);
    SmallVector<Value> result;
    for (auto [elements, init] : llvm::zip_equal(rows, adaptor.getInit())) {
      // A tree, so that few results wait for each other.
      while (elements.size() > 1) {
        SmallVector<Value> next;
        for (size_t i = 0; i < elements.size(); i += 2)
          next.push_back(i + 1 < elements.size()
                             ? combine(elements[i], elements[i + 1])
                             : elements[i]);
        elements = next;
      }
      Value value = elements.front();
      for (int64_t mask : {1, 2})
        value = combine(value, t.exchange(value, mask));
      result.push_back(combine(init, value));
    }
    rewriter.replaceOpWithMultiple(op, {result});
    return success();
  }
};

struct ConvertPattern : OpConversionPattern<ConvertOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(ConvertOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ThreadBuilder t(rewriter, op.getLoc());
    auto type = cast<FragmentType>(op.getResult().getType());
    // Both layouts have the same order of elements in a thread.
    ValueRange input = adaptor.getInput();
    SmallVector<Value> registers;
    for (size_t i = 0; i != input.size(); i += 2)
      registers.push_back(
          t.pack(input[i], input[i + 1], type.getElementType()));
    rewriter.replaceOpWithMultiple(op, {registers});
    return success();
  }
};

struct SplitPattern : OpConversionPattern<SplitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(SplitOp op, OneToNOpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    FragmentType input = op.getInput().getType();
    SmallVector<SmallVector<Value>> results;
    int64_t firstColumn = 0;
    for (Type resultType : op.getResultTypes()) {
      auto type = cast<FragmentType>(resultType);
      SmallVector<Value> &registers = results.emplace_back();
      for (int64_t i = 0; i != type.getNumElements(); ++i) {
        auto [row, column] = type.getElementPlace(i);
        registers.push_back(
            adaptor.getInput()[input.getElementAt(row, firstColumn + column)]);
      }
      firstColumn += type.getColumns();
    }
    rewriter.replaceOpWithMultiple(op, std::move(results));
    return success();
  }
};
} // namespace

void mlir::repo::tile::populateArithmeticPatterns(const TypeConverter &types,
                                                  RewritePatternSet &patterns) {
  patterns.add<MapPattern, MapPairsPattern, ReducePattern, ConvertPattern,
               SplitPattern>(types, patterns.getContext());
}
