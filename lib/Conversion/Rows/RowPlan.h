//===- RowPlan.h - How threads share the elements of a row ------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ROWS_ROWPLAN_H
#define REPO_LIB_CONVERSION_ROWS_ROWPLAN_H

#include "RowAccess.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

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

} // namespace mlir::repo::rows

#endif // REPO_LIB_CONVERSION_ROWS_ROWPLAN_H
