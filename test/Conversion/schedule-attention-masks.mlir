// RUN: repo-opt %s --repo-schedule-attention-mma --repo-schedule-attention-specialized --repo-schedule-attention-decode | FileCheck %s

#mma = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>
#roles = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 96, stages = 2, warps = 8, producers = 1>
#split = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4, warps = 4, split_keys = 64>

// Which keys some query of a block sees is a table, made before. Values of the others, which may be NaN, are not copied;
// scores of what a query does not see become -inf, whatever they were.
// CHECK-LABEL: func.func @prefill
// CHECK: %[[SEEN:.*]] = memref.alloc({{.*}}) : memref<?x1x?x?xi1>
// CHECK: scf.parallel
// CHECK: scf.for
// CHECK: memref.load %arg3
// CHECK: arith.ori
// CHECK: gpu.launch
// CHECK: repo_tile.copy_async %{{.*}} rows(%{{[a-z0-9_]+}} to %{{[a-z0-9_]+}}) into
// CHECK: %[[ROWS:.*]] = memref.subview %[[SEEN]][
// CHECK: repo_tile.copy_async %{{.*}} rows(%{{[a-z0-9_]+}} to %{{[a-z0-9_]+}}) into
// CHECK: repo_tile.copy_async %{{.*}} where(%[[ROWS]] :
// CHECK: scf.for
// CHECK: repo_tile.mma
// CHECK: %[[VISIBLE:.*]] = memref.load %{{.*}} : memref<1x1x?x?xi1
// CHECK: arith.select %[[VISIBLE]], %{{.*}}, %{{.*}} : f32
// Behind the last key there is no mask either.
// CHECK: scf.for
// CHECK: scf.if %{{.*}} -> (i1)
func.func @prefill(%q: memref<?x4x?x64xbf16>, %k: memref<?x2x?x64xbf16>, %v: memref<?x2x?x64xbf16>, %m: memref<?x1x?x?xi1>, %o: memref<?x4x?x64xbf16>) {
  repo.attention %q, %k, %v mask(%m) into %o {causal, kernel_strategy = #mma}
    : (memref<?x4x?x64xbf16>, memref<?x2x?x64xbf16>, memref<?x2x?x64xbf16>, memref<?x1x?x?xi1>, memref<?x4x?x64xbf16>) -> ()
  return
}

// The mask is the table itself where it is the same for all queries. The copy engine takes tiles whose keys are all seen.
// CHECK-LABEL: func.func @padding
// CHECK: %[[TILES:.*]] = memref.alloc
// CHECK: scf.parallel
// CHECK: memref.load %arg3
// CHECK: arith.andi
// CHECK: gpu.launch
// CHECK: %[[WHOLE:.*]] = memref.load %[[TILES]]
// CHECK: %[[ENGINE:.*]] = arith.andi %{{.*}}, %[[WHOLE]]
// CHECK: scf.if %[[ENGINE]]
// CHECK: repo_tile.copy_tensor
// CHECK: } else {
// CHECK: memref.subview %arg3
// CHECK: repo_tile.copy_async {{.*}} where(
func.func @padding(%q: memref<?x4x?x64xbf16>, %k: memref<?x2x?x64xbf16>, %v: memref<?x2x?x64xbf16>, %m: memref<?x1x1x?xi1>, %o: memref<?x4x?x64xbf16>) {
  repo.attention %q, %k, %v mask(%m) into %o {kernel_strategy = #roles}
    : (memref<?x4x?x64xbf16>, memref<?x2x?x64xbf16>, memref<?x2x?x64xbf16>, memref<?x1x1x?xi1>, memref<?x4x?x64xbf16>) -> ()
  return
}

// Three queries of two heads are rows of a matrix; a mask per head is collected over the heads that share keys.
// CHECK-LABEL: func.func @decode
// CHECK: memref.alloc({{.*}}) : memref<?x2x1x?xi1>
// CHECK: gpu.launch
// CHECK: memref.subview %arg0[%{{.*}}, %{{.*}}, 0, 0] [1, 2, 3, 64] [1, 1, 1, 1] : memref<?x4x3x64xbf16> to memref<2x3x64xbf16
// CHECK: repo_tile.copy_async {{.*}} where(
func.func @decode(%q: memref<?x4x3x64xbf16>, %k: memref<?x2x?x64xbf16>, %v: memref<?x2x?x64xbf16>, %m: memref<?x4x3x?xi1>, %o: memref<?x4x3x64xbf16>) {
  repo.attention %q, %k, %v mask(%m) into %o {kernel_strategy = #split}
    : (memref<?x4x3x64xbf16>, memref<?x2x?x64xbf16>, memref<?x2x?x64xbf16>, memref<?x4x3x?xi1>, memref<?x4x3x64xbf16>) -> ()
  return
}
