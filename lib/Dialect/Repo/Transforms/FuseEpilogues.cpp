//===- FuseEpilogues.cpp - Products and what follows, tile by tile --------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PanelContractions.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Columns of a contraction of panels, as a value that holds them side by side:
/// whole panels.
struct Columns {
  linalg::LinalgOp contraction;
  tensor::CollapseShapeOp joined;
  /// Null where all columns are meant.
  tensor::ExtractSliceOp slice;
  int64_t first, count, width;
};
} // namespace

/// Whether the sums start at zero in a tensor of their own or of the caller's.
static linalg::FillOp getZeros(linalg::LinalgOp contraction) {
  return contraction.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
}

/// Whether `slice` takes whole rows, some columns of each.
static bool takesColumns(tensor::ExtractSliceOp slice,
                         ArrayRef<OpFoldResult> sourceSizes) {
  int64_t last = slice.getSourceType().getRank() - 1;
  if (slice.getType().getRank() != last + 1 || !slice.hasUnitStride() ||
      ShapedType::isDynamic(slice.getStaticOffsets()[last]) ||
      ShapedType::isDynamic(slice.getStaticSizes()[last]))
    return false;
  SmallVector<OpFoldResult> offsets = slice.getMixedOffsets(),
                            sizes = slice.getMixedSizes();
  for (int64_t dim = 0; dim < last; ++dim)
    if (!isConstantIntValue(offsets[dim], 0) || sizes[dim] != sourceSizes[dim])
      return false;
  return true;
}

static std::optional<Columns> getColumns(Value value) {
  Columns result;
  result.slice = value.getDefiningOp<tensor::ExtractSliceOp>();
  if (result.slice)
    value = result.slice.getSource();
  result.joined = value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!result.joined)
    return std::nullopt;
  result.contraction = result.joined.getSrc().getDefiningOp<linalg::LinalgOp>();
  std::optional<PanelDims> dims =
      result.contraction && result.contraction->hasOneUse()
          ? getPanelDims(result.contraction)
          : std::nullopt;
  if (!dims || !getZeros(result.contraction))
    return std::nullopt;
  // [.., p, l] as [.., o].
  auto groups = result.joined.getReassociationIndices();
  int64_t rank = result.joined.getResultType().getRank();
  if (result.joined.getSrcType().getRank() != rank + 1 ||
      groups.back().size() != 2)
    return std::nullopt;
  int64_t columns = result.joined.getResultType().getDimSize(rank - 1);
  result.width = dims->width;
  result.first = 0;
  result.count = columns / result.width;
  if (!result.slice)
    return result;
  auto zeros = getZeros(result.contraction);
  auto empty = zeros.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
  if (!empty || !takesColumns(result.slice, empty.getMixedSizes()))
    return std::nullopt;
  int64_t first = result.slice.getStaticOffsets()[rank - 1],
          count = result.slice.getStaticSizes()[rank - 1];
  if (first % result.width || count % result.width)
    return std::nullopt;
  result.first = first / result.width;
  result.count = count / result.width;
  return result;
}

/// Of an empty tensor what it was made with: nothing of it stays in use.
static SmallVector<OpFoldResult> getSizes(OpBuilder &b, Value value) {
  if (auto empty = value.getDefiningOp<tensor::EmptyOp>())
    return empty.getMixedSizes();
  return tensor::getMixedSizes(b, value.getLoc(), value);
}

/// A contraction for some of the panels, in a new tensor.
static linalg::LinalgOp contractPanels(OpBuilder &b, linalg::LinalgOp op,
                                       int64_t first, int64_t count) {
  Location loc = op.getLoc();
  linalg::FillOp zeros = getZeros(op);
  auto type = cast<RankedTensorType>(op.getDpsInits()[0].getType());
  int64_t panels = type.getRank() - 2;
  SmallVector<OpFoldResult> sizes = getSizes(b, zeros.getDpsInits()[0]);
  sizes[panels] = b.getIndexAttr(count);
  Value init = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
  init = linalg::FillOp::create(b, loc, zeros.getDpsInputs()[0], init)
             .getResult(0);
  Value weights = op.getDpsInputs()[1];
  auto weightType = cast<RankedTensorType>(weights.getType());
  if (weightType.getDimSize(0) != count) {
    SmallVector<OpFoldResult> offsets(weightType.getRank(), b.getIndexAttr(0)),
        ones(weightType.getRank(), b.getIndexAttr(1)),
        shape = tensor::getMixedSizes(b, loc, weights);
    offsets[0] = b.getIndexAttr(first);
    shape[0] = b.getIndexAttr(count);
    weights =
        tensor::ExtractSliceOp::create(b, loc, weights, offsets, shape, ones);
  }
  return cast<linalg::LinalgOp>(clone(b, op.getOperation(), init.getType(),
                                      {op.getDpsInputs()[0], weights, init}));
}

