//===- MaterializeDestinations.cpp - Tensor functions to buffer functions -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Conversion/Passes.h"
#include "repo/Conversion/Signature.h"
#include "repo/Dialect/Repo/IR/Repo.h"

namespace mlir::repo {
#define GEN_PASS_DEF_MATERIALIZEDESTINATIONS
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;
using namespace mlir::repo;

/// The buffer in which a tensor crosses the boundary: any strides but a unit
/// inner one, any offset, booleans as bytes.
static MemRefType getBoundaryType(RankedTensorType type) {
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  if (!strides.empty())
    strides.back() = 1;
  Type element = type.getElementType();
  if (element.isInteger(1))
    element = IntegerType::get(type.getContext(), 8);
  return MemRefType::get(
      type.getShape(), element,
      StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides));
}

/// Converts between boolean and byte tensors elementwise.
static Value convertElements(OpBuilder &builder, Location loc, Value tensor,
                             Type element) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getElementType() == element)
    return tensor;
  Value empty = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, tensor), element);
  SmallVector<AffineMap> maps(2,
                              builder.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> parallel(type.getRank(),
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), tensor, empty, maps, parallel,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               Value result;
               if (element.isInteger(1)) {
                 Value zero = arith::ConstantOp::create(
                     nested, loc, nested.getZeroAttr(args[0].getType()));
                 result = arith::CmpIOp::create(
                     nested, loc, arith::CmpIPredicate::ne, args[0], zero);
               } else {
                 result = arith::ExtUIOp::create(nested, loc, element, args[0]);
               }
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

/// Whether elements of this type have a name in DLPack and code here.
static LogicalResult checkElementType(func::FuncOp function, const Twine &where,
                                      Type type) {
  if (type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
      type.isSignlessInteger(1) || type.isSignlessInteger(8) ||
      type.isSignlessInteger(16) || type.isSignlessInteger(32) ||
      type.isSignlessInteger(64))
    return success();
  return function.emitError("expected ")
         << where
         << " to have elements of type f16, bf16, f32, f64, i1, i8, i16, i32 "
            "or i64, got "
         << type;
}

//===----------------------------------------------------------------------===//
// Packed weights
//===----------------------------------------------------------------------===//

/// The parts of packed weights, side by side in one tensor of bytes.
namespace {
class PackedBytes {
public:
  /// Adds a part; returns where it starts.
  int64_t add(RankedTensorType type) {
    int64_t start = size,
            end =
                start + type.getNumElements() *
                            llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    size = llvm::alignTo(end, repo::packedAlignment);
    gaps.push_back({end, size - end});
    return start;
  }
  /// Writes zeros between part `number` and the next: equal weights have equal
  /// bytes.
  void fillGap(OpBuilder &builder, Location loc, Value bytes,
               unsigned number) const {
    auto [start, length] = gaps[number];
    if (!length)
      return;
    Value offset = arith::ConstantIndexOp::create(builder, loc, start);
    Value gap = memref::ViewOp::create(
        builder, loc, MemRefType::get({length}, builder.getI8Type()), bytes,
        offset, ValueRange());
    Value zero =
        arith::ConstantOp::create(builder, loc, builder.getI8IntegerAttr(0));
    linalg::FillOp::create(builder, loc, zero, gap);
  }
  MemRefType getType(MLIRContext *context) const {
    return MemRefType::get({size}, IntegerType::get(context, 8));
  }
  /// The buffer of a part.
  static Value view(OpBuilder &builder, Location loc, Value bytes,
                    int64_t start, RankedTensorType type) {
    Value offset = arith::ConstantIndexOp::create(builder, loc, start);
    return memref::ViewOp::create(
        builder, loc, MemRefType::get(type.getShape(), type.getElementType()),
        bytes, offset, ValueRange());
  }

private:
  int64_t size = 0;
  /// Where the gap after a part starts, and its length.
  SmallVector<std::pair<int64_t, int64_t>> gaps;
};
} // namespace

static LogicalResult checkPart(func::FuncOp function, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (tensor && tensor.hasStaticShape() &&
      tensor.getElementType().isIntOrFloat())
    return success();
  return function.emitError("expected parts of packed weights to be tensors of "
                            "static size, got ")
         << type;
}

/// The arguments with `repo.packed` become views of one argument, the first.
static LogicalResult joinPackedArguments(func::FuncOp function) {
  Block &body = function.getBody().front();
  MLIRContext *context = function.getContext();
  BitVector packed(function.getNumArguments());
  PackedBytes bytes;
  SmallVector<int64_t> starts;
  for (BlockArgument argument : body.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(),
                             RepoDialect::kPackedAttrName))
      continue;
    if (failed(checkPart(function, argument.getType())))
      return failure();
    packed.set(argument.getArgNumber());
    starts.push_back(bytes.add(cast<RankedTensorType>(argument.getType())));
  }
  if (starts.empty())
    return success();
  OpBuilder builder = OpBuilder::atBlockBegin(&body);
  NamedAttrList attributes;
  attributes.set(RepoDialect::kPackedAttrName, builder.getUnitAttr());
  attributes.set(RepoDialect::kNameAttrName, builder.getStringAttr("packed"));
  if (failed(function.insertArgument(0, bytes.getType(context),
                                     attributes.getDictionary(context),
                                     function.getLoc())))
    return failure();
  BitVector gone(function.getNumArguments());
  for (auto [i, old] : llvm::enumerate(packed.set_bits())) {
    BlockArgument argument = body.getArgument(old + 1);
    gone.set(old + 1);
    Location loc = argument.getLoc();
    Value view = PackedBytes::view(builder, loc, body.getArgument(0), starts[i],
                                   cast<RankedTensorType>(argument.getType()));
    argument.replaceAllUsesWith(bufferization::ToTensorOp::create(
        builder, loc, argument.getType(), view, /*restrict=*/true,
        /*writable=*/false));
  }
  return function.eraseArguments(gone);
}

