//===- Importer.cpp - From a configuration to IR --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes the model as text, the form in which a person would write it and in
// which
// `--stop-after=graph` shows it; the parser checks it like any other input. One
// private function per kind of layer is called once per layer, so that compile
// time does not grow with the number of layers.
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Importer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace mlir::repo;

namespace {
/// An SSA value and its type.
struct Val {
  std::string name, type;
};

std::string tensorType(ArrayRef<int64_t> shape, StringRef element) {
  std::string text = "tensor<";
  for (int64_t size : shape)
    text += (size < 0 ? "?" : std::to_string(size)) + "x";
  return text + element.str() + ">";
}

/// The last part of a weight's name without `.weight`: `q_proj`.
std::string shortName(StringRef weight) {
  weight.consume_back(".weight");
  return weight.rsplit('.').second.str();
}

class ModelWriter {
public:
  ModelWriter(const ModelConfig &config, ArrayRef<Weight> weights)
      : c(config), weights(weights), os(text) {}

  std::string write() {
    os << "// OLMo-2 with " << c.layers
       << " layers; linear maps are [out, in].\n";
    os << "#rope = " << ropeAttribute() << "\n"
       << "#linear_in = affine_map<(b, n, o, i) -> (b, n, i)>\n"
       << "#linear_weight = affine_map<(b, n, o, i) -> (o, i)>\n"
       << "#linear_out = affine_map<(b, n, o, i) -> (b, n, o)>\n"
       << "#token = affine_map<(b, n, i) -> (b, n)>\n"
       << "#channel = affine_map<(b, n, i) -> (i)>\n"
       << "#element = affine_map<(b, n, i) -> (b, n, i)>\n"
       << "#bnhd = affine_map<(b, h, n, d) -> (b, n, h, d)>\n"
       << "#append_k = affine_map<(b, h, n, d, e) -> (b, n, h, d)>\n"
       << "#append_v = affine_map<(b, h, n, d, e) -> (b, n, h, e)>\n"
       << "#query = affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>\n"
       << "#key = affine_map<(b, h, n, m, d, e) -> (b, h, m, d)>\n"
       << "#value = affine_map<(b, h, n, m, d, e) -> (b, h, m, e)>\n"
       << "#output = affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>\n\n";
    groupLayers();
    for (size_t kind = 0; kind < kinds.size(); ++kind)
      writeLayer(kind);
    writeEntry("forward", /*lastOnly=*/false);
    writeEntry("step", /*lastOnly=*/true);
    return std::move(text);
  }

private:
  //===--------------------------------------------------------------------===//
  // Small pieces
  //===--------------------------------------------------------------------===//

  Val fresh(StringRef hint, const std::string &type) {
    return {"%" + hint.str() + "_" + std::to_string(counter++), type};
  }
  std::string rows(int64_t width, StringRef element = "f32") {
    return tensorType({-1, -1, width}, element);
  }
  static std::string quote(double value) {
    SmallString<24> digits;
    llvm::APFloat(value).toString(digits, 0, 0);
    return digits.str().str();
  }

  std::string ropeAttribute() {
    const RopeConfig &r = c.rope;
    std::string scaling;
    switch (r.scaling) {
    case RopeConfig::Scaling::none:
      break;
    case RopeConfig::Scaling::linear:
      scaling = "#repo.linear<factor = " + quote(r.factor) + ">";
      break;
    case RopeConfig::Scaling::llama3:
      scaling = "#repo.llama3<factor = " + quote(r.factor) +
                ", low = " + quote(r.low) + ", high = " + quote(r.high) +
                ", original = " + std::to_string(r.original) + ">";
      break;
    case RopeConfig::Scaling::yarn:
      scaling = "#repo.yarn<factor = " + quote(r.factor) +
                ", original = " + std::to_string(r.original) +
                ", beta_fast = " + quote(r.betaFast) +
                ", beta_slow = " + quote(r.betaSlow) +
                ", attention_factor = " + quote(r.attentionFactor) +
                ", truncate = " + (r.truncate ? "true" : "false") + ">";
      break;
    }
    return "#repo.rope<theta = " + quote(r.theta) +
           ", dim = " + std::to_string(c.headSize) +
           (scaling.empty() ? "" : ", scaling = " + scaling) + ">";
  }

