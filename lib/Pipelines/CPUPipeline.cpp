//===- CPUPipeline.cpp - From repo ops to vectors on tensors --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "repo/Conversion/Passes.h"
#include "repo/Dialect/Repo/Transforms/Passes.h"
#include "repo/Pipelines/Pipelines.h"

using namespace mlir;

static constexpr StringRef splitRotation = "repo-split-rotation",
                           splitKeys = "repo-split-keys",
                           tileAttention = "repo-tile-attention",
                           tileAttentionOnTiles = "repo-tile-attention-amx",
                           tileAttentionBackward =
                               "repo-tile-attention-backward",
                           tileRotation = "repo-tile-rotation",
                           expandTrigonometry = "repo-expand-trigonometry",
                           fuseContractions = "repo-fuse-contractions",
                           fuseElementwise = "repo-fuse-elementwise",
                           fuseEpilogues = "repo-fuse-epilogues",
                           packWeights = "repo-pack-weights",
                           reassociateSums = "repo-reassociate-sums",
                           parallelize = "repo-parallelize",
                           lowerBlocks = "repo-lower-online-attention",
                           vectorizeTransposes = "repo-vectorize-transposes",
                           lowerTileBlocks = "repo-lower-online-attention-amx",
                           lowerPairBlocks =
                               "repo-lower-online-attention-pairs",
                           vectorizeContractions =
                               "repo-vectorize-contractions";

ArrayRef<StringRef> repo::getOptionalCPUPasses() {
  static constexpr StringRef names[] = {fuseContractions,
                                        packWeights,
                                        fuseElementwise,
                                        reassociateSums,
                                        fuseEpilogues,
                                        splitRotation,
                                        splitKeys,
                                        vectorizeTransposes,
                                        tileAttention,
                                        tileAttentionOnTiles,
                                        tileAttentionBackward,
                                        tileRotation,
                                        expandTrigonometry,
                                        parallelize,
                                        lowerBlocks,
                                        lowerTileBlocks,
                                        lowerPairBlocks,
                                        vectorizeContractions};
  return names;
}

static bool wants(const repo::CPUOptions &options, StringRef pass) {
  return !llvm::is_contained(options.skip, pass);
}

/// Whether attention in bf16 goes by products of pairs of vectors.
static bool pairsInAttention(const repo::CPUOptions &options) {
  return options.target.multipliesPairs() && wants(options, lowerPairBlocks);
}

/// Whether blocks of attention may have keys and values in panels of bf16.
static bool hasPanels(const repo::CPUOptions &options) {
  return options.target.hasMatrixUnit() || pairsInAttention(options);
}

void repo::buildCPUPackingPipeline(OpPassManager &pm,
                                   const CPUOptions &options) {
  pm.addPass(createAddPackedEntries());
  if (wants(options, fuseContractions))
    pm.addPass(createFuseContractions());
  if (wants(options, packWeights)) {
    PackWeightsOptions panels;
    panels.columns = options.target.getVectorLanes() *
                     options.target.getVectorRegisters() / 8;
    panels.matrixUnit = options.target.hasMatrixUnit();
    panels.pairs = options.target.multipliesPairs();
    pm.addPass(createPackWeights(panels));
  }
  HoistPackingOptions parts;
  parts.packedOnly = options.packedOnly;
  pm.addPass(createHoistPacking(parts));
  // The functions of entries that exist packed only.
  pm.addPass(createSymbolDCEPass());
}

void repo::buildCPUSchedulePipeline(OpPassManager &pm,
                                    const CPUOptions &options) {
  if (wants(options, splitRotation))
    pm.addPass(createSplitRotation());
  SelectStrategyOptions choice;
  choice.lanes = options.target.getVectorLanes();
  choice.cacheBytes = options.target.l2Bytes;
  choice.matrixUnit =
      options.target.hasMatrixUnit() && wants(options, tileAttentionOnTiles);
  choice.pairs =
      pairsInAttention(options) && wants(options, tileAttentionOnTiles);
  choice.report = options.report;
  pm.addPass(createSelectStrategy(choice));
}

