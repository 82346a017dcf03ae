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

// Zeros are written by the task that sums, and nowhere else: not because somebody asked how many rows they have.
// CHECK-LABEL: @zeros
// CHECK-NOT: linalg.fill
// CHECK: scf.forall {{.*}} step (32, 32)
// CHECK: linalg.fill
// CHECK: linalg.contract
// CHECK-NOT: linalg.fill
// CHECK: return
func.func @zeros(%x: tensor<?x64xf32>, %w: tensor<128x64xf32>, %rows: index) -> tensor<?x128xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty(%rows) : tensor<?x128xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x128xf32>) -> tensor<?x128xf32>
  %0 = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x64xf32>, tensor<128x64xf32>)
       outs(%zeros : tensor<?x128xf32>) -> tensor<?x128xf32>
  return %0 : tensor<?x128xf32>
}

#heads = affine_map<(b, h, n, d) -> (b, h, n, d)>

// A head of one token is too little for a task, all heads are not.
// CHECK-LABEL: @heads
// CHECK: scf.forall (%{{.*}}) in (%{{.*}}) shared_outs
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<1x16x1x128xf32>)
func.func @heads(%x: tensor<?x16x1x128xf32>, %y: tensor<?x16x1x128xbf16>) -> tensor<?x16x1x128xbf16> {
  %0 = linalg.generic {indexing_maps = [#heads, #heads], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
       ins(%x : tensor<?x16x1x128xf32>) outs(%y : tensor<?x16x1x128xbf16>) {
  ^bb0(%a: f32, %b: bf16):
    %c = arith.truncf %a : f32 to bf16
    linalg.yield %c : bf16
  } -> tensor<?x16x1x128xbf16>
  return %0 : tensor<?x16x1x128xbf16>
}
