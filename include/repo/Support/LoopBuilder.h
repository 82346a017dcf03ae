//===- LoopBuilder.h - Loops written from the inside ------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_SUPPORT_LOOPBUILDER_H
#define REPO_SUPPORT_LOOPBUILDER_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "repo/Support/IndexBuilder.h"

namespace mlir::repo {

/// Builds loops over [from, to). While `body` runs, `b` itself is at the end of
/// the loop's body; then it is behind the loop again.
class LoopBuilder : public IndexBuilder {
public:
  using IndexBuilder::IndexBuilder;

  /// A loop that carries values from one iteration to the next: `body` takes
  /// them and returns the new ones.
  using CarryingBody =
      function_ref<SmallVector<Value>(Value, ValueRange carried)>;
  SmallVector<Value> loop(Value from, Value to, Value step, ValueRange init,
                          CarryingBody body) {
    auto loop = scf::ForOp::create(
        b, loc, from, to, step, init,
        [&](OpBuilder &, Location, Value position, ValueRange carried) {
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToEnd(position.getParentBlock());
          scf::YieldOp::create(b, loc, body(position, carried));
        });
    return SmallVector<Value>(loop.getResults());
  }
  SmallVector<Value> loop(Value from, Value to, int64_t step, ValueRange init,
                          CarryingBody body) {
    return loop(from, to, index(step), init, body);
  }

  /// A loop that carries nothing.
  void loop(Value from, Value to, Value step, function_ref<void(Value)> body) {
    loop(from, to, step, {}, [&](Value position, ValueRange) {
      body(position);
      return SmallVector<Value>();
    });
  }
  void loop(Value from, Value to, int64_t step,
            function_ref<void(Value)> body) {
    loop(from, to, index(step), body);
  }
};

} // namespace mlir::repo

#endif // REPO_SUPPORT_LOOPBUILDER_H