/// Gives the ops that compute `value` the buffer it is to end in: reshapes are
/// taken to the buffer, and a call that was given an empty tensor gets the
/// buffer.
static void materializeTo(OpBuilder &builder, Location loc, Value value,
                          Value buffer) {
  if (auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
      collapse && collapse.getSrcType().getNumDynamicDims() ==
                      collapse.getResultType().getNumDynamicDims()) {
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(builder, loc, collapse.getSrc());
    FailureOr<MemRefType> type = memref::ExpandShapeOp::computeExpandedType(
        cast<MemRefType>(buffer.getType()), collapse.getSrcType().getShape(),
        collapse.getReassociationIndices());
    if (succeeded(type)) {
      buffer = memref::ExpandShapeOp::create(builder, loc, *type, buffer,
                                             collapse.getReassociationIndices(),
                                             sizes);
      return materializeTo(builder, loc, collapse.getSrc(), buffer);
    }
  }
  if (auto call = value.getDefiningOp<func::CallOp>())
    for (OpOperand &operand : call->getOpOperands())
      if (auto empty = operand.get().getDefiningOp<tensor::EmptyOp>();
          empty && empty.getType() == value.getType() &&
          buffer.getDefiningOp<memref::ViewOp>()) {
        OpBuilder before(call);
        buffer.getDefiningOp()->moveBefore(call);
        buffer.getDefiningOp()->getOperand(1).getDefiningOp()->moveBefore(
            buffer.getDefiningOp());
        operand.set(bufferization::ToTensorOp::create(
            before, loc, value.getType(), buffer, /*restrict=*/true,
            /*writable=*/true));
        break;
      }
  bufferization::MaterializeInDestinationOp::create(
      builder, loc, TypeRange{}, value, buffer, /*restrict=*/true,
      /*writable=*/true);
}

/// The results with `repo.packed` go to one argument, the last.
static LogicalResult joinPackedResults(func::FuncOp function) {
  Block &body = function.getBody().front();
  Operation *terminator = body.getTerminator();
  BitVector packed(function.getNumResults());
  PackedBytes bytes;
  SmallVector<int64_t> starts;
  for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
    if (!function.getResultAttr(i, RepoDialect::kPackedAttrName))
      continue;
    if (failed(checkPart(function, type)))
      return failure();
    packed.set(i);
    starts.push_back(bytes.add(cast<RankedTensorType>(type)));
  }
  if (starts.empty())
    return success();
  OpBuilder builder(terminator);
  NamedAttrList attributes;
  attributes.set(RepoDialect::kPackedAttrName, builder.getUnitAttr());
  attributes.set(RepoDialect::kNameAttrName, builder.getStringAttr("packed"));
  unsigned position = function.getNumArguments();
  if (failed(function.insertArgument(
          position, bytes.getType(function.getContext()),
          attributes.getDictionary(function.getContext()), function.getLoc())))
    return failure();
  for (auto [i, number] : llvm::enumerate(packed.set_bits())) {
    Value value = terminator->getOperand(number);
    Value view =
        PackedBytes::view(builder, value.getLoc(), body.getArgument(position),
                          starts[i], cast<RankedTensorType>(value.getType()));
    materializeTo(builder, value.getLoc(), value, view);
    bytes.fillGap(builder, value.getLoc(), body.getArgument(position), i);
  }
  terminator->eraseOperands(packed);
  return function.eraseResults(packed);
}

