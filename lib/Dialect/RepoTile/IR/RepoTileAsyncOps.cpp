//===- RepoTileAsyncOps.cpp - What ops of roles and async work accept -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "repo/Dialect/RepoTile/IR/RepoTile.h"

using namespace mlir;
using namespace mlir::repo::tile;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

LogicalResult BarriersType::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t stages, int64_t arrivals) {
  if (stages <= 0 || arrivals <= 0)
    return emitError() << "expected `stages` and `arrivals` of barriers to be "
                          "positive, got "
                       << stages << " and " << arrivals;
  return success();
}

LogicalResult PendingType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  FragmentType accumulator) {
  if (!accumulator.isAccumulator() || !accumulator.isWarpgroup())
    return emitError() << "expected an accumulator of a warpgroup, "
                          "`wgmma_acc`, got `"
                       << stringifyLayout(accumulator.getLayout()) << "`";
  return success();
}

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

ParseResult WarpSpecializeOp::parse(OpAsmParser &parser,
                                    OperationState &result) {
  Builder &builder = parser.getBuilder();
  SmallVector<int64_t> warpgroups, registers;
  auto parseNumber = [&](StringRef name, SmallVector<int64_t> &numbers) {
    return parser.parseKeyword(name) || parser.parseEqual() ||
           parser.parseInteger(numbers.emplace_back());
  };
  if (parser.parseOptionalAttrDict(result.attributes))
    return failure();
  while (succeeded(parser.parseOptionalKeyword("role"))) {
    OpAsmParser::Argument member;
    member.type = builder.getIndexType();
    if (parser.parseLParen() || parser.parseArgument(member) ||
        parser.parseRParen() || parseNumber("warpgroups", warpgroups) ||
        parser.parseComma() || parseNumber("registers", registers))
      return failure();
    Region *region = result.addRegion();
    if (parser.parseRegion(*region, member))
      return failure();
    ensureTerminator(*region, builder, result.location);
  }
  result.addAttribute(getWarpgroupsAttrName(result.name),
                      builder.getDenseI64ArrayAttr(warpgroups));
  result.addAttribute(getRegistersAttrName(result.name),
                      builder.getDenseI64ArrayAttr(registers));
  return success();
}

void WarpSpecializeOp::print(OpAsmPrinter &printer) {
  printer.printOptionalAttrDict(
      (*this)->getAttrs(), {getWarpgroupsAttrName(), getRegistersAttrName()});
  for (auto [region, warpgroups, registers] :
       llvm::zip_equal(getRoles(), getWarpgroups(), getRegisters())) {
    printer.printNewline();
    printer << "role(";
    printer.printRegionArgument(region.getArgument(0), {}, /*omitType=*/true);
    printer << ") warpgroups = " << warpgroups << ", registers = " << registers
            << " ";
    printer.printRegion(region, /*printEntryBlockArgs=*/false,
                        /*printBlockTerminators=*/false);
  }
}

LogicalResult WarpSpecializeOp::verifyRegions() {
  ArrayRef<int64_t> warpgroups = getWarpgroups(), registers = getRegisters();
  size_t roles = getRoles().size();
  if (roles < 2 || warpgroups.size() != roles || registers.size() != roles)
    return emitOpError("expected at least two roles, each with `warpgroups` "
                       "and `registers`, got ")
           << roles << ", " << warpgroups.size() << " and " << registers.size();
  int64_t total = 0;
  for (auto [region, count, budget] :
       llvm::zip_equal(getRoles(), warpgroups, registers)) {
    if (region.getArgumentTypes() != TypeRange(IndexType::get(getContext())))
      return emitOpError("expected one index as argument of a role, got (")
             << llvm::to_vector(region.getArgumentTypes()) << ")";
    if (count <= 0)
      return emitOpError("expected `warpgroups` to be positive, got ") << count;
    if (budget < 24 || budget > 256 || budget % 8 != 0)
      return emitOpError("expected `registers` to be a multiple of 8 from 24 "
                         "to 256, got ")
             << budget;
    total += count * budget * 128;
  }
  if (total > 65536)
    return emitOpError("expected at most 65536 registers of a block, got ")
           << total;
  if ((*this)->getNextNode() != (*this)->getBlock()->getTerminator())
    return emitOpError("expected no op behind it: the roles of a block do not "
                       "meet again");
  return success();
}