  Val empty(int64_t width) {
    Val value = fresh("empty", rows(width));
    os << "  " << value.name << " = tensor.empty(%b, %n) : " << value.type
       << "\n";
    return value;
  }
  Val zeros(int64_t width) {
    Val init = empty(width), value = fresh("zeros", init.type);
    os << "  " << value.name << " = linalg.fill ins(%zero : f32) outs("
       << init.name << " : " << init.type << ") -> " << init.type << "\n";
    return value;
  }

  /// input [B, N, I] times weight [O, I], transposed.
  Val linear(StringRef hint, const Val &input, const Val &weight,
             int64_t width) {
    Val init = zeros(width), value = fresh(hint, init.type);
    os << "  " << value.name
       << " = linalg.contract indexing_maps = [#linear_in, #linear_weight, "
          "#linear_out] ins("
       << input.name << ", " << weight.name << " : " << input.type << ", "
       << weight.type << ") outs(" << init.name << " : " << init.type << ") -> "
       << init.type << "\n";
    return value;
  }

  /// A weight element as f32, inside a region.
  std::string extend(StringRef element, StringRef name) {
    if (element == "f32")
      return name.str();
    os << "    " << name << "_f32 = arith.extf " << name << " : " << element
       << " to f32\n";
    return (name + "_f32").str();
  }

  static StringRef elementOf(const Val &value) {
    return StringRef(value.type).rsplit('x').second.drop_back();
  }

  /// input / sqrt(mean(input^2) + eps) * weight over the whole row.
  Val norm(StringRef hint, const Val &input, const Val &weight, int64_t width) {
    std::string sumType = tensorType({-1, -1}, "f32");
    Val sumInit = fresh("empty", sumType), sumZero = fresh("zeros", sumType),
        sum = fresh("squares", sumType);
    os << "  " << sumInit.name << " = tensor.empty(%b, %n) : " << sumType
       << "\n  " << sumZero.name << " = linalg.fill ins(%zero : f32) outs("
       << sumInit.name << " : " << sumType << ") -> " << sumType << "\n  "
       << sum.name
       << " = linalg.generic {indexing_maps = [#element, #token], "
          "iterator_types = "
          "[\"parallel\", \"parallel\", \"reduction\"]}\n      ins("
       << input.name << " : " << input.type << ") outs(" << sumZero.name
       << " : " << sumType << ") {\n  ^bb0(%x: f32, %acc: f32):\n"
       << "    %square = arith.mulf %x, %x : f32\n"
       << "    %next = arith.addf %acc, %square : f32\n"
       << "    linalg.yield %next : f32\n  } -> " << sumType << "\n";
    Val init = empty(width), value = fresh(hint, init.type);
    StringRef element = elementOf(weight);
    os << "  " << value.name
       << " = linalg.generic {indexing_maps = [#element, #token, #channel, "
          "#element], "
          "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}\n      "
          "ins("
       << input.name << ", " << sum.name << ", " << weight.name << " : "
       << input.type << ", " << sumType << ", " << weight.type << ") outs("
       << init.name << " : " << init.type
       << ") {\n  ^bb0(%x: f32, %sum: f32, %w: " << element
       << ", %unused: f32):\n"
       << "    %width = arith.constant " << quote(double(width)) << " : f32\n"
       << "    %eps = arith.constant " << quote(c.epsilon) << " : f32\n"
       << "    %mean = arith.divf %sum, %width : f32\n"
       << "    %shifted = arith.addf %mean, %eps : f32\n"
       << "    %root = math.sqrt %shifted : f32\n"
       << "    %scaled = arith.divf %x, %root : f32\n";
    std::string w = extend(element, "%w");
    os << "    %result = arith.mulf " << w << ", %scaled : f32\n"
       << "    linalg.yield %result : f32\n  } -> " << init.type << "\n";
    return value;
  }

