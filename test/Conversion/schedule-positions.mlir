// RUN: repo-opt %s --repo-schedule-positions | FileCheck %s
// RUN: sed 's/unit = mma, token_block = 64/unit = wgmma, token_block = 128/; s/warps = 4/warps = 8/' %s | repo-opt --repo-schedule-positions | FileCheck %s --check-prefix=WGMMA

// Blocks of columns of the same tokens run side by side. Two steps are under way before the first product; a step waits
// for its own copies alone.

// CHECK-LABEL: func.func @positions
// CHECK: cf.assert {{.*}} "expected the rows of the positions' `hidden` to begin at multiples of 16 bytes"
// CHECK: %[[PARTS:.*]] = memref.alloc(%{{.*}}, %{{.*}}) : memref<4x?x?x16xf32>
// CHECK: gpu.launch blocks(%[[PART:.*]], %[[BLOCK:.*]], %[[BATCH:.*]]) in (%{{.*}} = %c4{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) threads({{.*}}) in (%{{.*}} = %c128{{.*}}) dynamic_shared_memory_size %c75776_i32
// CHECK-SAME: module(@kernels) function(@positions_positions0)
// Heads that no matrix has rows for are zeros.
// CHECK: repo_tile.copy_async {{.*}} into %[[HEADS:[a-z0-9_]+]][{{.*}} : memref<12x64xbf16, {{.*}}>, memref<1x1x16x64xbf16, #gpu.address_space<workgroup>>
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.commit.group
// CHECK: %[[SUMS:.*]] = scf.for %{{.*}} = %c0{{.*}} to %c32{{.*}} step
// CHECK-NEXT: nvvm.cp.async.wait.group 1
// CHECK-NEXT: gpu.barrier
// CHECK: repo_tile.copy_async {{.*}} into %[[TOKENS:[a-z0-9_]+]][
// Columns of gate and of content one below the other: one product.
// CHECK: repo_tile.copy_async {{.*}} into %[[WEIGHTS:[a-z0-9_]+]][{{.*}} {num_rows = 64 : i64
// CHECK: repo_tile.copy_async {{.*}} into %[[WEIGHTS]][{{.*}} {num_rows = 64 : i64, target_row = 64 : i64
// CHECK: nvvm.cp.async.commit.group
// CHECK: %[[A:.*]] = repo_tile.load_shared %[[TOKENS]]
// CHECK: repo_tile.mma %[[A]], %[[WEIGHTS]]{{.*}} {transpose_b}
// CHECK: %[[HALVES:.*]]:2 = repo_tile.split %[[SUMS]]
// silu(g) c as a sum of three operands.
// CHECK: %[[R:.*]] = repo_tile.map %[[HALVES]]#0, %[[HALVES]]#1
// CHECK: math.exp2
// CHECK: %[[FIRST:.*]]:2 = repo_tile.map %[[R]]
// CHECK: arith.truncf %{{.*}} : f32 to bf16
// CHECK: %[[A1:.*]] = repo_tile.convert %[[FIRST]]#0
// CHECK: %[[SECOND:.*]]:2 = repo_tile.map %[[FIRST]]#1
// CHECK: %[[A2:.*]] = repo_tile.convert %[[SECOND]]#0
// CHECK: %[[A3:.*]] = repo_tile.convert %[[SECOND]]#1
// CHECK: %[[Z1:.*]] = repo_tile.mma %[[A1]], %[[HEADS]]
// CHECK: %[[Z2:.*]] = repo_tile.mma %[[A2]], %[[HEADS]]{{.*}}, %[[Z1]] {transpose_b}
// CHECK: %[[Z3:.*]] = repo_tile.mma %[[A3]], %[[HEADS]]{{.*}}, %[[Z2]] {transpose_b}
// CHECK: %[[MINE:.*]] = memref.subview %[[PARTS]][%[[PART]], %[[BATCH]], 0, 0]
// CHECK: repo_tile.store %[[Z3]], %[[MINE]]
// The parts in order.
// CHECK: scf.parallel (%[[B:.*]], %[[H:.*]], %[[N:.*]]) =
// CHECK: %[[P0:.*]] = memref.load %[[PARTS]][%c0{{.*}}, %[[B]], %[[N]], %[[H]]]
// CHECK: %[[P1:.*]] = memref.load %[[PARTS]][%c1{{.*}}, %[[B]], %[[N]], %[[H]]]
// CHECK: %[[S:.*]] = arith.addf %[[P0]], %[[P1]]
// CHECK: %[[P2:.*]] = memref.load %[[PARTS]][%c2
// CHECK: arith.addf %[[S]], %[[P2]]
// CHECK: memref.store %{{.*}}, %arg4[%[[B]], %[[H]], %[[N]]]
// CHECK-NOT: repo.assign_positions

