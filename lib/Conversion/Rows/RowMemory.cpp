//===- RowMemory.cpp - What a thread reads and writes of a row ------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowKernel.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::repo;
using namespace mlir::repo::rows;

//===----------------------------------------------------------------------===//
// Alignment
//===----------------------------------------------------------------------===//

/// Whether rows of a buffer begin at multiples of 16 bytes for certain, where
/// its sizes allow that.
static bool isAligned(Value root) {
  auto alloc = root.getDefiningOp<memref::AllocOp>();
  return alloc && (alloc.getAlignment().value_or(0) >= uint64_t(accessBytes) ||
                   alloc.getType().getMemorySpace());
}

Value RowKernel::checkAlignment() {
  SetVector<Value> roots;
  for (linalg::LinalgOp op : planner.getOps())
    for (OpOperand &operand : op->getOpOperands())
      if (planner.getStretch(operand, planner.get(op)) == Stretch::neighbours &&
          planner.get(op).width > 1 && !isAligned(getRoot(operand.get())))
        roots.insert(getRoot(operand.get()));
  if (roots.empty())
    return nullptr;
  Value bits = index(0);
  for (Value root : roots) {
    auto type = cast<MemRefType>(root.getType());
    Value bytes = index(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
    auto layout = memref::ExtractStridedMetadataOp::create(b, loc, root);
    Value address =
        memref::ExtractAlignedPointerAsIndexOp::create(b, loc, root);
    address = arith::AddIOp::create(
        b, loc, address,
        arith::MulIOp::create(b, loc, layout.getOffset(), bytes));
    bits = arith::OrIOp::create(b, loc, bits, address);
    for (int64_t dim = 0; dim + 1 < type.getRank(); ++dim) {
      if (type.getDimSize(dim) == 1)
        continue;
      Value stride =
          arith::MulIOp::create(b, loc, layout.getStrides()[dim], bytes);
      // Where there is one index, the stride says nothing.
      Value several = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt,
                                            layout.getSizes()[dim], index(1));
      stride = arith::SelectOp::create(b, loc, several, stride, index(0));
      bits = arith::OrIOp::create(b, loc, bits, stride);
    }
  }
  bits = arith::AndIOp::create(b, loc, bits, index(accessBytes - 1));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, bits,
                               index(0));
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

void RowKernel::barrier() {
  gpu::BarrierOp::create(b, loc);
  accesses.clear();
}

void RowKernel::synchronize(linalg::LinalgOp op) {
  const Plan &plan = planner.get(op);
  SmallVector<std::tuple<Value, Access, bool>> made;
  bool mustWait = false;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    Value root = getRoot(operand.get());
    if (scalars.count(root))
      continue;
    bool writes = op.isDpsInit(&operand);
    // One thread writes what all have summed: no thread but that one has it.
    bool sums = writes && op.getNumReductionLoops() > 0;
    Access access = sums ? Access() : planner.getAccess(operand, plan);
    for (const auto &[other, wrote] : accesses.lookup(root))
      mustWait |= (writes || wrote) && !(other == access);
    made.push_back({root, access, writes});
  }
  if (mustWait)
    barrier();
  for (auto &[root, access, writes] : made)
    accesses[root].push_back({access, writes});
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

Value RowKernel::index(int64_t value) {
  Value &constant = constants[value];
  if (!constant) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&launch.getBody().front());
    constant = arith::ConstantIndexOp::create(b, loc, value);
  }
  return constant;
}

SmallVector<Value> RowKernel::delinearize(Value number,
                                          ArrayRef<int64_t> counts) {
  SmallVector<Value> places(counts.size());
  for (size_t i = counts.size(); i-- > 0;) {
    places[i] = number;
    if (i > 0) {
      places[i] = arith::RemUIOp::create(b, loc, number, index(counts[i]));
      number = arith::DivUIOp::create(b, loc, number, index(counts[i]));
    }
  }
  return places;
}

SmallVector<Value> RowKernel::getCoordinates(linalg::LinalgOp op,
                                             const Plan &plan, Value unit) {
  SmallVector<Value> coordinates(op.getNumLoops(), index(0));
  for (auto [number, value] : outerIndices)
    coordinates[number] = value;
  SmallVector<int64_t> key = plan.counts;
  key.push_back(plan.width);
  SmallVector<Value> &places = coordinatesOf[{unit.getAsOpaquePointer(), key}];
  if (places.empty() && !plan.loops.empty()) {
    places = delinearize(unit, plan.counts);
    places.back() =
        arith::MulIOp::create(b, loc, places.back(), index(plan.width));
  }
  for (auto [number, place] : llvm::zip_equal(plan.loops, places))
    coordinates[number] = place;
  return coordinates;
}

