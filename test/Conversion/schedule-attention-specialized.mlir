// RUN: repo-opt %s --repo-schedule-attention-specialized | FileCheck %s

#r = #repo.rope<theta = 500000.0, dim = 64>
#s = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 128, stages = 2, warps = 8, producers = 1>

// Tensor maps are made on the host: panels of 64 channels are a dimension of their own, so that a box is a stage.
// CHECK-LABEL: func.func @causal
// CHECK: memref.reinterpret_cast %{{.*}} sizes: [%{{.*}}, %{{.*}}, 1, %{{.*}}, 64], strides: [%{{.*}}, %{{.*}}, 64, %{{.*}}, 1]
// CHECK: %[[QMAP:.*]] = nvgpu.tma.create.descriptor %{{.*}} box[%{{.*}}] : memref<*xbf16> -> <tensor = memref<1x1x1x64x64xbf16, 3>, swizzle = swizzle_128b
// CHECK: %[[KMAP:.*]] = nvgpu.tma.create.descriptor {{.*}} memref<1x1x1x128x64xbf16, 3>
// CHECK: %[[VMAP:.*]] = nvgpu.tma.create.descriptor
// CHECK: gpu.launch blocks({{.*}}) threads({{.*}}) in (%{{.*}} = %c384{{.*}}) dynamic_shared_memory_size %c82000_i32
// CHECK-SAME: module(@kernels) function(@causal_attention0)
// CHECK: repo_tile.init_barriers {{.*}} : !repo_tile.barriers<2, arrivals = 1>, !repo_tile.barriers<2, arrivals = 1>, !repo_tile.barriers<2, arrivals = 2>, !repo_tile.barriers<2, arrivals = 1>, !repo_tile.barriers<2, arrivals = 2>
// CHECK-NEXT: repo_tile.warp_specialize
// CHECK-NEXT: role(%{{.*}}) warpgroups = 1, registers = 72 {
// CHECK-COUNT-2: repo_tile.copy_tensor %[[QMAP]]
// CHECK: scf.for
// The copy engine, or one warp where rows of a tile must not be read.
// CHECK: scf.if
// CHECK: repo_tile.wait %[[KEYS_EMPTY:.*]][
// CHECK: repo_tile.copy_tensor %[[KMAP]]{{.*}} arrive %[[KEYS_FULL:[a-z0-9_]+]]
// CHECK: repo_tile.wait %[[VALUES_EMPTY:.*]][
// CHECK: repo_tile.copy_tensor %[[VMAP]]{{.*}} arrive %[[VALUES_FULL:[a-z0-9_]+]]
// CHECK: } else {
// CHECK: repo_tile.wait %[[KEYS_EMPTY]]
// CHECK: repo_tile.copy_async {{.*}} {threads = 32 : i64}
// CHECK: repo_tile.wait %[[VALUES_EMPTY]]
// CHECK: repo_tile.copy_async {{.*}} {threads = 32 : i64}
// CHECK: nvvm.fence.proxy
// CHECK: nvvm.bar.warp.sync
// CHECK: repo_tile.arrive %[[KEYS_FULL]]
// CHECK: repo_tile.arrive %[[VALUES_FULL]]
// CHECK: role(%[[CONSUMER:.*]]) warpgroups = 2, registers = 216 {
// Queries turn where they lie.
// CHECK: %[[LOADED:.*]] = repo_tile.load_shared %[[QUERIES:[a-z0-9_]+]][%[[CONSUMER]]
// CHECK: repo_tile.map_pairs {{ *}}half %[[LOADED]]
// CHECK: repo_tile.store_shared %{{.*}}, %[[QUERIES]][%[[CONSUMER]]
// CHECK-NEXT: nvvm.fence.proxy
// The first tile is masked.
// CHECK: repo_tile.mma_async %[[QUERIES]][%[[CONSUMER]]]
// CHECK: arith.cmpi sle
// CHECK: repo_tile.convert
// Then masked tiles, whole ones, and the last sums.
// CHECK: scf.for
// CHECK: arith.cmpi sle
// CHECK: scf.yield
// CHECK: scf.for
// CHECK: repo_tile.wait %[[KEYS_FULL]]
// CHECK: nvvm.barrier id = %{{.*}} number_of_threads = %c256_i32
// CHECK: %[[S:.*]] = repo_tile.mma_async %[[QUERIES]]
// CHECK: repo_tile.wait
// CHECK: %[[O:.*]] = repo_tile.mma_async {{.*}} init(
// CHECK: nvvm.barrier.arrive id = %{{.*}} number_of_threads = %c256_i32
// CHECK: repo_tile.wait_mma %[[S]] {left = 1
// CHECK-NEXT: {{.*}}arith.constant 2
// CHECK: repo_tile.arrive %[[KEYS_EMPTY]]
// CHECK-NOT: arith.cmpi sle
// CHECK: repo_tile.reduce {{ *}}sum
// CHECK: repo_tile.wait_mma %[[O]] after(%{{.*}} {left = 0
// CHECK: repo_tile.arrive
// CHECK-NOT: scf.for
// CHECK: repo_tile.mma_async
// CHECK: repo_tile.wait_mma
// CHECK: repo_tile.store
// CHECK-NOT: repo.attention
func.func @causal(%q: memref<2x4x?x64xbf16>, %k: memref<2x2x?x64xbf16>, %v: memref<2x2x?x64xbf16>, %z: memref<2x4x?xf32>, %o: memref<2x4x?x64xbf16>) {
  repo.attention %q, %k, %v query_positions(%z) into %o {causal, rope = #r, kernel_strategy = #s}
    : (memref<2x4x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x4x?xf32>, memref<2x4x?x64xbf16>) -> ()
  return
}

// Without a mask there is one loop; without positions nothing turns.
// CHECK-LABEL: func.func @full
// CHECK: repo_tile.warp_specialize
// CHECK: scf.for
// CHECK: role(%{{.*}}) warpgroups = 2
// CHECK-NOT: repo_tile.map_pairs
// CHECK: scf.for
// CHECK-NOT: scf.for
// CHECK: return
func.func @full(%q: memref<2x4x?x64xbf16>, %k: memref<2x2x?x64xbf16>, %v: memref<2x2x?x64xbf16>, %o: memref<2x4x?x64xbf16>) {
  repo.attention %q, %k, %v into %o {kernel_strategy = #s}
    : (memref<2x4x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x2x?x64xbf16>, memref<2x4x?x64xbf16>) -> ()
  return
}