/// The last dimension of `value` as panels of `width`.
static Value splitColumns(OpBuilder &b, Location loc, Value value,
                          int64_t width) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<OpFoldResult> sizes = getSizes(b, value);
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < type.getRank(); ++i)
    groups.push_back({i});
  groups.back().push_back(type.getRank());
  shape.back() /= width;
  shape.push_back(width);
  sizes.back() = b.getIndexAttr(shape[type.getRank() - 1]);
  sizes.push_back(b.getIndexAttr(width));
  return tensor::ExpandShapeOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()), value,
      groups, sizes);
}

//===----------------------------------------------------------------------===//
// An epilogue
//===----------------------------------------------------------------------===//

namespace {
class Epilogue {
public:
  /// Whether `op` is the epilogue of a product, and nobody else needs what it
  /// reads of it.
  static std::optional<Epilogue> match(linalg::GenericOp op);

  /// Puts `op` on panels, as one parallel loop with the products it reads.
  LogicalResult fuse(RewriterBase &rewriter, int64_t rows);

  SmallVector<linalg::LinalgOp> getContractions() const {
    SmallVector<linalg::LinalgOp> result;
    for (const Columns &source : llvm::make_second_range(sources))
      result.push_back(source.contraction);
    return result;
  }

private:
  linalg::GenericOp op;
  /// By the number of the operand.
  llvm::MapVector<unsigned, Columns> sources;
};
} // namespace

std::optional<Epilogue> Epilogue::match(linalg::GenericOp op) {
  if (!op.hasPureTensorSemantics() || !linalg::isElementwise(op) ||
      op->getNumResults() != 1 || op.getNumLoops() < 2 ||
      op.hasIndexSemantics() || op->getParentOfType<LoopLikeOpInterface>() ||
      !op.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  Epilogue result;
  result.op = op;
  unsigned column = op.getNumLoops() - 1;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation())
      return std::nullopt;
    // Columns lie innermost wherever they are.
    if (map.isFunctionOfDim(column) &&
        map.getDimPosition(map.getNumResults() - 1) != column)
      return std::nullopt;
    std::optional<Columns> source = getColumns(operand.get());
    if (!source || !map.isIdentity() ||
        !llvm::all_of(operand.get().getUsers(),
                      [&](Operation *user) { return user == op; }) ||
        source->joined->getBlock() != op->getBlock() ||
        (operand.getOperandNumber() == op.getNumDpsInputs() &&
         !op.payloadUsesValueFromOperand(&operand)))
      continue;
    // The others read columns too, so that they can be given theirs.
    if (!llvm::all_of(source->joined->getUsers(), [&](Operation *user) {
          return user == op || (isa<tensor::ExtractSliceOp>(user) &&
                                getColumns(user->getResult(0)));
        }))
      continue;
    result.sources.insert({operand.getOperandNumber(), *source});
  }
  if (result.sources.empty())
    return std::nullopt;
  int64_t width = result.sources.front().second.width;
  for (const Columns &source : llvm::make_second_range(result.sources))
    if (source.width != width)
      return std::nullopt;
  return result;
}

/// Tensors of a task have a static size, so that they can live on its stack.
static void boundTensors(RewriterBase &rewriter, Operation *loop) {
  SmallVector<tensor::ExtractSliceOp> slices;
  loop->walk([&](tensor::ExtractSliceOp slice) {
    if (slice.getSource().getDefiningOp<tensor::EmptyOp>())
      slices.push_back(slice);
  });
  for (tensor::ExtractSliceOp slice : slices) {
    rewriter.setInsertionPoint(slice);
    Location loc = slice.getLoc();
    SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
    SmallVector<int64_t> bounds;
    for (OpFoldResult size : sizes) {
      FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
          presburger::BoundType::UB, size, /*stopCondition=*/nullptr,
          /*closedUB=*/true);
      if (failed(bound))
        break;
      bounds.push_back(*bound);
    }
    if (bounds.size() != sizes.size())
      continue;
    Value whole = tensor::EmptyOp::create(rewriter, loc, bounds,
                                          slice.getType().getElementType());
    SmallVector<OpFoldResult> zeros(sizes.size(), rewriter.getIndexAttr(0)),
        ones(sizes.size(), rewriter.getIndexAttr(1));
    rewriter.replaceOpWithNewOp<tensor::ExtractSliceOp>(
        slice, slice.getType(), whole, zeros, sizes, ones);
  }
}

