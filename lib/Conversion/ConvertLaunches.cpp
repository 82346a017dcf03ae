//===- ConvertLaunches.cpp - Launches as calls of the runtime -------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuntimeTable.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "repo/Conversion/KernelSymbol.h"
#include "repo/Conversion/Passes.h"

namespace mlir::repo {
#define GEN_PASS_DEF_CONVERTLAUNCHES
#include "repo/Conversion/Passes.h.inc"
} // namespace mlir::repo

using namespace mlir;

/// The images of the kernels of a library: repo_rt_kernel_images.
static constexpr StringLiteral imagesName = "repo_kernel_images";

namespace {
class LaunchConverter {
public:
  explicit LaunchConverter(ModuleOp module)
      : module(module), symbols(module),
        pointer(LLVM::LLVMPointerType::get(module.getContext())) {}

  LogicalResult convert(gpu::LaunchFuncOp launch);

private:
  FailureOr<Value> encodeMap(gpu::LaunchFuncOp launch, Value map);
  LLVM::GlobalOp getImages();
  LLVM::GlobalOp getKernel(StringRef name);
  /// Memory of the function's frame.
  Value allocate(gpu::LaunchFuncOp launch, Type type, unsigned alignment = 0);

  ModuleOp module;
  SymbolTable symbols;
  Type pointer;
};
} // namespace

LLVM::GlobalOp LaunchConverter::getImages() {
  if (auto images = symbols.lookup<LLVM::GlobalOp>(imagesName))
    return images;
  OpBuilder builder(module.getBodyRegion());
  auto images = LLVM::GlobalOp::create(
      builder, module.getLoc(), builder.getI8Type(), /*isConstant=*/true,
      LLVM::Linkage::External, imagesName, Attribute());
  symbols.insert(images);
  return images;
}

/// The record of a kernel: repo_rt_kernel, its images and its name.
LLVM::GlobalOp LaunchConverter::getKernel(StringRef name) {
  std::string symbol = ("repo_kernel." + name).str();
  if (auto kernel = symbols.lookup<LLVM::GlobalOp>(symbol))
    return kernel;
  LLVM::GlobalOp images = getImages();
  Location loc = module.getLoc();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  std::string text = repo::getKernelSymbol(name) + '\0';
  auto string = LLVM::GlobalOp::create(
      builder, loc, LLVM::LLVMArrayType::get(builder.getI8Type(), text.size()),
      /*isConstant=*/true, LLVM::Linkage::Internal, symbol + ".name",
      builder.getStringAttr(text));
  symbols.insert(string);
  auto record =
      LLVM::LLVMStructType::getLiteral(module.getContext(), {pointer, pointer});
  auto kernel =
      LLVM::GlobalOp::create(builder, loc, record, /*isConstant=*/true,
                             LLVM::Linkage::Internal, symbol, Attribute());
  symbols.insert(kernel);
  builder.createBlock(&kernel.getInitializerRegion());
  Value value = LLVM::UndefOp::create(builder, loc, record);
  LLVM::GlobalOp fields[] = {images, string};
  for (auto [i, global] : llvm::enumerate(fields)) {
    Value address =
        LLVM::AddressOfOp::create(builder, loc, pointer, global.getSymName());
    value = LLVM::InsertValueOp::create(builder, loc, value, address, i);
  }
  LLVM::ReturnOp::create(builder, loc, value);
  return kernel;
}

Value LaunchConverter::allocate(gpu::LaunchFuncOp launch, Type type,
                                unsigned alignment) {
  auto function = launch->getParentOfType<FunctionOpInterface>();
  OpBuilder builder(&function.getFunctionBody().front().front());
  Location loc = launch.getLoc();
  Value one =
      LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(1));
  return LLVM::AllocaOp::create(builder, loc, pointer, type, one, alignment);
}

/// The number of an element type in cuTensorMapEncodeTiled, or -1.
static int64_t getMapType(Type type) {
  if (type.isBF16())
    return 9;
  if (type.isF16())
    return 6;
  if (type.isF32())
    return 7;
  return type.isInteger(8) ? 0 : type.isInteger(32) ? 3 : -1;
}

