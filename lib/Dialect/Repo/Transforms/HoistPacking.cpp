//===- HoistPacking.cpp - Constants are packed once -----------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Functions are visited callees first. What a private function computes of its
// packed arguments alone becomes new arguments, computed by its callers; what
// an entry computes becomes parts of its packed weights. A part is the slice of
// the program that computes it: two parts are the same if the text of their
// slices and the constants they read are.
//
//===----------------------------------------------------------------------===//

#include "PackedConstants.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "repo/Dialect/Repo/IR/Repo.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"

namespace mlir {
namespace repo {
#define GEN_PASS_DEF_HOISTPACKING
#include "repo/Dialect/Repo/Transforms/Passes.h.inc"
} // namespace repo
} // namespace mlir

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// Roots and their slices
//===----------------------------------------------------------------------===//

/// The packed constants that something else than a packed constant needs, in
/// the order of their uses.
static SetVector<Value> findRoots(func::FuncOp function) {
  SetVector<Value> roots;
  function.walk([&](Operation *op) {
    if (op->getNumResults() == 1 && isPackedConstant(op->getResult(0)))
      return;
    for (Value operand : op->getOperands())
      if (isPackedConstant(operand))
        roots.insert(operand);
  });
  return roots;
}

/// The ops that compute `root` of arguments, in order.
static SetVector<Operation *> getSlice(Value root) {
  SetVector<Operation *> slice;
  BackwardSliceOptions options;
  options.inclusive = true;
  options.omitBlockArguments = true;
  if (root.getDefiningOp()) {
    (void)getBackwardSlice(root.getDefiningOp(), &slice, options);
    slice = topologicalSort(slice);
  }
  return slice;
}

/// The arguments that the slice reads, in the order of their uses.
static SetVector<Value> getSources(Value root,
                                   const SetVector<Operation *> &slice) {
  SetVector<Value> sources;
  if (slice.empty())
    sources.insert(root);
  for (Operation *op : slice)
    for (Value operand : op->getOperands())
      if (isa<BlockArgument>(operand))
        sources.insert(operand);
  return sources;
}

//===----------------------------------------------------------------------===//
// Private functions
//===----------------------------------------------------------------------===//

/// Replaces the packed arguments of `function` by its roots, which go first.
/// Returns the old arguments, as numbers, that are gone.
static BitVector replaceArguments(func::FuncOp function,
                                  const SetVector<Value> &roots) {
  MLIRContext *context = function.getContext();
  DictionaryAttr packed = DictionaryAttr::get(
      context,
      NamedAttribute(StringAttr::get(context, RepoDialect::kPackedAttrName),
                     UnitAttr::get(context)));
  unsigned count = roots.size();
  SmallVector<unsigned> positions(count, 0);
  SmallVector<Type> types;
  for (Value root : roots)
    types.push_back(root.getType());
  SmallVector<DictionaryAttr> attributes(count, packed);
  SmallVector<Location> locations(count, function.getLoc());
  (void)function.insertArguments(positions, types, attributes, locations);
  for (unsigned i = 0; i < count; ++i) {
    Value root = roots[i], argument = function.getArgument(i);
    // Uses by other packed constants go away with them.
    root.replaceUsesWithIf(argument, [](OpOperand &use) {
      Operation *op = use.getOwner();
      return op->getNumResults() != 1 || !isPackedConstant(op->getResult(0));
    });
  }
  // Ops that nobody needs any more, users first.
  SmallVector<Operation *> dead;
  function.walk([&](Operation *op) {
    if (op->getNumResults() == 1 && isPackedConstant(op->getResult(0)))
      dead.push_back(op);
  });
  for (Operation *op : llvm::reverse(dead)) {
    if (!op->use_empty())
      continue;
    // Its literals and destinations; other operands are in the list.
    SetVector<Operation *> literals;
    for (Value operand : op->getOperands())
      if (Operation *literal = operand.getDefiningOp();
          literal && literal->getNumOperands() == 0)
        literals.insert(literal);
    op->erase();
    for (Operation *literal : literals)
      if (isOpTriviallyDead(literal))
        literal->erase();
  }
  BitVector gone(function.getNumArguments());
  for (unsigned i = count; i < gone.size(); ++i)
    if (function.getArgAttr(i, RepoDialect::kPackedAttrName) &&
        function.getArgument(i).use_empty())
      gone.set(i);
  (void)function.eraseArguments(gone);
  BitVector old(gone.size() - count);
  for (unsigned i : gone.set_bits())
    old.set(i - count);
  return old;
}

