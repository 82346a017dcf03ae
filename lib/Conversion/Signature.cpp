//===- Signature.cpp - What an entry function takes -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sizes are compared by union-find: a node is a dimension of a value, or an
// index value. Ops with indexing maps unite the dimensions that run along one
// loop; shape ops unite what they preserve.
//
//===----------------------------------------------------------------------===//

#include "repo/Conversion/Signature.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/IndexingMapOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
class SizeAnalysis {
public:
  void run(func::FuncOp function) {
    if (!visited.insert(function).second)
      return;
    function.walk([&](Operation *op) { visit(op); });
  }

  /// The class of a dimension.
  unsigned find(Value value, int64_t dim) { return root(node(value, dim)); }
  std::optional<int64_t> getStaticSize(unsigned id) {
    auto it = sizes.find(root(id));
    if (it == sizes.end())
      return std::nullopt;
    return it->second;
  }

private:
  unsigned node(Value value, int64_t dim) {
    auto [it, inserted] = ids.try_emplace({value, dim}, parents.size());
    if (inserted) {
      parents.push_back(it->second);
      auto shaped = dyn_cast<ShapedType>(value.getType());
      if (shaped && !shaped.isDynamicDim(dim))
        sizes[it->second] = shaped.getDimSize(dim);
    }
    return it->second;
  }
  unsigned root(unsigned id) {
    while (parents[id] != id)
      id = parents[id] = parents[parents[id]];
    return id;
  }
  void unite(unsigned a, unsigned b) {
    a = root(a);
    b = root(b);
    if (a == b)
      return;
    if (a > b)
      std::swap(a, b);
    parents[b] = a;
    auto it = sizes.find(b);
    if (it != sizes.end())
      sizes.try_emplace(a, it->second);
  }
  /// An index value is the node (value, -1).
  unsigned indexNode(Value value) {
    if (auto dim = value.getDefiningOp<tensor::DimOp>())
      if (std::optional<int64_t> position = dim.getConstantIndex())
        return node(dim.getSource(), *position);
    auto [it, inserted] = ids.try_emplace({value, -1}, parents.size());
    if (inserted)
      parents.push_back(it->second);
    return it->second;
  }
  void uniteShapes(Value a, Value b) {
    int64_t rank = cast<ShapedType>(a.getType()).getRank();
    for (int64_t i = 0; i < rank; ++i)
      unite(node(a, i), node(b, i));
  }
  void uniteSizes(Value value, ArrayRef<OpFoldResult> shape) {
    for (auto [i, size] : llvm::enumerate(shape))
      if (auto dynamic = dyn_cast<Value>(size))
        unite(node(value, i), indexNode(dynamic));
  }

  void visit(Operation *op) {
    if (auto structured = dyn_cast<IndexingMapOpInterface>(op))
      visitMaps(structured);
    if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
      for (OpOperand &init : destination.getDpsInitsMutable())
        if (isa<RankedTensorType>(init.get().getType()))
          uniteShapes(init.get(), destination.getTiedOpResult(&init));
    if (OpTrait::hasElementwiseMappableTraits(op))
      visitElementwise(op);
    llvm::TypeSwitch<Operation *>(op)
        .Case<bufferization::ToTensorOp>(
            [&](auto op) { uniteShapes(op.getBuffer(), op.getResult()); })
        .Case<bufferization::MaterializeInDestinationOp>(
            [&](auto op) { uniteShapes(op.getSource(), op.getDest()); })
        .Case<tensor::CastOp>([&](auto op) {
          if (isa<RankedTensorType>(op.getSource().getType()) &&
              isa<RankedTensorType>(op.getType()))
            uniteShapes(op.getSource(), op.getResult());
        })
        .Case<tensor::EmptyOp>(
            [&](auto op) { uniteSizes(op.getResult(), op.getMixedSizes()); })
        .Case<tensor::ExpandShapeOp>([&](tensor::ExpandShapeOp op) {
          uniteSizes(op.getResult(), op.getMixedOutputShape());
          uniteSingleGroups(op.getReassociationIndices(), op.getSrc(),
                            op.getResult());
        })
        .Case<memref::ExpandShapeOp>([&](memref::ExpandShapeOp op) {
          uniteSingleGroups(op.getReassociationIndices(), op.getSrc(),
                            op.getResult());
        })
        .Case<tensor::CollapseShapeOp>([&](tensor::CollapseShapeOp op) {
          uniteSingleGroups(op.getReassociationIndices(), op.getResult(),
                            op.getSrc());
        })
        .Case<func::CallOp>([&](func::CallOp call) { visitCall(call); })
        .Default([&](Operation *op) { visitReified(op); });
  }

  /// arith and math ops on whole tensors.
  void visitElementwise(Operation *op) {
    if (op->getNumResults() != 1 ||
        !isa<RankedTensorType>(op->getResult(0).getType()))
      return;
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        uniteShapes(operand, op->getResult(0));
  }

