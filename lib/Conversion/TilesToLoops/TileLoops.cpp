//===- TileLoops.cpp - Tile ops as loops over buffers ---------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileLoops.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::repo::tile;

MemRefType mlir::repo::tile::getBufferType(Type type) {
  if (auto pending = dyn_cast<PendingType>(type))
    type = pending.getAccumulator();
  if (auto fragment = dyn_cast<FragmentType>(type))
    return MemRefType::get(fragment.getShape(), fragment.getElementType());
  if (!isSharedBuffer(type))
    return {};
  auto buffer = cast<MemRefType>(type);
  auto [rows, columns] = getStageShape(buffer);
  return MemRefType::get({buffer.getDimSize(0), rows, columns},
                         buffer.getElementType());
}

bool mlir::repo::tile::isSynchronization(Operation *op) {
  return isa<gpu::BarrierOp, NVVM::CpAsyncCommitGroupOp,
             NVVM::CpAsyncWaitGroupOp, NVVM::SyncWarpOp, NVVM::FenceProxyOp>(
      op);
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

Value SequentialTiles::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

void SequentialTiles::forEach(ArrayRef<int64_t> sizes, Body body) {
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> indices;
  for (int64_t size : sizes) {
    auto loop = scf::ForOp::create(b, loc, index(0), index(size), index(1));
    b.setInsertionPointToStart(loop.getBody());
    indices.push_back(loop.getInductionVar());
  }
  body(indices);
}

Value SequentialTiles::newResult(Operation *op, unsigned number) {
  Value result = op->getResult(number), buffer = makeBuffer(result);
  mapping.map(result, buffer);
  return buffer;
}

Value SequentialTiles::load(Value buffer, ValueRange indices) {
  return memref::LoadOp::create(b, loc, buffer, indices);
}

/// Rounds where the buffer's elements are shorter.
void SequentialTiles::store(Value value, Value buffer, ValueRange indices) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  if (value.getType() != element)
    value = arith::TruncFOp::create(b, loc, element, value);
  memref::StoreOp::create(b, loc, value, buffer, indices);
}

Value SequentialTiles::loadIf(Value exists, Value buffer, ValueRange indices) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  auto choice = scf::IfOp::create(
      b, loc, exists,
      [&](OpBuilder &nested, Location at) {
        Value value = memref::LoadOp::create(nested, at, buffer, indices);
        scf::YieldOp::create(nested, at, value);
      },
      [&](OpBuilder &nested, Location at) {
        Value zero =
            arith::ConstantOp::create(nested, at, nested.getZeroAttr(element));
        scf::YieldOp::create(nested, at, zero);
      });
  return choice.getResult(0);
}

Value SequentialTiles::toF32(Value value) {
  if (value.getType().isF32())
    return value;
  return arith::ExtFOp::create(b, loc, b.getF32Type(), value);
}

Value SequentialTiles::isBelow(Value x, Value y) {
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y);
}

/// A copy of a region's only block; returns what it yields.
SmallVector<Value> SequentialTiles::inlineBody(Block &body,
                                               ValueRange arguments) {
  IRMapping inner = mapping;
  inner.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator())
    b.clone(op, inner);
  return llvm::map_to_vector(
      body.getTerminator()->getOperands(),
      [&](Value value) { return inner.lookupOrDefault(value); });
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

void SequentialTiles::lowerCopy(CopyAsyncOp op) {
  Value target = get(op.getTarget()), source = get(op.getSource());
  int64_t columns = cast<MemRefType>(target.getType()).getDimSize(2);
  MemRefType type = op.getSource().getType();
  forEach({op.getCopiedRows(), columns}, [&](ValueRange at) {
    Value row = arith::AddIOp::create(b, loc, get(op.getRow()), at[0]);
    Value isBefore = isBelow(row, get(op.getFrom()));
    Value exists = arith::AndIOp::create(
        b, loc, isBelow(row, get(op.getTo())),
        arith::XOrIOp::create(
            b, loc, isBefore,
            arith::ConstantOp::create(b, loc, b.getBoolAttr(true))));
    if (op.getWhere())
      exists = loadIf(exists, get(op.getWhere()), row);
    SmallVector<Value> place = {row, at[1]};
    if (type.getRank() == 3) {
      Value rows = index(type.getDimSize(1));
      place[0] = arith::RemUIOp::create(b, loc, row, rows);
      place.insert(place.begin(), arith::DivUIOp::create(b, loc, row, rows));
    }
    Value targetRow =
        arith::AddIOp::create(b, loc, at[0], index(op.getTargetRow()));
    store(loadIf(exists, source, place), target,
          {get(op.getStage()), targetRow, at[1]});
  });
}

