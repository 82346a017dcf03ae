// RUN: repo-opt %s --repo-parallelize="contraction-rows=32 columns=32 rows=4" | FileCheck %s

#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
#id = affine_map<(n, o) -> (n, o)>

// CHECK-LABEL: @linear
// CHECK: scf.forall {{.*}} step (32, 32)
// CHECK: linalg.contract
func.func @linear(%x: tensor<?x64xf32>, %w: tensor<128x64xf32>, %y: tensor<?x128xf32>) -> tensor<?x128xf32> {
  %0 = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x64xf32>, tensor<128x64xf32>)
       outs(%y : tensor<?x128xf32>) -> tensor<?x128xf32>
  return %0 : tensor<?x128xf32>
}

// The innermost dimension of other ops stays whole.
// CHECK-LABEL: @elementwise
// CHECK: scf.forall (%{{.*}}) = (0) to (%{{.*}}) step (4)
// CHECK: linalg.generic
func.func @elementwise(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
       ins(%x : tensor<?x64xf32>) outs(%y : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %a : f32
    linalg.yield %c : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
