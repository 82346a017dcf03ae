// RUN: repo-opt %s --verify-roundtrip | FileCheck %s
// RUN: repo-opt %s --mlir-print-op-generic | repo-opt --verify-roundtrip | FileCheck %s

// CHECK-DAG: #[[ROPE:.*]] = #repo.rope<theta = 1.0E+4, dim = 4>
#small = #repo.rope<theta = 1.0e4, dim = 4>

// CHECK-LABEL: func @positions
func.func @positions(%h: tensor<1x?x8xbf16>, %w: tensor<4x8xbf16>, %wz: tensor<2x4xf32>, %dz: tensor<1x2x?xf32>) {
  // CHECK: repo.assign_positions_backward %{{.*}} gate(%{{.*}}) content(%{{.*}}) heads(%{{.*}}) upstream(%{{.*}}) : {{.*}} -> (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>)
  %0:4 = repo.assign_positions_backward %h gate(%w) content(%w) heads(%wz) upstream(%dz)
     : (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>, tensor<1x2x?xf32>)
       -> (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>)
  return
}

// CHECK-LABEL: func @rotate
func.func @rotate(%y: tensor<1x2x?x6xbf16>, %z: tensor<1x1x?xf32>, %w: tensor<2x2xf32>, %t: tensor<1x?x2x6xf32>) {
  // CHECK: repo.rotate_backward %{{.*}} by(%{{.*}}) upstream(%{{.*}}) {rope = #[[ROPE]]} : {{.*}} -> (tensor<1x2x?x6xf32>, tensor<1x1x?xf32>)
  %0:2 = repo.rotate_backward %y by(%z) upstream(%y) {rope = #small}
     : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>, tensor<1x2x?x6xbf16>) -> (tensor<1x2x?x6xf32>, tensor<1x1x?xf32>)
  // CHECK: repo.rotate_backward %{{.*}} by(%{{.*}}) omega(%{{.*}}) upstream(%{{.*}}) {layout = #{{.*}}, rope = #[[ROPE]]}
  %1:2 = repo.rotate_backward %t by(%z) omega(%w) upstream(%t)
     {rope = #small, layout = affine_map<(b, h, n, d) -> (b, n, h, d)>}
     : (tensor<1x?x2x6xf32>, tensor<1x1x?xf32>, tensor<2x2xf32>, tensor<1x?x2x6xf32>)
       -> (tensor<1x?x2x6xf32>, tensor<1x1x?xf32>)
  return
}

// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<1x4x?x6xf32>, %k: tensor<1x2x?x6xf32>, %v: tensor<1x2x?x5xf32>, %o: tensor<1x4x?x5xf32>,
                     %l: tensor<1x4x?xf32>, %zk: tensor<1x2x?xf32>, %w: tensor<2xf32>, %bias: tensor<1x1x?x?xf32>,
                     %mask: tensor<1x4x?x?xi1>, %lengths: tensor<1xi32>, %at: index) {
  // CHECK: repo.attention_backward %{{.*}}, %{{.*}}, %{{.*}} output(%{{.*}}) lse(%{{.*}}) upstream(%{{.*}}) into %{{.*}}, %{{.*}}, %{{.*}} {causal}
  %0:3 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%o) into %q, %k, %v {causal}
     : (tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>, tensor<1x4x?x5xf32>, tensor<1x4x?xf32>,
        tensor<1x4x?x5xf32>, tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>)
       -> (tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>)
  // CHECK: repo.attention_backward {{.*}} query_positions(%{{.*}}) key_positions(%{{.*}}) omega(%{{.*}}) bias(%{{.*}}) mask(%{{.*}}) lengths(%{{.*}}) offset(%{{.*}}) into
  // CHECK-SAME: {rope = #[[ROPE]], scale = 5.000000e-01 : f64, softcap = 2.000000e+00 : f64, window = array<i64: 3, -1>}
  %1:5 = repo.attention_backward %q, %k, %v output(%o) lse(%l) upstream(%o) query_positions(%l) key_positions(%zk)
     omega(%w) bias(%bias) mask(%mask) lengths(%lengths) offset(%at) into %q, %k, %v, %l, %zk
     {rope = #small, window = array<i64: 3, -1>, softcap = 2.0 : f64, scale = 0.5 : f64}
     : (tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>, tensor<1x4x?x5xf32>, tensor<1x4x?xf32>,
        tensor<1x4x?x5xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>, tensor<2xf32>, tensor<1x1x?x?xf32>,
        tensor<1x4x?x?xi1>, tensor<1xi32>, index, tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>,
        tensor<1x4x?xf32>, tensor<1x2x?xf32>)
       -> (tensor<1x4x?x6xf32>, tensor<1x2x?x6xf32>, tensor<1x2x?x5xf32>, tensor<1x4x?xf32>, tensor<1x2x?xf32>)
  return
}

// CHECK-LABEL: func @buffers
func.func @buffers(%q: memref<1x2x?x4xf32>, %l: memref<1x2x?xf32>) {
  // CHECK: repo.attention_backward {{.*}} into %{{.*}}, %{{.*}}, %{{.*}} : {{.*}} -> ()
  repo.attention_backward %q, %q, %q output(%q) lse(%l) upstream(%q) into %q, %q, %q
     : (memref<1x2x?x4xf32>, memref<1x2x?x4xf32>, memref<1x2x?x4xf32>, memref<1x2x?x4xf32>, memref<1x2x?xf32>,
        memref<1x2x?x4xf32>, memref<1x2x?x4xf32>, memref<1x2x?x4xf32>, memref<1x2x?x4xf32>) -> ()
  return
}