static LogicalResult materializeDestinations(func::FuncOp function) {
  MLIRContext *context = function.getContext();
  Location loc = function.getLoc();
  if (!function.getBody().hasOneBlock())
    return function.emitError("expected the body of `")
           << function.getName() << "` to be one block";
  Block &body = function.getBody().front();
  auto terminator = cast<func::ReturnOp>(body.getTerminator());
  if (failed(joinPackedArguments(function)) ||
      failed(joinPackedResults(function)))
    return failure();

  // Which argument holds which result in place.
  SmallVector<std::optional<unsigned>> holder(function.getNumResults());
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    auto inout =
        function.getArgAttrOfType<IntegerAttr>(i, RepoDialect::kInoutAttrName);
    if (!inout)
      continue;
    uint64_t result = inout.getValue().getZExtValue();
    if (result >= holder.size())
      return function.emitError("expected `repo.inout` of argument ")
             << i << " to name one of " << holder.size() << " results, got "
             << result;
    if (holder[result])
      return function.emitError("result ") << result << " is held by arguments "
                                           << *holder[result] << " and " << i;
    if (function.getArgument(i).getType() != function.getResultTypes()[result])
      return function.emitError("expected argument ")
             << i << " to have the type of result " << result << ", "
             << function.getResultTypes()[result] << ", got "
             << function.getArgument(i).getType();
    holder[result] = i;
  }

  OpBuilder builder = OpBuilder::atBlockBegin(&body);
  // Inputs.
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    BlockArgument argument = body.getArgument(i);
    Type type = argument.getType();
    if (function.getArgAttr(i, RepoDialect::kPackedAttrName))
      continue;
    auto tensorType = dyn_cast<RankedTensorType>(type);
    if (!tensorType) {
      if (type.isIndex())
        continue;
      if (type.isIntOrFloat()) {
        if (failed(checkElementType(function, "argument " + Twine(i), type)))
          return failure();
        continue;
      }
      return function.emitError("expected argument ")
             << i << " to be a ranked tensor or a scalar, got " << type;
    }
    if (failed(checkElementType(function, "argument " + Twine(i),
                                tensorType.getElementType())))
      return failure();
    bool inout = function.getArgAttr(i, RepoDialect::kInoutAttrName) != nullptr;
    MemRefType boundary = getBoundaryType(tensorType);
    if (tensorType.getElementType().isInteger(1))
      function.setArgAttr(i, RepoDialect::kBooleanAttrName,
                          builder.getUnitAttr());
    argument.setType(boundary);
    auto byteType =
        RankedTensorType::get(tensorType.getShape(), boundary.getElementType());
    auto toTensor = bufferization::ToTensorOp::create(
        builder, loc, byteType, argument, /*restrict=*/true,
        /*writable=*/inout);
    Value value =
        convertElements(builder, loc, toTensor, tensorType.getElementType());
    argument.replaceAllUsesExcept(value, toTensor);
  }

  // Results.
  builder.setInsertionPoint(terminator);
  SmallVector<DictionaryAttr> resultAttrs;
  for (auto [index, result] : llvm::enumerate(terminator.getOperands())) {
    auto tensorType = dyn_cast<RankedTensorType>(result.getType());
    if (!tensorType)
      return function.emitError("expected result ")
             << index << " to be a ranked tensor, got " << result.getType();
    if (failed(checkElementType(function, "result " + Twine(index),
                                tensorType.getElementType())))
      return failure();
    MemRefType boundary = getBoundaryType(tensorType);
    Value value =
        convertElements(builder, loc, result, boundary.getElementType());
    BlockArgument destination;
    if (holder[index]) {
      destination = body.getArgument(*holder[index]);
    } else {
      destination = body.addArgument(boundary, loc);
      NamedAttrList attrs;
      Attribute name =
          function.getResultAttr(index, RepoDialect::kNameAttrName);
      attrs.set(RepoDialect::kNameAttrName,
                name ? name
                     : builder.getStringAttr("result" + std::to_string(index)));
      if (tensorType.getElementType().isInteger(1))
        attrs.set(RepoDialect::kBooleanAttrName, builder.getUnitAttr());
      resultAttrs.push_back(attrs.getDictionary(context));
    }
    materializeTo(builder, loc, value, destination);
  }
  terminator.getOperandsMutable().clear();

  // Names of the inputs, the context, the new type.
  SmallVector<DictionaryAttr> argAttrs;
  argAttrs.push_back(DictionaryAttr::get(context));
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    NamedAttrList attrs(function.getArgAttrDict(i));
    if (!attrs.get(RepoDialect::kNameAttrName))
      attrs.set(RepoDialect::kNameAttrName,
                builder.getStringAttr("arg" + std::to_string(i)));
    argAttrs.push_back(attrs.getDictionary(context));
  }
  llvm::append_range(argAttrs, resultAttrs);
  body.insertArgument(0u, LLVM::LLVMPointerType::get(context), loc);
  function.setResAttrsAttr(nullptr);
  function.setFunctionType(
      FunctionType::get(context, body.getArgumentTypes(), {}));
  function.setAllArgAttrs(argAttrs);
  return success();
}

