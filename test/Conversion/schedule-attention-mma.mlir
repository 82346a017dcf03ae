// RUN: repo-opt %s --repo-schedule-attention-mma | FileCheck %s

#r = #repo.rope<theta = 500000.0, dim = 64>

// Heads run side by side, the longest rows of a causal mask first. Tiles that every query sees whole come in
// a loop without masks; the diagonal behind it.

// CHECK: memref.global "private" constant @repo_turns : memref<2x32xf32>
// CHECK-LABEL: func.func @causal
// CHECK: gpu.launch blocks(%[[HEAD:.*]], %[[BATCH:.*]], %[[BLOCK:.*]]) in (%{{.*}} = %c4{{.*}}, %{{.*}} = %{{.*}}, %[[BLOCKS:.*]] = %{{.*}}) threads({{.*}}) in (%{{.*}} = %c128{{.*}}) dynamic_shared_memory_size %c40960_i32
// CHECK-SAME: module(@kernels) function(@causal_attention0)
// CHECK: %[[LAST:.*]] = arith.subi %[[BLOCKS]], %{{.*}}
// CHECK: arith.subi %[[LAST]], %[[BLOCK]]
// The first tiles are under way before the queries are there.
// CHECK: repo_tile.copy_async {{.*}} into %[[QUERIES:[a-z0-9_]+]][
// CHECK: nvvm.cp.async.commit.group
// CHECK: repo_tile.copy_async {{.*}} into %[[KEYS:[a-z0-9_]+]][
// CHECK: repo_tile.copy_async {{.*}} into %[[VALUES:[a-z0-9_]+]][
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 1
// CHECK: gpu.barrier
// CHECK: repo_tile.load_shared %[[QUERIES]]
// CHECK: %[[Q:[a-z0-9_]+]] = repo_tile.map_pairs {{ *}}half
// CHECK: math.cos
// CHECK: math.sin
// CHECK: scf.for
// CHECK-NEXT: nvvm.cp.async.wait.group 0
// CHECK-NEXT: gpu.barrier
// CHECK: repo_tile.mma %[[Q]], %[[KEYS]]{{.*}} {transpose_b}
// CHECK-NOT: arith.cmpi
// CHECK: repo_tile.reduce {{ *}}maximum
// CHECK: math.exp2
// CHECK: repo_tile.reduce {{ *}}sum
// CHECK: repo_tile.convert
// CHECK: repo_tile.mma {{.*}}, %[[VALUES]]
// CHECK: scf.for
// CHECK: repo_tile.mma
// CHECK: arith.cmpi sle
// CHECK: repo_tile.reduce {{ *}}maximum
// CHECK-NOT: scf.for
// CHECK: repo_tile.store
// CHECK: repo_tile.store
// CHECK-NOT: repo.attention
func.func @causal(%q: memref<2x4x?x64xbf16>, %k: memref<2x2x?x64xbf16>, %v: memref<2x2x?x64xbf16>, %z: memref<2x4x?xf32>,
                  %o: memref<2x4x?x64xbf16>, %l: memref<2x4x?xf32>) {
  repo.attention %q, %k, %v query_positions(%z) into %o, %l {causal, rope = #r,
      kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>}
    : (memref<2x4x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x4x?xf32>, memref<2x4x?x64xbf16>, memref<2x4x?xf32>) -> ()
  return
}

// A window cuts tiles on both sides; three stages leave a group in flight. Softcap and bias come before
// the softmax. Without positions nothing turns.
// CHECK-LABEL: func.func @window
// CHECK: gpu.launch
// CHECK-NOT: repo_tile.map_pairs
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 1
// Behind the last key there is no bias.
// CHECK: scf.if %{{.*}} -> (f16)
// CHECK: arith.cmpi sle
// CHECK: arith.cmpi sge
// CHECK: scf.for
// CHECK: %[[BIAS:.*]] = memref.subview %arg3
// CHECK: memref.load %[[BIAS]]
// CHECK-NOT: arith.cmpi
// CHECK: repo_tile.reduce
// CHECK: scf.for
func.func @window(%q: memref<2x4x?x64xf16>, %k: memref<2x4x?x64xf16>, %v: memref<2x4x?x64xf16>, %b: memref<1x4x1x?xf16>, %n: memref<2xi32>, %at: memref<2xi32>,
                  %o: memref<2x4x?x64xf16>) {
  repo.attention %q, %k, %v bias(%b) lengths(%n) offset(%at) into %o {window = array<i64: 9, 5>, softcap = 20.0,
      kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 32, stages = 3, warps = 4>}
    : (memref<2x4x?x64xf16>, memref<2x4x?x64xf16>, memref<2x4x?x64xf16>, memref<1x4x1x?xf16>, memref<2xi32>, memref<2xi32>, memref<2x4x?x64xf16>) -> ()
  return
}