/// A parameter of 128 bytes that the runtime makes of a buffer: repo_rt_map has
/// the numbers that are stored here, innermost dimension first.
FailureOr<Value> LaunchConverter::encodeMap(gpu::LaunchFuncOp launch,
                                            Value map) {
  auto create = map.getDefiningOp<nvgpu::TmaCreateDescriptorOp>();
  auto cast = create ? create.getTensor().getDefiningOp<memref::CastOp>()
                     : memref::CastOp();
  auto type =
      cast ? dyn_cast<MemRefType>(cast.getSource().getType()) : MemRefType();
  if (!type || getMapType(type.getElementType()) < 0 || type.getRank() > 5)
    return launch.emitError(
        "expected a tensor map made by nvgpu.tma.create.descriptor of a cast "
        "buffer of at most 5 dimensions of bf16, f16, f32, i8 or i32");
  OpBuilder builder(launch);
  Location loc = launch.getLoc();
  Type i64 = builder.getI64Type();
  auto numbers = LLVM::LLVMArrayType::get(i64, 21);
  Value memory = allocate(launch, numbers);
  int32_t next = 0;
  auto store = [&](Value value) {
    if (value.getType().isIndex())
      value = arith::IndexCastOp::create(builder, loc, i64, value);
    Value address = LLVM::GEPOp::create(builder, loc, pointer, numbers, memory,
                                        ArrayRef<LLVM::GEPArg>{0, next++});
    LLVM::StoreOp::create(builder, loc, value, address);
  };
  auto storeNumber = [&](int64_t value) {
    store(LLVM::ConstantOp::create(builder, loc,
                                   builder.getI64IntegerAttr(value)));
  };
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto metadata =
      memref::ExtractStridedMetadataOp::create(builder, loc, cast.getSource());
  Value bytes = index(type.getElementTypeBitWidth() / 8);
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(
      builder, loc, cast.getSource());
  Value offset =
      arith::MulIOp::create(builder, loc, metadata.getOffset(), bytes);
  storeNumber(getMapType(type.getElementType()));
  storeNumber(type.getRank());
  store(arith::AddIOp::create(builder, loc, start, offset));
  auto storeDimensions = [&](function_ref<Value(int64_t)> get) {
    for (int64_t d = type.getRank() - 1; d >= 0; --d)
      store(get(d));
    for (int64_t d = type.getRank(); d < 5; ++d)
      storeNumber(1);
  };
  storeDimensions([&](int64_t d) { return metadata.getSizes()[d]; });
  storeDimensions([&](int64_t d) -> Value {
    return arith::MulIOp::create(builder, loc, metadata.getStrides()[d], bytes);
  });
  storeDimensions([&](int64_t d) { return create.getBoxDimensions()[d]; });
  auto descriptor = create.getTensorMap().getType();
  storeNumber(int64_t(descriptor.getSwizzle()));
  storeNumber(int64_t(descriptor.getL2promo()));
  storeNumber(int64_t(descriptor.getOob()));

  auto storage = LLVM::LLVMArrayType::get(builder.getI8Type(), 128);
  Value encoded = allocate(launch, storage, /*alignment=*/64);
  auto function = launch->getParentOfType<FunctionOpInterface>();
  repo::callRuntime(builder, loc, function.getArgument(0),
                    repo::RuntimeFunction::encode_map, Type(),
                    {memory, encoded});
  return encoded;
}