/// Moves the roots of a private function to its callers.
static void hoistToCallers(ModuleOp module, func::FuncOp function) {
  SetVector<Value> roots = findRoots(function);
  SmallVector<func::CallOp> calls;
  module.walk([&](func::CallOp call) {
    if (getCallee(call) == function)
      calls.push_back(call);
  });
  SmallVector<SmallVector<Value>> hoisted;
  for (func::CallOp call : calls) {
    OpBuilder builder(call);
    IRMapping mapping;
    for (auto [argument, operand] :
         llvm::zip(function.getArguments(), call.getOperands()))
      mapping.map(argument, operand);
    SmallVector<Value> &values = hoisted.emplace_back();
    for (Value root : roots) {
      for (Operation *op : getSlice(root))
        if (!mapping.contains(op->getResult(0)))
          builder.clone(*op, mapping);
      values.push_back(mapping.lookup(root));
    }
  }
  BitVector gone = replaceArguments(function, roots);
  for (auto [call, values] : llvm::zip(calls, hoisted)) {
    for (auto [i, operand] : llvm::enumerate(call.getOperands()))
      if (!gone.test(i))
        values.push_back(operand);
    call->setOperands(values);
  }
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

namespace {
/// A part of packed weights: a kernel applied to constants.
struct Part {
  /// The function `(sources, destination) -> destination`.
  func::FuncOp kernel;
  /// The numbers of the constants it reads.
  SmallVector<unsigned> sources;
  bool operator==(const Part &other) const {
    return kernel == other.kernel && sources == other.sources;
  }
};

/// The parts that entries with the same constants share.
class Group {
public:
  Group(func::FuncOp source, SymbolTable &symbols)
      : source(source), symbols(symbols), builder(source.getContext()) {
    for (unsigned i = 0, e = source.getNumArguments(); i != e; ++i)
      if (source.getArgAttr(i, RepoDialect::kConstantAttrName))
        constants.push_back(i);
  }

  /// Whether `other` has the same constants.
  bool accepts(func::FuncOp other) const {
    size_t at = 0;
    for (unsigned i = 0, e = other.getNumArguments(); i != e; ++i) {
      if (!other.getArgAttr(i, RepoDialect::kConstantAttrName))
        continue;
      if (at == constants.size())
        return false;
      func::FuncOp first = source;
      unsigned mine = constants[at++];
      if (other.getArgumentTypes()[i] != first.getArgumentTypes()[mine] ||
          other.getArgAttr(i, RepoDialect::kNameAttrName) !=
              first.getArgAttr(mine, RepoDialect::kNameAttrName))
        return false;
    }
    return at == constants.size();
  }

  /// Adds the roots of an entry with packed constants.
  void add(func::FuncOp source, func::FuncOp packed) {
    DenseMap<Value, unsigned> numbers;
    for (BlockArgument argument : packed.getArguments())
      if (packed.getArgAttr(argument.getArgNumber(),
                            RepoDialect::kPackedAttrName))
        numbers.try_emplace(argument, numbers.size());
    SetVector<Value> roots = findRoots(packed);
    SmallVector<unsigned> &order =
        members.emplace_back(Member{source, packed, {}}).roots;
    for (Value root : roots) {
      Part part = makePart(root, numbers);
      auto it = llvm::find(parts, part);
      order.push_back(it - parts.begin());
      if (it == parts.end())
        parts.push_back(part);
    }
  }

  /// Rewrites the entries and makes those that pack.
  void finish() {
    makeKernelEntries();
    for (Member &member : members) {
      rewriteEntry(member);
      makePackEntry(member);
    }
  }

  unsigned getNumParts() const { return parts.size(); }

private:
  struct Member {
    func::FuncOp source, packed;
    SmallVector<unsigned> roots; // the part of every root
  };

  Part makePart(Value root, const DenseMap<Value, unsigned> &numbers) {
    SetVector<Operation *> slice = getSlice(root);
    SetVector<Value> sources = getSources(root, slice);
    SmallVector<Type> types;
    Part part;
    for (Value value : sources) {
      types.push_back(value.getType());
      part.sources.push_back(numbers.lookup(value));
    }
    types.push_back(root.getType());
    auto kernel =
        func::FuncOp::create(root.getLoc(), "kernel",
                             builder.getFunctionType(types, root.getType()));
    kernel.setPrivate();
    Block *body = kernel.addEntryBlock();
    builder.setInsertionPointToStart(body);
    IRMapping mapping;
    for (auto [value, argument] : llvm::zip(sources, body->getArguments()))
      mapping.map(value, argument);
    for (Operation *op : slice)
      builder.clone(*op, mapping);
    Value result = writeTo(mapping.lookup(root), body->getArguments().back());
    func::ReturnOp::create(builder, root.getLoc(), result);

    std::string text;
    llvm::raw_string_ostream(text) << kernel;
    auto [it, inserted] = kernelOfText.try_emplace(text, kernel);
    if (inserted) {
      kernel.setName(
          (source.getName() + "_pack.kernel" + Twine(kernels.size())).str());
      symbols.insert(kernel);
      kernels.push_back(kernel);
    } else {
      kernel.erase();
    }
    part.kernel = it->second;
    return part;
  }

  /// Makes the ops that compute `value` write to `destination`.
  Value writeTo(Value value, Value destination) {
    Location loc = value.getLoc();
    Operation *op = value.getDefiningOp();
    if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(op)) {
      // Every operand is written to its place.
      Value whole = destination;
      SmallVector<OpFoldResult> zeros(concat.getRank(),
                                      builder.getIndexAttr(0)),
          ones(concat.getRank(), builder.getIndexAttr(1));
      int64_t at = 0;
      for (Value input : llvm::to_vector(concat.getInputs())) {
        SmallVector<OpFoldResult> offsets = zeros,
                                  sizes = tensor::getMixedSizes(builder, loc,
                                                                input);
        offsets[concat.getDim()] = builder.getIndexAttr(at);
        at +=
            cast<RankedTensorType>(input.getType()).getDimSize(concat.getDim());
        Value place = tensor::ExtractSliceOp::create(builder, loc, whole,
                                                     offsets, sizes, ones);
        Value written = writeTo(input, place);
        whole = tensor::InsertSliceOp::create(builder, loc, written, whole,
                                              offsets, sizes, ones);
      }
      concat.erase();
      return whole;
    }
    auto destinationStyle = dyn_cast_or_null<DestinationStyleOpInterface>(op);
    if (destinationStyle && destinationStyle.getNumDpsInits() == 1) {
      Value init = destinationStyle.getDpsInits()[0];
      if (auto empty = init.getDefiningOp<tensor::EmptyOp>()) {
        // The destination may be a slice made after the op.
        op->moveBefore(builder.getInsertionBlock(),
                       builder.getInsertionPoint());
        destinationStyle.getDpsInitsMutable()[0].set(destination);
        if (empty->use_empty())
          empty.erase();
        return value;
      }
    }
    return linalg::CopyOp::create(builder, loc, value, destination)
        ->getResult(0);
  }

  /// Every kernel is an entry of its own.
  void makeKernelEntries() {
    for (auto [number, kernel] : llvm::enumerate(kernels)) {
      Type result = kernel.getResultTypes()[0];
      ArrayRef<Type> types = kernel.getArgumentTypes().drop_back();
      auto entry = func::FuncOp::create(
          kernel.getLoc(),
          (source.getName() + "_pack_part" + Twine(number)).str(),
          builder.getFunctionType(types, result));
      for (unsigned i = 0; i < types.size(); ++i)
        entry.setArgAttr(i, RepoDialect::kConstantAttrName,
                         builder.getUnitAttr());
      entry.setResultAttr(0, RepoDialect::kPackedAttrName,
                          builder.getUnitAttr());
      builder.setInsertionPointToStart(entry.addEntryBlock());
      Value value = callKernel(kernel, entry.getArguments());
      func::ReturnOp::create(builder, kernel.getLoc(), value);
      symbols.insert(entry);
    }
  }

  Value callKernel(func::FuncOp kernel, ValueRange sources) {
    auto type = cast<RankedTensorType>(kernel.getResultTypes()[0]);
    SmallVector<Value> operands(sources);
    operands.push_back(tensor::EmptyOp::create(
        builder, kernel.getLoc(), type.getShape(), type.getElementType()));
    return func::CallOp::create(builder, kernel.getLoc(), kernel, operands)
        .getResult(0);
  }

  /// Its packed arguments become the parts, all of them and first.
  void rewriteEntry(Member &member) {
    SetVector<Value> roots = findRoots(member.packed);
    (void)replaceArguments(member.packed, roots);
    // From the order of its roots to the order of the parts.
    func::FuncOp entry = member.packed;
    unsigned count = roots.size();
    SmallVector<Value> old;
    for (unsigned i = 0; i < count; ++i)
      old.push_back(entry.getArgument(i));
    SmallVector<unsigned> positions(parts.size(), 0);
    SmallVector<Type> types;
    for (Part &part : parts)
      types.push_back(part.kernel.getResultTypes()[0]);
    DictionaryAttr packed = DictionaryAttr::get(
        builder.getContext(), builder.getNamedAttr(RepoDialect::kPackedAttrName,
                                                   builder.getUnitAttr()));
    SmallVector<DictionaryAttr> attributes(parts.size(), packed);
    SmallVector<Location> locations(parts.size(), entry.getLoc());
    (void)entry.insertArguments(positions, types, attributes, locations);
    BitVector gone(entry.getNumArguments());
    for (unsigned i = 0; i < count; ++i) {
      old[i].replaceAllUsesWith(entry.getArgument(member.roots[i]));
      gone.set(parts.size() + i);
    }
    (void)entry.eraseArguments(gone);
  }

  /// NAME_pack: all constants to all parts.
  void makePackEntry(Member &member) {
    SmallVector<Type> types, results;
    SmallVector<unsigned> numbers;
    for (unsigned i = 0, e = member.source.getNumArguments(); i != e; ++i)
      if (member.source.getArgAttr(i, RepoDialect::kConstantAttrName)) {
        types.push_back(member.source.getArgumentTypes()[i]);
        numbers.push_back(i);
      }
    for (Part &part : parts)
      results.push_back(part.kernel.getResultTypes()[0]);
    auto entry = func::FuncOp::create(member.source.getLoc(),
                                      (member.source.getName() + "_pack").str(),
                                      builder.getFunctionType(types, results));
    for (auto [i, number] : llvm::enumerate(numbers)) {
      Attribute name =
          member.source.getArgAttr(number, RepoDialect::kNameAttrName);
      entry.setArgAttr(i, RepoDialect::kConstantAttrName,
                       builder.getUnitAttr());
      entry.setArgAttr(i, RepoDialect::kNameAttrName,
                       name ? name
                            : builder.getStringAttr("arg" + Twine(number)));
    }
    for (unsigned i = 0; i < results.size(); ++i)
      entry.setResultAttr(i, RepoDialect::kPackedAttrName,
                          builder.getUnitAttr());
    builder.setInsertionPointToStart(entry.addEntryBlock());
    SmallVector<Value> values;
    for (Part &part : parts) {
      SmallVector<Value> sources;
      for (unsigned number : part.sources)
        sources.push_back(entry.getArgument(number));
      values.push_back(callKernel(part.kernel, sources));
    }
    func::ReturnOp::create(builder, entry.getLoc(), values);
    symbols.insert(entry, std::next(Block::iterator(member.packed)));
  }

  func::FuncOp source;
  SymbolTable &symbols;
  OpBuilder builder;
  SmallVector<unsigned> constants;
  SmallVector<Member> members;
  SmallVector<Part> parts;
  SmallVector<func::FuncOp> kernels;
  llvm::StringMap<func::FuncOp> kernelOfText;
};
} // namespace