// Two warpgroups with 64 tokens each. The products with the heads' weights follow each other without a wait.
// WGMMA: gpu.launch {{.*}} threads({{.*}}) in (%{{.*}} = %c256
// WGMMA: scf.for
// WGMMA-NEXT: nvvm.cp.async.wait.group 1
// WGMMA-NEXT: nvvm.fence.proxy
// WGMMA-NEXT: gpu.barrier
// WGMMA-COUNT-4: repo_tile.copy_async
// WGMMA: %[[S:.*]] = repo_tile.mma_async %{{.*}} init(%{{.*}}) {transpose_b}
// WGMMA: repo_tile.wait_mma %[[S]] {left = 0
// WGMMA: repo_tile.convert {{.*}} : <64x64xf32, wgmma_acc> -> <64x64xbf16, wgmma_a>
// WGMMA: %[[Z1:.*]] = repo_tile.mma_async {{.*}} {joined, transpose_b}
// WGMMA: %[[Z2:.*]] = repo_tile.mma_async {{.*}} init(%[[Z1]] : {{.*}}) {joined, transpose_b}
// WGMMA: %[[Z3:.*]] = repo_tile.mma_async {{.*}} init(%[[Z2]] : {{.*}}) {transpose_b}
// WGMMA: repo_tile.wait_mma %[[Z3]] {left = 0
func.func @positions(%h: memref<2x?x2048xbf16, strided<[?, 2048, 1]>>, %g: memref<256x2048xbf16>, %c: memref<256x2048xbf16>, %w: memref<12x256xbf16>, %z: memref<2x12x?xf32>) {
  repo.assign_positions %h gate(%g) content(%c) heads(%w) into %z
      {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>}
    : (memref<2x?x2048xbf16, strided<[?, 2048, 1]>>, memref<256x2048xbf16>, memref<256x2048xbf16>, memref<12x256xbf16>, memref<2x12x?xf32>) -> ()
  return
}

// Batches that lie one behind the other are rows of the same blocks.
// CHECK-LABEL: func.func @flat
// CHECK: cf.assert {{.*}}`heads`
// CHECK: %[[ROWS:.*]] = arith.muli %{{.*}}, %[[TOKENS:.*]] : index
// CHECK: %[[MATRIX:.*]] = memref.collapse_shape %arg0 {{\[\[}}0, 1], [2]]
// CHECK: memref.alloc(%c1{{.*}}, %[[ROWS]])
// CHECK: arith.ceildivui %[[ROWS]], %c64
// CHECK: memref.subview %[[MATRIX]][0, %{{.*}}] [%{{.*}}, 64] [1, 1]
// CHECK: scf.parallel (%[[B:.*]], %{{.*}}, %[[N:.*]]) =
// CHECK: %[[FIRST:.*]] = arith.muli %[[B]], %[[TOKENS]]
// CHECK: arith.addi %[[FIRST]], %[[N]]
func.func @flat(%h: memref<?x?x64xbf16>, %g: memref<64x64xbf16>, %w: memref<2x64xbf16>, %z: memref<?x2x?xf32>) {
  repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
      {kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>}
    : (memref<?x?x64xbf16>, memref<64x64xbf16>, memref<64x64xbf16>, memref<2x64xbf16>, memref<?x2x?xf32>) -> ()
  return
}