  /// Dimensions that expansion leaves alone.
  void uniteSingleGroups(ArrayRef<ReassociationIndices> groups, Value collapsed,
                         Value expanded) {
    for (auto [i, group] : llvm::enumerate(groups))
      if (group.size() == 1)
        unite(node(collapsed, i), node(expanded, group[0]));
  }

  void visitMaps(IndexingMapOpInterface op) {
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    llvm::SmallDenseMap<unsigned, unsigned> loops;
    for (auto [operand, map] : llvm::zip(op->getOperands(), maps)) {
      if (!isa<ShapedType>(operand.getType()))
        continue;
      for (auto [i, expr] : llvm::enumerate(map.getResults())) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (!dim)
          continue;
        auto [it, inserted] =
            loops.try_emplace(dim.getPosition(), node(operand, i));
        if (!inserted)
          unite(it->second, node(operand, i));
      }
    }
  }

  /// Results whose shapes an op can express by those of its operands.
  void visitReified(Operation *op) {
    if (isa<DestinationStyleOpInterface>(op) ||
        llvm::none_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>))
      return;
    auto reifiable = dyn_cast<ReifyRankedShapedTypeOpInterface>(op);
    if (!reifiable)
      return;
    OpBuilder builder(op);
    Operation *before = op->getPrevNode();
    ReifiedRankedShapedTypeDims shapes;
    // There is one shape for each tensor among the results.
    if (succeeded(reifiable.reifyResultShapes(builder, shapes)))
      for (auto [result, shape] :
           llvm::zip(llvm::make_filter_range(op->getResults(),
                                             [](Value result) {
                                               return isa<RankedTensorType>(
                                                   result.getType());
                                             }),
                     shapes))
        uniteSizes(result, shape);
    // The ops that reification created go again; the nodes are of their
    // operands.
    for (Operation *created = op->getPrevNode(); created != before;) {
      Operation *previous = created->getPrevNode();
      if (created->use_empty())
        created->erase();
      created = previous;
    }
  }

  void visitCall(func::CallOp call) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        call, call.getCalleeAttr());
    if (!callee || callee.isExternal())
      return;
    auto uniteAll = [&](ValueRange a, ValueRange b) {
      for (auto [x, y] : llvm::zip_equal(a, b))
        if (isa<RankedTensorType>(x.getType()))
          uniteShapes(x, y);
    };
    uniteAll(call.getOperands(), callee.getArguments());
    uniteAll(call.getResults(),
             callee.getBody().front().getTerminator()->getOperands());
    run(callee);
  }

  DenseMap<std::pair<Value, int64_t>, unsigned> ids;
  SmallVector<unsigned> parents;
  DenseMap<unsigned, int64_t> sizes;
  llvm::SmallPtrSet<Operation *, 4> visited;
};
} // namespace

StringRef mlir::repo::stringifyRole(EntryArgument::Role role) {
  switch (role) {
  case EntryArgument::Role::input:
    return "input";
  case EntryArgument::Role::constant:
    return "constant";
  case EntryArgument::Role::inout:
    return "inout";
  case EntryArgument::Role::output:
    return "output";
  }
  llvm_unreachable("role");
}

std::string mlir::repo::stringifyElementType(Type type) {
  if (type.isInteger(1))
    return "bool";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

llvm::json::Value EntrySignature::toJSON() const {
  llvm::json::Array list;
  for (const EntryArgument &argument : arguments) {
    llvm::json::Array shape;
    for (int64_t size : argument.shape) {
      if (size >= 0)
        shape.push_back(size);
      else
        shape.push_back(symbols[-1 - size]);
    }
    llvm::json::Object object{
        {"name", argument.name},
        {"dtype", stringifyElementType(argument.elementType)},
        {"shape", std::move(shape)},
        {"role", stringifyRole(argument.role)}};
    if (argument.alignment)
      object["alignment"] = argument.alignment;
    list.push_back(std::move(object));
  }
  llvm::json::Object result{{"name", name}, {"args", std::move(list)}};
  if (!packedBytes)
    return result;
  llvm::json::Array partList;
  for (const PackedPart &part : parts)
    partList.push_back(
        llvm::json::Object{{"entry", part.entry},
                           {"sources", llvm::json::Array(part.sources)},
                           {"offset", part.offset},
                           {"bytes", part.bytes}});
  result["packed_layout"] = llvm::utohexstr(packedLayout, /*LowerCase=*/true);
  result["parts"] = std::move(partList);
  return result;
}

/// The buffer that a view is of.
static Value getViewed(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  return buffer;
}

/// The public function that does nothing but call `kernel`, if there is one. A
/// function that packs a single constant looks the same, but comes before.
static func::FuncOp findEntryOf(func::FuncOp kernel) {
  func::FuncOp entry;
  auto module = kernel->getParentOfType<ModuleOp>();
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function.isPublic() || function.isExternal())
      continue;
    auto calls = llvm::to_vector(function.getOps<func::CallOp>());
    if (calls.size() == 1 && calls[0].getCallee() == kernel.getName() &&
        function.getNumArguments() == kernel.getNumArguments())
      entry = function;
  }
  return entry;
}

