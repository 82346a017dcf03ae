//===- RepoTileTypes.cpp - Fragments and their layouts --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The layouts are those of mma.sync.m16n8k16 and wgmma.m64nNk16 (PTX ISA,
// "Matrix fragments for mma.m16n8k16" and "Register fragments and shared memory
// matrix layouts" of wgmma). This file is the one place that knows them.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/DialectImplementation.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::repo::tile;

#define GET_TYPEDEF_CLASSES
#include "repo/Dialect/RepoTile/IR/RepoTileTypes.cpp.inc"

void RepoTileDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "repo/Dialect/RepoTile/IR/RepoTileTypes.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// FragmentType
//===----------------------------------------------------------------------===//

static bool isWarpgroupLayout(Layout layout) {
  return layout == Layout::wgmma_acc || layout == Layout::wgmma_a ||
         layout == Layout::wgmma_row;
}

bool FragmentType::isAccumulator() const {
  return getLayout() == Layout::mma_acc || getLayout() == Layout::wgmma_acc;
}
bool FragmentType::isOperand() const {
  return getLayout() == Layout::mma_a || getLayout() == Layout::wgmma_a;
}
bool FragmentType::isRow() const {
  return getLayout() == Layout::mma_row || getLayout() == Layout::wgmma_row;
}
bool FragmentType::isWarpgroup() const {
  return isWarpgroupLayout(getLayout());
}

int64_t FragmentType::getNumElements() const {
  int64_t steps = getRows() / getRowStep();
  return isRow() ? steps * 2 : steps * 2 * (getColumns() / 4);
}

FragmentType FragmentType::getRowType(Type element) const {
  return get(getContext(), getRows(), element,
             isWarpgroup() ? Layout::wgmma_row : Layout::mma_row);
}

std::pair<int64_t, int64_t> FragmentType::getElementPlace(int64_t index) const {
  auto place = [&](int64_t step, int64_t half) {
    return step * getRowStep() + half * 8;
  };
  if (isRow())
    return {place(index / 2, index % 2), 0};
  int64_t perStep = getColumns() / 2;
  int64_t step = index / perStep, rest = index % perStep;
  // Pairs of neighbours; of an accumulator 2 rows by tiles of 8 columns, of an
  // operand 2 rows by 2 halves by steps of 16 columns: the same order.
  int64_t neighbour = rest % 2, half = rest / 2 % 2, tile = rest / 4;
  return {place(step, half), tile * 8 + neighbour};
}

int64_t FragmentType::getElementAt(int64_t row, int64_t column) const {
  int64_t step = row / getRowStep(), half = row % getRowStep() / 8;
  if (isRow())
    return step * 2 + half;
  return step * (getColumns() / 2) + column / 8 * 4 + half * 2 + column % 2;
}

Type FragmentType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  StringRef layout;
  SMLoc start = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseComma())
    return {};
  SMLoc place = parser.getCurrentLocation();
  if (parser.parseKeyword(&layout))
    return {};
  std::optional<Layout> symbol = symbolizeLayout(layout);
  if (!symbol) {
    parser.emitError(place, "expected a layout (mma_acc, mma_a, mma_row, "
                            "wgmma_acc, wgmma_a, wgmma_row), got `")
        << layout << "`";
    return {};
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<FragmentType>(start, parser.getContext(), shape,
                                         element, *symbol);
}

void FragmentType::print(AsmPrinter &printer) const {
  printer << "<";
  for (int64_t size : getShape())
    printer << size << "x";
  printer << getElementType() << ", " << stringifyLayout(getLayout()) << ">";
}

LogicalResult FragmentType::verify(function_ref<InFlightDiagnostic()> emitError,
                                   ArrayRef<int64_t> shape, Type element,
                                   Layout layout) {
  bool row = layout == Layout::mma_row || layout == Layout::wgmma_row;
  bool operand = layout == Layout::mma_a || layout == Layout::wgmma_a;
  StringRef name = stringifyLayout(layout);
  size_t rank = row ? 1 : 2;
  if (shape.size() != rank)
    return emitError() << "expected a fragment of layout `" << name
                       << "` to have rank " << rank << ", got " << shape.size();
  int64_t rowStep = isWarpgroupLayout(layout) ? 64 : 16;
  if (shape[0] <= 0 || shape[0] % rowStep != 0)
    return emitError() << "expected the rows of a fragment of layout `" << name
                       << "` to be a multiple of " << rowStep << ", got "
                       << shape[0];
  int64_t columnStep = operand ? 16 : 8;
  if (!row && (shape[1] <= 0 || shape[1] % columnStep != 0))
    return emitError() << "expected the columns of a fragment of layout `"
                       << name << "` to be a multiple of " << columnStep
                       << ", got " << shape[1];
  bool legal = row       ? element.isF32() || element.isInteger(32)
               : operand ? element.isBF16() || element.isF16()
                         : element.isF32();
  if (!legal)
    return emitError() << "expected the elements of a fragment of layout `"
                       << name << "` to be "
                       << (row       ? "f32 or i32"
                           : operand ? "bf16 or f16"
                                     : "f32")
                       << ", got " << element;
  return success();
}

//===----------------------------------------------------------------------===//
// Shared buffers
//===----------------------------------------------------------------------===//

bool mlir::repo::tile::isSharedBuffer(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  if (!buffer || buffer.getRank() != 4 || !buffer.hasStaticShape() ||
      buffer.getDimSize(3) != panelColumns || !buffer.getLayout().isIdentity())
    return false;
  if (!buffer.getElementType().isBF16() && !buffer.getElementType().isF16())
    return false;
  auto space =
      dyn_cast_if_present<gpu::AddressSpaceAttr>(buffer.getMemorySpace());
  return space && space.getValue() == gpu::AddressSpace::Workgroup;
}

std::pair<int64_t, int64_t> mlir::repo::tile::getStageShape(MemRefType buffer) {
  return {buffer.getDimSize(2), buffer.getDimSize(1) * panelColumns};
}

int64_t mlir::repo::tile::getStageBytes(MemRefType buffer) {
  return buffer.getDimSize(1) * buffer.getDimSize(2) * panelRowBytes;
}
