//===- RowAccess.h - What ops do to rows of buffers -------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row is what a buffer holds for one index of some of its dimensions, such as
// the channels of a token. These functions tell which buffers an op touches,
// and follow the dimensions of rows through views.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_CONVERSION_ROWS_ROWACCESS_H
#define REPO_LIB_CONVERSION_ROWS_ROWACCESS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <optional>

namespace mlir::repo::rows {

/// The buffer that a view shows part of. Different ones share no memory: what
/// is written is an allocation or an output, which the runtime checks.
Value getRoot(Value buffer);

/// Roots of the buffers whose elements code reads and writes.
struct Effects {
  llvm::SmallPtrSet<void *, 4> reads, writes;
  /// It may touch anything.
  bool unknown = false;

  void add(const Effects &other);
  /// Whether the order of the two matters.
  bool conflictsWith(const Effects &other) const;
  bool touches(Value root) const;
};
Effects getEffects(Operation *op);

/// By row index the dimension of a buffer that it runs over.
using RowDims = SmallVector<int64_t, 2>;

/// The dimensions of rows in `view`, given those in its root; none where the
/// view mixes rows or leaves some out.
std::optional<RowDims> getViewRows(Value view, const RowDims &root);
/// The other way round.
std::optional<RowDims> getRootRows(Value view, const RowDims &dims);

/// The op that combines the elements of a reduction, where there is one; it has
/// a neutral element.
Operation *getCombiner(linalg::LinalgOp op);

/// Whether threads can share the work of a row of `op`, whose loops `rowLoops`
/// stand still: static sizes, arithmetic only.
bool canShareRow(linalg::LinalgOp op, ArrayRef<unsigned> rowLoops);

} // namespace mlir::repo::rows

#endif // REPO_LIB_CONVERSION_ROWS_ROWACCESS_H
