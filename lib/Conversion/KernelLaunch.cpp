//===- KernelLaunch.cpp - Launches with names -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelLaunch.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::repo;

static std::string findKernelName(FunctionOpInterface function,
                                  StringRef kind) {
  unsigned number = 0;
  std::string prefix = (function.getName() + "_" + kind).str();
  function.walk([&](gpu::LaunchOp launch) {
    auto name = launch.getFunctionAttr();
    number += name && name.getValue().starts_with(prefix);
  });
  return prefix + std::to_string(number);
}

gpu::LaunchOp mlir::repo::startLaunch(OpBuilder &b, Location loc,
                                      StringRef kind, ArrayRef<Value> grid,
                                      int64_t threads, Value sharedBytes) {
  Operation *parent = b.getInsertionBlock()->getParentOp();
  auto function = dyn_cast<FunctionOpInterface>(parent);
  if (!function)
    function = parent->getParentOfType<FunctionOpInterface>();
  std::string name = findKernelName(function, kind);
  Value one = arith::ConstantIndexOp::create(b, loc, 1),
        block = arith::ConstantIndexOp::create(b, loc, threads);
  SmallVector<Value> sizes(grid);
  sizes.resize(3, one);
  auto launch = gpu::LaunchOp::create(b, loc, sizes[0], sizes[1], sizes[2],
                                      block, one, one, sharedBytes);
  launch.setModuleAttr(FlatSymbolRefAttr::get(b.getContext(), "kernels"));
  launch.setFunctionAttr(FlatSymbolRefAttr::get(b.getContext(), name));
  b.setInsertionPointToStart(&launch.getBody().front());
  return launch;
}