SmallVector<Value>
RowKernel::atLane(const Plan &plan, ArrayRef<Value> coordinates, int64_t lane) {
  SmallVector<Value> result(coordinates);
  if (lane > 0)
    result[plan.loops.back()] = arith::AddIOp::create(
        b, loc, coordinates[plan.loops.back()], index(lane));
  return result;
}

SmallVector<Value> RowKernel::getIndices(OpOperand &operand,
                                         ArrayRef<Value> coordinates) {
  AffineMap map = cast<linalg::LinalgOp>(operand.getOwner())
                      .getMatchingIndexingMap(&operand);
  return llvm::map_to_vector(map.getResults(), [&](AffineExpr expr) -> Value {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return coordinates[dim.getPosition()];
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return index(constant.getValue());
    return affine::AffineApplyOp::create(
        b, loc, AffineMap::get(map.getNumDims(), 0, expr), coordinates);
  });
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

static SmallVector<void *> makeKey(Value root, Value buffer,
                                   ArrayRef<Value> indices, bool isWide) {
  SmallVector<void *> key = {root.getAsOpaquePointer(),
                             buffer.getAsOpaquePointer()};
  for (Value value : indices)
    key.push_back(value.getAsOpaquePointer());
  // One element for all lanes, or one each.
  key.push_back(isWide ? root.getAsOpaquePointer() : nullptr);
  return key;
}

static IntegerAttr getAlignment(OpBuilder &b, VectorType type) {
  int64_t bytes = type.getNumElements() *
                  llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  return b.getI64IntegerAttr(std::min<int64_t>(bytes, accessBytes));
}

RowKernel::Lanes RowKernel::load(OpOperand &operand,
                                 ArrayRef<Value> coordinates,
                                 const Plan &plan) {
  Value buffer = operand.get();
  if (!isa<MemRefType>(buffer.getType()))
    return Lanes(plan.width, map(buffer));
  Value root = getRoot(buffer);
  if (Value scalar = scalars.lookup(root))
    return Lanes(plan.width, scalar);
  Stretch stretch = planner.getStretch(operand, plan);
  SmallVector<Value> indices = getIndices(operand, coordinates);
  auto key = makeKey(root, buffer, indices, stretch != Stretch::same);
  if (auto found = known.find(key); found != known.end())
    return found->second;
  Lanes lanes;
  if (stretch == Stretch::same) {
    lanes.assign(plan.width,
                 memref::LoadOp::create(b, loc, map(buffer), indices));
  } else if (stretch == Stretch::neighbours && wide && plan.width > 1) {
    auto type = VectorType::get(
        plan.width, cast<MemRefType>(buffer.getType()).getElementType());
    auto vector = vector::LoadOp::create(b, loc, type, map(buffer), indices);
    vector.setAlignmentAttr(getAlignment(b, type));
    for (int64_t lane = 0; lane < plan.width; ++lane)
      lanes.push_back(vector::ExtractOp::create(b, loc, vector, lane));
  } else {
    for (int64_t lane = 0; lane < plan.width; ++lane)
      lanes.push_back(memref::LoadOp::create(
          b, loc, map(buffer),
          getIndices(operand, atLane(plan, coordinates, lane))));
  }
  known[key] = lanes;
  return lanes;
}

void RowKernel::store(OpOperand &operand, ArrayRef<Value> coordinates,
                      const Plan &plan, const Lanes &values) {
  Value buffer = operand.get(), root = getRoot(buffer);
  Stretch stretch = planner.getStretch(operand, plan);
  SmallVector<Value> indices = getIndices(operand, coordinates);
  if (stretch == Stretch::neighbours && wide && plan.width > 1) {
    auto type = VectorType::get(plan.width, values[0].getType());
    Value vector = vector::FromElementsOp::create(b, loc, type, values);
    auto store = vector::StoreOp::create(b, loc, vector, map(buffer), indices);
    store.setAlignmentAttr(getAlignment(b, type));
  } else {
    for (int64_t lane = 0; lane < plan.width; ++lane)
      memref::StoreOp::create(
          b, loc, values[lane], map(buffer),
          getIndices(operand, atLane(plan, coordinates, lane)));
  }
  written[makeKey(root, buffer, indices, stretch != Stretch::same)] = values;
}

void RowKernel::forget(Value root) {
  for (auto it = known.begin(); it != known.end();)
    it = it->first[0] == root.getAsOpaquePointer() ? known.erase(it)
                                                   : std::next(it);
}
