// RUN: repo-opt %s --repo-add-packed-entries --split-input-file | FileCheck %s --check-prefix=ENTRIES
// RUN: repo-opt %s --repo-add-packed-entries --repo-pack-weights="columns=16" --split-input-file | FileCheck %s --check-prefix=PACK
// RUN: repo-opt %s --repo-add-packed-entries --repo-pack-weights="columns=16 interleave=2" --split-input-file | FileCheck %s --check-prefix=PAIRS
// RUN: repo-opt %s --repo-add-packed-entries --repo-pack-weights="columns=16" --repo-hoist-packing --repo-lower-packs --split-input-file | FileCheck %s --check-prefix=HOIST

#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>

// Two entries with the same constants; a private function in between, whose
// weight is 24 columns: a panel and a half.
// ENTRIES: func.func @first(%{{.*}}: tensor<?x8xf32> {repo.name = "x"}, %{{.*}}: tensor<24x8xbf16> {repo.constant, repo.name = "w"})
// ENTRIES: func.func @first_packed(%{{.*}}: tensor<?x8xf32> {repo.name = "x"}, %{{.*}}: tensor<24x8xbf16> {repo.name = "w", repo.packed})
// ENTRIES: call @linear.packed
// ENTRIES: func.func private @linear.packed(%{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<24x8xbf16> {repo.packed})

// PACK-LABEL: func.func private @linear.packed
// PACK-SAME: %[[W:[a-z0-9]*]]: tensor<24x8xbf16> {repo.packed}
// PACK: linalg.fill {{.*}} -> tensor<?x2x16xf32>
// PACK: %[[P:.*]] = linalg.pack %[[W]] padding_value(%{{.*}} : bf16) inner_dims_pos = [0] inner_tiles = [16] into %{{.*}} : tensor<24x8xbf16> -> tensor<2x8x16xbf16>
// PACK: linalg.contract {{.*}} ins(%{{.*}}, %[[P]] : tensor<?x8xf32>, tensor<2x8x16xbf16>) outs(%{{.*}} : tensor<?x2x16xf32>)
// PACK: tensor.collapse_shape {{.*}} into tensor<?x32xf32>
// PACK: tensor.extract_slice {{.*}} : tensor<?x32xf32> to tensor<?x24xf32>

// PAIRS-LABEL: func.func private @linear.packed
// PAIRS: tensor.expand_shape %{{.*}} {{\[}}[0], [1, 2]] {{.*}} into tensor<?x4x2xf32>
// PAIRS: linalg.pack {{.*}} inner_dims_pos = [0, 1] inner_tiles = [16, 2] into %{{.*}} : tensor<24x8xbf16> -> tensor<2x4x16x2xbf16>

// One kernel, one part; both entries pack it in the same way.
// HOIST: func.func @first_packed(%[[P:.*]]: tensor<2x8x16xbf16> {repo.packed}, %{{.*}}: tensor<?x8xf32> {repo.name = "x"})
// HOIST: call @linear.packed(%[[P]],
// HOIST: func.func @first_pack(%{{.*}}: tensor<24x8xbf16> {repo.constant, repo.name = "w"}) -> (tensor<2x8x16xbf16> {repo.packed})
// HOIST: call @first_pack.kernel0
// HOIST: func.func @second_packed(%{{.*}}: tensor<2x8x16xbf16> {repo.packed}
// HOIST: func.func @second_pack(%
// HOIST: call @first_pack.kernel0
// HOIST: func.func private @linear.packed(%[[P:.*]]: tensor<2x8x16xbf16> {repo.packed}, %{{.*}}: tensor<?x8xf32>)
// HOIST-NOT: pack %
// HOIST: linalg.contract {{.*}} ins(%{{.*}}, %[[P]] :
// HOIST: func.func private @first_pack.kernel0(%{{.*}}: tensor<24x8xbf16>, %[[OUT:.*]]: tensor<2x8x16xbf16>)
// HOIST: linalg.generic {{.*}} outs(%[[OUT]] :
// HOIST: func.func @first_pack_part0(%{{.*}}: tensor<24x8xbf16> {repo.constant}) -> (tensor<2x8x16xbf16> {repo.packed})
func.func @first(%x: tensor<?x8xf32> {repo.name = "x"}, %w: tensor<24x8xbf16> {repo.constant, repo.name = "w"}) -> tensor<?x24xf32> {
  %0 = call @linear(%x, %w) : (tensor<?x8xf32>, tensor<24x8xbf16>) -> tensor<?x24xf32>
  return %0 : tensor<?x24xf32>
}
func.func @second(%w: tensor<24x8xbf16> {repo.constant, repo.name = "w"}, %x: tensor<?x8xf32>) -> tensor<?x24xf32> {
  %0 = call @linear(%x, %w) : (tensor<?x8xf32>, tensor<24x8xbf16>) -> tensor<?x24xf32>
  return %0 : tensor<?x24xf32>
}
func.func private @linear(%x: tensor<?x8xf32>, %w: tensor<24x8xbf16>) -> tensor<?x24xf32> {
  %z = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%n) : tensor<?x24xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?x24xf32>) -> tensor<?x24xf32>
  %r = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x8xf32>, tensor<24x8xbf16>)
    outs(%f : tensor<?x24xf32>) -> tensor<?x24xf32>
  return %r : tensor<?x24xf32>
}

// -----

// Weights [in, out] of a named op; a constant that nothing packs is a part as it
// is.
// PACK-LABEL: func.func @other_packed
// PACK: linalg.pack %{{.*}} outer_dims_perm = [1, 0] inner_dims_pos = [1] inner_tiles = [16] into %{{.*}} : tensor<8x32xf32> -> tensor<2x8x16xf32>
// HOIST: func.func @other_packed(%{{.*}}: tensor<2x8x16xf32> {repo.packed}, %{{.*}}: tensor<4x32xf32> {repo.packed}, %{{.*}}: tensor<4x8xf32> {repo.name = "arg0"})
// HOIST: func.func private @other_pack.kernel1
// HOIST: linalg.copy
func.func @other(%x: tensor<4x8xf32>, %w: tensor<8x32xf32> {repo.constant}, %b: tensor<4x32xf32> {repo.constant}) -> tensor<4x32xf32> {
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x32xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<4x32xf32>) -> tensor<4x32xf32>
  %r = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x32xf32>) outs(%f : tensor<4x32xf32>) -> tensor<4x32xf32>
  %s = arith.addf %r, %b : tensor<4x32xf32>
  return %s : tensor<4x32xf32>
}

// -----

// No contraction reads the constant: nothing to pack.
// ENTRIES-LABEL: func.func @scaled
// ENTRIES-NOT: @scaled_packed
func.func @scaled(%x: tensor<4xf32>, %w: tensor<4xf32> {repo.constant}) -> tensor<4xf32> {
  %0 = arith.mulf %x, %w : tensor<4xf32>
  return %0 : tensor<4xf32>
}
