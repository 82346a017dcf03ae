// RUN: repo-opt %s --repo-reassociate-sums | FileCheck %s

#row = affine_map<(n, i) -> (n, i)>
#sum = affine_map<(n, i) -> (n)>

// CHECK-LABEL: @squares
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: arith.addf {{.*}} fastmath<reassoc> : f32
func.func @squares(%x: tensor<?x64xf32>, %s: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.generic {indexing_maps = [#row, #sum], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x64xf32>) outs(%s : tensor<?xf32>) {
  ^bb0(%e: f32, %acc: f32):
    %square = arith.mulf %e, %e : f32
    %next = arith.addf %acc, %square : f32
    linalg.yield %next : f32
  } -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// An element of the result by itself, and a chain that is no sum.
// CHECK-LABEL: @others
// CHECK-NOT: fastmath
func.func @others(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %s: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?xf32>) {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x64xf32>) outs(%y : tensor<?x64xf32>) {
  ^bb0(%e: f32, %old: f32):
    %next = arith.addf %old, %e : f32
    linalg.yield %next : f32
  } -> tensor<?x64xf32>
  %1 = linalg.generic {indexing_maps = [#row, #sum], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x64xf32>) outs(%s : tensor<?xf32>) {
  ^bb0(%e: f32, %acc: f32):
    %half = arith.mulf %acc, %e : f32
    %next = arith.addf %half, %e : f32
    linalg.yield %next : f32
  } -> tensor<?xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?xf32>
}