  /// The residual sum, written over `stream`.
  Val addInPlace(const Val &stream, const Val &update) {
    Val value = fresh("h", stream.type);
    os << "  " << value.name
       << " = linalg.generic {indexing_maps = [#element, #element], "
          "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}\n"
          "      ins("
       << update.name << " : " << update.type << ") outs(" << stream.name
       << " : " << stream.type << ") {\n  ^bb0(%update: f32, %h_old: f32):\n"
       << "    %sum = arith.addf %h_old, %update : f32\n"
       << "    linalg.yield %sum : f32\n  } -> " << stream.type << "\n";
    return value;
  }

  /// [B, N, H * D] as [B, N, H, D].
  Val splitHeads(const Val &input, int64_t heads) {
    Val value = fresh("heads", tensorType({-1, -1, heads, c.headSize}, "f32"));
    os << "  " << value.name << " = tensor.expand_shape " << input.name
       << " [[0], [1], [2, 3]] output_shape [%b, %n, " << heads << ", "
       << c.headSize << "] : " << input.type << " into " << value.type << "\n";
    return value;
  }

  //===--------------------------------------------------------------------===//
  // Layers
  //===--------------------------------------------------------------------===//

  struct Kind {
    PositionMode mode;
    std::vector<std::string> types;      // of the weights
    std::vector<const Weight *> weights; // of the first layer of the kind
  };

  static std::vector<const Weight *> weightsOf(ArrayRef<Weight> weights,
                                               int64_t layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    std::vector<const Weight *> result;
    for (const Weight &weight : weights)
      if (StringRef(weight.name).starts_with(prefix))
        result.push_back(&weight);
    return result;
  }

  /// Layers with the same positions and the same weight types share a function.
  void groupLayers() {
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      Kind kind{c.positions[layer], {}, weightsOf(weights, layer)};
      for (const Weight *weight : kind.weights)
        kind.types.push_back(tensorType(weight->shape, weight->type));
      auto same = llvm::find_if(kinds, [&](const Kind &other) {
        return other.mode == kind.mode && other.types == kind.types;
      });
      kindOf.push_back(same - kinds.begin());
      if (same == kinds.end())
        kinds.push_back(std::move(kind));
    }
  }

  static StringRef modeName(PositionMode mode) {
    switch (mode) {
    case PositionMode::index:
      return "rope";
    case PositionMode::nope:
      return "nope";
    case PositionMode::continuous:
      return "continuous";
    case PositionMode::multiheadContinuous:
      return "multihead_continuous";
    case PositionMode::swigluexMultihead:
      return "repo";
    }
    llvm_unreachable("mode");
  }
  std::string layerName(size_t kind) {
    return modeName(kinds[kind].mode).str() + "_layer" +
           (kind ? std::to_string(kind) : std::string());
  }

  std::string cacheType() {
    return tensorType({-1, c.kvHeads, -1, c.headSize}, "f32");
  }
  std::string positionsType() { return tensorType({-1, c.heads, -1}, "f32"); }

  /// The positions of a layer: `[B, 1 | KV heads, N]`, or none.
  std::optional<Val> positions(const Kind &kind, const Val &h,
                               llvm::StringMap<Val> &w) {
    bool shared = kind.mode == PositionMode::index ||
                  kind.mode == PositionMode::continuous;
    Val z = fresh("z", tensorType({-1, shared ? 1 : c.kvHeads, -1}, "f32"));
    switch (kind.mode) {
    case PositionMode::nope:
      return std::nullopt;
    case PositionMode::index:
      os << "  " << z.name
         << " = repo.index_positions sizes(%b, %n) offset(%at) : (index, "
         << "index, tensor<?xi32>) -> " << z.type << "\n";
      return z;
    case PositionMode::continuous:
    case PositionMode::multiheadContinuous: {
      Val &map = w["dynamic_map"];
      os << "  " << z.name << " = repo.linear_positions " << h.name << " heads("
         << map.name << ") : (" << h.type << ", " << map.type << ") -> "
         << z.type << "\n";
      return z;
    }
    case PositionMode::swigluexMultihead: {
      Val &gate = w["gate_map"], &content = w["content_map"],
          &final = w["final_map"];
      os << "  " << z.name << " = repo.assign_positions " << h.name << " gate("
         << gate.name << ") content(" << content.name << ") heads("
         << final.name << ")\n      : (" << h.type << ", " << gate.type << ", "
         << content.type << ", " << final.type << ") -> " << z.type << "\n";
      return z;
    }
    }
    llvm_unreachable("mode");
  }

