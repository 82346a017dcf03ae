//===- DecomposeCache.cpp - The cache of rotated keys in terms of slices -===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows are written by tensor.insert_slice into the cache itself, so that the
// cache is updated in place after bufferization. What does not fit becomes an
// empty slice: no branch, no out-of-bounds access whatever the operands hold.
//
//===----------------------------------------------------------------------===//

#include "DecomposePattern.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "repo/Dialect/Repo/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::repo;

//===----------------------------------------------------------------------===//
// cache_append
//===----------------------------------------------------------------------===//

namespace {
class CacheAppendDecomposer {
public:
  CacheAppendDecomposer(OpBuilder &builder, CacheAppendOp op)
      : op(op), b(builder, op.getLoc(),
                  getElementTypeOrSelf(op.getKey()).isF64() ||
                          getElementTypeOrSelf(op.getValue()).isF64()
                      ? FloatType(builder.getF64Type())
                      : FloatType(builder.getF32Type())),
        loc(op.getLoc()) {}

  SmallVector<Value> run();
  /// The same with a parallel loop over batches and rows.
  SmallVector<Value> runByRows();

private:
  enum Dim : unsigned { B, H, N, D, E, F };

  template <typename OpTy, typename... Args> Value make(Args &&...args) {
    return OpTy::create(b.builder, loc, std::forward<Args>(args)...);
  }
  Value constant(int64_t value) { return make<arith::ConstantIndexOp>(value); }
  Value clamp(Value value, Value low, Value high) {
    return make<arith::MinSIOp>(make<arith::MaxSIOp>(value, low), high);
  }
  Value dim(Value tensor, int64_t position) {
    return getValueOrCreateConstantIndexOp(
        b.builder, loc, tensor::getMixedSize(b.builder, loc, tensor, position));
  }
  /// Element of an i32 tensor, as an index.
  Value load(Value tensor, ValueRange indices) {
    return make<arith::IndexCastOp>(b.builder.getIndexType(),
                                    make<tensor::ExtractOp>(tensor, indices));
  }
  /// New rows `[B, H, N, .]` in the element type of the cache.
  NamedTensor newRows(Value rows, AffineMap map, bool rotates, Value cache);
  /// Copies `count` rows from `[batch, :, from, :]` of `rows` to
  /// `[place, :, to, :]` of `cache`, for `batches` batches.
  Value write(Value rows, Value cache, OpFoldResult batch, OpFoldResult place,
              OpFoldResult batches, Value from, Value to, Value count);
  /// Writes the rows of one batch (or of all, where they share `at`).
  SmallVector<Value> writeRun(ValueRange caches, OpFoldResult batch,
                              OpFoldResult batches, Value at);
  SmallVector<Value> writePaged(ValueRange caches, Value batch, Value at);
  /// Where row `row` of `batch` goes: page or batch, row in it, and how many
  /// rows there is place for (0 or 1).
  std::tuple<Value, Value, Value> findPlace(ValueRange caches, Value batch,
                                            Value row);
  void makeNewRows();
  /// A loop over `0 .. end - 1` that carries the caches.
  SmallVector<Value>
  loop(Value end, ValueRange caches,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);

  CacheAppendOp op;
  NamedBuilder b;
  Location loc;
  SmallVector<Value, 2> rows;
};
} // namespace

NamedTensor CacheAppendDecomposer::newRows(Value value, AffineMap map,
                                           bool rotates, Value cache) {
  static const unsigned names[] = {B, H, N, D, E};
  NamedTensor tensor =
      b.name(value, llvm::map_to_vector(map.getResults(), [](AffineExpr e) {
               return names[cast<AffineDimExpr>(e).getPosition()];
             }));
  SmallVector<unsigned> dims = {B, H, N, tensor.has(D) ? D : E};
  Type elementType = getElementTypeOrSelf(cache);
  if (rotates) {
    Value positions = op.getPositions(), omega = op.getOmega();
    bool shared = cast<ShapedType>(positions.getType()).getDimSize(1) == 1;
    NamedTensor z =
        b.name(positions, {B, shared ? NamedBuilder::broadcast : H, N});
    NamedTensor w;
    if (omega)
      w = b.name(omega, cast<ShapedType>(omega.getType()).getRank() == 2
                            ? ArrayRef<unsigned>({H, F})
                            : ArrayRef<unsigned>({F}));
    return rotateChannels(b, tensor, z, w, *op.getRope(), D, F, dims,
                          elementType);
  }
  if (tensor.dims == dims && tensor.getElementType() == elementType)
    return tensor;
  return b.map(tensor, b.empty(dims, elementType),
               [](ScalarBuilder &, ValueRange in) { return in[0]; });
}

