//===- Compile.cpp - From a module to a library ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Target/Compile.h"
#include "CodeGen.h"
#include "EmulateTiles.h"
#include "HalfConversions.h"
#include "KernelImages.h"
#include "Link.h"
#include "NVPTX.h"
#include "Report.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "repo/Conversion/Passes.h"
#include "repo/Pipelines/Pipelines.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassTimingInfo.h"
#include "llvm/Pass.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Transforms/Instrumentation/AddressSanitizer.h"
#include "llvm/Transforms/Instrumentation/ThreadSanitizer.h"

using namespace mlir;
using namespace mlir::repo;

static constexpr StringLiteral stages[] = {"graph", "schedule", "tile",
                                           "vector", "llvm"};

void mlir::repo::registerCompilerDialects(DialectRegistry &registry) {
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

/// Whether a compilation for a GPU ends in code for the host too.
static bool hasHostCode(const CompileOptions &options) {
  return options.emulate || options.sequential ||
         options.emit == EmitKind::library || options.emit == EmitKind::object;
}

/// Adds the passes of one stage of a pipeline.
static void addStage(OpPassManager &pm, StringRef stage,
                     const CompileOptions &options) {
  EntryOptions entries;
  entries.features = options.target.getFeatureList();
  if (!options.chip.empty()) {
    NVVMOptions nvvm;
    nvvm.chip = options.chip;
    nvvm.report = options.report;
    nvvm.gemms = options.gemms;
    nvvm.rows = !options.sequential;
    if (stage == "schedule") {
      if (!options.sequential)
        entries.target = options.emulate ? "emulator" : "cuda";
      if (hasHostCode(options))
        buildEntryPipeline(pm, entries);
      else
        pm.addPass(createMaterializeDestinations());
      buildNVVMSchedulePipeline(pm, nvvm);
    } else if (stage == "tile") {
      buildNVVMTilePipeline(pm, nvvm);
    } else if (stage == "vector") {
      if (options.sequential)
        pm.addPass(createLowerTilesToLoops());
      else
        buildNVVMKernelPipeline(pm);
    } else if (stage == "llvm") {
      if (options.sequential)
        buildLowerTileLoopsPipeline(pm);
      else
        buildLowerKernelsPipeline(pm);
    }
    return;
  }
  if (options.pipeline == "reference") {
    if (stage == "schedule") {
      buildEntryPipeline(pm, entries);
      buildDecomposePipeline(pm);
    } else if (stage == "llvm") {
      buildLowerToLLVMPipeline(pm);
    }
    return;
  }
  CPUOptions cpu;
  cpu.target = options.target;
  cpu.packedOnly = options.packedOnly;
  cpu.report = options.report;
  cpu.skip = options.skip;
  if (stage == "schedule") {
    buildCPUPackingPipeline(pm, cpu);
    buildEntryPipeline(pm, entries);
    buildCPUSchedulePipeline(pm, cpu);
  } else if (stage == "tile") {
    buildCPUTilePipeline(pm, cpu);
  } else if (stage == "vector") {
    buildCPUVectorPipeline(pm, cpu);
  } else if (stage == "llvm") {
    buildLowerBuffersPipeline(pm);
  }
}

static LogicalResult saveStage(ModuleOp module, StringRef folder,
                               unsigned number, StringRef stage) {
  if (folder.empty())
    return success();
  SmallString<128> path(folder);
  llvm::sys::path::append(path, std::to_string(number) + "-" + stage + ".mlir");
  std::error_code error;
  llvm::raw_fd_ostream file(path, error);
  if (!error) {
    file << module << "\n";
    file.close();
    error = file.error();
  }
  if (error) {
    file.clear_error();
    return module.emitError("cannot write `")
           << path << "`: " << error.message();
  }
  return success();
}

/// Runs the stages up to `last`.
static LogicalResult runStages(ModuleOp module, const CompileOptions &options,
                               StringRef last, TimingScope &timing) {
  for (auto [number, stage] : llvm::enumerate(stages)) {
    PassManager pm(module.getContext());
    addStage(pm, stage, options);
    TimingScope stageTiming = timing.nest(stage);
    pm.enableTiming(stageTiming);
    // Once a stage, not after every pass of it.
    pm.enableVerifier(false);
    if (failed(pm.run(module)) || failed(verify(module)) ||
        failed(saveStage(module, options.saveTemps, number + 1, stage)))
      return failure();
    if (options.report &&
        stage == (options.pipeline == "reference" || !options.chip.empty()
                      ? "graph"
                      : "schedule"))
      reportOps(module, options);
    if (stage == last)
      return success();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// LLVM
//===----------------------------------------------------------------------===//

/// Says of every function what it may use, and makes all but the entries local.
static void setAttributes(llvm::Module &module, const CompileOptions &options) {
  bool thread = StringRef(options.sanitize).contains("thread");
  bool address = StringRef(options.sanitize).contains("address");
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", "x86-64");
    function.addFnAttr("target-features", options.target.getFeatureString());
    // With 16 registers the order of instructions decides about spills: that
    // of a real core keeps the sums of a tile in them, the generic one of a
    // narrow core does not.
    if (options.target.getVectorRegisters() <= 16)
      function.addFnAttr("tune-cpu", "haswell");
    function.addFnAttr(llvm::Attribute::NoUnwind);
    if (thread)
      function.addFnAttr(llvm::Attribute::SanitizeThread);
    if (address)
      function.addFnAttr(llvm::Attribute::SanitizeAddress);
  }
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine,
                     const CompileOptions &options) {
  optimizeModule(module, machine, [&](llvm::ModulePassManager &passes) {
    if (StringRef(options.sanitize).contains("thread")) {
      passes.addPass(llvm::ModuleThreadSanitizerPass());
      passes.addPass(
          llvm::createModuleToFunctionPassAdaptor(llvm::ThreadSanitizerPass()));
    }
    if (StringRef(options.sanitize).contains("address"))
      passes.addPass(
          llvm::AddressSanitizerPass(llvm::AddressSanitizerOptions()));
  });
}

/// The manifest that repo-emit-c-interface put into the module.
static std::string getManifest(ModuleOp module) {
  auto global =
      module.lookupSymbol<LLVM::GlobalOp>("repo_library_info.manifest");
  if (!global)
    return "";
  auto text = cast<StringAttr>(global.getValueOrNull()).getValue();
  return text.drop_back().str();
}

/// From level 5 to the kernels' LLVM IR, PTX or cubin.
static LogicalResult emitKernels(ModuleOp module, const CompileOptions &options,
                                 CompileResult &result) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateKernels(module, options.chip, context);
  if (!code)
    return failure();
  if (options.emit == EmitKind::llvm) {
    llvm::raw_string_ostream stream(result.output);
    code->print(stream, nullptr);
    return success();
  }
  std::string ptx;
  if (failed(emitPTX(module, *code, options.chip, ptx)))
    return failure();
  if (options.emit == EmitKind::ptx) {
    result.output = std::move(ptx);
    return success();
  }
  return assemblePTX(module, ptx, options.chip, options.report, result.output);
}

LogicalResult mlir::repo::compileModule(ModuleOp module,
                                        const CompileOptions &options,
                                        CompileResult &result) {
  DefaultTimingManager timer;
  timer.setEnabled(options.timing);
  llvm::TimePassesIsEnabled = options.timing;
  TimingScope timing = timer.getRootScope();
  if (options.emit == EmitKind::mlir) {
    if (failed(runStages(module, options, options.stopAfter, timing)))
      return failure();
    llvm::raw_string_ostream stream(result.output);
    module.print(stream);
    return success();
  }
  if (failed(runStages(module, options, "llvm", timing)))
    return failure();
  bool isForGPU = !options.chip.empty() && !options.sequential;
  if (isForGPU && !hasHostCode(options))
    return emitKernels(module, options, result);
  std::string manifest = getManifest(module);
  result.header = emitHeader(manifest);

  llvm::LLVMContext context;
  KernelImages images;
  if (isForGPU) {
    // Kernels first: lowering the host's code drops them.
    PassManager pm(module.getContext());
    buildLowerHostPipeline(pm);
    if (failed(makeKernelImages(module, options, context, images)) ||
        failed(pm.run(module)))
      return failure();
  }
  for (const KernelImages::Image &image : images.images)
    if (!image.isPTX)
      result.cubins.emplace_back(image.chip, image.bytes);
  std::optional<SpillReport> spills;
  if (options.report)
    spills.emplace(context);
  TimingScope phase = timing.nest("translate to LLVM IR");
  std::unique_ptr<llvm::Module> code =
      translateModuleToLLVMIR(module, context, "repo");
  if (!code)
    return failure();
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine =
      createHostMachine(options.target, error);
  if (!machine)
    return module.emitError() << error;
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  if (isForGPU && failed(addKernelImages(*code, std::move(images), error)))
    return module.emitError() << error;
  if (options.target.matrixUnitIsEmulated && failed(emulateTiles(*code, error)))
    return module.emitError() << error;
  setAttributes(*code, options);
  phase.stop();
  phase = timing.nest("optimize");
  optimize(*code, *machine, options);
  phase.stop();
  if (options.emit == EmitKind::llvm) {
    llvm::raw_string_ostream stream(result.output);
    code->print(stream, nullptr);
    return success();
  }
  if (failed(addHalfConversions(*code)))
    return module.emitError("cannot add conversions to 16-bit floats");
  if (options.emit == EmitKind::assembly)
    return emitMachineCode(module, *code, *machine,
                           llvm::CodeGenFileType::AssemblyFile, result.output);
  std::string object;
  phase = timing.nest("generate code");
  if (failed(emitMachineCode(module, *code, *machine,
                             llvm::CodeGenFileType::ObjectFile, object)))
    return failure();
  phase.stop();
  llvm::reportAndResetTimings(&llvm::errs());
  if (spills)
    spills->emit(module);
  if (options.emit == EmitKind::object) {
    result.output = std::move(object);
    return success();
  }
  if (failed(linkSharedLibrary(object, result.output, error)))
    return module.emitError() << error;
  return success();
}
