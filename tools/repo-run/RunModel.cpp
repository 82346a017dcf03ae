//===- RunModel.cpp - Run a compiled model --------------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RunModel.h"
#include "repo/Runtime/model.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

using nlohmann::json;

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

static int64_t peakMegabytes() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

namespace {
class ModelRunner {
public:
  explicit ModelRunner(const ModelRequest &request) : request(request) {}
  ~ModelRunner() {
    repo_rt_session_free(session);
    repo_rt_model_close(model);
    repo_rt_context_destroy(context);
  }

  int run() {
    context = repo_rt_context_create();
    if (!context ||
        (!request.threads.empty() &&
         repo_rt_set_num_threads(context, std::stoi(request.threads))))
      return fail();
    if (repo_rt_model_open(context, request.model.c_str(),
                           request.weights.c_str(), &model))
      return fail();
    info = repo_rt_model_get_info(model);
    if (!request.logits.empty() || !request.positions.empty())
      if (int status = evaluate())
        return status;
    if (request.generate > 0)
      if (int status = generate())
        return status;
    summary["tokens"] = request.tokens;
    summary["threads"] = repo_rt_get_num_threads(context);
    summary["peak_memory_mb"] = peakMegabytes();
    if (request.json)
      std::printf("%s\n", summary.dump().c_str());
    return 0;
  }

private:
  int fail() {
    std::fprintf(stderr, "repo-run: %s\n",
                 context ? repo_rt_last_error(context) : "out of memory");
    return 1;
  }

  int write(const std::string &path, const char *name, std::vector<float> &data,
            std::vector<int64_t> shape) {
    DLTensor tensor = {};
    tensor.data = data.data();
    tensor.device = {static_cast<decltype(DLDevice::device_type)>(1), 0};
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = {2, 32, 1};
    tensor.shape = shape.data();
    DLTensor *tensors[] = {&tensor};
    return repo_rt_safetensors_write(context, path.c_str(), &name, tensors, 1)
               ? fail()
               : 0;
  }

  /// The logits and positions of the given tokens.
  int evaluate() {
    int64_t n = static_cast<int64_t>(request.tokens.size());
    bool wantLogits = !request.logits.empty();
    std::vector<float> logits(wantLogits ? n * info.vocabulary : 0);
    std::vector<float> positions(info.layers * info.heads * n);
    if (repo_rt_model_evaluate(context, model, request.tokens.data(), 1, n,
                               wantLogits ? logits.data() : nullptr,
                               positions.data()))
      return fail();
    if (wantLogits)
      if (int status =
              write(request.logits, "logits", logits, {1, n, info.vocabulary}))
        return status;
    if (!request.positions.empty())
      return write(request.positions, "positions", positions,
                   {info.layers, 1, info.heads, n});
    return 0;
  }

  /// Greedy continuation.
  int generate() {
    const int32_t *ends;
    int64_t numEnds =
        request.ignoreEnd ? 0 : repo_rt_model_end_tokens(model, &ends);
    if (repo_rt_session_create(context, model, 1, &session))
      return fail();
    std::vector<float> logits(info.vocabulary);
    std::vector<int32_t> generated;
    repo_rt_sampling greedy = {0.0f, 0, 0.0f, 0};
    uint64_t state = 0;
    double start = now(), first = 0;
    const int32_t *next = request.tokens.data();
    int64_t count = static_cast<int64_t>(request.tokens.size());
    while (true) {
      if (repo_rt_session_append(context, session, next, count, logits.data()))
        return fail();
      if (generated.empty())
        first = now();
      generated.push_back(
          repo_rt_sample(logits.data(), info.vocabulary, &greedy, &state));
      if (!request.json)
        std::printf(generated.size() == 1 ? "%d" : ",%d", generated.back()),
            std::fflush(stdout);
      bool ended =
          std::find(ends, ends + numEnds, generated.back()) != ends + numEnds;
      if (ended || static_cast<int64_t>(generated.size()) == request.generate)
        break;
      next = &generated.back();
      count = 1;
    }
    double end = now();
    if (!request.json)
      std::printf("\n");
    summary["generated"] = generated;
    summary["time_to_first_token_s"] = first - start;
    summary["prefill_tokens_per_s"] = request.tokens.size() / (first - start);
    if (generated.size() > 1)
      summary["decode_tokens_per_s"] = (generated.size() - 1) / (end - first);
    return 0;
  }

  const ModelRequest &request;
  repo_rt_context *context = nullptr;
  repo_rt_model *model = nullptr;
  repo_rt_session *session = nullptr;
  repo_rt_model_info info = {};
  json summary = json::object();
};
} // namespace

int runModel(const ModelRequest &request) { return ModelRunner(request).run(); }
