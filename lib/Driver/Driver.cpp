//===- Driver.cpp - Files in, files out -----------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Driver/Driver.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "repo/InitAll.h"
#include "repo/Model/Importer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace mlir::repo;

void mlir::repo::registerEverything(DialectRegistry &registry) {
  repo::registerAllDialects(registry);
  ::mlir::registerAllDialects(registry);
  registerAllExtensions(registry);
  registerCompilerDialects(registry);
}

MessageCollector::MessageCollector(MLIRContext &context, MessageSink sink)
    : sink(std::move(sink)), handler(&context, [this](Diagnostic &diagnostic) {
        return report(diagnostic);
      }) {}

LogicalResult MessageCollector::fail(const Twine &message) {
  if (!failed)
    sink(message.str());
  failed = true;
  return failure();
}

LogicalResult MessageCollector::report(Diagnostic &diagnostic) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto file = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
    stream << file.getFilename().getValue() << ":" << file.getLine() << ":"
           << file.getColumn() << ": ";
  bool error = diagnostic.getSeverity() == DiagnosticSeverity::Error;
  stream << (error ? "error: " : "remark: ") << diagnostic;
  StringRef line = StringRef(text).split('\n').first;
  if (error)
    (void)fail(line);
  else
    sink(line);
  return success();
}

/// Writes all of `bytes` to `path`, or nothing.
static LogicalResult writeFile(StringRef path, StringRef bytes,
                               MessageCollector &messages) {
  if (path == "-") {
    llvm::outs() << bytes;
    llvm::outs().flush();
    if (!llvm::outs().has_error())
      return success();
    llvm::outs().clear_error();
    return messages.fail("cannot write the standard output");
  }
  auto fail = [&](std::error_code error) {
    return messages.fail("cannot write `" + path + "`: " + error.message());
  };
  // Special files (a pipe, /dev/full) are written to as they are.
  llvm::sys::fs::file_status status;
  bool special = !llvm::sys::fs::status(path, status) &&
                 llvm::sys::fs::exists(status) &&
                 !llvm::sys::fs::is_regular_file(status);
  SmallString<128> temporary(path);
  int descriptor;
  std::error_code error =
      special ? llvm::sys::fs::openFileForWrite(path, descriptor)
              : llvm::sys::fs::createUniqueFile(path + ".%%%%%%.tmp",
                                                descriptor, temporary,
                                                llvm::sys::fs::OF_None, 0644);
  if (error)
    return fail(error);
  llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream << bytes;
  stream.close();
  error = stream.error();
  stream.clear_error();
  if (!error && !special)
    error = llvm::sys::fs::rename(temporary, path);
  if (!error)
    return success();
  if (!special)
    llvm::sys::fs::remove(temporary);
  return fail(error);
}

/// The words that callers other than repo-compile, which checks its flags, may
/// get wrong.
static LogicalResult checkWords(const DriverRequest &request,
                                MessageCollector &messages) {
  auto check = [&](StringRef what, StringRef given, ArrayRef<StringRef> known) {
    if (llvm::is_contained(known, given))
      return success();
    return messages.fail("expected " + what + " to be " +
                         llvm::join(known.drop_back(), ", ") + " or " +
                         known.back() + ", got `" + given + "`");
  };
  return success(
      succeeded(check("emit", request.emit,
                      {"mlir", "llvm", "asm", "obj", "so", "ptx", "cubin"})) &&
      succeeded(check("stop-after", request.options.stopAfter,
                      {"graph", "schedule", "tile", "vector", "llvm"})) &&
      succeeded(
          check("pipeline", request.options.pipeline, {"cpu", "reference"})));
}

/// MLIR's parser recurses: what is nested thousands of levels deep would
/// overflow the stack.
static LogicalResult checkNesting(StringRef text, StringRef name,
                                  MessageCollector &messages) {
  constexpr int64_t most = 500;
  int64_t depth = 0, line = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '/' && text.substr(i).starts_with("//")) {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i)
        i += text[i] == '\\';
    } else if (c == '\n') {
      ++line;
    } else if (StringRef("{([<").contains(c)) {
      if (++depth > most)
        return messages.fail(name + ":" + Twine(line) + ": expected at most " +
                             Twine(most) + " levels of brackets, got more");
    } else if (StringRef("})]>").contains(c) && text[i - (i > 0)] != '-') {
      depth = std::max<int64_t>(depth - 1, 0);
    }
  }
  return success();
}

