//===- RepoBufferization.h - Bufferization of repo ops ----------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOBUFFERIZATION_H
#define REPO_DIALECT_REPO_IR_REPOBUFFERIZATION_H

namespace mlir {
class DialectRegistry;

namespace repo {
/// Attaches BufferizableOpInterface to the ops in destination style.
void registerBufferizableOpInterfaceExternalModels(DialectRegistry &registry);
} // namespace repo
} // namespace mlir

#endif // REPO_DIALECT_REPO_IR_REPOBUFFERIZATION_H