void SequentialTiles::lowerLoadShared(LoadSharedOp op) {
  Value result = newResult(op);
  forEach(op.getResult().getType().getShape(), [&](ValueRange at) {
    Value row = arith::AddIOp::create(b, loc, get(op.getRow()), at[0]);
    store(load(get(op.getSource()), {get(op.getStage()), row, at[1]}), result,
          at);
  });
}

void SequentialTiles::lowerStoreShared(StoreSharedOp op) {
  forEach(op.getValue().getType().getShape(), [&](ValueRange at) {
    Value row = arith::AddIOp::create(b, loc, get(op.getRow()), at[0]);
    store(load(get(op.getValue()), at), get(op.getTarget()),
          {get(op.getStage()), row, at[1]});
  });
}

void SequentialTiles::lowerLoadRows(LoadRowsOp op) {
  Value result = newResult(op);
  forEach(op.getResult().getType().getShape(), [&](ValueRange at) {
    Value row = arith::AddIOp::create(b, loc, get(op.getRow()), at[0]);
    store(loadIf(isBelow(row, get(op.getLimit())), get(op.getSource()), row),
          result, at);
  });
}

void SequentialTiles::lowerStore(StoreOp op) {
  forEach(cast<FragmentType>(op.getValue().getType()).getShape(),
          [&](ValueRange at) {
            SmallVector<Value> target(at);
            target[0] = arith::AddIOp::create(b, loc, get(op.getRow()), at[0]);
            auto branch = scf::IfOp::create(
                b, loc, isBelow(target[0], get(op.getLimit())));
            b.setInsertionPoint(branch.thenYield());
            store(load(get(op.getValue()), at), get(op.getTarget()), target);
          });
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

void SequentialTiles::lowerMap(MapOp op) {
  SmallVector<Value> results;
  for (unsigned i = 0; i != op->getNumResults(); ++i)
    results.push_back(newResult(op, i));
  auto type = cast<FragmentType>(op.getResultTypes().front());
  forEach(type.getShape(), [&](ValueRange at) {
    SmallVector<Value> arguments;
    for (Value input : op.getInputs()) {
      bool isRow = cast<FragmentType>(input.getType()).isRow();
      arguments.push_back(load(get(input), isRow ? at.take_front(1) : at));
    }
    for (Value i : {at[0], type.isRow() ? index(0) : at[1]})
      arguments.push_back(
          arith::IndexCastOp::create(b, loc, b.getI32Type(), i));
    SmallVector<Value> yielded = inlineBody(op.getBody().front(), arguments);
    for (auto [value, result] : llvm::zip_equal(yielded, results))
      store(value, result, at);
  });
}

void SequentialTiles::lowerMapPairs(MapPairsOp op) {
  Value input = get(op.getInput()), result = newResult(op);
  memref::CopyOp::create(b, loc, input, result);
  int64_t rows = op.getInput().getType().getRows(), pairs = op.getDim() / 2;
  forEach({rows, pairs}, [&](ValueRange at) {
    bool isHalf = op.getPairing() == Pairing::half;
    Value first = at[1], second;
    if (isHalf) {
      second = arith::AddIOp::create(b, loc, first, index(pairs));
    } else {
      first = arith::MulIOp::create(b, loc, first, index(2));
      second = arith::AddIOp::create(b, loc, first, index(1));
    }
    SmallVector<Value> arguments = {load(input, {at[0], first}),
                                    load(input, {at[0], second})};
    for (Value row : op.getRows())
      arguments.push_back(load(get(row), at[0]));
    for (Value i : {at[0], at[1]})
      arguments.push_back(
          arith::IndexCastOp::create(b, loc, b.getI32Type(), i));
    SmallVector<Value> yielded = inlineBody(op.getBody().front(), arguments);
    store(yielded[0], result, {at[0], first});
    store(yielded[1], result, {at[0], second});
  });
}

void SequentialTiles::lowerReduce(ReduceOp op) {
  Value result = newResult(op);
  memref::CopyOp::create(b, loc, get(op.getInit()), result);
  forEach(op.getInput().getType().getShape(), [&](ValueRange at) {
    Value before = load(result, at[0]), value = load(get(op.getInput()), at);
    Value after;
    if (op.getCombiner() == Combiner::sum)
      after = arith::AddFOp::create(b, loc, before, value);
    else
      after = arith::MaxNumFOp::create(b, loc, before, value);
    store(after, result, at[0]);
  });
}

void SequentialTiles::lowerConvert(ConvertOp op) {
  Value result = newResult(op);
  forEach(cast<MemRefType>(result.getType()).getShape(), [&](ValueRange at) {
    store(load(get(op.getInput()), at), result, at);
  });
}

void SequentialTiles::lowerSplit(SplitOp op) {
  int64_t firstColumn = 0;
  for (unsigned i = 0; i != op->getNumResults(); ++i) {
    Value result = newResult(op, i);
    auto shape = cast<MemRefType>(result.getType()).getShape();
    forEach(shape, [&](ValueRange at) {
      Value column = arith::AddIOp::create(b, loc, at[1], index(firstColumn));
      store(load(get(op.getInput()), {at[0], column}), result, at);
    });
    firstColumn += shape[1];
  }
}

void SequentialTiles::lowerProduct(Operation *op, Value a, Value aStage,
                                   Value sharedB, Value stage, Value init,
                                   bool transposeB) {
  Value result = newResult(op), left = get(a), right = get(sharedB);
  auto shape = cast<MemRefType>(result.getType()).getShape();
  if (init)
    memref::CopyOp::create(b, loc, get(init), result);
  else
    forEach(shape, [&](ValueRange at) {
      store(arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0)), result,
            at);
    });
  int64_t depth = cast<MemRefType>(left.getType()).getShape().back();
  forEach({shape[0], shape[1], depth}, [&](ValueRange at) {
    SmallVector<Value> aPlace = {at[0], at[2]},
                       bPlace = {get(stage), at[2], at[1]};
    if (aStage)
      aPlace.insert(aPlace.begin(), get(aStage));
    if (transposeB)
      std::swap(bPlace[1], bPlace[2]);
    Value product = arith::MulFOp::create(b, loc, toF32(load(left, aPlace)),
                                          toF32(load(right, bPlace)));
    Value sum = load(result, at.take_front(2));
    store(arith::AddFOp::create(b, loc, sum, product), result,
          at.take_front(2));
  });
}