/// Erases products and their zeros, of which tiles are computed instead, and
/// whose sizes alone are still asked for.
static void eraseWhole(RewriterBase &rewriter, ArrayRef<Operation *> ops) {
  for (Operation *op : ops) {
    auto product = cast<linalg::LinalgOp>(op);
    Value init = product.getDpsInits()[0];
    for (Operation *user : llvm::make_early_inc_range(op->getUsers()))
      if (auto dim = dyn_cast<tensor::DimOp>(user))
        rewriter.modifyOpInPlace(dim,
                                 [&] { dim.getSourceMutable().assign(init); });
      else if (user->use_empty() && isa<tensor::ExtractSliceOp>(user))
        rewriter.eraseOp(user);
    if (op->use_empty())
      rewriter.eraseOp(op);
    auto empty = init.getDefiningOp<tensor::EmptyOp>();
    if (!empty)
      continue;
    SmallVector<OpFoldResult> sizes = empty.getMixedSizes();
    for (Operation *user : llvm::make_early_inc_range(empty->getUsers()))
      if (auto dim = dyn_cast<tensor::DimOp>(user))
        if (std::optional<int64_t> index = dim.getConstantIndex()) {
          rewriter.setInsertionPoint(dim);
          rewriter.replaceOp(dim, getValueOrCreateConstantIndexOp(
                                      rewriter, dim.getLoc(), sizes[*index]));
        }
    if (empty->use_empty())
      rewriter.eraseOp(empty);
  }
}

LogicalResult Epilogue::fuse(RewriterBase &rewriter, int64_t rows) {
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  MLIRContext *context = op.getContext();
  unsigned loops = op.getNumLoops(), column = loops - 1;
  int64_t width = sources.front().second.width;
  unsigned numInputs = op.getNumDpsInputs();

  // The loop over columns becomes one over panels and one over their columns.
  auto splitMap = [&](AffineMap map) {
    SmallVector<AffineExpr> exprs(map.getResults());
    if (map.isFunctionOfDim(column))
      exprs.push_back(getAffineDimExpr(loops, context));
    return AffineMap::get(loops + 1, 0, exprs, context);
  };
  llvm::SetVector<Operation *> along;
  SmallVector<std::pair<Columns, Value>> parts;
  auto panelsOf = [&](OpOperand &operand) -> Value {
    auto source = sources.find(operand.getOperandNumber());
    if (source == sources.end())
      return op.getMatchingIndexingMap(&operand).isFunctionOfDim(column)
                 ? splitColumns(rewriter, loc, operand.get(), width)
                 : operand.get();
    const Columns &columns = source->second;
    for (auto &[other, value] : parts)
      if (other.contraction == columns.contraction &&
          other.first == columns.first && other.count == columns.count)
        return value;
    linalg::LinalgOp part = contractPanels(rewriter, columns.contraction,
                                           columns.first, columns.count);
    along.insert(part);
    along.insert(getZeros(part));
    parts.push_back({columns, part->getResult(0)});
    return part->getResult(0);
  };
  // What is read twice is one input, so that it comes along once.
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<unsigned> argumentOf;
  auto addInput = [&](OpOperand &operand) {
    Value value = panelsOf(operand);
    AffineMap map = splitMap(op.getMatchingIndexingMap(&operand));
    for (unsigned i = 0; i < inputs.size(); ++i)
      if (inputs[i] == value && maps[i] == map)
        return argumentOf.push_back(i);
    argumentOf.push_back(inputs.size());
    inputs.push_back(value);
    maps.push_back(map);
  };
  for (OpOperand &operand : op->getOpOperands().take_front(numInputs))
    addInput(operand);
  OpOperand &init = op->getOpOperand(numInputs);
  bool joins = sources.contains(numInputs);
  Value target;
  if (joins) {
    // In place of the product, whose destination may be the caller's.
    addInput(init);
    const Columns &columns = sources.find(numInputs)->second;
    target = getZeros(columns.contraction).getDpsInits()[0];
    if (columns.slice || target.getDefiningOp<tensor::EmptyOp>())
      target = nullptr;
  }
  if (!target && !joins && !init.get().getDefiningOp<tensor::EmptyOp>())
    target = splitColumns(rewriter, loc, init.get(), width);
  if (!target) {
    const Columns &columns = sources.front().second;
    SmallVector<OpFoldResult> sizes =
        getSizes(rewriter, getZeros(columns.contraction).getDpsInits()[0]);
    sizes[column] = rewriter.getIndexAttr(columns.count);
    target = tensor::EmptyOp::create(rewriter, loc, sizes,
                                     getElementTypeOrSelf(init.get()));
  }
  maps.push_back(AffineMap::getMultiDimIdentityMap(loops + 1, context));
  SmallVector<utils::IteratorType> iterators(loops + 1,
                                             utils::IteratorType::parallel);
  auto panels = linalg::GenericOp::create(
      rewriter, loc, target.getType(), inputs, target, maps, iterators,
      [&](OpBuilder &b, Location loc, ValueRange arguments) {
        IRMapping mapping;
        Block &body = op.getRegion().front();
        for (auto [i, argument] : llvm::enumerate(body.getArguments()))
          mapping.map(argument, i < argumentOf.size() ? arguments[argumentOf[i]]
                                                      : arguments.back());
        for (Operation &inner : body)
          b.clone(inner, mapping);
      });
  SmallVector<ReassociationIndices> groups;
  for (unsigned i = 0; i < loops; ++i)
    groups.push_back({i});
  groups.back().push_back(loops);
  Value result = tensor::CollapseShapeOp::create(
      rewriter, loc, cast<RankedTensorType>(op->getResult(0).getType()),
      panels->getResult(0), groups);
  rewriter.replaceOp(op, result);

  int64_t perTask =
      getPanelDims(cast<linalg::LinalgOp>(along.front()))->perTask;
  SmallVector<int64_t> sizes(loops + 1, 1);
  ArrayRef<int64_t> shape = cast<ShapedType>(target.getType()).getShape();
  sizes[loops] = 0;
  sizes[column] = perTask;
  // The last loop over more than one row.
  unsigned row = column - 1;
  while (row > 0 && shape[row] == 1)
    --row;
  sizes[row] = rows;
  FailureOr<scf::SCFTileAndFuseResult> tiled =
      tileToParallelLoop(rewriter, panels, sizes, [&](OpResult producer, bool) {
        return along.contains(producer.getOwner());
      });
  if (failed(tiled))
    return failure();
  for (LoopLikeOpInterface loop : tiled->loops)
    boundTensors(rewriter, loop);
  eraseWhole(rewriter, along.getArrayRef());
  return success();
}

