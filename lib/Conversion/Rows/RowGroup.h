//===- RowGroup.h - Ops that work row by row --------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ROWS_ROWGROUP_H
#define REPO_LIB_CONVERSION_ROWS_ROWGROUP_H

#include "RowAccess.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::repo::rows {

/// Ops that can run in one loop over rows: what one of them reads of what
/// another wrote lies in the same row.
class Group {
public:
  /// Bytes of a row of values on the way, which a block of threads keeps.
  static constexpr int64_t maxRowBytes = 44 * 1024;

  /// A group of one op, if that has rows. `wanted` says where the rows of
  /// buffers are that loops over rows read.
  static std::optional<Group>
  start(Operation *op, const llvm::DenseMap<Value, RowDims> &wanted);
  /// Notes how `op` uses buffers; whether it fits in. Where it does not, the
  /// group is spoilt.
  bool take(Operation *op);
  bool take(const Group &other);
  bool isReadBy(const Effects &effects) const;
  bool isReadBy(const Group &other) const { return isReadBy(other.effects); }

  int64_t getRowBytes() const;
  /// Whether threads have something to share.
  bool isWorthALoop() const;
  /// Replaces the ops by a loop whose iterations are blocks of threads.
  void makeLoop();

  SmallVector<Operation *> ops;

private:
  friend class RowLoop;

  /// Whether the rows of `view` are these dimensions, as all else says.
  bool agree(Value view, const RowDims &dims);
  bool takeStructured(linalg::LinalgOp op);
  bool takeLoop(scf::ForallOp loop);
  bool isKnown(Value root) const { return rowsOf.count(root); }
  bool isWritten(Value root) const {
    return effects.writes.contains(root.getAsOpaquePointer());
  }
  /// Buffers that only the ops of the group use, which need no more than a row.
  SmallVector<Value> findLocals() const;

  unsigned rank = 0;
  /// Sizes of the loop: a dimension of a buffer each.
  SmallVector<std::pair<Value, int64_t>> sizes;
  Effects effects;
  /// By buffer where its rows are, and the loops of every op that run over
  /// them.
  llvm::MapVector<Value, RowDims> rowsOf;
  llvm::DenseMap<Operation *, SmallVector<unsigned>> rowLoops;
  /// Buffers that are used otherwise.
  llvm::SmallPtrSet<void *, 4> others;
};

/// Notes which dimensions of buffers the iterations of a parallel loop take
/// their rows from.
void findWantedRows(scf::ForallOp loop, llvm::DenseMap<Value, RowDims> &wanted);

} // namespace mlir::repo::rows

#endif // REPO_LIB_CONVERSION_ROWS_ROWGROUP_H