LogicalResult SequentialTiles::lower(Operation *op) {
  loc = op->getLoc();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<CopyAsyncOp>([&](auto copy) { return lowerCopy(copy), success(); })
      .Case<LoadSharedOp>(
          [&](auto load) { return lowerLoadShared(load), success(); })
      .Case<StoreSharedOp>(
          [&](auto store) { return lowerStoreShared(store), success(); })
      .Case<LoadRowsOp>(
          [&](auto load) { return lowerLoadRows(load), success(); })
      .Case<StoreOp>([&](auto store) { return lowerStore(store), success(); })
      .Case<MapOp>([&](auto map) { return lowerMap(map), success(); })
      .Case<MapPairsOp>(
          [&](auto pairs) { return lowerMapPairs(pairs), success(); })
      .Case<ReduceOp>(
          [&](auto reduce) { return lowerReduce(reduce), success(); })
      .Case<ConvertOp>(
          [&](auto convert) { return lowerConvert(convert), success(); })
      .Case<SplitOp>([&](auto split) { return lowerSplit(split), success(); })
      .Case<MmaOp>([&](MmaOp mma) {
        lowerProduct(mma, mma.getA(), Value(), mma.getB(), mma.getStage(),
                     mma.getInit(), mma.getTransposeB());
        return success();
      })
      .Case<MmaAsyncOp>([&](MmaAsyncOp mma) {
        // It is complete at once.
        lowerProduct(mma, mma.getA(), mma.getAStage(), mma.getB(),
                     mma.getStage(), mma.getInit(), mma.getTransposeB());
        return success();
      })
      .Case<WaitMmaOp>([&](WaitMmaOp wait) {
        mapping.map(wait.getResult(), get(wait.getInput()));
        return success();
      })
      .Default([](Operation *other) {
        return other->emitOpError("has no meaning for one thread alone: roles "
                                  "and barriers run on the emulator");
      });
}