static FailureOr<TargetDescription> describeTarget(const DriverRequest &request,
                                                   std::string &error) {
  FailureOr<TargetDescription> target =
      describeTarget(request.cpu, request.features, error);
  if (succeeded(target) && request.emulateMatrixUnit)
    target->emulateMatrixUnit();
  return target;
}

/// Compiles IR text, whose name in messages is that of its buffer.
static LogicalResult compileText(MLIRContext &context,
                                 std::unique_ptr<llvm::MemoryBuffer> text,
                                 const DriverRequest &request,
                                 MessageCollector &messages,
                                 CompileResult &result) {
  CompileOptions options = request.options;
  std::string error;
  if (failed(checkWords(request, messages)) ||
      failed(checkNesting(text->getBuffer(), text->getBufferIdentifier(),
                          messages)))
    return failure();
  FailureOr<TargetDescription> target = describeTarget(request, error);
  if (failed(target))
    return messages.fail(error);
  options.target = *target;
  options.emit = llvm::StringSwitch<EmitKind>(request.emit)
                     .Case("mlir", EmitKind::mlir)
                     .Case("llvm", EmitKind::llvm)
                     .Case("asm", EmitKind::assembly)
                     .Case("obj", EmitKind::object)
                     .Case("ptx", EmitKind::ptx)
                     .Case("cubin", EmitKind::cubin)
                     .Default(EmitKind::library);
  options.report = request.report;
  std::string name = text->getBufferIdentifier().str();
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(text), llvm::SMLoc());
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return messages.fail("`" + name + "` is not valid IR");
  bool library =
      options.emit == EmitKind::library || options.emit == EmitKind::object;
  if (library &&
      llvm::none_of(module->getOps<func::FuncOp>(), [](func::FuncOp function) {
        return function.isPublic() && !function.isExternal();
      }))
    return messages.fail(
        "`" + name + "`: expected a public func.func to compile, found none");
  if (!options.saveTemps.empty())
    if (std::error_code code =
            llvm::sys::fs::create_directories(options.saveTemps))
      return messages.fail("cannot make `" + options.saveTemps +
                           "`: " + code.message());
  if (failed(compileModule(*module, options, result)))
    return messages.fail("cannot compile `" + name + "`");
  return success();
}

LogicalResult mlir::repo::compileFile(const DriverRequest &request,
                                      MessageSink message) {
  DialectRegistry registry;
  registerEverything(registry);
  MLIRContext context(registry);
  MessageCollector messages(context, message);
  std::unique_ptr<llvm::MemoryBuffer> text;
  if (request.source) {
    text = llvm::MemoryBuffer::getMemBufferCopy(*request.source, request.input);
  } else {
    auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(request.input);
    if (!buffer)
      return messages.fail("cannot read `" + request.input +
                           "`: " + buffer.getError().message());
    text = std::move(*buffer);
  }
  CompileResult result;
  if (failed(compileText(context, std::move(text), request, messages, result)))
    return failure();
  if (request.output == "-" || (request.emit != "so" && request.emit != "obj"))
    return writeFile(request.output, result.output, messages);
  SmallString<128> header(request.output);
  llvm::sys::path::replace_extension(header, "h");
  if (failed(writeFile(header, result.header, messages)))
    return failure();
  if (succeeded(writeFile(request.output, result.output, messages)))
    return success();
  llvm::sys::fs::remove(header);
  return failure();
}

