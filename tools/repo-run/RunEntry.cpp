//===- RunEntry.cpp - Run an entry on the tensors of a file ---------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RunEntry.h"
#include "Elements.h"
#include "repo/Runtime/runtime.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

using nlohmann::json;

namespace {
/// A tensor of an entry, with the memory it owns.
struct Buffer {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
  DLTensor tensor = {};
};

class EntryRunner {
public:
  explicit EntryRunner(const EntryRequest &request) : request(request) {}
  ~EntryRunner() {
    if (inputs)
      repo_rt_safetensors_close(inputs);
    if (expected)
      repo_rt_safetensors_close(expected);
    repo_rt_library_close(library);
    repo_rt_context_destroy(context);
  }

  int run() {
    context = repo_rt_context_create();
    if (!context)
      return fail("out of memory");
    if (!request.threads.empty() &&
        repo_rt_set_num_threads(context, std::stoi(request.threads)))
      return failContext();
    if (repo_rt_library_open(context, request.library.c_str(), &library))
      return failContext();
    manifest = json::parse(repo_rt_library_manifest(library), nullptr, false);
    if (!manifest.is_object() || !manifest["entries"].is_array())
      return fail(request.library + ": expected a manifest with entries");
    if (request.list)
      return list();
    for (const json &candidate : manifest["entries"])
      if (candidate["name"] == request.entry)
        entry = &candidate;
    if (!entry) {
      std::string names;
      for (const json &candidate : manifest["entries"])
        names += " " + candidate["name"].get<std::string>();
      return fail(request.library + ": no entry `" + request.entry +
                  "`; there are:" + names);
    }
    if (repo_rt_safetensors_open(context, request.inputs.c_str(), &inputs))
      return failContext();
    if (int status = makeBuffers())
      return status;
    return callAndCompare();
  }

private:
  int fail(const std::string &text) {
    std::fprintf(stderr, "repo-run: %s\n", text.c_str());
    return 1;
  }
  int failContext() { return fail(repo_rt_last_error(context)); }

  int list() {
    if (request.json) {
      std::printf("%s\n", manifest["entries"].dump().c_str());
      return 0;
    }
    for (const json &candidate : manifest["entries"]) {
      std::printf("%s\n", candidate["name"].get<std::string>().c_str());
      for (const json &argument : candidate["args"])
        std::printf("  %-8s %s: %s %s\n",
                    argument["role"].get<std::string>().c_str(),
                    argument["name"].get<std::string>().c_str(),
                    argument["dtype"].get<std::string>().c_str(),
                    argument["shape"].dump().c_str());
    }
    return 0;
  }

  /// Copies the inputs, learns the symbols from them, allocates the outputs.
  int makeBuffers() {
    std::map<std::string, int64_t> symbols;
    for (const json &argument : (*entry)["args"]) {
      auto buffer = std::make_unique<Buffer>();
      buffer->name = argument["name"].get<std::string>();
      const ElementType *type =
          findElementType(argument["dtype"].get<std::string>());
      if (!type)
        return fail("`" + buffer->name + "`: element type " +
                    argument["dtype"].get<std::string>() + " is not supported");
      bool output = argument["role"] == "output";
      const DLTensor *given =
          output ? nullptr
                 : repo_rt_safetensors_find(inputs, buffer->name.c_str());
      if (!output && !given)
        return fail(request.inputs + ": expected a tensor `" + buffer->name +
                    "` of " + argument["dtype"].get<std::string>() + " " +
                    argument["shape"].dump() + ", found none");
      if (given) {
        buffer->shape.assign(given->shape, given->shape + given->ndim);
        for (size_t i = 0;
             i < argument["shape"].size() && i < buffer->shape.size(); ++i)
          if (argument["shape"][i].is_string())
            symbols.emplace(argument["shape"][i].get<std::string>(),
                            buffer->shape[i]);
      } else {
        for (const json &size : argument["shape"]) {
          if (size.is_number()) {
            buffer->shape.push_back(size.get<int64_t>());
            continue;
          }
          auto known = symbols.find(size.get<std::string>());
          if (known == symbols.end())
            return fail("`" + buffer->name + "`: size " + size.dump() +
                        " does not follow from the inputs");
          buffer->shape.push_back(known->second);
        }
      }
      size_t elements = 1;
      for (int64_t size : buffer->shape)
        elements *= size;
      DLDataType dtype =
          given ? given->dtype : DLDataType{type->code, type->bits, 1};
      // Packed weights are aligned to a line of the cache.
      constexpr size_t alignment = 64;
      buffer->bytes.resize(elements * (dtype.bits / 8) + alignment);
      char *data = buffer->bytes.data();
      data += -reinterpret_cast<uintptr_t>(data) % alignment;
      if (given && elements)
        std::memcpy(data, given->data, elements * (dtype.bits / 8));
      buffer->tensor.data = data;
      buffer->tensor.device = {static_cast<decltype(DLDevice::device_type)>(1),
                               0};
      buffer->tensor.ndim = static_cast<int32_t>(buffer->shape.size());
      buffer->tensor.dtype = dtype;
      buffer->tensor.shape = buffer->shape.data();
      if (output || argument["role"] == "inout")
        results.push_back(buffer.get());
      tensors.push_back(&buffer->tensor);
      buffers.push_back(std::move(buffer));
    }
    return 0;
  }