Value CacheAppendDecomposer::write(Value source, Value cache,
                                   OpFoldResult batch, OpFoldResult place,
                                   OpFoldResult batches, Value from, Value to,
                                   Value count) {
  // Slices of tensors that are statically empty do not verify, and there is
  // nothing to write.
  for (Value value : {source, cache})
    if (llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0))
      return cache;
  OpFoldResult zero = b.builder.getIndexAttr(0),
               one = b.builder.getIndexAttr(1);
  SmallVector<OpFoldResult> sizes = {
      batches, tensor::getMixedSize(b.builder, loc, cache, 1), count,
      tensor::getMixedSize(b.builder, loc, cache, 3)};
  SmallVector<OpFoldResult> ones(4, one);
  Value slice = make<tensor::ExtractSliceOp>(
      source, SmallVector<OpFoldResult>{batch, zero, from, zero}, sizes, ones);
  return make<tensor::InsertSliceOp>(
      slice, cache, SmallVector<OpFoldResult>{place, zero, to, zero}, sizes,
      ones);
}

SmallVector<Value> CacheAppendDecomposer::writeRun(ValueRange caches,
                                                   OpFoldResult batch,
                                                   OpFoldResult batches,
                                                   Value at) {
  Value zero = constant(0);
  Value capacity = dim(caches[0], 2), count = b.sizeValue(N);
  // Rows first .. last - 1 have a place in the cache.
  Value first = clamp(make<arith::SubIOp>(zero, at), zero, count);
  Value last = clamp(make<arith::SubIOp>(capacity, at), first, count);
  Value fitting = make<arith::SubIOp>(last, first);
  Value to = clamp(at, zero, capacity);
  SmallVector<Value> results;
  for (auto [source, cache] : llvm::zip_equal(rows, caches))
    results.push_back(
        write(source, cache, batch, batch, batches, first, to, fitting));
  return results;
}

SmallVector<Value> CacheAppendDecomposer::writePaged(ValueRange caches,
                                                     Value batch, Value at) {
  return loop(b.sizeValue(N), caches, [&](Value n, ValueRange caches) {
    auto [page, to, count] =
        findPlace(caches, batch, make<arith::AddIOp>(at, n));
    SmallVector<Value> results;
    for (auto [source, cache] : llvm::zip_equal(rows, caches))
      results.push_back(write(source, cache, batch, page,
                              b.builder.getIndexAttr(1), n, to, count));
    return results;
  });
}

std::tuple<Value, Value, Value>
CacheAppendDecomposer::findPlace(ValueRange caches, Value batch, Value row) {
  Value zero = constant(0), one = constant(1);
  auto inside = [&](Value value, Value end) {
    return make<arith::AndIOp>(
        make<arith::CmpIOp>(arith::CmpIPredicate::sge, value, zero),
        make<arith::CmpIOp>(arith::CmpIPredicate::slt, value, end));
  };
  Value table = op.getTable(), pageSize = dim(caches[0], 2);
  if (!table) {
    Value fits = inside(row, pageSize);
    return {batch, make<arith::SelectOp>(fits, row, zero),
            make<arith::SelectOp>(fits, one, zero)};
  }
  // A row has a place if its table entry exists and names a page.
  Value numPages = dim(caches[0], 0), entries = dim(table, 1);
  Value entry = make<arith::FloorDivSIOp>(row, pageSize);
  Value exists = inside(entry, entries);
  auto read = scf::IfOp::create(
      b.builder, loc, exists,
      [&](OpBuilder &builder, Location loc) {
        scf::YieldOp::create(builder, loc, load(table, {batch, entry}));
      },
      [&](OpBuilder &builder, Location loc) {
        scf::YieldOp::create(builder, loc, constant(-1));
      });
  Value page = read.getResult(0);
  Value fits = inside(page, numPages);
  Value count = make<arith::SelectOp>(fits, one, zero);
  page = make<arith::SelectOp>(fits, page, zero);
  Value to = make<arith::SelectOp>(
      fits, make<arith::SubIOp>(row, make<arith::MulIOp>(entry, pageSize)),
      zero);
  return {page, to, count};
}

