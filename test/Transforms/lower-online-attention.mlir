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

// Rows of queries, 16 keys at a time: keys are read one a turn, in their own type, pairs of vectors of bf16 expanded by a
// shift and a mask; sums by a tree of shuffles.
// CHECK-LABEL: @rows
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<1x16x8xf32>
// CHECK: scf.for {{.*}} step %c16
// CHECK: scf.for {{.*}} step %c1{{[_ ]}}
// CHECK: vector.load {{.*}} : memref<?x128xbf16>, vector<16xbf16>
// CHECK: arith.shli
// CHECK: arith.andi
// CHECK: vector.fma
// CHECK: scf.for
// CHECK-COUNT-28: vector.shuffle
// The values too: one key a turn, 8 sums carried.
// CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
// CHECK: vector.load {{.*}} : memref<?x128xbf16>, vector<16xbf16>
// CHECK-NOT: repo.online_attention
func.func @rows(%q: memref<1x128xf32>, %k: memref<?x128xbf16>, %v: memref<?x128xbf16>,
                %acc: memref<1x128xf32>, %max: memref<1xf32>, %sum: memref<1xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {max_keys = 64 : i64, scale = 1.0 : f64}
    : (memref<1x128xf32>, memref<?x128xbf16>, memref<?x128xbf16>, memref<1x128xf32>, memref<1xf32>, memref<1xf32>) -> ()
  return
}

// Rows of queries with a limit, or of odd sizes, are left to the decomposition.
// CHECK-LABEL: @other
// CHECK: repo.online_attention
func.func @other(%q: memref<24x128xf32>, %k: memref<64x128xf32>, %v: memref<64x128xf32>,
                 %acc: memref<24x128xf32>, %max: memref<24xf32>, %sum: memref<24xf32>, %n: index) {
  repo.online_attention %q, %k, %v limit(%n) into %acc, %max, %sum {scale = 1.0 : f64}
    : (memref<24x128xf32>, memref<64x128xf32>, memref<64x128xf32>, index, memref<24x128xf32>, memref<24xf32>, memref<24xf32>) -> ()
  return
}