  int callAndCompare() {
    repo_rt_entry function;
    if (repo_rt_library_entry(context, library, request.entry.c_str(),
                              &function))
      return failContext();
    auto call = [&] {
      return function(context, tensors.data(),
                      static_cast<int32_t>(tensors.size()));
    };
    if (call())
      return failContext();
    json summary = {{"entry", request.entry},
                    {"threads", repo_rt_get_num_threads(context)}};
    // Results are kept before timing: an entry that updates in place goes on.
    if (!request.outputs.empty())
      if (int status = writeOutputs())
        return status;
    int status = request.expect.empty() ? 0 : compare(summary);
    if (!request.time.empty() && status == 0)
      status = time(call, summary);
    if (request.json)
      std::printf("%s\n", summary.dump().c_str());
    return status;
  }

  template <typename Call> int time(Call call, json &summary) {
    int runs = std::max(1, std::stoi(request.time));
    std::vector<double> seconds;
    for (int i = 0; i < runs; ++i) {
      auto start = std::chrono::steady_clock::now();
      if (call())
        return failContext();
      seconds.push_back(std::chrono::duration<double>(
                            std::chrono::steady_clock::now() - start)
                            .count());
    }
    std::sort(seconds.begin(), seconds.end());
    summary["seconds_min"] = seconds.front();
    summary["seconds_median"] = seconds[seconds.size() / 2];
    if (!request.json)
      std::printf("%s: %d runs, minimum %.6g s, median %.6g s\n",
                  request.entry.c_str(), runs, seconds.front(),
                  seconds[seconds.size() / 2]);
    return 0;
  }

  int writeOutputs() {
    std::vector<const char *> names;
    std::vector<DLTensor *> values;
    for (Buffer *result : results) {
      names.push_back(result->name.c_str());
      values.push_back(&result->tensor);
    }
    if (repo_rt_safetensors_write(context, request.outputs.c_str(),
                                  names.data(), values.data(),
                                  static_cast<int64_t>(names.size())))
      return failContext();
    return 0;
  }

  /// Holds every result that the file has against it.
  int compare(json &summary) {
    if (repo_rt_safetensors_open(context, request.expect.c_str(), &expected))
      return failContext();
    double rtol = std::stod(request.rtol), atol = std::stod(request.atol);
    int status = 0, compared = 0;
    for (Buffer *result : results) {
      const DLTensor *reference =
          repo_rt_safetensors_find(expected, result->name.c_str());
      if (!reference)
        continue;
      ++compared;
      std::vector<int64_t> shape(reference->shape,
                                 reference->shape + reference->ndim);
      if (shape != result->shape)
        return fail(request.expect + ": `" + result->name +
                    "`: expected shape " + json(shape).dump() + ", got " +
                    json(result->shape).dump());
      status |= compareTensor(*result, *reference, rtol, atol, summary);
    }
    if (!compared)
      return fail(request.expect +
                  ": expected one of the results in this file, found none");
    return status;
  }

  int compareTensor(const Buffer &result, const DLTensor &reference,
                    double rtol, double atol, json &summary) {
    size_t elements = 1;
    for (int64_t size : result.shape)
      elements *= size;
    double largest = 0, worstExcess = -1;
    size_t worst = 0;
    for (size_t i = 0; i < elements; ++i) {
      double found = readElement(result.tensor, i),
             wanted = readElement(reference, i);
      bool same = found == wanted || (std::isnan(found) && std::isnan(wanted));
      double error = same ? 0 : std::abs(found - wanted);
      if (std::isnan(error))
        error = INFINITY;
      largest = std::max(largest, error);
      double excess = error - (same ? 0 : atol + rtol * std::abs(wanted));
      if (excess > worstExcess || i == 0) {
        worstExcess = excess;
        worst = i;
      }
    }
    summary["errors"][result.name] = largest;
    if (elements == 0 || worstExcess <= 0) {
      if (!request.json)
        std::printf("%s: largest error %.3g\n", result.name.c_str(), largest);
      return 0;
    }
    std::vector<int64_t> position(result.shape.size());
    size_t rest = worst;
    for (size_t dim = position.size(); dim-- > 0;) {
      position[dim] = rest % result.shape[dim];
      rest /= result.shape[dim];
    }
    std::fprintf(
        stderr,
        "repo-run: `%s`: largest error %.6g; at %s expected %.9g, got %.9g "
        "(rtol %g, atol %g)\n",
        result.name.c_str(), largest, json(position).dump().c_str(),
        readElement(reference, worst), readElement(result.tensor, worst), rtol,
        atol);
    return 1;
  }

  const EntryRequest &request;
  repo_rt_context *context = nullptr;
  repo_rt_library *library = nullptr;
  repo_rt_safetensors *inputs = nullptr, *expected = nullptr;
  json manifest;
  const json *entry = nullptr;
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::vector<Buffer *> results;
  std::vector<DLTensor *> tensors;
};
} // namespace

int runEntry(const EntryRequest &request) { return EntryRunner(request).run(); }