SmallVector<Value> CacheAppendDecomposer::loop(
    Value end, ValueRange caches,
    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      b.builder, loc, constant(0), end, constant(1), caches,
      [&](OpBuilder &builder, Location loc, Value index, ValueRange carried) {
        scf::YieldOp::create(builder, loc, body(index, carried));
      });
  return llvm::to_vector_of<Value>(loop.getResults());
}

void CacheAppendDecomposer::makeNewRows() {
  rows = {newRows(op.getKey(), op.getKeyMap(), bool(op.getPositions()),
                  op.getKeyCache())
              .value,
          newRows(op.getValue(), op.getValueMap(), false, op.getValueCache())
              .value};
}

SmallVector<Value> CacheAppendDecomposer::runByRows() {
  makeNewRows();
  SmallVector<Value> caches = {op.getKeyCache(), op.getValueCache()};
  // There is nothing to write, and slices of nothing do not verify.
  for (Value value : {rows[0], rows[1], caches[0], caches[1]})
    if (llvm::is_contained(cast<ShapedType>(value.getType()).getShape(), 0))
      return caches;
  Value at = op.getAt();
  auto rowLoop = scf::ForallOp::create(
      b.builder, loc, {b.size(B), b.size(N)}, caches, std::nullopt,
      [&](OpBuilder &builder, Location loc, ValueRange arguments) {
        Value batch = arguments[0], n = arguments[1];
        ValueRange shared = arguments.drop_front(2);
        Value start = at.getType().isIndex() ? at : load(at, batch);
        auto [page, to, count] =
            findPlace(shared, batch, make<arith::AddIOp>(start, n));
        OpFoldResult zero = builder.getIndexAttr(0),
                     one = builder.getIndexAttr(1);
        SmallVector<OpFoldResult> ones(4, one), place = {page, zero, to, zero};
        SmallVector<std::tuple<Value, Value, SmallVector<OpFoldResult>>> slices;
        for (auto [source, cache] : llvm::zip_equal(rows, shared)) {
          SmallVector<OpFoldResult> sizes = {
              one, tensor::getMixedSize(builder, loc, cache, 1), count,
              tensor::getMixedSize(builder, loc, cache, 3)};
          Value slice = make<tensor::ExtractSliceOp>(
              source, SmallVector<OpFoldResult>{batch, zero, n, zero}, sizes,
              ones);
          slices.push_back({slice, cache, sizes});
        }
        auto parallel = scf::InParallelOp::create(builder, loc);
        builder.setInsertionPointToStart(parallel.getBody());
        for (auto &[slice, cache, sizes] : slices)
          tensor::ParallelInsertSliceOp::create(builder, loc, slice, cache,
                                                place, sizes, ones);
      });
  return llvm::to_vector_of<Value>(rowLoop.getResults());
}