  /// The positions as the model reports them, one per query head, written over
  /// `%z_out`.
  Val reportPositions(const std::optional<Val> &z) {
    Val result = fresh("positions", positionsType());
    if (!z) {
      os << "  " << result.name
         << " = linalg.fill ins(%zero : f32) outs(%z_out : " << result.type
         << ") -> " << result.type << "\n";
      return result;
    }
    bool shared =
        StringRef(z->type).starts_with("tensor<?x1x") && c.kvHeads != 1;
    std::string head =
        shared || c.kvHeads == 1
            ? "0"
            : "h floordiv " + std::to_string(c.heads / c.kvHeads);
    os << "  " << result.name
       << " = linalg.generic {indexing_maps = [affine_map<(b, h, n) -> (b, "
       << head
       << ", n)>, affine_map<(b, h, n) -> (b, h, n)>], iterator_types = "
          "[\"parallel\", "
          "\"parallel\", \"parallel\"]}\n      ins("
       << z->name << " : " << z->type << ") outs(%z_out : " << result.type
       << ") {\n  ^bb0(%x: f32, %unused: f32):\n    linalg.yield %x : f32\n  } "
          "-> "
       << result.type << "\n";
    return result;
  }

  void writeLayer(size_t number) {
    const Kind &kind = kinds[number];
    std::string hidden = rows(c.hidden);
    os << "func.func private @" << layerName(number) << "(\n    %h: " << hidden
       << ", %at: tensor<?xi32>, %key_cache: " << cacheType()
       << ", %value_cache: " << cacheType() << ", %z_out: " << positionsType();
    llvm::StringMap<Val> w;
    for (auto [weight, type] : llvm::zip(kind.weights, kind.types)) {
      std::string name = shortName(weight->name);
      w[name] = {"%w_" + name, type};
      os << ",\n    %w_" << name << ": " << type << " {repo.constant}";
    }
    os << ")\n    -> (" << hidden << ", " << cacheType() << ", " << cacheType()
       << ", " << positionsType() << ") {\n";
    os << "  %zero = arith.constant 0.0 : f32\n  %c0 = arith.constant 0 : "
          "index\n"
       << "  %c1 = arith.constant 1 : index\n"
       << "  %b = tensor.dim %h, %c0 : " << hidden
       << "\n  %n = tensor.dim %h, %c1 : " << hidden << "\n";
    Val h{"%h", hidden};
    int64_t queryWidth = c.heads * c.headSize,
            keyWidth = c.kvHeads * c.headSize;

    std::optional<Val> z = positions(kind, h, w);
    Val q = norm("q_normed", linear("q", h, w["q_proj"], queryWidth),
                 w["q_norm"], queryWidth);
    Val k = norm("k_normed", linear("k", h, w["k_proj"], keyWidth), w["k_norm"],
                 keyWidth);
    Val v = linear("v", h, w["v_proj"], keyWidth);
    Val qh = splitHeads(q, c.heads), kh = splitHeads(k, c.kvHeads),
        vh = splitHeads(v, c.kvHeads);

    Val caches = fresh("caches", cacheType());
    os << "  " << caches.name << ":2 = repo.cache_append " << kh.name << ", "
       << vh.name;
    if (z)
      os << " positions(" << z->name << ")";
    os << " at(%at) into %key_cache, %value_cache\n      {"
       << (z ? "rope = #rope, " : "")
       << "layouts = [#append_k, #append_v]}\n      : (" << kh.type << ", "
       << vh.type << ", " << (z ? z->type + ", " : std::string())
       << "tensor<?xi32>, " << cacheType() << ", " << cacheType() << ") -> ("
       << cacheType() << ", " << cacheType() << ")\n";

    std::string headsType = tensorType({-1, -1, c.heads, c.headSize}, "f32");
    Val init = fresh("empty", headsType), o = fresh("attended", headsType);
    os << "  " << init.name << " = tensor.empty(%b, %n) : " << headsType
       << "\n";
    os << "  " << o.name << " = repo.attention " << qh.name << ", "
       << caches.name << "#0, " << caches.name << "#1";
    if (z)
      os << " query_positions(" << z->name << ")";
    os << " offset(%at) into " << init.name << "\n      {causal, "
       << (z ? "rope = #rope, " : "")
       << "layouts = [#query, #key, #value, #output]}\n      : (" << headsType
       << ", " << cacheType() << ", " << cacheType() << ", "
       << (z ? z->type + ", " : std::string()) << "tensor<?xi32>, " << headsType
       << ") -> " << headsType << "\n";
    Val merged = fresh("merged", rows(queryWidth));
    os << "  " << merged.name << " = tensor.collapse_shape " << o.name
       << " [[0], [1], [2, 3]] : " << headsType << " into " << merged.type
       << "\n";
    Val attention = linear("o", merged, w["o_proj"], c.hidden);
    Val h1 = addInPlace(h, norm("attention", attention,
                                w["post_attention_layernorm"], c.hidden));

    Val gate = linear("gate", h1, w["gate_proj"], c.intermediate);
    Val up = linear("up", h1, w["up_proj"], c.intermediate);
    Val activated = fresh("activated", gate.type);
    os << "  " << activated.name
       << " = linalg.generic {indexing_maps = [#element, #element], "
          "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}\n"
          "      ins("
       << up.name << " : " << up.type << ") outs(" << gate.name << " : "
       << gate.type << ") {\n  ^bb0(%u: f32, %g: f32):\n"
       << "    %one = arith.constant 1.0 : f32\n"
       << "    %minus = arith.negf %g : f32\n"
       << "    %exp = math.exp %minus : f32\n"
       << "    %sum = arith.addf %exp, %one : f32\n"
       << "    %silu = arith.divf %g, %sum : f32\n"
       << "    %product = arith.mulf %silu, %u : f32\n"
       << "    linalg.yield %product : f32\n  } -> " << gate.type << "\n";
    Val down = linear("down", activated, w["down_proj"], c.hidden);
    Val h2 = addInPlace(
        h1, norm("mlp", down, w["post_feedforward_layernorm"], c.hidden));
    Val reported = reportPositions(z);
    os << "  return " << h2.name << ", " << caches.name << "#0, " << caches.name
       << "#1, " << reported.name << " : " << hidden << ", " << cacheType()
       << ", " << cacheType() << ", " << positionsType() << "\n}\n\n";
  }

