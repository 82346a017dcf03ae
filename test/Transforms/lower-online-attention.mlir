// RUN: repo-opt %s --repo-lower-online-attention="lanes=8" | FileCheck %s

#layouts = [affine_map<(n, m, d, e) -> (d, n)>, affine_map<(n, m, d, e) -> (m, d)>,
            affine_map<(n, m, d, e) -> (m, e)>, affine_map<(n, m, d, e) -> (n, e)>]

// 4 keys by 3 vectors of 8 queries: 12 accumulators, keys broadcast element by element.
// CHECK-LABEL: @block
// CHECK: %[[PANEL:.*]] = memref.alloc() {alignment = 64 : i64} : memref<64x24xf32>
// CHECK: scf.for
// CHECK: scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// CHECK-COUNT-3: vector.load
// CHECK: vector.broadcast
// CHECK-COUNT-12: vector.fma
// CHECK: scf.yield
// The exponential is arithmetic.
// CHECK-NOT: math.exp2
// CHECK-NOT: repo.online_attention
func.func @block(%q: memref<128x24xf32>, %k: memref<64x128xf32>, %v: memref<64x128xf32>,
                 %acc: memref<24x128xf32>, %max: memref<24xf32>, %sum: memref<24xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {layouts = #layouts, scale = 1.0 : f64}
    : (memref<128x24xf32>, memref<64x128xf32>, memref<64x128xf32>, memref<24x128xf32>, memref<24xf32>, memref<24xf32>) -> ()
  return
}

// Blocks with rows of queries, or of odd sizes, are left to the decomposition.
// CHECK-LABEL: @other
// CHECK: repo.online_attention
func.func @other(%q: memref<24x128xf32>, %k: memref<64x128xf32>, %v: memref<64x128xf32>,
                 %acc: memref<24x128xf32>, %max: memref<24xf32>, %sum: memref<24xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {scale = 1.0 : f64}
    : (memref<24x128xf32>, memref<64x128xf32>, memref<64x128xf32>, memref<24x128xf32>, memref<24xf32>, memref<24xf32>) -> ()
  return
}