//===----------------------------------------------------------------------===//
// Barriers and copies
//===----------------------------------------------------------------------===//

LogicalResult BarriersOp::verify() {
  if (getOffset() % 8 != 0)
    return emitOpError("expected `offset` to be a multiple of 8, got ")
           << getOffset();
  return success();
}

LogicalResult CopyTensorOp::verify() {
  MemRefType box = getMap().getType().getTensor(),
             target = getTarget().getType();
  ArrayRef<int64_t> shape = box.getShape();
  bool fits =
      shape.size() >= 3 &&
      shape.take_back(3) == target.getShape().drop_front() &&
      llvm::all_of(shape.drop_back(3), [](int64_t size) { return size == 1; });
  if (!fits || box.getElementType() != target.getElementType())
    return emitOpError("expected a map with boxes of a stage of ")
           << target << ", got " << box;
  auto map = getMap().getType();
  if (map.getSwizzle() != nvgpu::TensorMapSwizzleKind::SWIZZLE_128B ||
      map.getOob() != nvgpu::TensorMapOOBKind::OOB_ZERO)
    return emitOpError("expected a map with `swizzle_128b` and zeros outside "
                       "of the tensor, got ")
           << map;
  if (int64_t(getCoordinates().size()) != box.getRank())
    return emitOpError("expected ")
           << box.getRank() << " coordinates, got " << getCoordinates().size();
  BarriersType barriers = getBarriers().getType();
  if (barriers.getStages() != target.getDimSize(0) ||
      barriers.getArrivals() != 1)
    return emitOpError("expected ")
           << target.getDimSize(0)
           << " barriers of one arrival, one for each stage, got " << barriers;
  return success();
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

LogicalResult MmaAsyncOp::verify() {
  FragmentType result = getResult().getType().getAccumulator();
  int64_t n = result.getColumns();
  if (result.getRows() != 64 || n > 256 || n % 16 != 0)
    return emitOpError("expected a result of 64 rows and at most 256 columns, "
                       "a multiple of 16, got ")
           << result.getRows() << " and " << n;
  if (getInit() && getInit().getType() != result &&
      getInit().getType() != getResult().getType())
    return emitOpError("expected `init` to be ")
           << result << ", got " << getInit().getType();
  Type element;
  int64_t rows, k;
  if (auto buffer = dyn_cast<MemRefType>(getA().getType())) {
    if (!getAStage())
      return emitOpError("expected the stage of `a` in shared memory");
    element = buffer.getElementType();
    std::tie(rows, k) = getStageShape(buffer);
  } else {
    auto fragment = cast<FragmentType>(getA().getType());
    if (getAStage())
      return emitOpError("expected no stage of `a` in registers");
    if (fragment.getLayout() != Layout::wgmma_a)
      return emitOpError("cannot consume layout `")
             << stringifyLayout(fragment.getLayout())
             << "` as operand A of a warpgroup: expected `wgmma_a`"
             << (fragment.isAccumulator()
                     ? ", which repo_tile.convert makes of an accumulator"
                     : "");
    element = fragment.getElementType();
    rows = fragment.getRows();
    k = fragment.getColumns();
  }
  MemRefType b = getB().getType();
  if (element != b.getElementType())
    return emitOpError("expected operands of the same elements, got ")
           << element << " and " << b.getElementType();
  auto [bk, bn] = getStageShape(b);
  if (getTransposeB())
    std::swap(bk, bn);
  if (rows != 64 || k != bk || bn != n)
    return emitOpError("expected `a` [64, ")
           << bk << "] and a result [64, " << bn << "], got [" << rows << ", "
           << k << "] and [" << result.getRows() << ", " << n << "]";
  return success();
}

LogicalResult WaitMmaOp::verify() {
  if (int64_t(getLeft()) < 0)
    return emitOpError("expected `left` not to be negative, got ")
           << int64_t(getLeft());
  if (getAfter()) {
    FragmentType after = getAfter().getType();
    if (!after.isWarpgroup() || !after.getElementType().isF32())
      return emitOpError("expected `after` to be f32 of the rows of a "
                         "warpgroup, got ")
             << after;
  }
  return success();
}
