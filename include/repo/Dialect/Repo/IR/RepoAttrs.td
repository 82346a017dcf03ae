//===- RepoAttrs.td - Attributes of the repo dialect -------*- tablegen -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_DIALECT_REPO_IR_REPOATTRS_TD
#define REPO_DIALECT_REPO_IR_REPOATTRS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "repo/Dialect/Repo/IR/RepoDialect.td"

//===----------------------------------------------------------------------===//
// Rules that turn theta into frequencies
//===----------------------------------------------------------------------===//

/// A double that prints with as many digits as it takes to read it back.
class Repo_DoubleParam<string default = "">
    : AttrOrTypeParameter<"::mlir::repo::Real", "", "double"> {
  let printer = "$_printer << ::mlir::repo::Real($_self)";
  let defaultValue = default;
}

def Repo_RopeScalingInterface : AttrInterface<"RopeScalingInterface"> {
  let cppNamespace = "::mlir::repo";
  let description = [{
    A constant rule that changes the frequencies of a rotary embedding, and the
    factor on its cosines and sines. Rules whose frequencies depend on the length
    of the sequence (dynamic NTK, longrope) have no attribute on purpose: they make
    a cache of rotated keys wrong.
  }];
  let methods = [
    InterfaceMethod<"Rescales `omega` (`omega[f] = theta^(-2f/dim)`) in place.",
      "void", "scaleFrequencies",
      (ins "double":$theta, "::llvm::MutableArrayRef<double>":$omega)>,
    InterfaceMethod<"The factor on cosines and sines.", "double", "getMagnitude",
      (ins)>
  ];
}

class Repo_RopeScaling<string name, string mnemonic_>
    : AttrDef<Repo_Dialect, name, [DeclareAttrInterfaceMethods<Repo_RopeScalingInterface>]> {
  let mnemonic = mnemonic_;
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Repo_LinearScalingAttr : Repo_RopeScaling<"LinearScaling", "linear"> {
  let summary = "position interpolation: omega / factor";
  let parameters = (ins Repo_DoubleParam<>:$factor);
}

def Repo_Llama3ScalingAttr : Repo_RopeScaling<"Llama3Scaling", "llama3"> {
  let summary = "Llama 3: long wavelengths divided by the factor, short ones kept";
  let description = [{
    With wavelength `w = 2 pi / omega`: `omega / factor` for `w > original / low`,
    `omega` for `w < original / high`, and in between
    `(1 - s) omega / factor + s omega`, `s = (original / w - low) / (high - low)`.
  }];
  let parameters = (ins Repo_DoubleParam<>:$factor, Repo_DoubleParam<>:$low, Repo_DoubleParam<>:$high,
                        "int64_t":$original);
}

def Repo_YarnScalingAttr : Repo_RopeScaling<"YarnScaling", "yarn"> {
  let summary = "YaRN: a ramp over the channels between omega / factor and omega";
  let description = [{
    `omega' = omega / factor * (1 - gamma) + omega * gamma`, `gamma = 1 - ramp`, the
    ramp going linearly from 0 at channel `c(beta_fast)` to 1 at `c(beta_slow)`, where
    `c(r) = dim ln(original / (2 pi r)) / (2 ln theta)` (rounded outwards unless
    `truncate = false`). Cosine and sine are multiplied by `attention_factor`, by default
    `0.1 ln(factor) + 1`.
  }];
  let parameters = (ins Repo_DoubleParam<>:$factor, "int64_t":$original,
    Repo_DoubleParam<"::mlir::repo::Real(32.0)">:$beta_fast,
    Repo_DoubleParam<"::mlir::repo::Real(1.0)">:$beta_slow,
    Repo_DoubleParam<"::mlir::repo::Real(0.0)">:$attention_factor,
    DefaultValuedParameter<"bool", "true">:$truncate);
}

//===----------------------------------------------------------------------===//
// #repo.rope
//===----------------------------------------------------------------------===//

def Repo_PairLayout : I32EnumAttr<"PairLayout", "which channels form a pair", [
    I32EnumAttrCase<"half", 0>, I32EnumAttrCase<"interleaved", 1>]> {
  let cppNamespace = "::mlir::repo";
  let genSpecializedAttr = 0;
}
def Repo_PairLayoutParam : EnumParameter<Repo_PairLayout> {
  let defaultValue = "::mlir::repo::PairLayout::half";
}

def Repo_RopeAttr : AttrDef<Repo_Dialect, "Rope"> {
  let mnemonic = "rope";
  let summary = "a constant rotary rule: frequencies, paired channels, magnitude";
  let description = [{
    Channel pair `f` in `0 .. dim/2 - 1` turns by `z * omega[f]`, where
    `omega[f] = theta^(-2f/dim)`, rescaled by `scaling`. Pair `f` holds channels
    `(f, f + dim/2)` in layout `half` and `(2f, 2f + 1)` in layout `interleaved`.
    Channels past `dim` are left alone. All of it is computed in double precision in
    one place, `RopeAttr::getFrequencies`.

    Examples:

    ```mlir
    #olmo2 = #repo.rope<theta = 5.0e+05, dim = 128>
    #gptj = #repo.rope<theta = 1.0e+04, dim = 64, layout = interleaved>
    #long = #repo.rope<theta = 5.0e+05, dim = 128, scaling = #repo.yarn<factor = 2.0, original = 4096>>
    ```
  }];
  let parameters = (ins Repo_DoubleParam<>:$theta, "int64_t":$dim,
    Repo_PairLayoutParam:$layout,
    OptionalParameter<"::mlir::repo::RopeScalingInterface">:$scaling);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The dim/2 frequencies, after scaling.
    SmallVector<double> getFrequencies() const;
    /// The factor on cosines and sines.
    double getMagnitude() const;
    /// The two channels of pair `f`.
    std::pair<int64_t, int64_t> getPair(int64_t f) const;
  }];
}

