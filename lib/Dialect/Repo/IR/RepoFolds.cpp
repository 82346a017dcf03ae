//===- RepoFolds.cpp - Folders and canonicalization patterns --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The algebra of rotations. R(z) turns the pairs of a head by z * omega and
// multiplies them by the magnitude m of the rope; every pattern states the
// identity it rests on. Two facts carry all of them: angles add,
// R(a) R(b) = m R(a + b), and turning back is transposing, R(a)^T R(a) = m^2.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Positions that are constant, or constant up to something
//===----------------------------------------------------------------------===//

static std::optional<double> getConstantFloat(Value value) {
  FloatAttr number;
  if (value && matchPattern(value, m_Constant(&number)))
    return number.getValue().convertToDouble();
  return std::nullopt;
}

/// The one number all elements of a tensor are, if that is known.
static std::optional<double> getSplat(Value value) {
  if (!value)
    return std::nullopt;
  while (auto cast = value.getDefiningOp<tensor::CastOp>())
    value = cast.getSource();
  DenseFPElementsAttr elements;
  if (matchPattern(value, m_Constant(&elements))) {
    if (!elements.isSplat())
      return std::nullopt;
    return elements.getSplatValue<APFloat>().convertToDouble();
  }
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    return getConstantFloat(fill.value());
  if (auto splat = value.getDefiningOp<tensor::SplatOp>())
    return getConstantFloat(splat.getInput());
  return std::nullopt;
}

static bool isZero(Value value) {
  std::optional<double> splat = getSplat(value);
  return splat && *splat == 0.0;
}

namespace {
/// A tensor of which another one differs by a constant.
struct Related {
  Value base;
  double constant;
};
} // namespace

/// `base + constant` or `base * constant`, as OpTy says: written as an arith op
/// on tensors or as an elementwise linalg.generic.
template <typename OpTy>
static std::optional<Related> matchElementwise(Value value) {
  if (!value)
    return std::nullopt;
  if (auto op = value.getDefiningOp<OpTy>()) {
    for (auto [base, other] : {std::pair(op.getLhs(), op.getRhs()),
                               std::pair(op.getRhs(), op.getLhs())})
      if (std::optional<double> constant = getSplat(other))
        return Related{base, *constant};
    return std::nullopt;
  }
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 1 ||
      generic->getNumResults() != 1 || !linalg::isElementwise(generic) ||
      generic.getInputs()[0].getType() != value.getType() ||
      !llvm::all_of(generic.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return std::nullopt;
  auto op = generic.getBody()
                ->getTerminator()
                ->getOperand(0)
                .template getDefiningOp<OpTy>();
  if (!op || op->getParentOp() != generic.getOperation())
    return std::nullopt;
  Value element = generic.getBody()->getArgument(0);
  for (auto [base, other] : {std::pair(op.getLhs(), op.getRhs()),
                             std::pair(op.getRhs(), op.getLhs())})
    if (base == element)
      if (std::optional<double> constant = getConstantFloat(other))
        return Related{generic.getInputs()[0], *constant};
  return std::nullopt;
}

static std::optional<Related> matchShifted(Value value) {
  return matchElementwise<arith::AddFOp>(value);
}

static std::optional<Related> matchScaled(Value value) {
  return matchElementwise<arith::MulFOp>(value);
}

/// `rope` for positions that were divided by `scale`: its frequencies times
/// `scale`, as linear scaling. Null where it has no such form.
static RopeAttr scaleRope(RopeAttr rope, double scale) {
  auto linear = dyn_cast_if_present<LinearScalingAttr>(rope.getScaling());
  if (!(scale > 0.0) || !std::isfinite(scale) || (rope.getScaling() && !linear))
    return {};
  double factor = (linear ? double(linear.getFactor()) : 1.0) / scale;
  if (!(factor > 0.0) || !std::isfinite(factor))
    return {};
  RopeScalingInterface scaling;
  if (factor != 1.0)
    scaling = LinearScalingAttr::get(rope.getContext(), Real(factor));
  return RopeAttr::get(rope.getContext(), Real(rope.getTheta()), rope.getDim(),
                       rope.getLayout(), scaling);
}

/// Whether frequencies that are the same twice are the same: equal ropes, and
/// the same operand or none.
template <typename OpTy> static bool turnsLike(OpTy a, OpTy b) {
  return a.getRope() == b.getRope() && a.getOmega() == b.getOmega();
}

//===----------------------------------------------------------------------===//
// BlendPositionsOp
//===----------------------------------------------------------------------===//

OpFoldResult BlendPositionsOp::fold(FoldAdaptor) {
  // 1 z + 0 i = z
  if (getWeight().isZero())
    return getPositions();
  // 0 z + 1 i = i
  if (getWeight().isExactlyValue(1.0) &&
      getIndex().getType() == getResult().getType())
    return getIndex();
  return {};
}

namespace {
/// 0 z + 1 i = i, where i has fewer heads or batches than the result: an index
/// needs no broadcast, it is made in the right shape.
struct BlendOfIndexAlone : OpRewritePattern<BlendPositionsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(BlendPositionsOp op,
                                PatternRewriter &rewriter) const override {
    auto index = op.getIndex().getDefiningOp<IndexPositionsOp>();
    if (!index || !op.getWeight().isExactlyValue(1.0))
      return failure();
    Value offset = index.getOffset();
    if (offset && isa<RankedTensorType>(offset.getType()) &&
        op.getIndex().getType().getDimSize(0) == 1 &&
        op.getResult().getType().getDimSize(0) != 1)
      return failure();
    RankedTensorType type = op.getResult().getType();
    SmallVector<Value> sizes;
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      if (type.isDynamicDim(dim))
        sizes.push_back(tensor::DimOp::create(rewriter, op.getLoc(),
                                              op.getPositions(), dim));
    rewriter.replaceOpWithNewOp<IndexPositionsOp>(op, type, sizes, offset);
    return success();
  }
};
} // namespace

void BlendPositionsOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                   MLIRContext *context) {
  patterns.add<BlendOfIndexAlone>(context);
}

//===----------------------------------------------------------------------===//
// RotateOp
//===----------------------------------------------------------------------===//

OpFoldResult RotateOp::fold(FoldAdaptor) {
  // R(0) = m
  if (isZero(getPositions()) && getRope().getMagnitude() == 1.0 &&
      getInput().getType() == getResult().getType())
    return getInput();
  return {};
}

/// a + b, one of which may have a single head.
static Value addPositions(OpBuilder &builder, Location loc, Value a, Value b) {
  auto heads = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(1);
  };
  if (heads(a) == 1)
    std::swap(a, b);
  auto type = cast<RankedTensorType>(a.getType());
  MLIRContext *context = builder.getContext();
  AffineMap identity = AffineMap::getMultiDimIdentityMap(3, context);
  AffineMap other = identity;
  if (heads(b) == 1 && heads(a) != 1) {
    SmallVector<ReassociationIndices> groups = {{0}, {1, 2}};
    b = tensor::CollapseShapeOp::create(builder, loc, b, groups);
    other = identity.dropResult(1);
  }
  Value empty = tensor::EmptyOp::create(builder, loc,
                                        tensor::getMixedSizes(builder, loc, a),
                                        type.getElementType());
  SmallVector<utils::IteratorType> loops(3, utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, type, ValueRange{a, b}, empty,
             ArrayRef<AffineMap>{identity, other, identity}, loops,
             [](OpBuilder &builder, Location loc, ValueRange args) {
               Value sum =
                   arith::AddFOp::create(builder, loc, args[0], args[1]);
               linalg::YieldOp::create(builder, loc, sum);
             })
      .getResult(0);
}

namespace {
/// R(a) R(b) = R(a + b) where the magnitude is 1.
struct ComposeRotations : OpRewritePattern<RotateOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RotateOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getInput().getDefiningOp<RotateOp>();
    if (!inner || !inner->hasOneUse() || !turnsLike(op, inner) ||
        op.getInputMap() != inner.getInputMap() ||
        getElementTypeOrSelf(op.getPositions()) !=
            getElementTypeOrSelf(inner.getPositions()) ||
        op.getRope().getMagnitude() != 1.0)
      return failure();
    Value sum = addPositions(rewriter, op.getLoc(), op.getPositions(),
                             inner.getPositions());
    rewriter.modifyOpInPlace(op, [&] {
      op.getInputMutable().assign(inner.getInput());
      op.getPositionsMutable().assign(sum);
    });
    return success();
  }
};

