//===- Importer.cpp - From a configuration to IR --------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Writes the model as text, the form in which a person would write it and in
// which `--stop-after=graph` shows it; the parser checks it like any other
// input. There is an entry per phase and kind of cache. One private function
// per kind of layer is called once per layer, so that compile time hardly grows
// with the number of layers.
//
//===----------------------------------------------------------------------===//

#include "repo/Model/Importer.h"
#include "GraphWriter.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::repo;

/// The last part of a weight's name without `.weight`: `q_proj`.
static std::string shortName(StringRef weight) {
  weight.consume_back(".weight");
  return weight.rsplit('.').second.str();
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

namespace {
class ModelWriter : GraphWriter {
public:
  ModelWriter(const ModelConfig &config, const ModelArithmetic &arithmetic,
              ArrayRef<Weight> weights)
      : c(config), arithmetic(arithmetic), weights(weights) {}

  std::string write();

private:
  /// Layers with the same positions and the same weight types share a function.
  struct Kind {
    PositionMode mode;
    std::vector<std::string> types;      // of the weights
    std::vector<const Weight *> weights; // of the first layer of the kind
  };
  /// Prefill takes any number of tokens, decode one per sequence; the caches
  /// are contiguous or pages.
  struct Phase {
    bool decode, paged;
    std::string suffix() const {
      return std::string(paged ? "_paged" : "") + (decode ? "_decode" : "");
    }
  };

  std::string ropeAttribute();
  static std::vector<const Weight *> weightsOf(ArrayRef<Weight> weights,
                                               int64_t layer);
  void groupLayers();
  std::string layerName(size_t kind) {
    return modeName(kinds[kind].mode).str() + "_layer" +
           (kind ? std::to_string(kind) : std::string()) + phase.suffix();
  }

  /// Of a cache argument: [B, KV heads, capacity, head size], or pages.
  std::string cacheType() {
    return tensorType(
        {-1, c.kvHeads, phase.paged ? arithmetic.pageSize : -1, c.headSize},
        arithmetic.cache);
  }
  std::string positionsType() {
    return tensorType({-1, c.heads, tokens}, "f32");
  }
  std::string allPositionsType() {
    return tensorType({c.layers, -1, c.heads, tokens}, "f32");
  }
  /// The input of a linear map, as the multiplication takes it.
  Val operand(const Val &input, int64_t width) {
    return rounded(input, width, arithmetic.bf16Activations ? "bf16" : "f32");
  }

  std::optional<Val> positions(const Kind &kind, const Val &h,
                               llvm::StringMap<Val> &w);
  Val reportPositions(const std::optional<Val> &z);
  Val attend(const Val &q, const Val &k, const Val &v,
             const std::optional<Val> &z, Val &caches);
  /// A paged cache as one tensor, of which `%lengths` rows are used.
  Val view(const std::string &pages);
  void writeLayer(size_t number);

  Val embed(const Val &table);
  Val wantedRows(const Val &h);
  void writeEntry();
  std::pair<Val, Val> callLayer(int64_t layer, const Val &h,
                                const Val &positions,
                                llvm::StringMap<Val> &named,
                                SmallVectorImpl<std::string> &caches);
  void writeHead(const Val &normWeight, const Val &headWeight);

  const ModelConfig &c;
  const ModelArithmetic &arithmetic;
  ArrayRef<Weight> weights;
  std::vector<Kind> kinds;
  std::vector<size_t> kindOf;
  Phase phase = {};
};
} // namespace

std::string ModelWriter::write() {
  os << "// OLMo-2 with " << c.layers
     << " layers; linear maps are [out, in].\n";
  os << "#rope = " << ropeAttribute() << "\n"
     << "#linear_in = affine_map<(b, n, o, i) -> (b, n, i)>\n"
     << "#linear_weight = affine_map<(b, n, o, i) -> (o, i)>\n"
     << "#linear_out = affine_map<(b, n, o, i) -> (b, n, o)>\n"
     << "#token = affine_map<(b, n, i) -> (b, n)>\n"
     << "#channel = affine_map<(b, n, i) -> (i)>\n"
     << "#element = affine_map<(b, n, i) -> (b, n, i)>\n"
     << "#append_k = affine_map<(b, h, n, d, e) -> (b, n, h, d)>\n"
     << "#append_v = affine_map<(b, h, n, d, e) -> (b, n, h, e)>\n"
     << "#query = affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>\n"
     << "#key = affine_map<(b, h, n, m, d, e) -> (b, h, m, d)>\n"
     << "#value = affine_map<(b, h, n, m, d, e) -> (b, h, m, e)>\n"
     << "#output = affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>\n\n";
  groupLayers();
  for (bool decode : {false, true}) {
    tokens = decode ? 1 : -1;
    for (bool paged : {false, true}) {
      phase = {decode, paged};
      for (size_t kind = 0; kind < kinds.size(); ++kind)
        writeLayer(kind);
      writeEntry();
    }
  }
  return std::move(text);
}

std::string ModelWriter::ropeAttribute() {
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

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

std::vector<const Weight *> ModelWriter::weightsOf(ArrayRef<Weight> weights,
                                                   int64_t layer) {
  std::string prefix = "model.layers." + std::to_string(layer) + ".";
  std::vector<const Weight *> result;
  for (const Weight &weight : weights)
    if (StringRef(weight.name).starts_with(prefix))
      result.push_back(&weight);
  return result;
}

void ModelWriter::groupLayers() {
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

/// The positions of a layer: `[B, 1 | KV heads, N]`, or none.
std::optional<Val> ModelWriter::positions(const Kind &kind, const Val &h,
                                          llvm::StringMap<Val> &w) {
  bool shared =
      kind.mode == PositionMode::index || kind.mode == PositionMode::continuous;
  Val z = fresh("z", tensorType({-1, shared ? 1 : c.kvHeads, tokens}, "f32"));
  switch (kind.mode) {
  case PositionMode::nope:
    return std::nullopt;
  case PositionMode::index:
    os << "  " << z.name << " = repo.index_positions sizes(" << dynamicSizes()
       << ") offset(%at) : (index, " << (tokens < 0 ? "index, " : "")
       << "tensor<?xi32>) -> " << z.type << "\n";
    return z;
  case PositionMode::continuous:
  case PositionMode::multiheadContinuous: {
    Val &map = w["dynamic_map"];
    os << "  " << z.name << " = repo.linear_positions " << h.name << " heads("
       << map.name << ") : (" << h.type << ", " << map.type << ") -> " << z.type
       << "\n";
    return z;
  }
  case PositionMode::swigluexMultihead: {
    Val &gate = w["gate_map"], &content = w["content_map"],
        &final = w["final_map"];
    os << "  " << z.name << " = repo.assign_positions " << h.name << " gate("
       << gate.name << ") content(" << content.name << ") heads(" << final.name
       << ")\n      : (" << h.type << ", " << gate.type << ", " << content.type
       << ", " << final.type << ") -> " << z.type << "\n";
    return z;
  }
  }
  llvm_unreachable("mode");
}

/// The positions as the model reports them, one per query head, written over
/// `%z_out`.
Val ModelWriter::reportPositions(const std::optional<Val> &z) {
  Val result = fresh("positions", positionsType());
  if (!z) {
    os << "  " << result.name
       << " = linalg.fill ins(%zero : f32) outs(%z_out : " << result.type
       << ") -> " << result.type << "\n";
    return result;
  }
  bool shared = StringRef(z->type).starts_with("tensor<?x1x") && c.kvHeads != 1;
  std::string head = shared || c.kvHeads == 1
                         ? "0"
                         : "h floordiv " + std::to_string(c.heads / c.kvHeads);
  os << "  " << result.name
     << " = linalg.generic {indexing_maps = [affine_map<(b, h, n) -> (b, "
     << head
     << ", n)>, affine_map<(b, h, n) -> (b, h, n)>], iterator_types = "
        "[\"parallel\", \"parallel\", \"parallel\"]}\n      ins("
     << z->name << " : " << z->type << ") outs(%z_out : " << result.type
     << ") {\n  ^bb0(%x: f32, %unused: f32):\n    linalg.yield %x : f32\n  } "
        "-> "
     << result.type << "\n";
  return result;
}

Val ModelWriter::view(const std::string &pages) {
  Val rows = fresh(
      "cache", tensorType({-1, c.kvHeads, -1, c.headSize}, arithmetic.cache));
  os << "  " << rows.name << " = repo.cache_view " << pages
     << " table(%table) lengths(%lengths) : (" << cacheType()
     << ", tensor<?x?xi32>, tensor<?xi32>) -> " << rows.type << "\n";
  return rows;
}

/// Appends to the caches (`caches` becomes the updated pair), then attends to
/// all they hold.
Val ModelWriter::attend(const Val &q, const Val &k, const Val &v,
                        const std::optional<Val> &z, Val &caches) {
  caches = fresh("caches", cacheType());
  os << "  " << caches.name << ":2 = repo.cache_append " << k.name << ", "
     << v.name;
  if (z)
    os << " positions(" << z->name << ")";
  os << " at(%at)" << (phase.paged ? " table(%table)" : "")
     << " into %key_cache, %value_cache\n      {" << (z ? "rope = #rope, " : "")
     << "layouts = [#append_k, #append_v]}\n      : (" << k.type << ", "
     << v.type << ", " << (z ? z->type + ", " : std::string())
     << "tensor<?xi32>, " << (phase.paged ? "tensor<?x?xi32>, " : "")
     << cacheType() << ", " << cacheType() << ") -> (" << cacheType() << ", "
     << cacheType() << ")\n";
  Val keys{caches.name + "#0", caches.type},
      values{caches.name + "#1", caches.type};
  if (phase.paged) {
    keys = view(keys.name);
    values = view(values.name);
  }
  Val init = fresh("empty", q.type), o = fresh("attended", q.type);
  os << "  " << init.name << " = tensor.empty(" << dynamicSizes()
     << ") : " << q.type << "\n";
  os << "  " << o.name << " = repo.attention " << q.name << ", " << keys.name
     << ", " << values.name;
  if (z)
    os << " query_positions(" << z->name << ")";
  // No key is past the last query; said again, as the views say it.
  os << (phase.paged ? " lengths(%lengths)" : "") << " offset(%at) into "
     << init.name << "\n      {causal, " << (z ? "rope = #rope, " : "")
     << "layouts = [#query, #key, #value, #output]}\n      : (" << q.type
     << ", " << keys.type << ", " << values.type << ", "
     << (z ? z->type + ", " : std::string())
     << (phase.paged ? "tensor<?xi32>, " : "") << "tensor<?xi32>, " << q.type
     << ") -> " << q.type << "\n";
  return o;
}

void ModelWriter::writeLayer(size_t number) {
  const Kind &kind = kinds[number];
  std::string hidden = rows(c.hidden);
  os << "func.func private @" << layerName(number) << "(\n    %h: " << hidden
     << ", %at: tensor<?xi32>, "
     << (phase.paged ? "%table: tensor<?x?xi32>, " : "")
     << "%key_cache: " << cacheType() << ", %value_cache: " << cacheType()
     << ", %z_out: " << positionsType();
  llvm::StringMap<Val> w;
  for (auto [weight, type] : llvm::zip(kind.weights, kind.types)) {
    std::string name = shortName(weight->name);
    w[name] = {"%w_" + name, type};
    os << ",\n    %w_" << name << ": " << type << " {repo.constant}";
  }
  os << ")\n    -> (" << hidden << ", " << cacheType() << ", " << cacheType()
     << ", " << positionsType() << ") {\n";
  Val h{"%h", hidden};
  writeSizes(h);
  if (phase.paged)
    os << "  %lengths_init = tensor.empty(%b) : tensor<?xi32>\n"
          "  %lengths = linalg.generic {indexing_maps = [affine_map<(b) -> "
          "(b)>, affine_map<(b) -> (b)>], iterator_types = [\"parallel\"]}\n"
          "      ins(%at : tensor<?xi32>) outs(%lengths_init : tensor<?xi32>) "
          "{\n  ^bb0(%start: i32, %unused: i32):\n"
       << (tokens < 0 ? "    %count = arith.index_cast %n : index to i32\n"
                      : "    %count = arith.constant 1 : i32\n")
       << "    %length = arith.addi %start, %count : i32\n"
          "    linalg.yield %length : i32\n  } -> tensor<?xi32>\n";
  int64_t queryWidth = c.heads * c.headSize, keyWidth = c.kvHeads * c.headSize;
  auto blockNorm = [&](StringRef hint, const Val &input, StringRef weight,
                       int64_t width) {
    return norm(hint, input, w[weight], width, c.epsilon);
  };

  Val input = operand(h, c.hidden);
  std::optional<Val> z = positions(kind, input, w);
  Val q = blockNorm("q_normed", linear("q", input, w["q_proj"], queryWidth),
                    "q_norm", queryWidth);
  Val k = blockNorm("k_normed", linear("k", input, w["k_proj"], keyWidth),
                    "k_norm", keyWidth);
  Val v = linear("v", input, w["v_proj"], keyWidth);
  if (arithmetic.bf16Attention)
    q = rounded(q, queryWidth, "bf16");
  Val caches;
  Val o = attend(splitHeads(q, c.heads, c.headSize),
                 splitHeads(k, c.kvHeads, c.headSize),
                 splitHeads(v, c.kvHeads, c.headSize), z, caches);
  Val merged = operand(mergeHeads(o, queryWidth), queryWidth);
  Val attention = linear("o", merged, w["o_proj"], c.hidden);
  Val h1 = addInPlace(h, blockNorm("attention", attention,
                                   "post_attention_layernorm", c.hidden));

  Val inner = operand(h1, c.hidden);
  Val gate = linear("gate", inner, w["gate_proj"], c.intermediate);
  Val up = linear("up", inner, w["up_proj"], c.intermediate);
  Val activated = operand(swiglu(gate, up), c.intermediate);
  Val down = linear("down", activated, w["down_proj"], c.hidden);
  Val h2 = addInPlace(
      h1, blockNorm("mlp", down, "post_feedforward_layernorm", c.hidden));
  Val reported = reportPositions(z);
  os << "  return " << h2.name << ", " << caches.name << "#0, " << caches.name
     << "#1, " << reported.name << " : " << hidden << ", " << cacheType()
     << ", " << cacheType() << ", " << positionsType() << "\n}\n\n";
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

/// token -> its row of the embedding, as f32.
Val ModelWriter::embed(const Val &table) {
  Val init = empty(c.hidden), value = fresh("h", init.type);
  std::string tokensType = tensorType({-1, tokens}, "i32");
  os << "  " << value.name
     << " = linalg.generic {indexing_maps = [#token, #element], "
        "iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}\n"
        "      ins(%tokens : "
     << tokensType << ") outs(" << init.name << " : " << init.type
     << ") {\n  ^bb0(%token: i32, %unused: f32):\n"
     << "    %row = arith.index_cast %token : i32 to index\n"
     << "    %column = linalg.index 2 : index\n"
     << "    %x = tensor.extract " << table.name
     << "[%row, %column] : " << table.type << "\n";
  std::string x = extend(elementOf(table.type), "%x");
  os << "    linalg.yield " << x << " : f32\n  } -> " << init.type << "\n";
  return value;
}

/// The rows of the stream whose logits are asked for.
Val ModelWriter::wantedRows(const Val &h) {
  std::string type = rows(c.hidden);
  Val init = fresh("empty", type), value = fresh("wanted_rows", type);
  os << "  %l = tensor.dim %wanted, %c0 : tensor<?xi32>\n"
     << "  %last = arith.subi %n, %c1 : index\n  " << init.name
     << " = tensor.empty(%b, %l) : " << type << "\n  " << value.name
     << " = linalg.generic {indexing_maps = [affine_map<(b, l, i) -> (l)>, "
        "affine_map<(b, l, i) -> (b, l, i)>], iterator_types = [\"parallel\", "
        "\"parallel\", \"parallel\"]}\n      ins(%wanted : tensor<?xi32>) "
        "outs("
     << init.name << " : " << type
     << ") {\n  ^bb0(%token: i32, %unused: f32):\n"
     << "    %signed = arith.index_cast %token : i32 to index\n"
     << "    %low = arith.maxsi %signed, %c0 : index\n"
     << "    %row = arith.minsi %low, %last : index\n"
     << "    %sequence = linalg.index 0 : index\n"
     << "    %column = linalg.index 2 : index\n"
     << "    %x = tensor.extract " << h.name
     << "[%sequence, %row, %column] : " << h.type << "\n"
     << "    linalg.yield %x : f32\n  } -> " << type << "\n";
  return value;
}

void ModelWriter::writeEntry() {
  std::string logitsType = rows(c.vocabulary);
  std::string tokensType = tensorType({-1, tokens}, "i32");
  os << "func.func @" << (phase.decode ? "decode" : "prefill")
     << (phase.paged ? "_paged" : "") << "(%tokens: " << tokensType
     << " {repo.name = \"tokens\"},\n    %at: tensor<?xi32> {repo.name = "
        "\"at\"}";
  if (!phase.decode)
    os << ", %wanted: tensor<?xi32> {repo.name = \"wanted\"}";
  if (phase.paged)
    os << ", %table: tensor<?x?xi32> {repo.name = \"table\"}";
  int64_t result = 2;
  for (int64_t layer = 0; layer < c.layers; ++layer)
    for (StringRef which : {"key", "value"})
      os << ",\n    %layer" << layer << "_" << which
         << "_cache: " << cacheType() << " {repo.name = \"layer" << layer << "."
         << which << "_cache\", repo.inout = " << result++ << " : index}";
  llvm::StringMap<Val> named;
  for (auto [i, weight] : llvm::enumerate(weights)) {
    Val value{"%w" + std::to_string(i), tensorType(weight.shape, weight.type)};
    named[weight.name] = value;
    os << ",\n    " << value.name << ": " << value.type
       << " {repo.constant, repo.name = \"" << weight.name << "\"}";
  }
  os << ")\n    -> (" << logitsType << " {repo.name = \"logits\"}, "
     << allPositionsType() << " {repo.name = \"positions\"}";
  for (int64_t i = 0; i < 2 * c.layers; ++i)
    os << ", " << cacheType();
  os << ") {\n";
  writeSizes({"%tokens", tokensType});
  Val h = embed(named["model.embed_tokens.weight"]);
  Val positions = fresh("positions", allPositionsType());
  os << "  " << positions.name << " = tensor.empty(" << dynamicSizes()
     << ") : " << positions.type << "\n";
  SmallVector<std::string> caches;
  for (int64_t layer = 0; layer < c.layers; ++layer)
    std::tie(h, positions) = callLayer(layer, h, positions, named, caches);
  if (!phase.decode)
    h = wantedRows(h);
  Val normWeight = named["model.norm.weight"];
  Val headWeight =
      named[c.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"];
  os << "  %logits_out = tensor.empty(" << (phase.decode ? "%b" : "%b, %l")
     << ") : " << logitsType << "\n  %logits = func.call @head"
     << (phase.decode ? "_decode" : "") << "(" << h.name << ", "
     << normWeight.name << ", " << headWeight.name << ", %logits_out) : ("
     << h.type << ", " << normWeight.type << ", " << headWeight.type << ", "
     << logitsType << ") -> " << logitsType << "\n  return %logits, "
     << positions.name;
  for (const std::string &cache : caches)
    os << ", " << cache;
  os << " : " << logitsType << ", " << allPositionsType();
  for (size_t i = 0; i < caches.size(); ++i)
    os << ", " << cacheType();
  os << "\n}\n\n";
  // One head serves both kinds of cache.
  if (!phase.paged)
    writeHead(normWeight, headWeight);
}

std::pair<Val, Val>
ModelWriter::callLayer(int64_t layer, const Val &h, const Val &positions,
                       llvm::StringMap<Val> &named,
                       SmallVectorImpl<std::string> &caches) {
  Val slice = fresh("z", positionsType()), result = fresh("layer", ""),
      next = fresh("positions", positions.type);
  std::string bounds = "[" + std::to_string(layer) + ", 0, 0, 0] [1, %b, " +
                       std::to_string(c.heads) + ", " + tokenSize() +
                       "] [1, 1, 1, 1]";
  os << "  " << slice.name << " = tensor.extract_slice " << positions.name
     << bounds << " : " << positions.type << " to " << slice.type << "\n";
  std::string prefix = "layer" + std::to_string(layer) + "_";
  os << "  " << result.name << ":4 = func.call @" << layerName(kindOf[layer])
     << "(" << h.name << ", %at, " << (phase.paged ? "%table, " : "") << "%"
     << prefix << "key_cache, %" << prefix << "value_cache, " << slice.name;
  std::string types = h.type + ", tensor<?xi32>, " +
                      (phase.paged ? "tensor<?x?xi32>, " : "") + cacheType() +
                      ", " + cacheType() + ", " + slice.type;
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

/// The final norm and the output head, shared by the entries of a phase.
void ModelWriter::writeHead(const Val &normWeight, const Val &headWeight) {
  Val h{"%h", rows(c.hidden)}, out{"%out", rows(c.vocabulary)};
  os << "func.func private @head" << (phase.decode ? "_decode" : "")
     << "(%h: " << h.type << ", %w_norm: " << normWeight.type
     << " {repo.constant},\n    %w_head: " << headWeight.type
     << " {repo.constant}, %out: " << out.type << ") -> " << out.type << " {\n";
  writeSizes(h);
  Val normed = operand(
      norm("final", h, {"%w_norm", normWeight.type}, c.hidden, c.epsilon),
      c.hidden);
  Val zeros{"%logits_zero", out.type};
  os << "  " << zeros.name
     << " = linalg.fill ins(%zero : f32) outs(%out : " << out.type << ") -> "
     << out.type << "\n";
  Val logits = linear("logits", normed, {"%w_head", headWeight.type},
                      c.vocabulary, &zeros);
  os << "  return " << logits.name << " : " << out.type << "\n}\n\n";
}

std::string mlir::repo::writeModelIR(const ModelConfig &config,
                                     const ModelArithmetic &arithmetic,
                                     const std::vector<Weight> &weights) {
  return ModelWriter(config, arithmetic, weights).write();
}
