//===- Config.cpp - The configuration of a model --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Config.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace mlir;
using namespace mlir::repo;

namespace {
/// Reads keys of one JSON object. The first thing that is not as expected is
/// kept as the error; everything after it is ignored.
class Keys {
public:
  Keys(const llvm::json::Object &object, std::string where, std::string &error)
      : object(object), where(std::move(where)), error(error) {}

  bool has(StringRef key) const {
    const llvm::json::Value *value = object.get(key);
    return value && value->kind() != llvm::json::Value::Null;
  }

  int64_t integer(StringRef key, int64_t minimum, int64_t maximum,
                  std::optional<int64_t> absent = std::nullopt) {
    if (!has(key))
      return absent ? *absent : missing(key, "an integer");
    std::optional<int64_t> value = object.getInteger(key);
    if (value && *value >= minimum && *value <= maximum)
      return *value;
    return fail(key, "an integer from " + std::to_string(minimum) + " to " +
                         std::to_string(maximum));
  }
  double number(StringRef key, double absent) {
    if (!has(key))
      return absent;
    std::optional<double> value = object.getNumber(key);
    if (value && std::isfinite(*value) && *value > 0)
      return *value;
    return fail(key, "a positive number");
  }
  double number(StringRef key) {
    return has(key) ? number(key, 0) : missing(key, "a positive number");
  }
  bool boolean(StringRef key, bool absent) {
    if (!has(key))
      return absent;
    if (std::optional<bool> value = object.getBoolean(key))
      return *value;
    return fail(key, "true or false");
  }
  std::string string(StringRef key, StringRef absent) {
    if (!has(key))
      return absent.str();
    if (std::optional<StringRef> value = object.getString(key))
      return value->str();
    fail(key, "a string");
    return absent.str();
  }
  const llvm::json::Object *nested(StringRef key) {
    if (!has(key))
      return nullptr;
    if (const llvm::json::Object *value = object.getObject(key))
      return value;
    fail(key, "an object");
    return nullptr;
  }

  int fail(StringRef key, const std::string &expected) {
    if (error.empty()) {
      std::string found;
      llvm::raw_string_ostream(found) << *object.get(key);
      if (found.size() > 80)
        found = found.substr(0, 77) + "...";
      error = where + ": `" + key.str() + "`: expected " + expected + ", got " +
              found;
    }
    return 0;
  }
  int missing(StringRef key, const std::string &expected) {
    if (error.empty())
      error = where + ": expected `" + key.str() + "`, " + expected +
              ", found no such key";
    return 0;
  }

private:
  const llvm::json::Object &object;
  std::string where;
  std::string &error;
};
} // namespace

static void readRope(Keys &keys, RopeConfig &rope, int64_t maxPositions,
                     const std::string &where, std::string &error) {
  rope.theta = keys.number("rope_theta", 10000.0);
  const llvm::json::Object *object = keys.nested("rope_scaling");
  if (!object)
    return;
  Keys scaling(*object, where + ": rope_scaling", error);
  StringRef typeKey = scaling.has("rope_type") ? "rope_type" : "type";
  std::string type = scaling.string(typeKey, "default");
  if (type == "default")
    return;
  auto original = [&] {
    return scaling.integer("original_max_position_embeddings", 1,
                           INT64_C(1) << 40, maxPositions);
  };
  if (type == "linear") {
    rope.scaling = RopeConfig::Scaling::linear;
    rope.factor = scaling.number("factor");
  } else if (type == "llama3") {
    rope.scaling = RopeConfig::Scaling::llama3;
    rope.factor = scaling.number("factor");
    rope.low = scaling.number("low_freq_factor");
    rope.high = scaling.number("high_freq_factor");
    rope.original = original();
    if (error.empty() && rope.low >= rope.high)
      scaling.fail("low_freq_factor", "a number below high_freq_factor");
  } else if (type == "yarn") {
    rope.scaling = RopeConfig::Scaling::yarn;
    rope.factor = scaling.number("factor");
    rope.original = original();
    rope.betaFast = scaling.number("beta_fast", 32.0);
    rope.betaSlow = scaling.number("beta_slow", 1.0);
    rope.truncate = scaling.boolean("truncate", true);
    rope.attentionFactor = scaling.number("attention_factor", 0.0);
    if (rope.attentionFactor == 0.0 && scaling.has("mscale") &&
        scaling.has("mscale_all_dim")) {
      auto magnitude = [&](double mscale) {
        return rope.factor <= 1.0 ? 1.0
                                  : 0.1 * mscale * std::log(rope.factor) + 1.0;
      };
      rope.attentionFactor = magnitude(scaling.number("mscale")) /
                             magnitude(scaling.number("mscale_all_dim"));
    }
  } else if (type == "dynamic" || type == "longrope" || type == "su") {
    scaling.fail(
        typeKey,
        "default, linear, llama3 or yarn (frequencies that depend on the "
        "length make a cache of rotated keys wrong)");
  } else {
    scaling.fail(typeKey, "default, linear, llama3 or yarn");
  }
}

