//===- Compiler.cpp - The compiler as a C library -------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo-c/compiler.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "repo/Driver/Driver.h"
#include "repo/InitAll.h"
#include <cstdlib>
#include <cstring>

using namespace mlir;
using namespace mlir::repo;

static char *copyText(StringRef text) {
  auto *result = static_cast<char *>(std::malloc(text.size() + 1));
  if (result) {
    std::memcpy(result, text.data(), text.size());
    result[text.size()] = '\0';
  }
  return result;
}

static MessageSink makeSink(repo_compiler_message message, void *user) {
  return [=](StringRef line) {
    if (message)
      message(user, line.str().c_str());
  };
}

const char *repo_compiler_version(void) { return "repo " REPO_VERSION; }

void repo_compiler_free(char *text) { std::free(text); }

int32_t repo_compiler_features(const char *cpu, const char *features,
                               repo_compiler_message message, void *user,
                               char **result) {
  std::string error;
  FailureOr<TargetDescription> target =
      describeTarget(cpu ? cpu : "native", features ? features : "", error);
  if (failed(target)) {
    makeSink(message, user)(error);
    return 1;
  }
  *result = copyText(target->getFeatureList());
  return 0;
}

int32_t repo_compiler_opt(const char *source, const char *pipeline,
                          repo_compiler_message message, void *user,
                          char **result) {
  static const bool registered = [] {
    ::mlir::registerAllPasses();
    repo::registerAllPasses();
    return true;
  }();
  (void)registered;
  *result = nullptr;
  DialectRegistry registry;
  registerEverything(registry);
  MLIRContext context(registry);
  MessageCollector messages(context, makeSink(message, user));
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(source, ParserConfig(&context), "source");
  if (!module)
    return messages.fail("the source is not valid IR").failed();
  std::string error;
  llvm::raw_string_ostream errorStream(error);
  // A bare list of passes means passes over the module.
  std::string anchored = StringRef(pipeline).trim().str();
  if (!StringRef(anchored).starts_with("builtin.module(") &&
      !StringRef(anchored).starts_with("any("))
    anchored = "builtin.module(" + anchored + ")";
  FailureOr<OpPassManager> passes = parsePassPipeline(anchored, errorStream);
  if (failed(passes))
    return messages.fail(StringRef(error).split('\n').first).failed();
  PassManager manager(&context, passes->getOpAnchorName());
  static_cast<OpPassManager &>(manager) = std::move(*passes);
  if (failed(manager.run(*module)))
    return messages.fail("the pipeline failed").failed();
  std::string text;
  llvm::raw_string_ostream(text) << *module << "\n";
  *result = copyText(text);
  return 0;
}

int32_t repo_compiler_compile(const repo_compiler_options *options,
                              repo_compiler_message message, void *user) {
  auto get = [](const char *text, const char *standard) {
    return std::string(text ? text : standard);
  };
  DriverRequest request;
  request.input = get(options->input, "source");
  if (options->source)
    request.source = options->source;
  request.output = get(options->output, "");
  request.cpu = get(options->cpu, "native");
  request.features = get(options->features, "");
  request.emit = get(options->emit, "so");
  request.options.stopAfter = get(options->stop_after, "llvm");
  request.options.pipeline = get(options->pipeline, "cpu");
  request.report = options->report;
  request.cacheDtype = get(options->cache_dtype, "");
  MessageSink sink = makeSink(message, user);
  std::string target = get(options->target, "cpu");
  if (target != "cpu" && target != "cuda" && target != "emulator") {
    sink("expected a target of cpu, cuda or emulator, got `" + target + "`");
    return 1;
  }
  request.dtype = get(options->dtype, target == "cpu" ? "f32" : "bf16");
  if (target != "cpu") {
    SmallVector<StringRef> chips;
    std::string list = get(options->chip, "sm_80");
    StringRef(list).split(chips, ',', -1, /*KeepEmpty=*/false);
    request.options.emulate = target == "emulator";
    request.options.chip = chips.empty() ? "sm_80" : chips.front().str();
    for (StringRef more : llvm::drop_begin(chips, chips.empty() ? 0 : 1))
      request.options.moreChips.push_back(more.str());
  }
  return failed(options->is_model ? compileModelDirectory(request, sink)
                                  : compileFile(request, sink));
}
