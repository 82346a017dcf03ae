// RUN: repo-opt %s --verify-roundtrip | FileCheck %s
// RUN: repo-opt %s --mlir-print-op-generic | repo-opt --verify-roundtrip | FileCheck %s

// What the examples of the documentation do not show: maps without inputs and with several
// results, fragments of a warpgroup, both pairings, both combiners.

// CHECK-LABEL: func.func @maps
func.func @maps(%x: !repo_tile.fragment<64x32xf32, wgmma_acc>, %m: !repo_tile.fragment<64xf32, wgmma_row>) {
  // CHECK: %{{.*}} = repo_tile.map : () -> !repo_tile.fragment<32xi32, mma_row> {
  // CHECK-NEXT: ^bb0(%[[R:.*]]: i32, %{{.*}}: i32):
  // CHECK-NEXT: repo_tile.yield %[[R]] : i32
  %rows = repo_tile.map : () -> !repo_tile.fragment<32xi32, mma_row> {
  ^bb0(%row: i32, %column: i32):
    repo_tile.yield %row : i32
  }
  // CHECK: repo_tile.map %{{.*}}, %{{.*}} : (!repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64xf32, wgmma_row>) -> (!repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64x32xf32, wgmma_acc>)
  %two:2 = repo_tile.map %x, %m
    : (!repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64xf32, wgmma_row>)
      -> (!repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64x32xf32, wgmma_acc>) {
  ^bb0(%a: f32, %b: f32, %row: i32, %column: i32):
    %0 = arith.addf %a, %b : f32
    repo_tile.yield %0, %a : f32, f32
  }
  return
}

// CHECK-LABEL: func.func @others
func.func @others(%x: !repo_tile.fragment<64x32xf32, wgmma_acc>, %m: !repo_tile.fragment<64xf32, wgmma_row>,
                  %q: !repo_tile.fragment<16x64xf16, mma_a>) {
  // CHECK: repo_tile.reduce {{ *}}sum
  %0 = repo_tile.reduce sum %x, %m : !repo_tile.fragment<64x32xf32, wgmma_acc>, !repo_tile.fragment<64xf32, wgmma_row>
  // CHECK: repo_tile.convert %{{.*}} : <64x32xf32, wgmma_acc> -> <64x32xf16, wgmma_a>
  %1 = repo_tile.convert %x : !repo_tile.fragment<64x32xf32, wgmma_acc> -> !repo_tile.fragment<64x32xf16, wgmma_a>
  // CHECK: repo_tile.map_pairs {{ *}}interleaved %{{.*}} {dim = 48 : i64} : <16x64xf16, mma_a> {
  %2 = repo_tile.map_pairs interleaved %q {dim = 48} : !repo_tile.fragment<16x64xf16, mma_a> {
  ^bb0(%a: f16, %b: f16, %row: i32, %pair: i32):
    repo_tile.yield %a, %b : f16, f16
  }
  return
}

// CHECK-LABEL: func.func @joined
func.func @joined(%a: !repo_tile.fragment<64x64xbf16, wgmma_a>, %m: memref<?x64xbf16>, %i: index) -> !repo_tile.fragment<64x32xf32, wgmma_acc> {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>
  // CHECK: repo_tile.copy_async {{.*}} {num_rows = 16 : i64, target_row = 8 : i64, threads = 64 : i64}
  repo_tile.copy_async %m[%i] rows(%i to %i) into %b[%i] {threads = 64, target_row = 8, num_rows = 16}
    : memref<?x64xbf16>, memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>
  // CHECK: %[[X:.*]] = repo_tile.mma_async {{.*}} {joined, transpose_b}
  %0 = repo_tile.mma_async %a, %b[%i] {joined, transpose_b}
    : !repo_tile.fragment<64x64xbf16, wgmma_a>, memref<1x1x32x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x32xf32, wgmma_acc>
  // CHECK: repo_tile.mma_async {{.*}} init(%[[X]] : {{.*}}) {transpose_b}
  %1 = repo_tile.mma_async %a, %b[%i] init(%0 : !repo_tile.pending<64x32xf32, wgmma_acc>) {transpose_b}
    : !repo_tile.fragment<64x64xbf16, wgmma_a>, memref<1x1x32x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x32xf32, wgmma_acc>
  %2 = repo_tile.wait_mma %1 {left = 0} : !repo_tile.pending<64x32xf32, wgmma_acc>
  return %2 : !repo_tile.fragment<64x32xf32, wgmma_acc>
}

// Rows that a vector names, of two matrices one after another.
// CHECK-LABEL: func.func @rows_somewhere
func.func @rows_somewhere(%x: memref<?x4x64xf16, strided<[?, ?, 1], offset: ?>>, %seen: memref<?xi1, strided<[1], offset: ?>>, %i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x1x16x64xf16, #gpu.address_space<workgroup>>
  // CHECK: repo_tile.copy_async %{{.*}}[%{{.*}}] rows(%{{.*}} to %{{.*}}) where(%{{.*}} : memref<?xi1, strided<[1], offset: ?>>) into
  repo_tile.copy_async %x[%i] rows(%i to %i) where(%seen : memref<?xi1, strided<[1], offset: ?>>) into %0[%i] {threads = 32}
    : memref<?x4x64xf16, strided<[?, ?, 1], offset: ?>>, memref<1x1x16x64xf16, #gpu.address_space<workgroup>>
  return
}