/// z = s z' turns by s z' omega: the scale belongs to the frequencies (position
/// interpolation).
template <typename OpTy> struct ScaleIntoRope : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    std::optional<Related> scaled = matchScaled(op.getPositions());
    if (!scaled || op.getOmega())
      return failure();
    RopeAttr rope = scaleRope(op.getRopeAttr(), scaled->constant);
    if (!rope)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getPositionsMutable().assign(scaled->base);
      op.setRopeAttr(rope);
    });
    return success();
  }
};
} // namespace

void RotateOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<ComposeRotations, ScaleIntoRope<RotateOp>>(context);
}

//===----------------------------------------------------------------------===//
// AttentionOp
//===----------------------------------------------------------------------===//

/// Removes the positions of one side or of both.
static void dropPositions(AttentionOp op, PatternRewriter &rewriter, bool query,
                          bool key) {
  rewriter.modifyOpInPlace(op, [&] {
    if (query)
      op.getQueryPositionsMutable().clear();
    if (key)
      op.getKeyPositionsMutable().clear();
  });
}

static int64_t getNumHeads(Value positions) {
  return cast<ShapedType>(positions.getType()).getDimSize(1);
}

namespace {
/// (R(c) q)^T R(c) k = m^2 q^T k: the same constant everywhere turns nothing.
/// The magnitude joins the scale where it covers the whole head.
struct DropEqualConstants : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<double> query = getSplat(op.getQueryPositions());
    std::optional<double> key = getSplat(op.getKeyPositions());
    if (!query || !key || *query != *key)
      return failure();
    double magnitude = op.getRope()->getMagnitude();
    if (magnitude != 1.0) {
      if (op.getRope()->getDim() != op.getHeadSize())
        return failure();
      double scale = op.getScaleValue() * magnitude * magnitude;
      rewriter.modifyOpInPlace(
          op, [&] { op.setScaleAttr(rewriter.getF64FloatAttr(scale)); });
    }
    dropPositions(op, rewriter, /*query=*/true, /*key=*/true);
    return success();
  }
};

/// R(0) = m: a side at position 0 does not turn.
struct DropZeroPositions : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getRope() || op.getRope()->getMagnitude() != 1.0)
      return failure();
    // Keys that turn with each query head of a group need query positions.
    Value keyPositions = op.getKeyPositions();
    bool key = isZero(keyPositions);
    bool needsQuery = !key && keyPositions &&
                      getNumHeads(keyPositions) > op.getNumKeyValueHeads();
    bool query = isZero(op.getQueryPositions()) && !needsQuery;
    if (!query && !key)
      return failure();
    dropPositions(op, rewriter, query, key);
    return success();
  }
};

/// (R(a + c) q)^T R(b + c) k = (R(a) q)^T R(b) k: one shift of all positions
/// changes nothing.
struct DropEqualShifts : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Related> query = matchShifted(op.getQueryPositions());
    std::optional<Related> key = matchShifted(op.getKeyPositions());
    if (!query || !key || query->constant != key->constant)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getQueryPositionsMutable().assign(query->base);
      op.getKeyPositionsMutable().assign(key->base);
    });
    return success();
  }
};