  //===--------------------------------------------------------------------===//
  // Entries
  //===--------------------------------------------------------------------===//

  /// token -> its row of the embedding, as f32.
  Val embed(const Val &table) {
    Val init = empty(c.hidden), value = fresh("h", init.type);
    StringRef element = elementOf(table);
    os << "  " << value.name
       << " = linalg.generic {indexing_maps = [#token, #element], "
          "iterator_types = "
          "[\"parallel\", \"parallel\", \"parallel\"]}\n      ins(%tokens : "
          "tensor<?x?xi32>) "
          "outs("
       << init.name << " : " << init.type
       << ") {\n  ^bb0(%token: i32, %unused: f32):\n"
       << "    %row = arith.index_cast %token : i32 to index\n"
       << "    %column = linalg.index 2 : index\n"
       << "    %x = tensor.extract " << table.name
       << "[%row, %column] : " << table.type << "\n";
    std::string x = extend(element, "%x");
    os << "    linalg.yield " << x << " : f32\n  } -> " << init.type << "\n";
    return value;
  }

  void writeEntry(StringRef name, bool lastOnly) {
    std::string logitsType = rows(c.vocabulary);
    std::string allPositions = tensorType({c.layers, -1, c.heads, -1}, "f32");
    os << "func.func @" << name
       << "(%tokens: tensor<?x?xi32> {repo.name = \"tokens\"},\n    %at: "
          "tensor<?xi32> "
          "{repo.name = \"at\"}";
    int64_t result = 2;
    for (int64_t layer = 0; layer < c.layers; ++layer)
      for (StringRef which : {"key", "value"})
        os << ",\n    %layer" << layer << "_" << which
           << "_cache: " << cacheType() << " {repo.name = \"layer" << layer
           << "." << which << "_cache\", repo.inout = " << result++
           << " : index}";
    llvm::StringMap<Val> named;
    for (auto [i, weight] : llvm::enumerate(weights)) {
      Val value{"%w" + std::to_string(i),
                tensorType(weight.shape, weight.type)};
      named[weight.name] = value;
      os << ",\n    " << value.name << ": " << value.type
         << " {repo.constant, repo.name = \"" << weight.name << "\"}";
    }
    os << ")\n    -> (" << logitsType << " {repo.name = \"logits\"}, "
       << allPositions << " {repo.name = \"positions\"}";
    for (int64_t i = 0; i < 2 * c.layers; ++i)
      os << ", " << cacheType();
    os << ") {\n";
    os << "  %zero = arith.constant 0.0 : f32\n  %c0 = arith.constant 0 : "
          "index\n"
       << "  %c1 = arith.constant 1 : index\n"
       << "  %b = tensor.dim %tokens, %c0 : tensor<?x?xi32>\n"
       << "  %n = tensor.dim %tokens, %c1 : tensor<?x?xi32>\n";
    Val h = embed(named["model.embed_tokens.weight"]);
    Val positions = fresh("positions", allPositions);
    os << "  " << positions.name << " = tensor.empty(%b, %n) : " << allPositions
       << "\n";
    SmallVector<std::string> caches;
    for (int64_t layer = 0; layer < c.layers; ++layer)
      std::tie(h, positions) = callLayer(layer, h, positions, named, caches);
    if (lastOnly) {
      Val last = fresh("last", tensorType({-1, 1, c.hidden}, "f32"));
      os << "  %n_last = arith.subi %n, %c1 : index\n  " << last.name
         << " = tensor.extract_slice " << h.name << "[0, %n_last, 0] [%b, 1, "
         << c.hidden << "] [1, 1, 1] : " << h.type << " to " << last.type
         << "\n";
      // The pieces below are over [B, N]; here N is 1.
      Val cast = fresh("last", rows(c.hidden));
      os << "  " << cast.name << " = tensor.cast " << last.name << " : "
         << last.type << " to " << cast.type << "\n";
      os << "  %logits = func.call @head(" << cast.name;
    } else {
      os << "  %logits = func.call @head(" << h.name;
    }
    Val &normWeight = named["model.norm.weight"];
    Val &headWeight = named[c.tiedEmbeddings ? "model.embed_tokens.weight"
                                             : "lm_head.weight"];
    std::string logitsInit = lastOnly ? "%c1" : "%n";
    os << ", " << normWeight.name << ", " << headWeight.name
       << ", %logits_out) : (" << rows(c.hidden) << ", " << normWeight.type
       << ", " << headWeight.type << ", " << logitsType << ") -> " << logitsType
       << "\n";
    // The destination comes before its use.
    size_t call = text.rfind("  %logits = func.call");
    text.insert(call, "  %logits_out = tensor.empty(%b, " + logitsInit +
                          ") : " + logitsType + "\n");
    os << "  return %logits, " << positions.name;
    for (const std::string &cache : caches)
      os << ", " << cache;
    os << " : " << logitsType << ", " << allPositions;
    for (size_t i = 0; i < caches.size(); ++i)
      os << ", " << cacheType();
    os << "\n}\n\n";
    if (lastOnly)
      writeHead(normWeight, headWeight);
  }