//===----------------------------------------------------------------------===//
// What is left of a product
//===----------------------------------------------------------------------===//

/// Erases `contraction` where nobody reads it; else it computes no more than
/// the panels that are still read, of which neighbours are computed together.
static void narrow(RewriterBase &rewriter, linalg::LinalgOp contraction) {
  auto joined = cast<tensor::CollapseShapeOp>(*contraction->getUsers().begin());
  SmallVector<Columns> wanted;
  for (Operation *user : llvm::make_early_inc_range(joined->getUsers()))
    if (user->use_empty())
      rewriter.eraseOp(user);
    else
      wanted.push_back(*getColumns(user->getResult(0)));
  llvm::sort(wanted, [](const Columns &a, const Columns &b) {
    return a.first < b.first;
  });
  rewriter.setInsertionPoint(joined);
  Location loc = joined.getLoc();
  for (size_t i = 0; i < wanted.size();) {
    int64_t first = wanted[i].first, end = first;
    size_t from = i;
    for (; i < wanted.size() && wanted[i].first <= end; ++i)
      end = std::max(end, wanted[i].first + wanted[i].count);
    linalg::LinalgOp part =
        contractPanels(rewriter, contraction, first, end - first);
    Value columns = tensor::CollapseShapeOp::create(
        rewriter, loc, part->getResult(0), joined.getReassociationIndices());
    for (Columns slice : ArrayRef(wanted).slice(from, i - from)) {
      SmallVector<OpFoldResult> offsets = slice.slice.getMixedOffsets();
      offsets.back() =
          rewriter.getIndexAttr((slice.first - first) * slice.width);
      Value value = tensor::ExtractSliceOp::create(
          rewriter, loc, slice.slice.getType(), columns, offsets,
          slice.slice.getMixedSizes(), slice.slice.getMixedStrides());
      rewriter.replaceOp(slice.slice, value);
    }
  }
  rewriter.eraseOp(joined);
  linalg::FillOp zeros = getZeros(contraction);
  rewriter.eraseOp(contraction);
  if (zeros->use_empty())
    rewriter.eraseOp(zeros);
}

namespace {
struct FuseEpilogues : repo::impl::FuseEpiloguesBase<FuseEpilogues> {
  using FuseEpiloguesBase::FuseEpiloguesBase;
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    llvm::SetVector<Operation *> shared;
    for (linalg::GenericOp op : ops) {
      std::optional<Epilogue> epilogue = Epilogue::match(op);
      if (!epilogue)
        continue;
      for (linalg::LinalgOp contraction : epilogue->getContractions())
        shared.insert(contraction);
      if (failed(epilogue->fuse(rewriter, rows)))
        return signalPassFailure();
      ++numFused;
    }
    for (Operation *contraction : shared)
      narrow(rewriter, cast<linalg::LinalgOp>(contraction));
  }
};
} // namespace
