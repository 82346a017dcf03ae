// RUN: repo-opt %s --repo-add-packed-entries --repo-fuse-contractions | FileCheck %s
// RUN: repo-opt %s --repo-add-packed-entries --repo-fuse-contractions --repo-pack-weights="columns=16" --repo-hoist-packing | FileCheck %s --check-prefix=PACK

// A pre-norm block as somebody wrote it by hand: other names, values before
// queries, the positions last, weights [in, out] in one product.
#row = affine_map<(r, o, i) -> (r, i)>
#weight = affine_map<(r, o, i) -> (o, i)>
#out = affine_map<(r, o, i) -> (r, o)>
#row2 = affine_map<(i, r, c) -> (r, i)>
#weight2 = affine_map<(i, r, c) -> (c, i)>
#out2 = affine_map<(i, r, c) -> (r, c)>

// Values and keys, whose loops have another order; gate and content of the
// positions read x with its batch, and are a pair of their own.
// CHECK-LABEL: func.func @mine_packed
// CHECK: %[[N:.*]] = linalg.generic
// CHECK: tensor.concat dim(0) %{{.*}}, %{{.*}} : (tensor<32x64xbf16>, tensor<16x64xbf16>) -> tensor<48x64xbf16>
// CHECK: %[[Y:.*]] = linalg.contract {{.*}} ins(%[[N]], %{{.*}} : tensor<?x64xf32>, tensor<48x64xbf16>)
// CHECK: tensor.extract_slice %[[Y]][0, 0] [%{{.*}}, 32] [1, 1]
// CHECK: tensor.extract_slice %[[Y]][0, 32] [%{{.*}}, 16] [1, 1]
// CHECK-NOT: linalg.contract
// CHECK: return

// Gate and content of positions join the projections of the same input.
// CHECK-LABEL: func.func @positions_packed
// CHECK-NOT: repo.assign_positions
// CHECK: tensor.concat dim(0) %{{.*}}, %{{.*}}, %{{.*}} : (tensor<32x64xbf16>, tensor<8x64xbf16>, tensor<8x64xbf16>) -> tensor<48x64xbf16>
// CHECK: linalg.contract
// CHECK-NOT: repo.assign_positions


// The weights lie side by side, in panels where they fill them.
// PACK-LABEL: func.func @mine_packed(%{{.*}}: tensor<3x64x16xbf16> {repo.packed},
// PACK-LABEL: func.func @positions_packed(%{{.*}}: tensor<3x64x16xbf16> {repo.packed}, %{{.*}}: tensor<2x8xf32> {repo.packed},
// PACK-LABEL: func.func private @mine_pack.kernel0
// PACK: linalg.pack {{.*}} -> tensor<2x64x16xbf16>
// PACK: linalg.pack {{.*}} -> tensor<1x64x16xbf16>
func.func @mine(%stream: tensor<?x64xf32>, %values: tensor<32x64xbf16> {repo.constant}, %keys: tensor<16x64xbf16> {repo.constant})
    -> (tensor<?x32xf32>, tensor<?x16xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %stream, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%rows) : tensor<?x64xf32>
  %normed = linalg.generic {indexing_maps = [affine_map<(r, i) -> (r, i)>, affine_map<(r, i) -> (r, i)>],
      iterator_types = ["parallel", "parallel"]} ins(%stream : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
  ^bb0(%a: f32, %unused: f32):
    %b = math.tanh %a : f32
    linalg.yield %b : f32
  } -> tensor<?x64xf32>
  %e0 = tensor.empty(%rows) : tensor<?x32xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %v = linalg.contract indexing_maps = [#row, #weight, #out] ins(%normed, %values : tensor<?x64xf32>, tensor<32x64xbf16>)
    outs(%f0 : tensor<?x32xf32>) -> tensor<?x32xf32>
  %e1 = tensor.empty(%rows) : tensor<?x16xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?x16xf32>) -> tensor<?x16xf32>
  %k = linalg.contract indexing_maps = [#row2, #weight2, #out2] ins(%normed, %keys : tensor<?x64xf32>, tensor<16x64xbf16>)
    outs(%f1 : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %v, %k : tensor<?x32xf32>, tensor<?x16xf32>
}

func.func @positions(%h: tensor<1x?x64xf32>, %q: tensor<32x64xbf16> {repo.constant}, %g: tensor<8x64xbf16> {repo.constant},
                     %c: tensor<8x64xbf16> {repo.constant}, %p: tensor<2x8xf32> {repo.constant}) -> (tensor<1x?x32xf32>, tensor<1x2x?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %n = tensor.dim %h, %c1 : tensor<1x?x64xf32>
  %e = tensor.empty(%n) : tensor<1x?x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  %y = linalg.contract indexing_maps = [affine_map<(b, n, o, i) -> (b, n, i)>, affine_map<(b, n, o, i) -> (o, i)>,
    affine_map<(b, n, o, i) -> (b, n, o)>] ins(%h, %q : tensor<1x?x64xf32>, tensor<32x64xbf16>)
    outs(%f : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%p)
    : (tensor<1x?x64xf32>, tensor<8x64xbf16>, tensor<8x64xbf16>, tensor<2x8xf32>) -> tensor<1x2x?xf32>
  return %y, %z : tensor<1x?x32xf32>, tensor<1x2x?xf32>
}