//===----------------------------------------------------------------------===//
// Strategies
//===----------------------------------------------------------------------===//

def Repo_Unit : I32EnumAttr<"Unit", "what multiplies", [
    I32EnumAttrCase<"vector", 0>, I32EnumAttrCase<"amx", 1>,
    I32EnumAttrCase<"pairs", 2>]> {
  let cppNamespace = "::mlir::repo";
  let genSpecializedAttr = 0;
}
def Repo_UnitParam : EnumParameter<Repo_Unit> {
  let defaultValue = "::mlir::repo::Unit::vector";
}

def Repo_AttentionStrategyAttr : AttrDef<Repo_Dialect, "AttentionStrategy"> {
  let mnemonic = "attention_strategy";
  let summary = "the sizes of the blocks attention is computed in";
  let description = [{
    A task takes `query_block` queries of a head. It goes over the keys `key_block` at a
    time where every query sees all of them, and `edge_block` at a time where a band,
    the lengths or the end of the keys cut a block. With a `query_tile`, which divides
    `query_block`, so many queries at a time meet a block of keys, which the others then
    find in the cache; 0 (the default) means all. Keys that are rotated, and keys and
    values in a short type, are packed first: rotated, extended to f32, for as many heads
    at a time as fit into `pack_bytes`, at least one.

    With a `split`, queries that are at most `split_queries` per head take another way: a task goes over
    `split` keys of a KV head for all the query heads that share it, and the partial
    results are merged in order. Any sizes are right; those that
    `repo-select-strategy` chooses from the target are meant to be fast.

    `unit` says what multiplies: `vector` (the default); `amx`, the matrix unit; or `pairs`,
    vectors whose lanes multiply pairs of bf16 (AVX512-BF16). For the last two queries, keys,
    values and weights are rounded to bf16, and blocks are multiples of 32 queries and 32 keys,
    at most 256 keys.

    Example: `#repo.attention_strategy<query_block = 48, key_block = 256, edge_block = 64>`
  }];
  let parameters = (ins "int64_t":$query_block, "int64_t":$key_block,
                        "int64_t":$edge_block, Repo_UnitParam:$unit,
                        DefaultValuedParameter<"int64_t", "8388608">:$pack_bytes,
                        DefaultValuedParameter<"int64_t", "0">:$split,
                        DefaultValuedParameter<"int64_t", "0">:$split_queries,
                        DefaultValuedParameter<"int64_t", "0">:$query_tile);
  let extraClassDeclaration = [{
    AttentionStrategyAttr withoutSplit() const {
      return get(getContext(), getQueryBlock(), getKeyBlock(), getEdgeBlock(), getUnit(), getPackBytes(),
                 /*split=*/0, /*splitQueries=*/0, getQueryTile());
    }
  }];
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Repo_MatrixUnit : I32EnumAttr<"MatrixUnit", "the matrix instructions of a GPU", [
    I32EnumAttrCase<"mma", 0>, I32EnumAttrCase<"wgmma", 1>]> {
  let cppNamespace = "::mlir::repo";
  let genSpecializedAttr = 0;
}

def Repo_KernelStrategyAttr : AttrDef<Repo_Dialect, "KernelStrategy"> {
  let mnemonic = "kernel_strategy";
  let summary = "how a GPU computes attention: instructions, blocks, stages, warps";
  let description = [{
    A block of threads takes `query_block` queries of a head, spread over `warps` warps that
    multiply by the instructions of `unit`, and streams the keys through shared memory
    `key_block` at a time, `stages` blocks deep. `repo-select-kernel-strategy` chooses one where
    an op and a chip allow it; attention without one is computed by plain kernels.

    With `producers`, so many warpgroups beside those that multiply do nothing but feed the copy engine (TMA), and the others run
    ahead of each other; without, all warps copy. Unit `wgmma` only.

    Few queries against many keys: with `split_keys` each warp takes that many keys alone, for
    all `query_block` queries of the heads that share them, and partial results are merged
    by a kernel behind. Unit `mma` only.

    Examples: `#repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>`,
    `#repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4, warps = 4, split_keys = 64>`
  }];
  let parameters = (ins EnumParameter<Repo_MatrixUnit>:$unit, "int64_t":$query_block,
                        "int64_t":$key_block, "int64_t":$stages, "int64_t":$warps,
                        DefaultValuedParameter<"int64_t", "0">:$producers,
                        DefaultValuedParameter<"int64_t", "0">:$split_keys);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Queries of a warp (mma) or warpgroup (wgmma).
    int64_t getRows() const {
      if (getSplitKeys())
        return getQueryBlock();
      int64_t owners = getUnit() == MatrixUnit::mma ? getWarps() : getWarps() / 4;
      return getQueryBlock() / owners;
    }
  }];
}

