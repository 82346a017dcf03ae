// RUN: repo-opt %s --repo-fuse-elementwise --repo-fuse-epilogues="rows=32" --split-input-file | FileCheck %s

#x = affine_map<(n, p, l, i) -> (n, i)>
#w = affine_map<(n, p, l, i) -> (p, i, l)>
#y = affine_map<(n, p, l, i) -> (n, p, l)>

// The block of another model: the sigmoid in ops of its own, the product the other way round, the result in bf16.
// Two products and all that follows are one loop; of the products a tile of 32 rows by 16 columns exists, on the
// stack, and the rest of the weights stays one product.
// CHECK-LABEL: @gated
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<?x64xf32>, %[[W:[a-z0-9]*]]: tensor<10x64x16xf32>
// CHECK: %[[REST:.*]] = tensor.extract_slice %[[W]][8, 0, 0] [2, 64, 16]
// CHECK: linalg.contract {{.*}} ins(%[[X]], %[[REST]] : tensor<?x64xf32>, tensor<2x64x16xf32>)
// CHECK: %[[ACTIVE:.*]] = scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 4) step (32, 1)
// CHECK: tensor.empty() : tensor<32x1x16xf32>
// CHECK: linalg.contract {{.*}} ins(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<1x64x16xf32>)
// CHECK: linalg.contract {{.*}} ins(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<1x64x16xf32>)
// CHECK: linalg.generic
// CHECK: math.exp
// CHECK: arith.truncf
// CHECK: tensor.parallel_insert_slice
// CHECK: collapse_shape %[[ACTIVE]] {{.*}} : tensor<?x4x16xbf16> into tensor<?x64xbf16>
// CHECK-NOT: linalg.contract
// CHECK: return
func.func @gated(%x: tensor<?x64xf32>, %w: tensor<10x64x16xf32>) -> (tensor<?x64xbf16>, tensor<?x32xf32>) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x10x16xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x10x16xf32>) -> tensor<?x10x16xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x64xf32>, tensor<10x64x16xf32>)
    outs(%z : tensor<?x10x16xf32>) -> tensor<?x10x16xf32>
  %c = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x10x16xf32> into tensor<?x160xf32>
  %up = tensor.extract_slice %c[0, 0] [%n, 64] [1, 1] : tensor<?x160xf32> to tensor<?x64xf32>
  %gate = tensor.extract_slice %c[0, 64] [%n, 64] [1, 1] : tensor<?x160xf32> to tensor<?x64xf32>
  %rest = tensor.extract_slice %c[0, 128] [%n, 32] [1, 1] : tensor<?x160xf32> to tensor<?x32xf32>
  %t = tensor.empty(%n) : tensor<?x64xf32>
  %negated = linalg.negf ins(%gate : tensor<?x64xf32>) outs(%t : tensor<?x64xf32>) -> tensor<?x64xf32>
  %power = linalg.exp ins(%negated : tensor<?x64xf32>) outs(%t : tensor<?x64xf32>) -> tensor<?x64xf32>
  %silu = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
      iterator_types = ["parallel", "parallel"]} ins(%power, %gate : tensor<?x64xf32>, tensor<?x64xf32>) outs(%t : tensor<?x64xf32>) {
  ^bb0(%p: f32, %g: f32, %unused: f32):
    %sum = arith.addf %p, %one : f32
    %s = arith.divf %g, %sum : f32
    linalg.yield %s : f32
  } -> tensor<?x64xf32>
  %product = linalg.mul ins(%up, %silu : tensor<?x64xf32>, tensor<?x64xf32>) outs(%t : tensor<?x64xf32>) -> tensor<?x64xf32>
  %half = tensor.empty(%n) : tensor<?x64xbf16>
  %rounded = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
      iterator_types = ["parallel", "parallel"]} ins(%product : tensor<?x64xf32>) outs(%half : tensor<?x64xbf16>) {
  ^bb0(%p: f32, %unused: bf16):
    %r = arith.truncf %p : f32 to bf16
    linalg.yield %r : bf16
  } -> tensor<?x64xbf16>
  return %rounded, %rest : tensor<?x64xbf16>, tensor<?x32xf32>
}

// -----

#x = affine_map<(n, p, l, i) -> (n, i)>
#w = affine_map<(n, p, l, i) -> (p, i, l)>
#y = affine_map<(n, p, l, i) -> (n, p, l)>

// A residual sum over the stream, in place.
// CHECK-LABEL: @residual
// CHECK-SAME: %[[H:[a-z0-9]*]]: tensor<?x32xf32>)
// CHECK: %[[STREAM:.*]] = tensor.expand_shape %[[H]]
// CHECK: scf.forall {{.*}} shared_outs(%{{.*}} = %[[STREAM]])
// CHECK: linalg.contract
// CHECK: linalg.generic {{.*}}
// CHECK: arith.addf
func.func @residual(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>, %h: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x2x16xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x2x16xf32>) -> tensor<?x2x16xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x64xf32>, tensor<2x64x16xf32>)
    outs(%z : tensor<?x2x16xf32>) -> tensor<?x2x16xf32>
  %c = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x2x16xf32> into tensor<?x32xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>],
      iterator_types = ["parallel", "parallel"]} ins(%c : tensor<?x32xf32>) outs(%h : tensor<?x32xf32>) {
  ^bb0(%update: f32, %old: f32):
    %t = arith.addf %update, %old : f32
    linalg.yield %t : f32
  } -> tensor<?x32xf32>
  return %s : tensor<?x32xf32>
}

// -----

#x = affine_map<(n, p, l, i) -> (n, i)>
#w = affine_map<(n, p, l, i) -> (p, i, l)>
#y = affine_map<(n, p, l, i) -> (n, p, l)>

// What is read twice would be computed twice.
// CHECK-LABEL: @shared
// CHECK-NOT: scf.forall
func.func @shared(%x: tensor<?x64xf32>, %w: tensor<2x64x16xf32>, %e2: tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x2x16xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x2x16xf32>) -> tensor<?x2x16xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x64xf32>, tensor<2x64x16xf32>)
    outs(%z : tensor<?x2x16xf32>) -> tensor<?x2x16xf32>
  %c = tensor.collapse_shape %y [[0], [1, 2]] : tensor<?x2x16xf32> into tensor<?x32xf32>
  %s = linalg.exp ins(%c : tensor<?x32xf32>) outs(%e2 : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %s, %c : tensor<?x32xf32>, tensor<?x32xf32>
}