void repo::buildCPUTilePipeline(OpPassManager &pm, const CPUOptions &options) {
  int64_t lanes = options.target.getVectorLanes();
  if (wants(options, splitKeys)) {
    SplitKeysOptions split;
    split.pairs = options.target.multipliesPairs() ? 2 * lanes : 0;
    pm.addPass(createSplitKeys(split));
  }
  if (wants(options, tileAttentionOnTiles))
    pm.addPass(createTileAttentionAMX());
  if (wants(options, tileAttention)) {
    TileAttentionOptions tiles;
    tiles.report = options.report;
    pm.addPass(createTileAttention(tiles));
  }
  if (wants(options, tileAttentionBackward)) {
    TileAttentionBackwardOptions gradient;
    gradient.lanes = lanes;
    gradient.report = options.report;
    pm.addPass(createTileAttentionBackward(gradient));
  }
  if (wants(options, tileRotation))
    pm.addPass(createTileRotation());
  DecomposeOptions rest;
  rest.keepAttributes = true;
  rest.keepBlocks = wants(options, lowerBlocks) ? lanes : 0;
  rest.keepTileBlocks = options.target.hasMatrixUnit()
                            ? wants(options, lowerTileBlocks)
                            : pairsInAttention(options);
  pm.addPass(createDecompose(rest));
  if (hasPanels(options))
    pm.addPass(createVectorizePacks());
  pm.addPass(createLowerPacks());
  pm.addPass(createConvertElementwiseToLinalgPass());
  if (wants(options, expandTrigonometry))
    pm.addPass(createExpandTrigonometry());
  if (wants(options, fuseElementwise))
    pm.addPass(createFuseElementwise());
  if (wants(options, fuseEpilogues))
    pm.addPass(createFuseEpilogues());
  if (wants(options, reassociateSums))
    pm.addPass(createReassociateSums());
  if (wants(options, parallelize))
    pm.addPass(createParallelize());
}

void repo::buildCPUVectorPipeline(OpPassManager &pm,
                                  const CPUOptions &options) {
  buildBufferizePipeline(pm);
  if (hasPanels(options))
    pm.addPass(createFlattenTransfers());
  if (wants(options, lowerBlocks)) {
    LowerOnlineAttentionOptions vectors;
    vectors.lanes = options.target.getVectorLanes();
    vectors.pairs = options.target.multipliesPairs();
    pm.addPass(createLowerOnlineAttention(vectors));
  }
  if (wants(options, vectorizeTransposes)) {
    VectorizeTransposesOptions transposes;
    transposes.lanes = options.target.getVectorLanes();
    pm.addPass(createVectorizeTransposes(transposes));
  }
  if (options.target.hasMatrixUnit() && wants(options, lowerTileBlocks)) {
    LowerOnlineAttentionAMXOptions tiles;
    tiles.avx512 = options.target.has("avx512dq");
    tiles.avx512bf16 = options.target.has("avx512bf16");
    pm.addPass(createLowerOnlineAttentionAMX(tiles));
  }
  if (pairsInAttention(options))
    pm.addPass(createLowerOnlineAttentionPairs());
  if (options.target.hasMatrixUnit()) {
    LowerContractionsAMXOptions tiles;
    tiles.report = options.report;
    pm.addPass(createLowerContractionsAMX(tiles));
  }
  if (wants(options, vectorizeContractions)) {
    VectorizeContractionsOptions rows;
    rows.lanes = options.target.getVectorLanes();
    rows.pairs = options.target.multipliesPairs();
    rows.report = options.report;
    pm.addPass(createVectorizeContractions(rows));
  }
  // What is left of f32 functions becomes arithmetic, which LLVM vectorises.
  pm.addPass(createApproximateMath());
}