  std::pair<Val, Val> callLayer(int64_t layer, const Val &h,
                                const Val &positions,
                                llvm::StringMap<Val> &named,
                                SmallVectorImpl<std::string> &caches) {
    Val slice = fresh("z", positionsType()), result = fresh("layer", ""),
        next = fresh("positions", positions.type);
    std::string bounds = "[" + std::to_string(layer) + ", 0, 0, 0] [1, %b, " +
                         std::to_string(c.heads) + ", %n] [1, 1, 1, 1]";
    os << "  " << slice.name << " = tensor.extract_slice " << positions.name
       << bounds << " : " << positions.type << " to " << slice.type << "\n";
    std::string prefix = "layer" + std::to_string(layer) + "_";
    os << "  " << result.name << ":4 = func.call @" << layerName(kindOf[layer])
       << "(" << h.name << ", %at, %" << prefix << "key_cache, %" << prefix
       << "value_cache, " << slice.name;
    std::string types = h.type + ", tensor<?xi32>, " + cacheType() + ", " +
                        cacheType() + ", " + slice.type;
    for (const Weight *weight : weightsOf(weights, layer)) {
      Val &value = named[weight->name];
      os << ", " << value.name;
      types += ", " + value.type;
    }
    os << ")\n      : (" << types << ") -> (" << h.type << ", " << cacheType()
       << ", " << cacheType() << ", " << slice.type << ")\n";
    os << "  " << next.name << " = tensor.insert_slice " << result.name
       << "#3 into " << positions.name << bounds << " : " << slice.type
       << " into " << positions.type << "\n";
    caches.push_back(result.name + "#1");
    caches.push_back(result.name + "#2");
    return {Val{result.name + "#0", h.type}, next};
  }

