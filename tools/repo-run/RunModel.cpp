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
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sys/resource.h>
#include <unistd.h>

using nlohmann::json;

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

static double peakMegabytes() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024.0;
}

/// Memory that no file backs: what the process holds beside mapped weights.
static double anonymousMegabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("RssAnon:", 0) == 0)
      return std::strtod(line.c_str() + 8, nullptr) / 1024.0;
  return 0;
}

namespace {
class ModelRunner {
public:
  explicit ModelRunner(const ModelRequest &request) : request(request) {}
  ~ModelRunner() {
    repo_rt_session_free(session);
    repo_rt_pages_free(pages);
    repo_rt_model_close(model);
    repo_rt_context_destroy(context);
  }

  int run() {
    context = repo_rt_context_create();
    if (!context ||
        (!request.threads.empty() &&
         repo_rt_set_num_threads(context, std::stoi(request.threads))))
      return fail();
    double start = now();
    repo_rt_model_options options = {};
    options.device = static_cast<int32_t>(request.device);
    if (isatty(STDERR_FILENO))
      options.progress = showProgress;
    if (request.pack) {
      if (repo_rt_model_pack(context, request.model.c_str(),
                             request.weights.c_str(), &options))
        return fail();
      summary["pack_s"] = now() - start;
      start = now();
    }
    if (repo_rt_model_open_with(context, request.model.c_str(),
                                request.weights.c_str(), &options, &model))
      return fail();
    summary["load_s"] = now() - start;
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
    summary["anonymous_memory_mb"] = std::max(anonymous, anonymousMegabytes());
    if (request.json)
      std::printf("%s\n", summary.dump().c_str());
    return 0;
  }

private:
  static void showProgress(void *, double done) {
    std::fprintf(stderr, "\rweights %3.0f%%%s", 100 * done,
                 done >= 1 ? "\n" : "");
  }

  /// An empty cache as it is asked for.
  int32_t createSession(int64_t batch) {
    if (request.paged) {
      if (int32_t status = repo_rt_pages_create(
              context, model, batch * request.context, &pages))
        return status;
      return repo_rt_session_create_paged(context, pages, batch, &session);
    }
    if (request.context)
      return repo_rt_session_create_fixed(context, model, batch,
                                          request.context, &session);
    return repo_rt_session_create(context, model, batch, &session);
  }

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

  /// Continues the prompt: as many sequences as asked for, decoded together.
  int generate() {
    const int32_t *ends = nullptr;
    int64_t numEnds =
        request.ignoreEnd ? 0 : repo_rt_model_end_tokens(model, &ends);
    int64_t batch = request.batch,
            prompt = static_cast<int64_t>(request.tokens.size());
    // Without an end, it is known now that the cache will not do.
    int64_t needed = prompt + request.generate - 1;
    if (request.context && numEnds == 0 && needed > request.context) {
      std::fprintf(stderr,
                   "repo-run: expected --context of at least %lld for %lld "
                   "tokens and %lld more, got %lld\n",
                   static_cast<long long>(needed),
                   static_cast<long long>(prompt),
                   static_cast<long long>(request.generate),
                   static_cast<long long>(request.context));
      return 1;
    }
    if (createSession(batch))
      return fail();
    std::vector<int32_t> next;
    for (int64_t i = 0; i < batch; ++i)
      next.insert(next.end(), request.tokens.begin(), request.tokens.end());
    std::vector<float> logits(batch * info.vocabulary);
    std::vector<std::vector<int32_t>> generated(batch);
    repo_rt_sampling sampling = {request.temperature, request.topK,
                                 request.topP, request.seed};
    std::vector<uint64_t> states(batch);
    std::iota(states.begin(), states.end(), request.seed);
    std::vector<bool> live(batch, true);
    // One sequence appears as it grows.
    bool stream = !request.json && batch == 1;
    double start = now(), first = 0;
    int64_t steps = 0;
    for (int64_t count = prompt; steps < request.generate; count = 1) {
      if (repo_rt_session_append(context, session, next.data(), count,
                                 logits.data())) {
        if (stream && steps)
          std::printf("\n");
        return fail();
      }
      next.resize(batch);
      for (int64_t i = 0; i < batch; ++i) {
        if (!live[i])
          continue; // runs on unseen: one batch reads the weights once
        next[i] = repo_rt_sample(logits.data() + i * info.vocabulary,
                                 info.vocabulary, &sampling, &states[i]);
        generated[i].push_back(next[i]);
        live[i] = std::find(ends, ends + numEnds, next[i]) == ends + numEnds;
      }
      if (++steps == 1) {
        first = now();
        anonymous = anonymousMegabytes();
      }
      if (stream) {
        std::printf(steps == 1 ? "%d" : ",%d", next[0]);
        std::fflush(stdout);
      }
      if (std::find(live.begin(), live.end(), true) == live.end())
        break;
    }
    double end = now();
    if (stream)
      std::printf("\n");
    else if (!request.json)
      for (const std::vector<int32_t> &tokens : generated)
        for (size_t i = 0; i < tokens.size(); ++i)
          std::printf(i + 1 == tokens.size() ? "%d\n" : "%d,", tokens[i]);
    if (batch == 1)
      summary["generated"] = generated[0];
    else
      summary["generated"] = generated;
    summary["batch"] = batch;
    summary["time_to_first_token_s"] = first - start;
    summary["prefill_tokens_per_s"] = batch * prompt / (first - start);
    if (steps > 1)
      summary["decode_tokens_per_s"] = batch * (steps - 1) / (end - first);
    summary["cache_mb"] = repo_rt_session_bytes(session) / 1048576.0;
    if (!request.json && isatty(STDERR_FILENO))
      std::fprintf(stderr,
                   "first token after %.3g s (%.4g tokens/s), then %.4g "
                   "tokens/s; %.0f MB, %.0f MB of it not of files\n",
                   first - start, batch * prompt / (first - start),
                   steps > 1 ? batch * (steps - 1) / (end - first) : 0.0,
                   peakMegabytes(), anonymousMegabytes());
    return 0;
  }

  const ModelRequest &request;
  repo_rt_context *context = nullptr;
  repo_rt_model *model = nullptr;
  repo_rt_session *session = nullptr;
  repo_rt_pages *pages = nullptr;
  repo_rt_model_info info = {};
  json summary = json::object();
  double anonymous = 0;
};
} // namespace

int runModel(const ModelRequest &request) { return ModelRunner(request).run(); }