SmallVector<Value> CacheAppendDecomposer::run() {
  makeNewRows();
  SmallVector<Value> caches = {op.getKeyCache(), op.getValueCache()};
  Value at = op.getAt();
  bool shared = at.getType().isIndex();
  if (shared && !op.getTable())
    return writeRun(caches, b.builder.getIndexAttr(0), b.size(B), at);
  return loop(b.sizeValue(B), caches, [&](Value batch, ValueRange caches) {
    Value start = shared ? at : load(at, batch);
    return op.getTable()
               ? writePaged(caches, batch, start)
               : writeRun(caches, batch, b.builder.getIndexAttr(1), start);
  });
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeCacheAppend(OpBuilder &builder, CacheAppendOp op) {
  if (op->getNumResults() == 0)
    return failure();
  return CacheAppendDecomposer(builder, op).run();
}

FailureOr<SmallVector<Value>>
mlir::repo::decomposeCacheAppendByRows(OpBuilder &builder, CacheAppendOp op) {
  if (op->getNumResults() == 0)
    return failure();
  return CacheAppendDecomposer(builder, op).runByRows();
}

//===----------------------------------------------------------------------===//
// cache_view
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>> mlir::repo::decomposeCacheView(OpBuilder &builder,
                                                             CacheViewOp op) {
  enum Dim : unsigned { B, H, R, D };
  auto type = cast<RankedTensorType>(op.getResult().getType());
  // Data moves unchanged, whatever its type.
  NamedBuilder b(builder, op.getLoc(), cast<FloatType>(type.getElementType()));
  ReifiedRankedShapedTypeDims shapes;
  if (failed(op.reifyResultShapes(builder, shapes)))
    return failure();
  for (auto [dim, size] : llvm::enumerate(shapes[0])) {
    b.setSize(dim, size);
    if (!type.isDynamicDim(dim))
      b.setSize(dim, builder.getIndexAttr(type.getDimSize(dim)));
  }
  int64_t pageSize = op.getPages().getType().getDimSize(2);
  Value numPages = getValueOrCreateConstantIndexOp(
      builder, op.getLoc(),
      tensor::getMixedSize(builder, op.getLoc(), op.getPages(), 0));
  NamedTensor lengths = b.name(op.getLengths(), {B});
  return SmallVector<Value>{
      b.map(lengths, b.empty({B, H, R, D}, type.getElementType()),
            [&](ScalarBuilder &s, ValueRange in) -> Value {
              auto toIndex = [&](Value value) -> Value {
                return arith::IndexCastOp::create(
                    s.builder, s.loc, s.builder.getIndexType(), value);
              };
              auto less = [&](Value a, Value c) -> Value {
                return arith::CmpIOp::create(s.builder, s.loc,
                                             arith::CmpIPredicate::slt, a, c);
              };
              auto otherwiseZero = [&](Value condition,
                                       function_ref<Value()> value) -> Value {
                return scf::IfOp::create(
                           s.builder, s.loc, condition,
                           [&](OpBuilder &b, Location loc) {
                             scf::YieldOp::create(b, loc, value());
                           },
                           [&](OpBuilder &b, Location loc) {
                             scf::YieldOp::create(b, loc, s.number(0));
                           })
                    .getResult(0);
              };
              // linalg.index stands directly in the body.
              Value batch = s.index(B), head = s.index(H), row = s.index(R),
                    channel = s.index(D), size = s.integer(pageSize);
              // Entries of the table past the length are not looked at.
              return otherwiseZero(less(row, toIndex(in[0])), [&] {
                Value entry =
                    arith::DivUIOp::create(s.builder, s.loc, row, size);
                Value inPage =
                    arith::RemUIOp::create(s.builder, s.loc, row, size);
                Value page = toIndex(tensor::ExtractOp::create(
                    s.builder, s.loc, op.getTable(), ValueRange{batch, entry}));
                // A negative page is a huge unsigned one.
                Value exists = arith::CmpIOp::create(s.builder, s.loc,
                                                     arith::CmpIPredicate::ult,
                                                     page, numPages);
                return otherwiseZero(exists, [&]() -> Value {
                  return tensor::ExtractOp::create(
                      s.builder, s.loc, op.getPages(),
                      ValueRange{page, head, inPage, channel});
                });
              });
            })
          .value};
}

void mlir::repo::populateDecomposeCacheAppendPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<CacheAppendOp, decomposeCacheAppend>>(
      patterns.getContext());
}

void mlir::repo::populateDecomposeCacheAppendByRowsPatterns(
    RewritePatternSet &patterns) {
  patterns.add<DecomposePattern<CacheAppendOp, decomposeCacheAppendByRows>>(
      patterns.getContext());
}

void mlir::repo::populateDecomposeCachePatterns(RewritePatternSet &patterns) {
  populateDecomposeCacheAppendPatterns(patterns);
  patterns.add<DecomposePattern<CacheViewOp, decomposeCacheView>>(
      patterns.getContext());
}
