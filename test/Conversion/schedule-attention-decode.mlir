// RUN: repo-opt %s --repo-schedule-attention-decode | FileCheck %s

#rope = #repo.rope<theta = 1.0E+4, dim = 128>
#split = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4, warps = 4, split_keys = 64>

// The heads of a group are the rows of one matrix; every warp copies and multiplies by itself; parts are merged.
// CHECK-LABEL: func.func @grouped
// CHECK: %[[MAX:.*]] = memref.alloc({{.*}}) : memref<?x2x?x?xf32>
// CHECK: %[[ACC:.*]] = memref.alloc({{.*}}) : memref<?x2x?x?x128xf32>
// CHECK: gpu.launch
// CHECK-SAME: function(@grouped_decode0)
// CHECK: memref.subview %arg1[%{{.*}}, %{{.*}}, 0, 0] [1, 4, 1, 128] [1, 1, 1, 1]
// Keys and values are on the way while the queries come, and turn.
// CHECK-COUNT-6: repo_tile.copy_async {{.*}} {threads = 32 : i64, warp}
// CHECK: nvvm.cp.async.wait.group 3
// CHECK-NEXT: gpu.barrier
// CHECK: repo_tile.map_pairs half
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 2
// CHECK-NEXT: {{.*}}arith.constant -1
// CHECK-NEXT: nvvm.bar.warp.sync
// CHECK-NOT: gpu.barrier
// CHECK: repo_tile.store {{.*}}memref<?x128xf32
// CHECK: gpu.terminator
// CHECK: scf.parallel
// CHECK: math.exp2
// CHECK: memref.store {{.*}} %arg5
func.func @grouped(%ctx: !llvm.ptr, %q: memref<?x8x1x128xbf16>, %k: memref<?x2x?x128xbf16>, %v: memref<?x2x?x128xbf16>,
                   %z: memref<?x8x1xf32>, %out: memref<?x8x1x128xbf16>, %at: memref<?xi32>) {
  repo.attention %q, %k, %v query_positions(%z) offset(%at) into %out {causal, rope = #rope, kernel_strategy = #split}
    : (memref<?x8x1x128xbf16>, memref<?x2x?x128xbf16>, memref<?x2x?x128xbf16>, memref<?x8x1xf32>, memref<?xi32>,
       memref<?x8x1x128xbf16>) -> ()
  return
}

// Pages are read where they lie.
// CHECK-LABEL: func.func @paged
// CHECK-NOT: repo.cache_view
// CHECK: gpu.launch
// CHECK: %[[PAGE:.*]] = memref.load %arg4
// CHECK: %[[INDEX:.*]] = arith.index_cast %[[PAGE]]
// CHECK: %[[SAFE:.*]] = arith.select %{{.*}}, %[[INDEX]], %{{.*}}
// CHECK: memref.subview %arg2[%[[SAFE]], %{{.*}}, 0, 0] [1, 1, 64, 128]
// CHECK-NOT: repo.cache_view
func.func @paged(%ctx: !llvm.ptr, %q: memref<?x2x1x128xbf16>, %k: memref<?x2x64x128xbf16>, %v: memref<?x2x64x128xbf16>,
                 %table: memref<?x?xi32>, %lengths: memref<?xi32>, %out: memref<?x2x1x128xbf16>, %at: memref<?xi32>) {
  %keys = repo.cache_view %k table(%table) lengths(%lengths)
    : (memref<?x2x64x128xbf16>, memref<?x?xi32>, memref<?xi32>) -> memref<?x2x?x128xbf16>
  %values = repo.cache_view %v table(%table) lengths(%lengths)
    : (memref<?x2x64x128xbf16>, memref<?x?xi32>, memref<?xi32>) -> memref<?x2x?x128xbf16>
  repo.attention %q, %keys, %values offset(%at) into %out {causal, kernel_strategy = #split}
    : (memref<?x2x1x128xbf16>, memref<?x2x?x128xbf16>, memref<?x2x?x128xbf16>, memref<?xi32>, memref<?x2x1x128xbf16>) -> ()
  return
}
