//===- Checkpoint.cpp - The weights of a model ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Importer.h"
#include "repo/Runtime/runtime.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;
using namespace mlir::repo;

std::vector<Weight> mlir::repo::listWeights(const ModelConfig &c) {
  std::vector<Weight> weights;
  auto add = [&](const Twine &name, std::vector<int64_t> shape) {
    weights.push_back({name.str(), "", "", std::move(shape)});
  };
  add("model.embed_tokens.weight", {c.vocabulary, c.hidden});
  int64_t queries = c.heads * c.headSize, keys = c.kvHeads * c.headSize;
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    std::string attention = prefix + "self_attn.";
    add(attention + "q_proj.weight", {queries, c.hidden});
    add(attention + "k_proj.weight", {keys, c.hidden});
    add(attention + "v_proj.weight", {keys, c.hidden});
    add(attention + "o_proj.weight", {c.hidden, queries});
    add(attention + "q_norm.weight", {queries});
    add(attention + "k_norm.weight", {keys});
    switch (c.positions[layer]) {
    case PositionMode::index:
    case PositionMode::nope:
      break;
    case PositionMode::continuous:
      add(attention + "dynamic_map.weight", {1, c.hidden});
      break;
    case PositionMode::multiheadContinuous:
      add(attention + "dynamic_map.weight", {c.kvHeads, c.hidden});
      break;
    case PositionMode::swigluexMultihead:
      add(attention + "gate_map.weight", {c.hidden / 8, c.hidden});
      add(attention + "content_map.weight", {c.hidden / 8, c.hidden});
      add(attention + "final_map.weight", {c.kvHeads, c.hidden / 8});
      break;
    }
    add(prefix + "post_attention_layernorm.weight", {c.hidden});
    add(prefix + "mlp.gate_proj.weight", {c.intermediate, c.hidden});
    add(prefix + "mlp.up_proj.weight", {c.intermediate, c.hidden});
    add(prefix + "mlp.down_proj.weight", {c.hidden, c.intermediate});
    add(prefix + "post_feedforward_layernorm.weight", {c.hidden});
  }
  add("model.norm.weight", {c.hidden});
  if (!c.tiedEmbeddings)
    add("lm_head.weight", {c.vocabulary, c.hidden});
  return weights;
}

static std::string describeShape(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "[";
  llvm::interleaveComma(shape, stream);
  stream << "]";
  return text;
}

LogicalResult mlir::repo::readWeightTypes(StringRef folder,
                                          const ModelArithmetic &arithmetic,
                                          std::vector<Weight> &weights,
                                          std::string &error) {
  repo_rt_context *context = repo_rt_context_create();
  llvm::scope_exit destroy([&] { repo_rt_context_destroy(context); });
  repo_rt_safetensors *file = nullptr;
  if (repo_rt_safetensors_open(context, folder.str().c_str(), &file)) {
    error = repo_rt_last_error(context);
    return failure();
  }
  llvm::scope_exit close([&] { repo_rt_safetensors_close(file); });
  for (Weight &weight : weights) {
    const DLTensor *tensor =
        repo_rt_safetensors_find(file, weight.name.c_str());
    auto fail = [&](const Twine &text) {
      error = (folder + ": `" + weight.name + "`: " + text).str();
      return failure();
    };
    if (!tensor)
      return fail("expected a weight of shape " + describeShape(weight.shape) +
                  ", found none");
    ArrayRef<int64_t> shape(tensor->shape, tensor->ndim);
    if (shape != ArrayRef(weight.shape))
      return fail("expected shape " + describeShape(weight.shape) + ", got " +
                  describeShape(shape));
    if (tensor->dtype.code == 4 && tensor->dtype.bits == 16)
      weight.stored = "bf16";
    else if (tensor->dtype.code == 2 && tensor->dtype.bits == 16)
      weight.stored = "f16";
    else if (tensor->dtype.code == 2 && tensor->dtype.bits == 32)
      weight.stored = "f32";
    else
      return fail("expected element type F32, F16 or BF16, got type code " +
                  Twine(int(tensor->dtype.code)) + " with " +
                  Twine(int(tensor->dtype.bits)) + " bits");
    // Norms are few: they keep the precision they have.
    weight.type = arithmetic.bf16Weights && weight.shape.size() == 2
                      ? "bf16"
                      : weight.stored;
  }
  return success();
}
