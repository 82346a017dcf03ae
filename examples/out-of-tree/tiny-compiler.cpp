//===- tiny-compiler.cpp - A compiler on top of the installed package -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// tiny-compiler FILE.mlir OUT.so: counts the attention ops with a pass of its
// own, then compiles with the CPU path of the RePo compiler.
//
//===----------------------------------------------------------------------===//

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Driver/Driver.h"
#include "llvm/Support/raw_ostream.h"
#include <fstream>

using namespace mlir;

namespace {
/// A pass of this compiler, on ops of the repo dialect.
struct CountAttention : PassWrapper<CountAttention, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountAttention)
  void runOnOperation() override {
    int count = 0;
    getOperation().walk([&](repo::AttentionOp) { ++count; });
    llvm::outs() << count << " attention ops\n";
  }
};
} // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    llvm::errs() << "usage: tiny-compiler FILE.mlir OUT.so\n";
    return 2;
  }
  DialectRegistry registry;
  repo::registerEverything(registry);
  MLIRContext context(registry);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(argv[1], &context);
  if (!module)
    return 1;
  PassManager passes(&context);
  passes.addPass(std::make_unique<CountAttention>());
  if (failed(passes.run(*module)))
    return 1;

  std::string error;
  FailureOr<repo::TargetDescription> target =
      repo::describeTarget("native", "", error);
  if (failed(target)) {
    llvm::errs() << error << "\n";
    return 1;
  }
  repo::CompileOptions options;
  options.target = *target;
  repo::CompileResult result;
  if (failed(repo::compileModule(*module, options, result)))
    return 1;
  std::ofstream(argv[2], std::ios::binary) << result.output;
}