/// Private functions take buffers like the public ones: with a unit inner
/// stride, without which rows could not be read as vectors. Parts of packed
/// weights have no gaps.
static void setBufferLayouts(func::FuncOp function) {
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    auto type = dyn_cast<RankedTensorType>(function.getArgumentTypes()[i]);
    if (!type)
      continue;
    MemRefLayoutAttrInterface layout = getBoundaryType(type).getLayout();
    if (function.getArgAttr(i, RepoDialect::kPackedAttrName))
      layout = AffineMapAttr::get(AffineMap::getMultiDimIdentityMap(
          type.getRank(), function.getContext()));
    function.removeArgAttr(i, RepoDialect::kPackedAttrName);
    function.setArgAttr(
        i, bufferization::BufferizationDialect::kBufferLayoutAttrName, layout);
  }
}

/// Gives every function with a body the context as argument 0, and passes it on
/// in calls.
static void prependContext(ModuleOp module) {
  auto pointer = LLVM::LLVMPointerType::get(module.getContext());
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isExternal() || !function.isPrivate())
      continue;
    setBufferLayouts(function);
    (void)function.insertArgument(0, pointer, nullptr, function.getLoc());
  }
  SymbolTableCollection symbols;
  module.walk([&](func::CallOp call) {
    auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(
        call, call.getCalleeAttr());
    if (!callee || callee.isExternal())
      return;
    auto caller = call->getParentOfType<func::FuncOp>();
    call->insertOperands(0, caller.getArgument(0));
  });
}

/// A library is complete: what is called has a body.
static LogicalResult checkCallees(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isExternal() &&
        !SymbolTable::symbolKnownUseEmpty(function, module))
      return function.emitError("expected a body of `")
             << function.getName() << "`, which is called";
  return success();
}

/// An entry has buffers where its callers in the module have tensors: they call
/// a private copy.
static void copyCalledEntries(ModuleOp module) {
  SymbolTable symbols(module);
  for (auto function : llvm::to_vector(module.getOps<func::FuncOp>())) {
    if (!function.isPublic() ||
        SymbolTable::symbolKnownUseEmpty(function, module))
      continue;
    func::FuncOp copy = function.clone();
    copy.setName((function.getName() + ".inner").str());
    copy.setPrivate();
    for (unsigned i = 0, e = copy.getNumArguments(); i != e; ++i)
      for (StringRef name :
           {RepoDialect::kNameAttrName, RepoDialect::kConstantAttrName,
            RepoDialect::kInoutAttrName, RepoDialect::kPackedAttrName})
        copy.removeArgAttr(i, name);
    for (unsigned i = 0, e = copy.getNumResults(); i != e; ++i)
      copy.removeResultAttr(
          i, StringAttr::get(copy.getContext(), RepoDialect::kNameAttrName));
    symbols.insert(copy);
    (void)SymbolTable::replaceAllSymbolUses(function, copy.getSymNameAttr(),
                                            module);
  }
}

namespace {
struct MaterializeDestinations
    : repo::impl::MaterializeDestinationsBase<MaterializeDestinations> {
  void runOnOperation() override {
    if (failed(checkCallees(getOperation())))
      return signalPassFailure();
    copyCalledEntries(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function.isPublic() && !function.isExternal() &&
          failed(materializeDestinations(function)))
        return signalPassFailure();
    prependContext(getOperation());
  }
};
} // namespace
