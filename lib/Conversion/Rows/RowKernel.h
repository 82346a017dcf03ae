//===- RowKernel.h - The threads of a block share a row ---------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ROWS_ROWKERNEL_H
#define REPO_LIB_CONVERSION_ROWS_ROWKERNEL_H

#include "RowAccess.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include <map>

namespace mlir::repo::rows {

/// How threads share the elements of an op. A unit is `width` neighbours; units
/// are numbered in the order in which the op's widest operand lies.
struct Plan {
  /// Loops that units count, outermost first, with how many units each has.
  SmallVector<unsigned> loops;
  SmallVector<int64_t> counts;
  /// Loops of a size known at run time only, around all.
  SmallVector<unsigned> outer;
  /// For reductions with several results: the loops over these.
  SmallVector<unsigned> resultLoops;
  SmallVector<int64_t> resultCounts;
  int64_t width = 1, units = 1, results = 1;
};

/// How an operand lies along a unit.
enum class Stretch { same, neighbours, apart };

/// Where a thread's units of an operand are: equal for two ops, each thread
/// reads what it wrote itself. Without a map it is not known, equal to none.
struct Access {
  void *buffer = nullptr;
  SmallVector<int64_t> counts;
  AffineMap map;
  int64_t width = 1;
  bool operator==(const Access &other) const {
    return map && buffer == other.buffer && counts == other.counts &&
           map == other.map && width == other.width;
  }
};

/// Bytes of the widest access to memory.
constexpr int64_t accessBytes = 16;

/// Plans for the ops of a loop over rows.
class Planner {
public:
  Planner(scf::ForallOp loop, int64_t maxThreads);
  const Plan &get(linalg::LinalgOp op) const { return plans.find(op)->second; }
  Stretch getStretch(OpOperand &operand, const Plan &plan) const;
  Access getAccess(OpOperand &operand, const Plan &plan) const;
  /// Zeros written just before the sums of `op`, which then start with them.
  linalg::FillOp getStart(linalg::LinalgOp op) const {
    return starts.lookup(op);
  }
  bool isStart(Operation *op) const {
    return llvm::any_of(starts, [&](auto &pair) { return pair.second == op; });
  }
  /// Whether every thread works on units of its own from beginning to end.
  bool isFlat() const { return flat; }
  int64_t getMaxUnits() const { return maxUnits; }
  ArrayRef<linalg::LinalgOp> getOps() const { return ops; }

private:
  Plan makePlan(linalg::LinalgOp op, int64_t width) const;
  bool findFlat() const;
  void narrow(int64_t threads);

  scf::ForallOp loop;
  SmallVector<linalg::LinalgOp> ops;
  llvm::DenseMap<Operation *, Plan> plans;
  llvm::DenseMap<Operation *, linalg::FillOp> starts;
  int64_t maxUnits = 1;
  bool flat = false;
};

/// Writes the code of one thread.
class RowKernel {
public:
  RowKernel(scf::ForallOp loop, int64_t maxThreads);
  LogicalResult build();

private:
  using Lanes = SmallVector<Value>;

  // Launch.
  void startLaunch();
  void mapRows(Value row);
  /// Whether all that is read and written in pieces of 16 bytes lies at
  /// multiples of these; null where that is known.
  Value checkAlignment();
  LogicalResult writeBody(bool wide);

  // Ops.
  LogicalResult write(Operation *op);
  void writeElementwise(linalg::LinalgOp op);
  Value getSize(linalg::LinalgOp op, unsigned number);
  void writeUnit(linalg::LinalgOp op, Value unit);
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
  /// Calls `body` for every unit of this thread, side by side where the number
  /// is the same for all and small.
  void forUnits(int64_t units, function_ref<void(Value)> body);
  /// Writes `body` at the end of a block; what it learns stays inside.
  void inside(Block *block, function_ref<void()> body);
  void onlyIf(Value number, Value wanted, function_ref<void()> body);
  SmallVector<Value> run(linalg::LinalgOp op, ArrayRef<Value> arguments,
                         ArrayRef<Value> coordinates);

  // Memory.
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

  // Numbers.
  Value index(int64_t value);
  SmallVector<Value> delinearize(Value number, ArrayRef<int64_t> counts);
  template <typename Op> Value make(Value a, Value b);

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
