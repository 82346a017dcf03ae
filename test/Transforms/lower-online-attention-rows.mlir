// RUN: repo-opt %s --repo-lower-online-attention="lanes=16" | FileCheck %s

// Four queries, f32. The products of a key are summed to one vector in registers, a store in all: each lane is the sum of four
// products of a query. Values are read by whole rows, for two queries at a time.
// CHECK-LABEL: @four
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c8
// CHECK: scf.for
// CHECK-COUNT-8: vector.load %arg1{{.*}} vector<16xf32>
// CHECK-COUNT-32: vector.fma
// CHECK-NOT: vector.store
// CHECK-COUNT-6: vector.shuffle
// CHECK: %[[SUM:.*]] = arith.addf
// CHECK-NOT: vector.store
// CHECK: vector.store %[[SUM]]
// CHECK-NEXT: }
// The rest is summed key by key, then brought from key by key to query by query.
// CHECK: vector.shuffle %[[KEYS:.*]], %[[KEYS]] [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-8: vector.load %arg2{{.*}} vector<16xf32>
// CHECK-COUNT-16: vector.fma
// CHECK: scf.yield
func.func @four(%q: memref<4x128xf32>, %k: memref<?x128xf32>, %v: memref<?x128xf32>,
                %acc: memref<4x128xf32>, %max: memref<4xf32>, %sum: memref<4xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {max_keys = 512 : i64, scale = 0.125 : f64}
    : (memref<4x128xf32>, memref<?x128xf32>, memref<?x128xf32>, memref<4x128xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}

// A single query asks for the line behind each it reads.
// CHECK-LABEL: @one
// CHECK: scf.for
// CHECK: scf.for
// CHECK-COUNT-8: vector.load %arg1
// CHECK-COUNT-8: memref.prefetch %arg1
// CHECK-NOT: memref.prefetch %arg1
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-8: vector.load %arg2
// CHECK-COUNT-8: memref.prefetch %arg2
func.func @one(%q: memref<1x128xf32>, %k: memref<?x128xf32>, %v: memref<?x128xf32>,
               %acc: memref<1x128xf32>, %max: memref<1xf32>, %sum: memref<1xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {max_keys = 512 : i64, scale = 0.125 : f64}
    : (memref<1x128xf32>, memref<?x128xf32>, memref<?x128xf32>, memref<1x128xf32>, memref<1xf32>, memref<1xf32>) -> ()
  return
}

// Four queries in f16: half rows of values, each element expanded once; the first pass touches the other half too.
// CHECK-LABEL: @halves
// CHECK: scf.for {{.*}} -> (vector<16xf32>
// CHECK-COUNT-4: vector.load %arg2{{.*}} vector<16xf16>
// CHECK-COUNT-2: memref.prefetch %arg2
// CHECK-NOT: memref.prefetch
// CHECK: return
func.func @halves(%q: memref<4x128xf32>, %k: memref<?x128xf16>, %v: memref<?x128xf16>,
                  %acc: memref<4x128xf32>, %max: memref<4xf32>, %sum: memref<4xf32>) {
  repo.online_attention %q, %k, %v into %acc, %max, %sum {max_keys = 512 : i64, scale = 0.125 : f64}
    : (memref<4x128xf32>, memref<?x128xf16>, memref<?x128xf16>, memref<4x128xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}