/// Reads `pe_config`. Its live keys are misspelt (`dynmaic_...`); a saved
/// config has the correct spelling beside them, with defaults that the
/// reference never reads. So the correct key counts only where the misspelt one
/// is absent.
static void readPositions(Keys &keys, ModelConfig &config,
                          const std::string &where, std::string &error) {
  config.positions.assign(config.layers, PositionMode::index);
  const llvm::json::Object *object = keys.nested("pe_config");
  if (!object)
    return;
  Keys pe(*object, where + ": pe_config", error);
  std::string name = pe.string("dynamic_pe_mode", "none");
  auto mode =
      llvm::StringSwitch<std::optional<PositionMode>>(name)
          .Case("none", PositionMode::index)
          .Case("nope", PositionMode::nope)
          .Case("continuous", PositionMode::continuous)
          .Case("multihead_continuous", PositionMode::multiheadContinuous)
          .Case("swigluex_multihead", PositionMode::swigluexMultihead)
          .Default(std::nullopt);
  if (!mode) {
    pe.fail(
        "dynamic_pe_mode",
        "none, nope, continuous, multihead_continuous or swigluex_multihead");
    return;
  }
  StringRef startKey = pe.has("dynmaic_pe_start_layer")
                           ? "dynmaic_pe_start_layer"
                           : "dynamic_pe_start_layer";
  int64_t start = pe.integer(startKey, 0, INT32_MAX, 0);
  StringRef idsKey = pe.has("dynmaic_pe_layer_ids") ? "dynmaic_pe_layer_ids"
                                                    : "dynamic_pe_layer_ids";
  std::string ids = pe.string(idsKey, "");
  std::vector<bool> listed(config.layers, StringRef(ids).trim().empty());
  SmallVector<StringRef> items;
  StringRef(ids).split(items, ',', -1, /*KeepEmpty=*/false);
  for (StringRef item : items) {
    int64_t id;
    if (item.trim().getAsInteger(10, id) || id < 0) {
      pe.fail(idsKey, "layer numbers separated by commas");
      return;
    }
    if (id < config.layers)
      listed[id] = true;
  }
  for (int64_t layer = start; layer < config.layers; ++layer)
    if (listed[layer])
      config.positions[layer] = *mode;
}

/// How deep brackets nest. The parser recurses, once per level.
static int64_t getDepth(StringRef text) {
  int64_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{'))
      deepest = std::max(deepest, ++depth);
    else if (!quoted && (c == ']' || c == '}'))
      --depth;
  }
  return deepest;
}

FailureOr<ModelConfig> mlir::repo::parseModelConfig(StringRef text,
                                                    StringRef where,
                                                    std::string &error) {
  error.clear();
  constexpr int64_t maxDepth = 64;
  if (getDepth(text) > maxDepth) {
    error = (where + ": expected JSON at most " + Twine(maxDepth) +
             " levels deep, got more")
                .str();
    return failure();
  }
  llvm::Expected<llvm::json::Value> parsed = llvm::json::parse(text);
  if (!parsed) {
    std::string message = llvm::toString(parsed.takeError());
    std::replace(message.begin(), message.end(), '\n', ' ');
    error = (where + ": not valid JSON: " + message).str();
    return failure();
  }
  const llvm::json::Object *object = parsed->getAsObject();
  if (!object) {
    error = (where + ": expected a JSON object").str();
    return failure();
  }
  Keys keys(*object, where.str(), error);
  ModelConfig config;
  constexpr int64_t large = INT64_C(1) << 24;
  if (keys.string("model_type", "olmo2") != "olmo2")
    keys.fail("model_type", "olmo2");
  config.hidden = keys.integer("hidden_size", 1, large);
  config.intermediate = keys.integer("intermediate_size", 1, large);
  config.layers = keys.integer("num_hidden_layers", 1, 4096);
  config.heads = keys.integer("num_attention_heads", 1, 65536);
  config.kvHeads = keys.integer("num_key_value_heads", 1, 65536, config.heads);
  config.vocabulary = keys.integer("vocab_size", 1, INT32_MAX);
  config.maxPositions =
      keys.integer("max_position_embeddings", 1, INT64_C(1) << 31, 2048);
  config.epsilon = keys.number("rms_norm_eps", 1e-6);
  config.tiedEmbeddings = keys.boolean("tie_word_embeddings", false);
  if (keys.boolean("attention_bias", false))
    keys.fail("attention_bias",
              "false (projections with a bias are not supported)");
  if (keys.string("hidden_act", "silu") != "silu")
    keys.fail("hidden_act", "silu");
  if (error.empty() && !keys.has("head_dim") &&
      config.hidden % config.heads != 0)
    keys.fail("hidden_size",
              "a multiple of the " + std::to_string(config.heads) + " heads");
  if (error.empty() && config.heads % config.kvHeads != 0)
    keys.fail("num_key_value_heads",
              "a divisor of the " + std::to_string(config.heads) + " heads");
  if (!error.empty())
    return failure();
  config.headSize =
      keys.integer("head_dim", 1, 65536, config.hidden / config.heads);
  if (error.empty() && config.headSize % 2 != 0)
    error =
        (where + ": expected an even head size, got " + Twine(config.headSize))
            .str();
  if (const llvm::json::Value *end = object->get("eos_token_id")) {
    if (const llvm::json::Array *list = end->getAsArray()) {
      for (const llvm::json::Value &value : *list)
        if (std::optional<int64_t> id = value.getAsInteger())
          config.endTokens.push_back(*id);
        else
          keys.fail("eos_token_id", "integers");
    } else if (keys.has("eos_token_id")) {
      config.endTokens.push_back(keys.integer("eos_token_id", 0, INT32_MAX));
    }
  }
  readRope(keys, config.rope, config.maxPositions, where.str(), error);
  if (error.empty())
    readPositions(keys, config, where.str(), error);
  if (!error.empty())
    return failure();
  return config;
}

FailureOr<ModelConfig> mlir::repo::readModelConfig(StringRef folder,
                                                   std::string &error) {
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "config.json");
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer) {
    error = (Twine(path) + ": " + buffer.getError().message()).str();
    return failure();
  }
  return parseModelConfig((*buffer)->getBuffer(), path, error);
}