def Repo_PositionStrategyAttr : AttrDef<Repo_Dialect, "PositionStrategy"> {
  let mnemonic = "position_strategy";
  let summary = "how a GPU assigns positions: instructions, blocks, stages, warps";
  let description = [{
    A block of threads takes `token_block` tokens and `column_block` columns each of gate and
    content, streams the channels through shared memory 64 at a time, `stages` steps deep, and
    multiplies by the instructions of `unit` in `warps` warps, which share the tokens.
    What the columns add to the positions is summed up over the blocks of columns in order.
    `repo-select-kernel-strategy` chooses one where an op and a chip allow it; positions
    without one are computed by plain kernels.

    Example: `#repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>`
  }];
  let parameters = (ins EnumParameter<Repo_MatrixUnit>:$unit, "int64_t":$token_block,
                        "int64_t":$column_block, "int64_t":$stages, "int64_t":$warps);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Warps, or warpgroups, which have rows of their own.
    int64_t getOwners() const { return getUnit() == MatrixUnit::mma ? getWarps() : getWarps() / 4; }
    /// Tokens of a warp (mma) or warpgroup (wgmma).
    int64_t getRows() const { return getTokenBlock() / getOwners(); }
  }];
}

#endif // REPO_DIALECT_REPO_IR_REPOATTRS_TD
