//===- RepoAttrs.cpp - Rotary rules and their frequencies -----------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one place where theta becomes frequencies. Everything is double
// precision; the rules follow the rope_utils of Hugging Face transformers,
// whose config keys they are named after.
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"
#include <charconv>
#include <cmath>

using namespace mlir;
using namespace mlir::repo;

#include "repo/Dialect/Repo/IR/RepoEnums.cpp.inc"

#include "repo/Dialect/Repo/IR/RepoAttrInterfaces.cpp.inc"

FailureOr<Real> FieldParser<Real>::parse(AsmParser &parser) {
  double value;
  if (failed(parser.parseFloat(value)))
    return failure();
  return Real(value);
}

AsmPrinter &mlir::repo::operator<<(AsmPrinter &printer, Real real) {
  // The fewest digits that read back as the same number; 17 always do.
  APFloat value((double(real)));
  SmallString<24> text;
  for (unsigned digits = 2; digits <= 17; ++digits) {
    text.clear();
    value.toString(text, digits, /*FormatMaxPadding=*/0);
    if (APFloat(APFloat::IEEEdouble(), text).bitwiseIsEqual(value))
      break;
  }
  StringRef shown = text;
  shown.consume_back("E+0");
  return printer << shown;
}

std::string mlir::repo::toString(Real real) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), real).ptr);
}

#define GET_ATTRDEF_CLASSES
#include "repo/Dialect/Repo/IR/RepoAttrs.cpp.inc"

void RepoDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "repo/Dialect/Repo/IR/RepoAttrs.cpp.inc"
      >();
}

static constexpr double twoPi = 2.0 * llvm::numbers::pi;

static LogicalResult
verifyPositive(function_ref<InFlightDiagnostic()> emitError, StringRef name,
               double value) {
  if (std::isfinite(value) && value > 0)
    return success();
  return emitError() << "expected `" << name << "` to be positive, got "
                     << toString(Real(value));
}

//===----------------------------------------------------------------------===//
// LinearScalingAttr
//===----------------------------------------------------------------------===//

void LinearScalingAttr::scaleFrequencies(double,
                                         MutableArrayRef<double> omega) const {
  for (double &w : omega)
    w /= getFactor();
}

double LinearScalingAttr::getMagnitude() const { return 1.0; }

LogicalResult
LinearScalingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                          Real factor) {
  return verifyPositive(emitError, "factor", factor);
}

//===----------------------------------------------------------------------===//
// Llama3ScalingAttr
//===----------------------------------------------------------------------===//

void Llama3ScalingAttr::scaleFrequencies(double,
                                         MutableArrayRef<double> omega) const {
  for (double &w : omega) {
    double turns = getOriginal() * w / twoPi;
    if (turns < getLow()) {
      w /= getFactor();
    } else if (turns <= getHigh()) {
      double smooth = (turns - getLow()) / (getHigh() - getLow());
      w = (1.0 - smooth) * w / getFactor() + smooth * w;
    }
  }
}

double Llama3ScalingAttr::getMagnitude() const { return 1.0; }

LogicalResult
Llama3ScalingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                          Real factor, Real low, Real high, int64_t original) {
  if (failed(verifyPositive(emitError, "factor", factor)) ||
      failed(verifyPositive(emitError, "low", low)) ||
      failed(verifyPositive(emitError, "original", original)))
    return failure();
  if (!(low < high))
    return emitError() << "expected `low` < `high`, got " << toString(low)
                       << " and " << toString(high);
  return success();
}

//===----------------------------------------------------------------------===//
// YarnScalingAttr
//===----------------------------------------------------------------------===//

void YarnScalingAttr::scaleFrequencies(double theta,
                                       MutableArrayRef<double> omega) const {
  double dim = 2.0 * omega.size();
  // The channel that makes `turns` turns over the original context.
  auto channel = [&](double turns) {
    return dim * std::log(getOriginal() / (turns * twoPi)) /
           (2.0 * std::log(theta));
  };
  double low = channel(getBetaFast()), high = channel(getBetaSlow());
  if (getTruncate()) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high)
    high += 0.001;
  for (auto [f, w] : llvm::enumerate(omega)) {
    double ramp = std::clamp((f - low) / (high - low), 0.0, 1.0);
    w = w / getFactor() * ramp + w * (1.0 - ramp);
  }
}

double YarnScalingAttr::getMagnitude() const {
  if (getAttentionFactor() > 0.0)
    return getAttentionFactor();
  return getFactor() <= 1.0 ? 1.0 : 0.1 * std::log(getFactor()) + 1.0;
}

LogicalResult
YarnScalingAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                        Real factor, int64_t original, Real betaFast,
                        Real betaSlow, Real attentionFactor, bool) {
  if (failed(verifyPositive(emitError, "factor", factor)) ||
      failed(verifyPositive(emitError, "original", original)) ||
      failed(verifyPositive(emitError, "beta_fast", betaFast)) ||
      failed(verifyPositive(emitError, "beta_slow", betaSlow)))
    return failure();
  if (!std::isfinite(attentionFactor) || attentionFactor < 0.0)
    return emitError() << "expected `attention_factor` not to be negative, got "
                       << toString(attentionFactor);
  return success();
}

//===----------------------------------------------------------------------===//
// RopeAttr
//===----------------------------------------------------------------------===//

SmallVector<double> RopeAttr::getFrequencies() const {
  SmallVector<double> omega(getDim() / 2);
  for (auto [f, w] : llvm::enumerate(omega))
    w = std::pow(getTheta(), -2.0 * f / getDim());
  if (RopeScalingInterface scaling = getScaling())
    scaling.scaleFrequencies(getTheta(), omega);
  return omega;
}

