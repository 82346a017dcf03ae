//===- NamedDims.cpp - Structured ops over named dimensions --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NamedDims.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// ScalarBuilder
//===----------------------------------------------------------------------===//

Value ScalarBuilder::index(unsigned dim) {
  const auto *position = llvm::find(loops, dim);
  assert(position != loops.end() && "not a dimension of this op");
  return linalg::IndexOp::create(builder, loc, position - loops.begin());
}

Value ScalarBuilder::number(double value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getFloatAttr(type, value));
}

Value ScalarBuilder::integer(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value ScalarBuilder::cast(Value value, Type to) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  if (value.getType() == to)
    return value;
  if (from < to.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  if (from > to.getIntOrFloatBitWidth())
    return arith::TruncFOp::create(builder, loc, to, value);
  // f16 and bf16 have no direct conversion.
  return cast(cast(value, builder.getF32Type()), to);
}

Value ScalarBuilder::add(Value a, Value b) {
  return arith::AddFOp::create(builder, loc, a, b);
}
Value ScalarBuilder::sub(Value a, Value b) {
  return arith::SubFOp::create(builder, loc, a, b);
}
Value ScalarBuilder::mul(Value a, Value b) {
  return arith::MulFOp::create(builder, loc, a, b);
}
Value ScalarBuilder::div(Value a, Value b) {
  return arith::DivFOp::create(builder, loc, a, b);
}
Value ScalarBuilder::scale(Value a, double factor) {
  return factor == 1.0 ? a : mul(a, number(factor));
}
Value ScalarBuilder::max(Value a, Value b) {
  return arith::MaxNumFOp::create(builder, loc, a, b);
}
Value ScalarBuilder::isEqual(Value a, Value b) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, a, b);
}
Value ScalarBuilder::select(Value condition, Value ifTrue, Value ifFalse) {
  return arith::SelectOp::create(builder, loc, condition, ifTrue, ifFalse);
}
Value ScalarBuilder::both(Value a, Value b) {
  if (!a || !b)
    return a ? a : b;
  return arith::AndIOp::create(builder, loc, a, b);
}

//===----------------------------------------------------------------------===//
// NamedBuilder
//===----------------------------------------------------------------------===//

void NamedBuilder::setSize(unsigned dim, OpFoldResult size) {
  OpFoldResult &known = sizes[dim];
  if (!known || (!getConstantIntValue(known) && getConstantIntValue(size)))
    known = size;
}

OpFoldResult NamedBuilder::size(unsigned dim) {
  assert(sizes.contains(dim) && "no operand shows the size of this dimension");
  return sizes[dim];
}

Value NamedBuilder::sizeValue(unsigned dim) {
  return getValueOrCreateConstantIndexOp(builder, loc, size(dim));
}

bool NamedBuilder::isEmpty(ArrayRef<unsigned> dims) {
  return llvm::any_of(
      dims, [&](unsigned dim) { return getConstantIntValue(size(dim)) == 0; });
}

NamedTensor NamedBuilder::name(Value value, AffineMap map) {
  return name(value, llvm::map_to_vector(map.getResults(), [](AffineExpr e) {
                auto dim = dyn_cast<AffineDimExpr>(e);
                return dim ? dim.getPosition() : broadcast;
              }));
}

NamedTensor NamedBuilder::name(Value value, ArrayRef<unsigned> dims) {
  if (!value)
    return {};
  SmallVector<unsigned> kept;
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices group;
  for (auto [position, dim] : llvm::enumerate(dims)) {
    group.push_back(position);
    if (dim == broadcast)
      continue;
    setSize(dim, tensor::getMixedSize(builder, loc, value, position));
    kept.push_back(dim);
    groups.push_back(std::move(group));
    group.clear();
  }
  if (kept.size() == dims.size())
    return {value, kept};
  // Unit dimensions at the end join the last group.
  if (!groups.empty())
    llvm::append_range(groups.back(), group);
  value = tensor::CollapseShapeOp::create(builder, loc, value, groups);
  return {value, kept};
}

NamedTensor NamedBuilder::split(const NamedTensor &tensor, unsigned dim,
                                unsigned outer, unsigned inner,
                                int64_t innerSize) {
  auto type = cast<RankedTensorType>(tensor.value.getType());
  SmallVector<unsigned> dims;
  SmallVector<int64_t> shape;
  SmallVector<OpFoldResult> outputShape;
  SmallVector<ReassociationIndices> groups;
  for (auto [position, d] : llvm::enumerate(tensor.dims)) {
    ReassociationIndices &group = groups.emplace_back();
    auto append = [&](unsigned name, int64_t extent, OpFoldResult mixed) {
      group.push_back(dims.size());
      dims.push_back(name);
      shape.push_back(extent);
      outputShape.push_back(mixed);
      setSize(name, mixed);
    };
    int64_t extent = type.getDimSize(position);
    if (d != dim) {
      append(d, extent,
             tensor::getMixedSize(builder, loc, tensor.value, position));
      continue;
    }
    assert(!ShapedType::isDynamic(extent) && extent % innerSize == 0);
    append(outer, extent / innerSize, builder.getIndexAttr(extent / innerSize));
    append(inner, innerSize, builder.getIndexAttr(innerSize));
  }
  Value value = tensor::ExpandShapeOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()),
      tensor.value, groups, outputShape);
  return {value, dims};
}

