//===- RepoBufferization.cpp - Bufferization of repo ops ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ops in destination style become the same ops on buffers. They differ in
// whether a destination is read: attention only writes, the online step updates
// its state, and appending to a cache keeps the rest of it.
//
//===----------------------------------------------------------------------===//

#include "repo/Dialect/Repo/IR/RepoBufferization.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/DialectRegistry.h"
#include "repo/Dialect/Repo/IR/Repo.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::repo;

namespace {
template <typename OpTy, bool readsDestinations>
struct DestinationModel : DstBufferizableOpInterfaceExternalModel<
                              DestinationModel<OpTy, readsDestinations>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return readsDestinations || !cast<OpTy>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto destination = cast<OpTy>(op);
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> operands, destinations;
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      if (isa<TensorType>(value.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, value, options, state);
        if (failed(buffer))
          return failure();
        value = *buffer;
      }
      operands.push_back(value);
      if (destination.isDpsInit(&operand))
        destinations.push_back(value);
    }
    mlir::clone(rewriter, op, /*newResultTypes=*/TypeRange(), operands);
    replaceOpWithBufferizedValues(rewriter, op, destinations);
    return success();
  }
};

/// The buffers of all operands.
static FailureOr<SmallVector<Value>>
getBuffers(Operation *op, RewriterBase &rewriter,
           const BufferizationOptions &options, BufferizationState &state) {
  SmallVector<Value> buffers;
  for (Value operand : op->getOperands()) {
    FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
    if (failed(buffer))
      return failure();
    buffers.push_back(*buffer);
  }
  return buffers;
}

/// Positions are written to their output, which they need on buffers.
struct PositionsModel
    : BufferizableOpInterface::ExternalModel<PositionsModel,
                                             AssignPositionsOp> {
  static bool isOutput(Operation *op, OpOperand &operand) {
    return operand.get() == cast<AssignPositionsOp>(op).getOutput() &&
           operand.getOperandNumber() + 1 == op->getNumOperands();
  }
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !isOutput(op, operand);
  }
  bool bufferizesToMemoryWrite(Operation *op, OpOperand &operand,
                               const AnalysisState &) const {
    return isOutput(op, operand);
  }
  AliasingValueList getAliasingValues(Operation *op, OpOperand &operand,
                                      const AnalysisState &) const {
    if (!isOutput(op, operand))
      return {};
    return {{op->getResult(0), BufferRelation::Equivalent}};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    if (!cast<AssignPositionsOp>(op).getOutput())
      return op->emitOpError("expected an output to bufferize");
    FailureOr<SmallVector<Value>> buffers =
        getBuffers(op, rewriter, options, state);
    if (failed(buffers))
      return failure();
    mlir::clone(rewriter, op, /*newResultTypes=*/TypeRange(), *buffers);
    replaceOpWithBufferizedValues(rewriter, op, buffers->back());
    return success();
  }
};

/// A view stands for rows of its pages: whoever reads it reads these, and must
/// do so before they change.
struct CacheViewModel
    : BufferizableOpInterface::ExternalModel<CacheViewModel, CacheViewOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *op, OpOperand &operand,
                                      const AnalysisState &) const {
    if (operand.getOperandNumber() != 0)
      return {};
    return {{op->getResult(0), BufferRelation::Unknown}};
  }
  bool isWritable(Operation *, Value, const AnalysisState &) const {
    return false;
  }
  FailureOr<BufferLikeType> getBufferType(Operation *op, Value value,
                                          const BufferizationOptions &,
                                          const BufferizationState &,
                                          SmallVector<Value> &) const {
    auto type = cast<RankedTensorType>(value.getType());
    return cast<BufferLikeType>(
        MemRefType::get(type.getShape(), type.getElementType()));
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto view = cast<CacheViewOp>(op);
    FailureOr<SmallVector<Value>> buffers =
        getBuffers(op, rewriter, options, state);
    if (failed(buffers))
      return failure();
    auto type = view.getResult().getType();
    replaceOpWithNewBufferizedOp<CacheViewOp>(
        rewriter, op, MemRefType::get(type.getShape(), type.getElementType()),
        *buffers);
    return success();
  }
};
} // namespace

void mlir::repo::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, RepoDialect *) {
    AssignPositionsOp::attachInterface<PositionsModel>(*context);
    AttentionOp::attachInterface<DestinationModel<AttentionOp, false>>(
        *context);
    AttentionBackwardOp::attachInterface<
        DestinationModel<AttentionBackwardOp, false>>(*context);
    OnlineAttentionOp::attachInterface<
        DestinationModel<OnlineAttentionOp, true>>(*context);
    CacheAppendOp::attachInterface<DestinationModel<CacheAppendOp, true>>(
        *context);
    CacheViewOp::attachInterface<CacheViewModel>(*context);
  });
}