/// The parts that `function` writes to packed weights: results of calls, in
/// views of the argument.
static void describeParts(func::FuncOp function, EntrySignature &signature) {
  auto module = function->getParentOfType<ModuleOp>();
  std::string text;
  llvm::raw_string_ostream layout(text);
  function.walk([&](bufferization::MaterializeInDestinationOp op) {
    auto view = op.getDest().getDefiningOp<memref::ViewOp>();
    auto call = op.getSource().getDefiningOp<func::CallOp>();
    if (!view || !call)
      return;
    auto kernel = module.lookupSymbol<func::FuncOp>(call.getCallee());
    func::FuncOp entry = kernel ? findEntryOf(kernel) : func::FuncOp();
    std::optional<int64_t> offset = getConstantIntValue(view.getByteShift());
    if (!entry || entry == function || !offset)
      return;
    PackedPart part;
    part.entry = entry.getName().str();
    part.offset = *offset;
    MemRefType type = view.getType();
    // With the zeros behind it, which the entry of the part writes too.
    part.bytes =
        llvm::alignTo(type.getNumElements() *
                          llvm::divideCeil(type.getElementTypeBitWidth(), 8),
                      packedAlignment);
    for (Value operand : call.getOperands())
      if (auto source = operand.getDefiningOp<bufferization::ToTensorOp>())
        if (auto argument = dyn_cast<BlockArgument>(source.getBuffer()))
          part.sources.push_back(
              signature.arguments[argument.getArgNumber() - 1].name);
    layout << *offset << " " << llvm::join(part.sources, " ") << " ";
    // By itself: numbering the whole module for every part takes seconds.
    AsmState numbers(kernel, OpPrintingFlags().useLocalScope());
    kernel.getBody().front().print(layout, numbers);
    signature.parts.push_back(std::move(part));
  });
  signature.packedLayout = llvm::xxh3_64bits(layout.str());
}

FailureOr<EntrySignature> mlir::repo::analyzeSignature(func::FuncOp function) {
  SizeAnalysis analysis;
  analysis.run(function);

  llvm::SmallPtrSet<Value, 4> outputs;
  DenseMap<Value, Type> logicalElement;
  function.walk([&](bufferization::MaterializeInDestinationOp op) {
    outputs.insert(getViewed(op.getDest()));
  });

  EntrySignature signature;
  signature.name = function.getName().str();
  llvm::StringSet<> names;
  llvm::SmallDenseMap<unsigned, int64_t> symbolOfClass;
  // Argument 0 is the context.
  for (unsigned i = 1, e = function.getNumArguments(); i != e; ++i) {
    BlockArgument value = function.getArgument(i);
    EntryArgument &argument = signature.arguments.emplace_back();
    auto name =
        function.getArgAttrOfType<StringAttr>(i, RepoDialect::kNameAttrName);
    argument.name = name ? name.str() : "arg" + std::to_string(i - 1);
    if (!names.insert(argument.name).second)
      return function.emitError("two tensors of `")
             << function.getName() << "` are named `" << argument.name << "`";
    if (function.getArgAttr(i, RepoDialect::kInoutAttrName))
      argument.role = EntryArgument::Role::inout;
    else if (outputs.contains(value))
      argument.role = EntryArgument::Role::output;
    else if (function.getArgAttr(i, RepoDialect::kConstantAttrName))
      argument.role = EntryArgument::Role::constant;

    auto type = dyn_cast<MemRefType>(value.getType());
    if (!type) {
      argument.isScalar = true;
      argument.elementType = value.getType().isIndex()
                                 ? IntegerType::get(function.getContext(), 64)
                                 : value.getType();
      continue;
    }
    argument.elementType = type.getElementType();
    if (function.getArgAttr(i, RepoDialect::kPackedAttrName)) {
      argument.elementType =
          IntegerType::get(function.getContext(), 8, IntegerType::Unsigned);
      argument.alignment = packedAlignment;
      if (argument.role == EntryArgument::Role::output)
        signature.packedBytes = type.getNumElements();
    }
    if (function.getArgAttr(i, RepoDialect::kBooleanAttrName))
      argument.elementType = IntegerType::get(function.getContext(), 1);
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      unsigned id = analysis.find(value, dim);
      if (std::optional<int64_t> size = analysis.getStaticSize(id)) {
        argument.shape.push_back(*size);
        continue;
      }
      auto [it, inserted] =
          symbolOfClass.try_emplace(id, -1 - int64_t(signature.symbols.size()));
      if (inserted)
        signature.symbols.push_back("s" +
                                    std::to_string(signature.symbols.size()));
      argument.shape.push_back(it->second);
    }
  }
  if (signature.packedBytes)
    describeParts(function, signature);
  return signature;
}
