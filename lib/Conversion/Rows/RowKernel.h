//===- RowKernel.h - The threads of a block share a row ---------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ROWS_ROWKERNEL_H
#define REPO_LIB_CONVERSION_ROWS_ROWKERNEL_H

#include "RowPlan.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/IRMapping.h"
#include <map>

namespace mlir::repo::rows {

constexpr int64_t warpSize = 32;
/// Units of a thread that are written side by side, not as a loop.
constexpr int64_t maxUnrolled = 8;

/// Whether `buffer` is one element that lives in the loop over rows alone: no
/// memory, but a value that every thread has.
bool isScalar(Value buffer);

/// Writes the code of one thread.
class RowKernel {
public:
  RowKernel(scf::ForallOp loop, int64_t maxThreads);
  LogicalResult build();

private:
  using Lanes = SmallVector<Value>;

  //===--- Launch -------------------------------------------------------===//
  void startLaunch();
  void mapRows(Value row);
  /// Whether all that is read and written in pieces of 16 bytes lies at
  /// multiples of these; null where that is known.
  Value checkAlignment();
  LogicalResult writeBody(bool wide);

  //===--- Ops ----------------------------------------------------------===//
  LogicalResult write(Operation *op);
  void writeElementwise(linalg::LinalgOp op);
  Value getSize(linalg::LinalgOp op, unsigned number);
  void writeUnit(linalg::LinalgOp op, Value unit);
  /// Calls `body` for every unit of this thread, side by side where the number
  /// is the same for all and small.
  void forUnits(int64_t units, function_ref<void(Value)> body);
  /// Writes `body` at the end of a block; what it learns stays inside.
  void inside(Block *block, function_ref<void()> body);
  void onlyIf(Value number, Value wanted, function_ref<void()> body);
  SmallVector<Value> run(linalg::LinalgOp op, ArrayRef<Value> arguments,
                         ArrayRef<Value> coordinates);

  //===--- Reductions (RowReductions.cpp) -------------------------------===//
  void writeReduction(linalg::LinalgOp op);
  void writeReductions(linalg::LinalgOp op);
  Value sumUnits(linalg::LinalgOp op, Value first, int64_t step, Value sum);
  Value addUnit(linalg::LinalgOp op, Value unit, Value sum);
  /// The value in all threads of a warp; of a block.
  Value combineWarp(Operation *combiner, Value value);
  Value combineBlock(Operation *combiner, Value value);
  Value combine(Operation *combiner, Value a, Value b);
  /// The sum with what the result of `op` holds before.
  Value addStart(linalg::LinalgOp op, Value sum, ArrayRef<Value> coordinates);

  //===--- Memory (RowMemory.cpp) ---------------------------------------===//
  void synchronize(linalg::LinalgOp op);
  void barrier();
  SmallVector<Value> getCoordinates(linalg::LinalgOp op, const Plan &plan,
                                    Value unit);
  SmallVector<Value> atLane(const Plan &plan, ArrayRef<Value> coordinates,
                            int64_t lane);
  SmallVector<Value> getIndices(OpOperand &operand,
                                ArrayRef<Value> coordinates);
  Lanes load(OpOperand &operand, ArrayRef<Value> coordinates, const Plan &plan);
  void store(OpOperand &operand, ArrayRef<Value> coordinates, const Plan &plan,
             const Lanes &values);
  void forget(Value root);
  Value map(Value value) const { return mapping.lookupOrDefault(value); }

  //===--- Numbers ------------------------------------------------------===//
  Value index(int64_t value);
  SmallVector<Value> delinearize(Value number, ArrayRef<int64_t> counts);
  template <typename Op> Value make(Value x, Value y) {
    return Op::create(b, loc, x, y);
  }

  scf::ForallOp loop;
  Planner planner;
  OpBuilder b;
  Location loc;
  int64_t threads;
  gpu::LaunchOp launch;
  Value thread, flatUnit;
  IRMapping mapping;
  SmallVector<Value> sizes;
  bool wide = true;
  /// Values of buffers of one element, which every thread has.
  llvm::DenseMap<Value, Value> scalars;
  /// What a thread knows of memory: by buffer and indices a unit.
  std::map<SmallVector<void *>, Lanes> known;
  /// What the op at hand adds to it.
  std::map<SmallVector<void *>, Lanes> written;
  /// Indices of loops around units, by number of the loop.
  std::map<unsigned, Value> outerIndices;
  /// Accesses since the last barrier, and whether they write.
  llvm::DenseMap<Value, SmallVector<std::pair<Access, bool>>> accesses;
  std::map<int64_t, Value> constants, unitNumbers;
  std::map<std::pair<void *, SmallVector<int64_t>>, SmallVector<Value>>
      coordinatesOf;
};

} // namespace mlir::repo::rows

#endif // REPO_LIB_CONVERSION_ROWS_ROWKERNEL_H