double RopeAttr::getMagnitude() const {
  RopeScalingInterface scaling = getScaling();
  return scaling ? scaling.getMagnitude() : 1.0;
}

std::pair<int64_t, int64_t> RopeAttr::getPair(int64_t f) const {
  if (getLayout() == PairLayout::interleaved)
    return {2 * f, 2 * f + 1};
  return {f, f + getDim() / 2};
}

LogicalResult RopeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               Real theta, int64_t dim, PairLayout,
                               RopeScalingInterface) {
  if (failed(verifyPositive(emitError, "theta", theta)))
    return failure();
  if (dim <= 0 || dim % 2 != 0)
    return emitError() << "expected `dim` to be positive and even, got " << dim;
  return success();
}

//===----------------------------------------------------------------------===//
// AttentionStrategyAttr
//===----------------------------------------------------------------------===//

LogicalResult AttentionStrategyAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, int64_t queryBlock,
    int64_t keyBlock, int64_t edgeBlock, Unit unit, int64_t packBytes,
    int64_t split, int64_t splitQueries, int64_t queryTile) {
  if (split < 0 || splitQueries < 0)
    return emitError() << "expected `split` and `split_queries` not to be "
                          "negative, got "
                       << split << " and " << splitQueries;

  std::pair<StringRef, int64_t> sizes[] = {{"query_block", queryBlock},
                                           {"key_block", keyBlock},
                                           {"edge_block", edgeBlock},
                                           {"pack_bytes", packBytes}};
  for (auto [name, size] : sizes)
    if (size <= 0)
      return emitError() << "expected `" << name << "` to be positive, got "
                         << size;
  if (queryTile < 0 || (queryTile && queryBlock % queryTile != 0))
    return emitError() << "expected `query_tile` to divide `query_block` "
                       << queryBlock << ", got " << queryTile;
  if (unit == Unit::vector)
    return success();
  for (auto [name, size] : sizes) {
    bool isKeys = name != "query_block";
    if (size % 32 != 0)
      return emitError() << "expected `" << name << "` of unit "
                         << stringifyUnit(unit)
                         << " to be a multiple of 32, got " << size;
    if (isKeys && (size > 256 || !llvm::isPowerOf2_64(size)))
      return emitError() << "expected `" << name << "` of unit "
                         << stringifyUnit(unit)
                         << " to be 32, 64, 128 or 256, got " << size;
  }
  return success();
}

LogicalResult
KernelStrategyAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                           MatrixUnit unit, int64_t queryBlock,
                           int64_t keyBlock, int64_t stages, int64_t warps,
                           int64_t producers, int64_t splitKeys) {
  if (producers < 0 || producers > 1 ||
      (producers && unit != MatrixUnit::wgmma))
    return emitError() << "expected `producers` to be 0, or 1 with unit wgmma, "
                          "got "
                       << producers << " with unit "
                       << stringifyMatrixUnit(unit);
  if (producers && warps > 8)
    return emitError() << "expected at most 8 `warps` beside a producer, got "
                       << warps;
  int64_t step = unit == MatrixUnit::mma ? 1 : 4;
  if (warps <= 0 || warps % step != 0 || warps > 32)
    return emitError() << "expected `warps` to be a multiple of " << step
                       << " up to 32, got " << warps;
  int64_t rows = splitKeys ? 16 : 16 * warps;
  if (queryBlock <= 0 || queryBlock % rows != 0)
    return emitError() << "expected `query_block` to be a multiple of " << rows
                       << ", 16 for each warp, got " << queryBlock;
  if (keyBlock <= 0 || keyBlock % 16 != 0)
    return emitError() << "expected `key_block` to be a multiple of 16, got "
                       << keyBlock;
  if (stages < 2)
    return emitError() << "expected `stages` to be at least 2, got " << stages;
  if (splitKeys &&
      (unit != MatrixUnit::mma || splitKeys < 0 || splitKeys % keyBlock != 0))
    return emitError() << "expected `split_keys` to be a multiple of "
                          "`key_block`, with unit mma, got "
                       << splitKeys;
  return success();
}

LogicalResult PositionStrategyAttr::verify(
    function_ref<InFlightDiagnostic()> emitError, MatrixUnit unit,
    int64_t tokenBlock, int64_t columnBlock, int64_t stages, int64_t warps) {
  bool mma = unit == MatrixUnit::mma;
  int64_t step = mma ? 1 : 4;
  if (warps <= 0 || warps % step != 0 || warps > 32)
    return emitError() << "expected `warps` to be a multiple of " << step
                       << " up to 32, got " << warps;
  int64_t rows = 16 * warps;
  if (tokenBlock <= 0 || (mma ? tokenBlock % rows != 0 : tokenBlock != rows))
    return emitError() << "expected `token_block` to be "
                       << (mma ? "a multiple of " : "") << rows
                       << ", 16 for each warp, got " << tokenBlock;
  if (columnBlock <= 0 || columnBlock % 64 != 0)
    return emitError() << "expected `column_block` to be a multiple of 64, got "
                       << columnBlock;
  // Of gate and content together 256.
  if (!mma && columnBlock > 128)
    return emitError() << "expected at most 128 columns with unit wgmma, got "
                       << columnBlock;
  if (stages < 2)
    return emitError() << "expected `stages` to be at least 2, got " << stages;
  return success();
}