/// The same shift, as the offset of integer positions: keys count from 0,
/// queries from the difference.
struct UnshiftIndexPositions : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getQueryPositions() || !op.getKeyPositions())
      return failure();
    auto query = op.getQueryPositions().getDefiningOp<IndexPositionsOp>();
    auto key = op.getKeyPositions().getDefiningOp<IndexPositionsOp>();
    if (!query || !key || !key.getOffset())
      return failure();
    Value queryOffset;
    if (query.getOffset() != key.getOffset()) {
      std::optional<int64_t> q = query.getOffset()
                                     ? getConstantIntValue(query.getOffset())
                                     : std::optional<int64_t>(0);
      std::optional<int64_t> k = getConstantIntValue(key.getOffset());
      if (!q || !k || *k == 0)
        return failure();
      if (*q != *k)
        queryOffset =
            arith::ConstantIndexOp::create(rewriter, op.getLoc(), *q - *k);
    }
    auto recreate = [&](IndexPositionsOp old, Value offset) -> Value {
      return IndexPositionsOp::create(rewriter, old.getLoc(),
                                      old.getPositions().getType(),
                                      old.getSizes(), offset);
    };
    Value newQuery = recreate(query, queryOffset);
    Value newKey = recreate(key, Value());
    rewriter.modifyOpInPlace(op, [&] {
      op.getQueryPositionsMutable().assign(newQuery);
      op.getKeyPositionsMutable().assign(newKey);
    });
    return success();
  }
};

/// As ScaleIntoRope; both sides share the frequencies, so both must be scaled
/// alike.
struct ScaleIntoAttentionRope : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getOmega() || (!op.getQueryPositions() && !op.getKeyPositions()))
      return failure();
    std::optional<Related> query = matchScaled(op.getQueryPositions());
    std::optional<Related> key = matchScaled(op.getKeyPositions());
    if ((op.getQueryPositions() && !query) || (op.getKeyPositions() && !key) ||
        (query && key && query->constant != key->constant))
      return failure();
    RopeAttr rope =
        scaleRope(*op.getRope(), query ? query->constant : key->constant);
    if (!rope)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      if (query)
        op.getQueryPositionsMutable().assign(query->base);
      if (key)
        op.getKeyPositionsMutable().assign(key->base);
      op.setRopeAttr(rope);
    });
    return success();
  }
};

/// Without positions nothing turns: rope and frequencies have no effect.
template <typename OpTy>
static bool dropRope(OpTy op, PatternRewriter &rewriter) {
  if (!op.getRope() && !op.getOmega())
    return false;
  rewriter.modifyOpInPlace(op, [&] {
    op.removeRopeAttr();
    op.getOmegaMutable().clear();
  });
  return true;
}

struct DropUnusedRope : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    bool turns = op.getQueryPositions() || op.getKeyPositions();
    return success(!turns && dropRope(op, rewriter));
  }
};

/// An unused log-sum-exp is not computed: after tiling it would be a buffer.
struct DropUnusedLse : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 2 || !op->getResult(1).use_empty())
      return failure();
    auto replacement = AttentionOp::create(
        rewriter, op.getLoc(), TypeRange(op.getOutput().getType()),
        op.getQuery(), op.getKey(), op.getValue(), op.getQueryPositions(),
        op.getKeyPositions(), op.getOmega(), op.getBias(), op.getMask(),
        op.getLengths(), op.getOffset(), ValueRange(op.getOutput()),
        op.getRopeAttr(), op.getCausalAttr(), op.getWindowAttr(),
        op.getScaleAttr(), op.getSoftcapAttr(), op.getLayoutsAttr(),
        op.getStrategyAttr(), op.getKernelStrategyAttr());
    replacement->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.replaceAllUsesWith(op->getResult(0), replacement->getResult(0));
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<DropEqualConstants, DropZeroPositions, DropEqualShifts,
               UnshiftIndexPositions, ScaleIntoAttentionRope, DropUnusedRope,
               DropUnusedLse>(context);
}

//===----------------------------------------------------------------------===//
// CacheAppendOp
//===----------------------------------------------------------------------===//

namespace {
/// R(0) = m, and without positions nothing turns.
struct AppendUnrotated : OpRewritePattern<CacheAppendOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(CacheAppendOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getPositions())
      return success(dropRope(op, rewriter));
    if (!isZero(op.getPositions()) || op.getRope()->getMagnitude() != 1.0)
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getPositionsMutable().clear(); });
    return success();
  }
};
} // namespace

void CacheAppendOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                MLIRContext *context) {
  patterns.add<AppendUnrotated, ScaleIntoRope<CacheAppendOp>>(context);
}