LogicalResult LaunchConverter::convert(gpu::LaunchFuncOp launch) {
  auto function = launch->getParentOfType<FunctionOpInterface>();
  if (function.getNumArguments() == 0 ||
      function.getArgument(0).getType() != pointer)
    return launch.emitError(
        "expected a launch in a function with the context as argument 0");
  OpBuilder builder(launch);
  Location loc = launch.getLoc();
  LLVMTypeConverter converter(module.getContext());
  auto convertTo = [&](Value value, Type type) -> Value {
    if (value.getType() == type)
      return value;
    return UnrealizedConversionCastOp::create(builder, loc, type, value)
        .getResult(0);
  };
  auto getField = [&](Type type, Value base, ArrayRef<LLVM::GEPArg> path) {
    return LLVM::GEPOp::create(builder, loc, pointer, type, base, path);
  };

  // A kernel's parameters: a buffer is pointers, offset, sizes and strides.
  SmallVector<Value> addresses;
  for (Value operand : launch.getKernelOperands()) {
    if (isa<nvgpu::TensorMapDescriptorType>(operand.getType())) {
      FailureOr<Value> map = encodeMap(launch, operand);
      if (failed(map))
        return failure();
      addresses.push_back(*map);
      continue;
    }
    Type type = converter.convertType(operand.getType());
    if (!type)
      return launch.emitError("expected a kernel operand with a type of the "
                              "LLVM dialect, got ")
             << operand.getType();
    Value memory = allocate(launch, type);
    LLVM::StoreOp::create(builder, loc, convertTo(operand, type), memory);
    std::function<void(Type, SmallVector<LLVM::GEPArg>)> flatten =
        [&](Type part, SmallVector<LLVM::GEPArg> path) {
          int64_t count = 0;
          if (auto record = dyn_cast<LLVM::LLVMStructType>(part))
            count = record.getBody().size();
          else if (auto array = dyn_cast<LLVM::LLVMArrayType>(part))
            count = array.getNumElements();
          else
            return addresses.push_back(getField(type, memory, path));
          for (int64_t i = 0; i != count; ++i) {
            auto record = dyn_cast<LLVM::LLVMStructType>(part);
            Type element =
                record ? record.getBody()[i]
                       : cast<LLVM::LLVMArrayType>(part).getElementType();
            SmallVector<LLVM::GEPArg> inner = path;
            inner.push_back(int32_t(i));
            flatten(element, inner);
          }
        };
    flatten(type, {0});
  }
  auto table = LLVM::LLVMArrayType::get(pointer, addresses.size());
  Value parameters = allocate(launch, table);
  for (auto [i, address] : llvm::enumerate(addresses))
    LLVM::StoreOp::create(builder, loc, address,
                          getField(table, parameters, {0, int32_t(i)}));

  // Grid, block, bytes of dynamic shared memory.
  Type i64 = builder.getI64Type();
  gpu::KernelDim3 grid = launch.getGridSizeOperandValues(),
                  block = launch.getBlockSizeOperandValues();
  SmallVector<Value> geometry;
  for (Value size : {grid.x, grid.y, grid.z, block.x, block.y, block.z})
    geometry.push_back(convertTo(size, i64));
  Value shared = launch.getDynamicSharedMemorySize();
  geometry.push_back(
      shared
          ? LLVM::ZExtOp::create(builder, loc, i64,
                                 convertTo(shared, builder.getI32Type()))
                .getResult()
          : LLVM::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0))
                .getResult());
  auto sizes = LLVM::LLVMArrayType::get(i64, geometry.size());
  Value memory = allocate(launch, sizes);
  for (auto [i, size] : llvm::enumerate(geometry))
    LLVM::StoreOp::create(builder, loc, size,
                          getField(sizes, memory, {0, int32_t(i)}));
  Value kernel = LLVM::AddressOfOp::create(
      builder, loc, pointer,
      getKernel(launch.getKernelName().strref()).getSymName());
  repo::callRuntime(builder, loc, function.getArgument(0),
                    repo::RuntimeFunction::launch, Type(),
                    {kernel, memory, parameters});
  launch.erase();
  return success();
}

namespace {
struct ConvertLaunches : repo::impl::ConvertLaunchesBase<ConvertLaunches> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    LaunchConverter converter(module);
    SmallVector<gpu::LaunchFuncOp> launches;
    module.walk([&](gpu::LaunchFuncOp launch) { launches.push_back(launch); });
    for (gpu::LaunchFuncOp launch : launches)
      if (failed(converter.convert(launch)))
        return signalPassFailure();
    // Maps are made at every launch.
    module.walk([](nvgpu::TmaCreateDescriptorOp create) {
      if (create->use_empty())
        create.erase();
    });
    for (auto kernels : llvm::to_vector(module.getOps<gpu::GPUModuleOp>()))
      kernels.erase();
    module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
  }
};
} // namespace
