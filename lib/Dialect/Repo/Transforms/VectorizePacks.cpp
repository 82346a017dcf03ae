//===- VectorizePacks.cpp - Panels of pairs by vectors --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorTranspose.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Support/LoopBuilder.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_VECTORIZEPACKS
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

static constexpr int64_t columns = 16, pairs = 2;

/// Whether `op` packs a static matrix of 16-bit elements to whole panels of 16
/// columns by 2 products, and which of its dimensions are the columns.
static std::optional<unsigned> getColumnDim(linalg::PackOp op) {
  RankedTensorType source = op.getSourceType();
  if (source.getRank() != 2 || !source.hasStaticShape() ||
      source.getElementTypeBitWidth() != 16 ||
      op.getStaticInnerTiles() != ArrayRef<int64_t>{columns, pairs})
    return std::nullopt;
  unsigned column = op.getInnerDimsPos()[0];
  SmallVector<int64_t> order(op.getOuterDimsPerm());
  if (order.empty())
    order = {0, 1};
  if (order[0] != column || source.getDimSize(column) % columns != 0 ||
      source.getDimSize(1 - column) % 32 != 0)
    return std::nullopt;
  return column;
}

namespace {
class PackVectorizer : LoopBuilder {
public:
  PackVectorizer(OpBuilder &builder, linalg::PackOp op, unsigned column)
      : LoopBuilder(builder, op.getLoc()), op(op), column(column),
        element(op.getSourceType().getElementType()) {}

  Value run() {
    RankedTensorType source = op.getSourceType();
    return loop(source.getDimSize(column), columns, op.getDest(),
                [&](Value c, Value panels) {
                  return loop(source.getDimSize(1 - column), 32, panels,
                              [&](Value p, Value panels) {
                                return column == 0 ? packRows(c, p, panels)
                                                   : packColumns(c, p, panels);
                              });
                });
  }

private:
  /// A loop that carries the panels.
  Value loop(int64_t to, int64_t step, Value init,
             function_ref<Value(Value, Value)> body) {
    return LoopBuilder::loop(index(0), index(to), step, init,
                             [&](Value at, ValueRange carried) {
                               return SmallVector<Value>{body(at, carried[0])};
                             })
        .front();
  }
  Value read(Value row, Value first, int64_t width) {
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
    return vector::TransferReadOp::create(
        b, loc, VectorType::get({width}, element), op.getSource(),
        ValueRange{row, first}, zero, ArrayRef<bool>{true});
  }
  /// Writes pair `p` of products of 16 columns from `c` on.
  Value write(Value vector, Value c, Value p, Value panels) {
    vector = vector::ShapeCastOp::create(
        b, loc, VectorType::get({1, 1, columns, pairs}, element), vector);
    Value panel = floorDiv(c, columns);
    return vector::TransferWriteOp::create(
               b, loc, vector, panels, ValueRange{panel, p, index(0), index(0)},
               ArrayRef<bool>{true, true, true, true})
        .getResult();
  }

  /// 16 rows of 32 products: a pair is a lane of 32 bits, of which 16 by 16 are
  /// transposed.
  Value packRows(Value c, Value p, Value panels) {
    auto words = VectorType::get({columns}, b.getI32Type());
    SmallVector<Value> square;
    for (int64_t row = 0; row < columns; ++row)
      square.push_back(
          vector::BitCastOp::create(b, loc, words, read(add(c, row), p, 32)));
    transposeSquare(b, loc, square);
    auto type = VectorType::get({32}, element);
    Value pair = floorDiv(p, pairs);
    for (int64_t row = 0; row < columns; ++row)
      panels = write(vector::BitCastOp::create(b, loc, type, square[row]), c,
                     add(pair, row), panels);
    return panels;
  }

  /// 32 rows of 16 columns: two rows are interleaved.
  Value packColumns(Value c, Value p, Value panels) {
    Value pair = floorDiv(p, pairs);
    for (int64_t row = 0; row < 32; row += pairs)
      panels = write(
          vector::InterleaveOp::create(b, loc, read(add(p, row), c, columns),
                                       read(add(p, row + 1), c, columns)),
          c, add(pair, row / pairs), panels);
    return panels;
  }

  linalg::PackOp op;
  unsigned column;
  Type element;
};

struct VectorizePacks : repo::impl::VectorizePacksBase<VectorizePacks> {
  void runOnOperation() override {
    SmallVector<std::pair<linalg::PackOp, unsigned>> ops;
    getOperation().walk([&](linalg::PackOp op) {
      if (std::optional<unsigned> column = getColumnDim(op))
        ops.push_back({op, *column});
    });
    IRRewriter rewriter(&getContext());
    for (auto [op, column] : ops) {
      rewriter.setInsertionPoint(op);
      rewriter.replaceOp(op, PackVectorizer(rewriter, op, column).run());
      ++numVectorized;
    }
  }
};
} // namespace