  /// The final norm and the output head, shared by the entries.
  void writeHead(const Val &normWeight, const Val &headWeight) {
    std::string logitsType = rows(c.vocabulary);
    os << "func.func private @head(%h: " << rows(c.hidden)
       << ", %w_norm: " << normWeight.type
       << " {repo.constant},\n    %w_head: " << headWeight.type
       << " {repo.constant}, %out: " << logitsType << ") -> " << logitsType
       << " {\n"
       << "  %zero = arith.constant 0.0 : f32\n  %c0 = arith.constant 0 : "
          "index\n"
       << "  %c1 = arith.constant 1 : index\n  %b = tensor.dim %h, %c0 : "
       << rows(c.hidden) << "\n  %n = tensor.dim %h, %c1 : " << rows(c.hidden)
       << "\n";
    Val normed = norm("final", {"%h", rows(c.hidden)},
                      {"%w_norm", normWeight.type}, c.hidden);
    os << "  %logits_zero = linalg.fill ins(%zero : f32) outs(%out : "
       << logitsType << ") -> " << logitsType << "\n"
       << "  %logits = linalg.contract indexing_maps = [#linear_in, "
          "#linear_weight, "
          "#linear_out] ins("
       << normed.name << ", %w_head : " << normed.type << ", "
       << headWeight.type << ") outs(%logits_zero : " << logitsType << ") -> "
       << logitsType << "\n  return %logits : " << logitsType << "\n}\n";
  }

  const ModelConfig &c;
  ArrayRef<Weight> weights;
  std::string text;
  llvm::raw_string_ostream os;
  std::vector<Kind> kinds;
  std::vector<size_t> kindOf;
  unsigned counter = 0;
};
} // namespace

std::string mlir::repo::writeModelIR(const ModelConfig &config,
                                     const std::vector<Weight> &weights) {
  return ModelWriter(config, weights).write();
}

std::string mlir::repo::writeModelManifest(const ModelConfig &config,
                                           const std::vector<Weight> &weights) {
  llvm::json::Array list, end;
  for (const Weight &weight : weights)
    list.push_back(
        llvm::json::Object{{"name", weight.name},
                           {"dtype", weight.type},
                           {"shape", llvm::json::Array(weight.shape)}});
  for (int64_t id : config.endTokens)
    end.push_back(id);
  llvm::json::Object manifest{{"format", 1},
                              {"layers", config.layers},
                              {"heads", config.heads},
                              {"kv_heads", config.kvHeads},
                              {"head_size", config.headSize},
                              {"vocabulary", config.vocabulary},
                              {"max_positions", config.maxPositions},
                              {"end_tokens", std::move(end)},
                              {"library", "model.so"},
                              {"weights", std::move(list)}};
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(manifest)));
  return text;
}
