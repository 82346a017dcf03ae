// RUN: repo-opt %s --verify-roundtrip | FileCheck %s
// RUN: repo-opt %s --mlir-print-op-generic | repo-opt --verify-roundtrip | FileCheck %s

// Every op with every combination of operands that changes how it is printed.

// Attributes are printed once, as aliases; defaults are left out.
// CHECK-DAG: #[[OLMO:rope[0-9]*]] = #repo.rope<theta = 5.0E+5, dim = 128>
// CHECK-DAG: #[[SMALL:rope[0-9]*]] = #repo.rope<theta = 1.0E+4, dim = 4>
// CHECK-DAG: #repo.rope<theta = 1.0E+4, dim = 4, layout = interleaved>
// CHECK-DAG: #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.linear<factor = 2.0>>
// CHECK-DAG: #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.llama3<factor = 8.0, low = 1.0, high = 4.0, original = 8192>>
// CHECK-DAG: #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 4096>>
// CHECK-DAG: #repo.rope<theta = 1.0E+4, dim = 4, scaling = #repo.yarn<factor = 1.1, original = 4096, beta_fast = 1.6E+1, beta_slow = 2.0, attention_factor = 1.25, truncate = false>>
#olmo = #repo.rope<theta = 5.0e5, dim = 128>
#small = #repo.rope<theta = 1.0e4, dim = 4, layout = half>
#interleaved = #repo.rope<theta = 1.0e4, dim = 4, layout = interleaved>
#linear = #repo.rope<theta = 1.0e4, dim = 4, scaling = #repo.linear<factor = 2.0>>
#llama3 = #repo.rope<theta = 1.0e4, dim = 4, scaling = #repo.llama3<factor = 8.0, low = 1.0, high = 4.0, original = 8192>>
#yarn = #repo.rope<theta = 1.0e4, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 4096>>
#yarn_full = #repo.rope<theta = 1.0e4, dim = 4, scaling = #repo.yarn<
    factor = 1.1, original = 4096, beta_fast = 16.0, beta_slow = 2.0, attention_factor = 1.25, truncate = false>>

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @positions
func.func @positions(%h: tensor<1x?x8xbf16>, %h64: tensor<1x?x8xf64>, %w: tensor<4x8xbf16>, %wz: tensor<2x4xf32>,
                     %w64: tensor<1x8xf64>, %n: index, %b: index, %at: index, %ats: tensor<?xi32>) {
  // CHECK: repo.assign_positions %{{.*}} gate(%{{.*}}) content(%{{.*}}) heads(%{{.*}}) : (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>) -> tensor<1x2x?xf32>
  %0 = repo.assign_positions %h gate(%w) content(%w) heads(%wz)
     : (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>) -> tensor<1x2x?xf32>
  // CHECK: repo.assign_positions %{{.*}} gate(%{{.*}}) content(%{{.*}}) heads(%{{.*}}) into %{{.*}} : ({{.*}}, tensor<1x2x?xf32>) -> tensor<1x2x?xf32>
  %into = repo.assign_positions %h gate(%w) content(%w) heads(%wz) into %0
     : (tensor<1x?x8xbf16>, tensor<4x8xbf16>, tensor<4x8xbf16>, tensor<2x4xf32>, tensor<1x2x?xf32>) -> tensor<1x2x?xf32>
  // CHECK: repo.linear_positions %{{.*}} heads(%{{.*}}) : (tensor<1x?x8xf64>, tensor<1x8xf64>) -> tensor<1x1x?xf64>
  %1 = repo.linear_positions %h64 heads(%w64) : (tensor<1x?x8xf64>, tensor<1x8xf64>) -> tensor<1x1x?xf64>
  // CHECK: repo.index_positions : () -> tensor<1x1x4xf32>
  %2 = repo.index_positions : () -> tensor<1x1x4xf32>
  // CHECK: repo.index_positions offset(%{{.*}}) : (index) -> tensor<1x1x4xf64>
  %3 = repo.index_positions offset(%at) : (index) -> tensor<1x1x4xf64>
  // CHECK: repo.index_positions sizes(%{{.*}}, %{{.*}}) offset(%{{.*}}) : (index, index, tensor<?xi32>) -> tensor<?x1x?xf32>
  %4 = repo.index_positions sizes(%b, %n) offset(%ats) : (index, index, tensor<?xi32>) -> tensor<?x1x?xf32>
  // CHECK: repo.blend_positions %{{.*}}, %{{.*}} {weight = 2.500000e-01 : f64} : (tensor<1x2x?xf32>, tensor<?x1x?xf32>) -> tensor<1x2x?xf32>
  %5 = repo.blend_positions %0, %4 {weight = 0.25 : f64} : (tensor<1x2x?xf32>, tensor<?x1x?xf32>) -> tensor<1x2x?xf32>
  return
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @rotate
func.func @rotate(%x: tensor<1x2x?x6xbf16>, %y: tensor<1x?x2x6xf64>, %z: tensor<1x1x?xf32>, %z64: tensor<1x2x?xf64>,
                  %w: tensor<2xf32>, %wh: tensor<2x2xf32>) {
  // CHECK: repo.rotate %{{.*}} by(%{{.*}}) {rope = #[[SMALL]]} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x6xbf16>
  %0 = repo.rotate %x by(%z) {rope = #small} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x6xbf16>
  // CHECK: repo.rotate %{{.*}} by(%{{.*}}) omega(%{{.*}}) {rope = #[[SMALL]]} : {{.*}} -> tensor<1x2x?x6xf32>
  %1 = repo.rotate %x by(%z) omega(%w) {rope = #small} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>, tensor<2xf32>) -> tensor<1x2x?x6xf32>
  %2 = repo.rotate %x by(%z) omega(%wh) {rope = #interleaved} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>, tensor<2x2xf32>) -> tensor<1x2x?x6xbf16>
  // CHECK: {layout = #{{.*}}, rope = #{{.*}}} : (tensor<1x?x2x6xf64>, tensor<1x2x?xf64>) -> tensor<1x?x2x6xf64>
  %3 = repo.rotate %y by(%z64) {layout = affine_map<(b, h, n, d) -> (b, n, h, d)>, rope = #linear}
     : (tensor<1x?x2x6xf64>, tensor<1x2x?xf64>) -> tensor<1x?x2x6xf64>
  %4 = repo.rotate %x by(%z) {rope = #llama3} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x6xbf16>
  %5 = repo.rotate %x by(%z) {rope = #yarn} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x6xbf16>
  %6 = repo.rotate %x by(%z) {rope = #yarn_full} : (tensor<1x2x?x6xbf16>, tensor<1x1x?xf32>) -> tensor<1x2x?x6xbf16>
  return
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @attention_plain
func.func @attention_plain(%q: tensor<1x4x?x8xf16>, %k: tensor<1x2x?x8xf16>, %v: tensor<1x2x?x3xf16>, %o: tensor<1x4x?x3xf16>) -> tensor<1x4x?x3xf16> {
  // CHECK: repo.attention %{{.*}}, %{{.*}}, %{{.*}} into %{{.*}} : (tensor<1x4x?x8xf16>, tensor<1x2x?x8xf16>, tensor<1x2x?x3xf16>, tensor<1x4x?x3xf16>) -> tensor<1x4x?x3xf16>
  %0 = repo.attention %q, %k, %v into %o
     : (tensor<1x4x?x8xf16>, tensor<1x2x?x8xf16>, tensor<1x2x?x3xf16>, tensor<1x4x?x3xf16>) -> tensor<1x4x?x3xf16>
  return %0 : tensor<1x4x?x3xf16>
}

// CHECK-LABEL: func @attention_all
func.func @attention_all(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %zq: tensor<2x4x?xf32>, %zk: tensor<2x1x?xf32>,
                         %w: tensor<2x2xf32>, %bias: tensor<1x4x1x?xf32>, %mask: tensor<2x1x?x?xi1>, %lengths: tensor<2xi32>,
                         %at: tensor<2xi32>, %o: tensor<2x4x?x8xbf16>, %lse: tensor<2x4x?xf32>) {
  // CHECK: repo.attention %{{.*}}, %{{.*}}, %{{.*}} query_positions(%{{.*}}) key_positions(%{{.*}}) omega(%{{.*}}) bias(%{{.*}}) mask(%{{.*}}) lengths(%{{.*}}) offset(%{{.*}}) into %{{.*}}, %{{.*}} {causal, rope = #[[SMALL]], scale = 1.000000e-01 : f64, softcap = 3.000000e+01 : f64, window = array<i64: 16, -1>}
  %0:2 = repo.attention %q, %k, %k query_positions(%zq) key_positions(%zk) omega(%w) bias(%bias) mask(%mask)
         lengths(%lengths) offset(%at) into %o, %lse
         {causal, rope = #small, scale = 0.1 : f64, softcap = 30.0 : f64, window = array<i64: 16, -1>}
     : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x4x?xf32>, tensor<2x1x?xf32>,
        tensor<2x2xf32>, tensor<1x4x1x?xf32>, tensor<2x1x?x?xi1>, tensor<2xi32>, tensor<2xi32>,
        tensor<2x4x?x8xbf16>, tensor<2x4x?xf32>) -> (tensor<2x4x?x8xbf16>, tensor<2x4x?xf32>)
  return
}

// Each operand alone.
// CHECK-LABEL: func @attention_each
func.func @attention_each(%q: tensor<2x4x5x8xf64>, %k: tensor<2x2x6x8xf64>, %zq: tensor<2x2x5xf64>, %zk: tensor<2x2x6xf64>,
                          %bias: tensor<1x1x1x1xbf16>, %mask: tensor<2x4x5x6xi1>, %lengths: tensor<2xi32>, %at: index,
                          %o: tensor<2x4x5x8xf64>) {
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} query_positions(%{{[a-z0-9]*}}) into
  %0 = repo.attention %q, %k, %k query_positions(%zq) into %o {rope = #small}
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x5xf64>, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} key_positions(%{{[a-z0-9]*}}) into
  %1 = repo.attention %q, %k, %k key_positions(%zk) into %o {rope = #small}
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6xf64>, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} bias(%{{[a-z0-9]*}}) into
  %2 = repo.attention %q, %k, %k bias(%bias) into %o
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, tensor<1x1x1x1xbf16>, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} mask(%{{[a-z0-9]*}}) into
  %3 = repo.attention %q, %k, %k mask(%mask) into %o
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, tensor<2x4x5x6xi1>, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} lengths(%{{[a-z0-9]*}}) into
  %4 = repo.attention %q, %k, %k lengths(%lengths) into %o
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, tensor<2xi32>, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} offset(%{{[a-z0-9]*}}) into %{{[a-z0-9]*}} {causal}
  %5 = repo.attention %q, %k, %k offset(%at) into %o {causal}
     : (tensor<2x4x5x8xf64>, tensor<2x2x6x8xf64>, tensor<2x2x6x8xf64>, index, tensor<2x4x5x8xf64>) -> tensor<2x4x5x8xf64>
  return
}

// CHECK-LABEL: func @attention_layouts
func.func @attention_layouts(%q: tensor<1x?x16x128xbf16>, %z: tensor<1x16x?xf32>, %o: tensor<1x?x16x128xbf16>) {
  // CHECK: {layouts = [#map{{[0-9]*}}, #map{{[0-9]*}}, #map{{[0-9]*}}, #map{{[0-9]*}}], rope = #[[OLMO]]}
  %0 = repo.attention %q, %q, %q query_positions(%z) key_positions(%z) into %o
     {rope = #olmo, layouts = [affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>,
                               affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>, affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>]}
     : (tensor<1x?x16x128xbf16>, tensor<1x?x16x128xbf16>, tensor<1x?x16x128xbf16>, tensor<1x16x?xf32>, tensor<1x16x?xf32>,
        tensor<1x?x16x128xbf16>) -> tensor<1x?x16x128xbf16>
  return
}

// CHECK-LABEL: func @attention_buffers
func.func @attention_buffers(%q: memref<1x4x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>, %zq: memref<1x1x?xf32>, %at: memref<1xi32>,
                             %o: memref<1x4x?x8xf32>, %lse: memref<1x4x?xf32>) {
  // CHECK: repo.attention {{.*}} into %{{.*}}, %{{.*}} {rope = #[[SMALL]]} : ({{.*}}) -> ()
  repo.attention %q, %q, %q query_positions(%zq) lengths(%at) into %o, %lse {rope = #small}
     : (memref<1x4x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>, memref<1x4x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>,
        memref<1x4x?x8xf32, strided<[?, ?, ?, 1], offset: ?>>, memref<1x1x?xf32>, memref<1xi32>, memref<1x4x?x8xf32>, memref<1x4x?xf32>) -> ()
  return
}

//===----------------------------------------------------------------------===//
// Online attention
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @online_attention
func.func @online_attention(%q: tensor<?x8xbf16>, %qt: tensor<8x?xbf16>, %k: tensor<16x8xbf16>, %v: tensor<16x4xbf16>, %bias: tensor<?x16xf32>,
                            %mask: tensor<?x16xi1>, %o: index, %l: index, %acc: tensor<?x4xf32>, %max: tensor<?xf32>, %sum: tensor<?xf32>) {
  // CHECK: repo.online_attention %{{.*}}, %{{.*}}, %{{.*}} into %{{.*}}, %{{.*}}, %{{.*}} {scale = 5.000000e-01 : f64}
  %0:3 = repo.online_attention %q, %k, %v into %acc, %max, %sum {scale = 0.5 : f64}
     : (tensor<?x8xbf16>, tensor<16x8xbf16>, tensor<16x4xbf16>, tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>)
       -> (tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>)
  // CHECK: repo.online_attention %{{.*}}, %{{.*}}, %{{.*}} bias(%{{.*}}) mask(%{{.*}}) offset(%{{.*}}) limit(%{{.*}}) into %{{.*}}, %{{.*}}, %{{.*}} {band = array<i64: 3, 0>, layouts = [{{.*}}], scale = 5.000000e-01 : f64, softcap = 2.000000e+00 : f64}
  %1:3 = repo.online_attention %qt, %k, %v bias(%bias) mask(%mask) offset(%o) limit(%l) into %acc, %max, %sum
     {scale = 0.5 : f64, softcap = 2.0 : f64, band = array<i64: 3, 0>,
      layouts = [affine_map<(n, m, d, e) -> (d, n)>, affine_map<(n, m, d, e) -> (m, d)>,
                 affine_map<(n, m, d, e) -> (m, e)>, affine_map<(n, m, d, e) -> (n, e)>]}
     : (tensor<8x?xbf16>, tensor<16x8xbf16>, tensor<16x4xbf16>, tensor<?x16xf32>, tensor<?x16xi1>, index, index,
        tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<?x4xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// CHECK-LABEL: func @online_attention_buffers
func.func @online_attention_buffers(%q: memref<24x8xf64>, %k: memref<16x8xf64>, %acc: memref<24x8xf64>, %max: memref<24xf64>, %sum: memref<24xf64>) {
  // CHECK: repo.online_attention {{.*}} -> ()
  repo.online_attention %q, %k, %k into %acc, %max, %sum {scale = 1.0 : f64}
     : (memref<24x8xf64>, memref<16x8xf64>, memref<16x8xf64>, memref<24x8xf64>, memref<24xf64>, memref<24xf64>) -> ()
  return
}

//===----------------------------------------------------------------------===//
// Cache
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func @cache_append
func.func @cache_append(%k: tensor<2x4x?x8xf32>, %kn: tensor<2x?x4x8xf32>, %z: tensor<2x1x?xf32>, %w: tensor<4x2xf32>, %at: index,
                        %ats: tensor<2xi32>, %table: tensor<2x?xi32>, %c: tensor<2x4x?x8xbf16>, %pages: tensor<?x4x16x8xbf16>) {
  // CHECK: repo.cache_append %{{.*}}, %{{.*}} at(%{{.*}}) into %{{.*}}, %{{.*}} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, index,
  %0:2 = repo.cache_append %k, %k at(%at) into %c, %c
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, index, tensor<2x4x?x8xbf16>, tensor<2x4x?x8xbf16>)
       -> (tensor<2x4x?x8xbf16>, tensor<2x4x?x8xbf16>)
  // CHECK: repo.cache_append %{{.*}}, %{{.*}} positions(%{{.*}}) at(%{{.*}}) into %{{.*}}, %{{.*}} {rope = #[[SMALL]]}
  %1:2 = repo.cache_append %k, %k positions(%z) at(%ats) into %c, %c {rope = #small}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x1x?xf32>, tensor<2xi32>, tensor<2x4x?x8xbf16>, tensor<2x4x?x8xbf16>)
       -> (tensor<2x4x?x8xbf16>, tensor<2x4x?x8xbf16>)
  // CHECK: repo.cache_append %{{.*}}, %{{.*}} positions(%{{.*}}) omega(%{{.*}}) at(%{{.*}}) table(%{{.*}}) into %{{.*}}, %{{.*}} {layouts = [{{.*}}], rope = #[[SMALL]]}
  %2:2 = repo.cache_append %kn, %kn positions(%z) omega(%w) at(%ats) table(%table) into %pages, %pages
     {rope = #small, layouts = [affine_map<(b, h, n, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, d, e) -> (b, n, h, e)>]}
     : (tensor<2x?x4x8xf32>, tensor<2x?x4x8xf32>, tensor<2x1x?xf32>, tensor<4x2xf32>, tensor<2xi32>, tensor<2x?xi32>,
        tensor<?x4x16x8xbf16>, tensor<?x4x16x8xbf16>) -> (tensor<?x4x16x8xbf16>, tensor<?x4x16x8xbf16>)
  return
}

// CHECK-LABEL: func @cache_append_buffers
func.func @cache_append_buffers(%k: memref<2x4x?x8xf32>, %at: memref<2xi32>, %c: memref<2x4x?x8xbf16>) {
  // CHECK: repo.cache_append {{.*}} -> ()
  repo.cache_append %k, %k at(%at) into %c, %c
     : (memref<2x4x?x8xf32>, memref<2x4x?x8xf32>, memref<2xi32>, memref<2x4x?x8xbf16>, memref<2x4x?x8xbf16>) -> ()
  return
}

// CHECK-LABEL: func @cache_view
func.func @cache_view(%pages: tensor<?x4x16x8xbf16>, %table: tensor<2x?xi32>, %lengths: tensor<2xi32>) {
  // CHECK: repo.cache_view %{{.*}} table(%{{.*}}) lengths(%{{.*}}) : (tensor<?x4x16x8xbf16>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x8xbf16>
  %0 = repo.cache_view %pages table(%table) lengths(%lengths)
     : (tensor<?x4x16x8xbf16>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x4x?x8xbf16>
  return
}

//===----------------------------------------------------------------------===//
// Attributes of arguments
//===----------------------------------------------------------------------===//

// CHECK: func @arguments(%{{.*}}: tensor<4xf32> {repo.constant, repo.name = "w"}, %{{.*}}: tensor<4xf32> {repo.inout = 0 : index}) -> (tensor<4xf32> {repo.name = "y"})
func.func @arguments(%w: tensor<4xf32> {repo.constant, repo.name = "w"}, %c: tensor<4xf32> {repo.inout = 0 : index})
    -> (tensor<4xf32> {repo.name = "y"}) {
  return %c : tensor<4xf32>
}

// CHECK-LABEL: func @positions_on_buffers
func.func @positions_on_buffers(%h: memref<1x?x64xbf16>, %g: memref<64x64xbf16>, %w: memref<2x64xbf16>, %z: memref<1x2x?xf32>) {
  // CHECK: repo.assign_positions %{{.*}} into %{{.*}} {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>} : ({{.*}}) -> ()
  repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
      {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>}
    : (memref<1x?x64xbf16>, memref<64x64xbf16>, memref<64x64xbf16>, memref<2x64xbf16>, memref<1x2x?xf32>) -> ()
  return
}