/// The types of a model: activations and queries are rounded only for a matrix
/// unit, which takes nothing else, or vectors that multiply pairs of bf16.
/// Every GPU has one.
static FailureOr<ModelArithmetic> chooseArithmetic(const DriverRequest &request,
                                                   std::string &error) {
  FailureOr<TargetDescription> target = describeTarget(request, error);
  if (failed(target))
    return failure();
  ModelArithmetic arithmetic;
  arithmetic.bf16Weights = request.dtype == "bf16";
  bool multipliesShort = target->hasMatrixUnit() || target->multipliesPairs() ||
                         !request.options.chip.empty();
  arithmetic.bf16Activations = arithmetic.bf16Weights && multipliesShort;
  arithmetic.cache =
      request.cacheDtype.empty() ? request.dtype : request.cacheDtype;
  arithmetic.bf16Attention =
      arithmetic.bf16Activations && arithmetic.cache == "bf16";
  for (const std::string &type : {request.dtype, arithmetic.cache})
    if (type != "f32" && type != "bf16") {
      error = "expected dtype f32 or bf16, got `" + type + "`";
      return failure();
    }
  return arithmetic;
}

/// The header of a model: its entries, and before them the interface that runs
/// the folder as a whole, where the runtime's headers can be found.
static std::string addModelInterface(StringRef header) {
  return ("/* Open and close, prefill and decode (repo_rt_session_append), "
          "caches,\n"
          " * contiguous and paged: create, fork, trim, free. */\n"
          "#if defined(__has_include)\n"
          "#if __has_include(\"repo/Runtime/model.h\")\n"
          "#include \"repo/Runtime/model.h\"\n"
          "#endif\n"
          "#endif\n\n" +
          header)
      .str();
}

static StringRef nameTarget(const CompileOptions &options) {
  if (options.chip.empty())
    return "cpu";
  return options.emulate ? "emulator" : "cuda";
}

LogicalResult mlir::repo::compileModelDirectory(const DriverRequest &request,
                                                MessageSink message) {
  DialectRegistry registry;
  registerEverything(registry);
  MLIRContext context(registry);
  MessageCollector messages(context, message);
  std::string error;
  FailureOr<ModelConfig> config = readModelConfig(request.input, error);
  if (failed(config))
    return messages.fail(error);
  FailureOr<ModelArithmetic> arithmetic = chooseArithmetic(request, error);
  if (failed(arithmetic))
    return messages.fail(error);
  std::vector<Weight> weights = listWeights(*config);
  if (failed(readWeightTypes(request.input, *arithmetic, weights, error)))
    return messages.fail(error);
  auto text = llvm::MemoryBuffer::getMemBufferCopy(
      writeModelIR(*config, *arithmetic, weights), request.input);
  // The graph is shown as it is written, comments and all.
  if (request.emit == "mlir" && request.options.stopAfter == "graph")
    return writeFile(request.output, text->getBuffer(), messages);
  DriverRequest forModel = request;
  forModel.options.gemms = true;
  forModel.options.packedOnly = true;
  CompileResult result;
  if (failed(compileText(context, std::move(text), forModel, messages, result)))
    return failure();
  if (request.emit != "so")
    return writeFile(request.output, result.output, messages);

  bool existed = llvm::sys::fs::exists(request.output);
  if (std::error_code code = llvm::sys::fs::create_directories(request.output))
    return messages.fail("cannot make `" + request.output +
                         "`: " + code.message());
  // The manifest comes last: a folder without one is no compiled model.
  std::vector<std::pair<std::string, std::string>> files = {
      {"model.so", std::move(result.output)},
      {"model.h", addModelInterface(result.header)}};
  // The library has the same code: these are for tools that look at it.
  for (auto &[chip, bytes] : result.cubins)
    files.emplace_back(files.size() == 2 ? "kernels.cubin"
                                         : "kernels." + chip + ".cubin",
                       std::move(bytes));
  files.emplace_back("manifest.json",
                     writeModelManifest(*config, *arithmetic, weights,
                                        nameTarget(request.options)));
  SmallVector<SmallString<128>> written;
  for (auto &[name, bytes] : files) {
    SmallString<128> path(request.output);
    llvm::sys::path::append(path, name);
    if (succeeded(writeFile(path, bytes, messages))) {
      written.push_back(path);
      continue;
    }
    for (StringRef done : written)
      llvm::sys::fs::remove(done);
    if (!existed)
      llvm::sys::fs::remove(request.output);
    return failure();
  }
  return success();
}