NamedTensor NamedBuilder::merge(const NamedTensor &tensor, unsigned outer,
                                unsigned inner, unsigned dim) {
  SmallVector<unsigned> dims;
  SmallVector<ReassociationIndices> groups;
  for (auto [position, d] : llvm::enumerate(tensor.dims)) {
    if (d == inner) {
      assert(dims.back() == dim && "inner dimension does not follow the outer");
      groups.back().push_back(position);
      continue;
    }
    dims.push_back(d == outer ? dim : d);
    groups.push_back({int64_t(position)});
  }
  Value value =
      tensor::CollapseShapeOp::create(builder, loc, tensor.value, groups);
  return {value, dims};
}

NamedTensor NamedBuilder::empty(ArrayRef<unsigned> dims, Type elementType) {
  SmallVector<OpFoldResult> shape;
  for (unsigned dim : dims)
    shape.push_back(size(dim));
  Value value = tensor::EmptyOp::create(builder, loc, shape, elementType);
  return {value, llvm::to_vector(dims)};
}

NamedTensor NamedBuilder::fill(ArrayRef<unsigned> dims, double value) {
  NamedTensor tensor = empty(dims, compute);
  Value number = ScalarBuilder(builder, loc, compute).number(value);
  tensor.value =
      linalg::FillOp::create(builder, loc, number, tensor.value).getResult(0);
  return tensor;
}

SmallVector<NamedTensor> NamedBuilder::generic(ArrayRef<NamedTensor> ins,
                                               ArrayRef<NamedTensor> outs,
                                               Body body) {
  // Loops in the order of the first output, then the reduced ones.
  SmallVector<unsigned> loops = outs.front().dims;
  size_t numParallel = loops.size();
  SmallVector<NamedTensor> operands(ins);
  llvm::append_range(operands, outs);
  SmallVector<unsigned> reduced;
  for (const NamedTensor &operand : operands)
    for (unsigned dim : operand.dims)
      if (!llvm::is_contained(loops, dim) && !llvm::is_contained(reduced, dim))
        reduced.push_back(dim);
  llvm::sort(reduced);
  llvm::append_range(loops, reduced);

  MLIRContext *context = builder.getContext();
  SmallVector<AffineMap> maps;
  for (const NamedTensor &operand : operands) {
    SmallVector<AffineExpr> results;
    for (unsigned dim : operand.dims)
      results.push_back(
          getAffineDimExpr(llvm::find(loops, dim) - loops.begin(), context));
    maps.push_back(AffineMap::get(loops.size(), 0, results, context));
  }
  SmallVector<utils::IteratorType> iterators(loops.size(),
                                             utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), numParallel, utils::IteratorType::parallel);

  auto values = [](ArrayRef<NamedTensor> tensors) {
    return llvm::map_to_vector(tensors,
                               [](const NamedTensor &t) { return t.value; });
  };
  SmallVector<Value> outValues = values(outs);
  auto op = linalg::GenericOp::create(
      builder, loc, TypeRange(ValueRange(outValues)), values(ins), outValues,
      maps, iterators, [&](OpBuilder &b, Location loc, ValueRange args) {
        ScalarBuilder scalars(b, loc, compute, loops);
        SmallVector<Value> elements(args);
        // Outputs that are read have the compute type.
        for (Value &element : MutableArrayRef(elements).take_front(ins.size()))
          if (isa<FloatType>(element.getType()))
            element = scalars.cast(element, compute);
        ValueRange all(elements);
        SmallVector<Value> yields = body(scalars, all.take_front(ins.size()),
                                         all.drop_front(ins.size()));
        for (auto [yield, out] : llvm::zip_equal(yields, outs))
          if (isa<FloatType>(yield.getType()))
            yield = scalars.cast(yield, out.getElementType());
        linalg::YieldOp::create(b, loc, yields);
      });
  SmallVector<NamedTensor> results;
  for (auto [result, out] : llvm::zip_equal(op.getResults(), outs))
    results.push_back({result, out.dims});
  return results;
}

NamedTensor
NamedBuilder::map(ArrayRef<NamedTensor> ins, const NamedTensor &out,
                  function_ref<Value(ScalarBuilder &, ValueRange ins)> body) {
  return generic(ins, out,
                 [&](ScalarBuilder &s, ValueRange in, ValueRange) {
                   return SmallVector<Value>{body(s, in)};
                 })
      .front();
}

NamedTensor NamedBuilder::contract(const NamedTensor &a, const NamedTensor &b,
                                   const NamedTensor &out) {
  return generic({a, b}, out,
                 [](ScalarBuilder &s, ValueRange in, ValueRange out) {
                   return SmallVector<Value>{
                       s.add(out[0], s.mul(in[0], in[1]))};
                 })
      .front();
}