namespace {
struct HoistPacking : repo::impl::HoistPackingBase<HoistPacking> {
  using HoistPackingBase::HoistPackingBase;
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> entries;
    SetVector<func::FuncOp> callees;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function.isPublic() && !function.isExternal() &&
          llvm::any_of(function.getArguments(), [](Value argument) {
            return isArgumentWith(argument, RepoDialect::kPackedAttrName);
          })) {
        entries.push_back(function);
        for (func::FuncOp callee : getCallees(function))
          callees.insert(callee);
      }
    for (func::FuncOp callee : callees)
      if (callee.isPrivate())
        hoistToCallers(getOperation(), callee);

    SmallVector<func::FuncOp> sources;
    std::vector<std::unique_ptr<Group>> groups;
    for (func::FuncOp entry : entries) {
      StringRef name = entry.getName();
      name.consume_back("_packed");
      auto source = symbols.lookup<func::FuncOp>(name);
      if (!source || source == entry) {
        entry.emitError("expected the entry with constants that `")
            << entry.getName() << "` was made of, found none";
        return signalPassFailure();
      }
      sources.push_back(source);
      auto it = llvm::find_if(
          groups, [&](auto &group) { return group->accepts(source); });
      if (it == groups.end()) {
        groups.push_back(std::make_unique<Group>(source, symbols));
        it = std::prev(groups.end());
      }
      (*it)->add(source, entry);
    }
    for (auto &group : groups) {
      group->finish();
      numParts += group->getNumParts();
    }
    if (packedOnly)
      for (func::FuncOp source : sources)
        symbols.erase(source);
  }
};
} // namespace
