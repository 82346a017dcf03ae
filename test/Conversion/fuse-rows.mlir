// Passes over the same rows become one loop over rows.

// RUN: repo-opt %s --repo-fuse-rows --cse --split-input-file | FileCheck %s

#row = affine_map<(n, c) -> (n, c)>
#token = affine_map<(n, c) -> (n)>

// A norm, with a product of matrices in between that minds nothing. The sum is
// one number a block, and the product stays.

// CHECK-LABEL: func @norm
// CHECK: repo.gemm
// CHECK: scf.forall (%[[I:.*]]) in (%{{.*}}) {
// CHECK:   %[[SUM:.*]] = memref.alloc() : memref<1xf32, #gpu.address_space<workgroup>>
// CHECK:   linalg.fill {{.*}} outs(%[[SUM]]
// CHECK:   %[[X:.*]] = memref.subview %arg0[%[[I]], 0] [1, 64] [1, 1]
// CHECK:   linalg.generic {{.*}} ins(%[[X]] {{.*}} outs(%[[SUM]]
// CHECK:   %[[Y:.*]] = memref.subview %arg1[%[[I]], 0] [1, 64] [1, 1]
// CHECK:   linalg.generic {{.*}} ins(%[[X]], %[[SUM]] {{.*}} outs(%[[Y]]
// CHECK: } {mapping = [#gpu.block<x>]}
// CHECK-NOT: linalg
func.func @norm(%x: memref<?x64xf32>, %y: memref<?x64xbf16>, %w: memref<32x64xf32>, %p: memref<?x32xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x64xf32>
  %s = memref.alloc(%n) : memref<?xf32>
  linalg.fill ins(%zero : f32) outs(%s : memref<?xf32>)
  linalg.generic {indexing_maps = [#row, #token], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x64xf32>) outs(%s : memref<?xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %square = arith.mulf %a, %a : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  }
  repo.gemm %x, %w into %p {transpose_b} : memref<?x64xf32>, memref<32x64xf32>, memref<?x32xf32>
  linalg.generic {indexing_maps = [#row, #token, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : memref<?x64xf32>, memref<?xf32>) outs(%y : memref<?x64xbf16>) {
  ^bb0(%a: f32, %sum: f32, %unused: bf16):
    %scaled = arith.mulf %a, %sum : f32
    %rounded = arith.truncf %scaled : f32 to bf16
    linalg.yield %rounded : bf16
  }
  return
}

// -----

// What reads other rows of what was written has a loop of its own; so has what
// follows an op that needs the first and is needed by the second.

#row = affine_map<(n, c) -> (n, c)>
#transposed = affine_map<(n, c) -> (c, n)>

// CHECK-LABEL: func @other_rows
// CHECK: scf.forall
// CHECK: scf.forall
func.func @other_rows(%x: memref<256x256xf32>, %y: memref<256x256xf32>, %z: memref<256x256xf32>) {
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<256x256xf32>) outs(%y : memref<256x256xf32>) {
  ^bb0(%a: f32, %unused: f32):
    %b = arith.negf %a : f32
    linalg.yield %b : f32
  }
  linalg.generic {indexing_maps = [#row, #transposed, #row], iterator_types = ["parallel", "parallel"]}
      ins(%y, %y : memref<256x256xf32>, memref<256x256xf32>) outs(%z : memref<256x256xf32>) {
  ^bb0(%a: f32, %other: f32, %unused: f32):
    %b = arith.addf %a, %other : f32
    linalg.yield %b : f32
  }
  return
}

// CHECK-LABEL: func @needed_between
// CHECK: scf.forall
// CHECK: repo.gemm
// CHECK: scf.forall
func.func @needed_between(%x: memref<?x64xf32>, %y: memref<?x64xf32>, %w: memref<64x64xf32>, %p: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %unused: f32):
    %b = arith.negf %a : f32
    linalg.yield %b : f32
  }
  repo.gemm %y, %w into %p {transpose_b} : memref<?x64xf32>, memref<64x64xf32>, memref<?x64xf32>
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%p : memref<?x64xf32>) outs(%y : memref<?x64xf32>) {
  ^bb0(%a: f32, %old: f32):
    %b = arith.addf %a, %old : f32
    linalg.yield %b : f32
  }
  return
}

// -----

// A row of heads goes to a place that the device computes. The rows on the way
// shrink, through views too.

#heads = affine_map<(b, h, n, d) -> (b, n, h, d)>
#element = affine_map<(b, h, n, d) -> (b, h, n, d)>

// CHECK-LABEL: func @scatter
// CHECK: scf.forall (%[[B:.*]], %[[N:.*]]) in
// CHECK:   %[[ROW:.*]] = memref.alloc() : memref<1x2x1x16xbf16, #gpu.address_space<workgroup>>
// CHECK:   linalg.generic {{.*}} outs(%[[ROW]]
// CHECK:   %[[AT:.*]] = memref.load %arg2[%[[B]]]
// CHECK:   memref.subview %[[ROW]][0, 0, 0, 0] [1, 2, %{{.*}}, 16]
// CHECK:   linalg.copy
// CHECK: } {mapping = [#gpu.block<y>, #gpu.block<x>]}
func.func @scatter(%x: memref<?x?x32xf32>, %cache: memref<?x2x100x16xbf16>, %at: memref<?xindex>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c100 = arith.constant 100 : index
  %b = memref.dim %x, %c0 : memref<?x?x32xf32>
  %n = memref.dim %x, %c1 : memref<?x?x32xf32>
  %split = memref.expand_shape %x [[0], [1], [2, 3]] output_shape [%b, %n, 2, 16] : memref<?x?x32xf32> into memref<?x?x2x16xf32>
  %t = memref.alloc(%b, %n) : memref<?x2x?x16xbf16>
  linalg.generic {indexing_maps = [#heads, #element], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%split : memref<?x?x2x16xf32>) outs(%t : memref<?x2x?x16xbf16>) {
  ^bb0(%a: f32, %unused: bf16):
    %rounded = arith.truncf %a : f32 to bf16
    linalg.yield %rounded : bf16
  }
  scf.forall (%i, %j) in (%b, %n) {
    %start = memref.load %at[%i] : memref<?xindex>
    %row = arith.addi %start, %j : index
    %fits = arith.cmpi ult, %row, %c100 : index
    %count = arith.select %fits, %c1, %c0 : index
    %to = arith.select %fits, %row, %c0 : index
    %from = memref.subview %t[%i, 0, %j, 0] [1, 2, %count, 16] [1, 1, 1, 1]
      : memref<?x2x?x16xbf16> to memref<1x2x?x16xbf16, strided<[?, ?, 16, 1], offset: ?>>
    %place = memref.subview %cache[%i, 0, %to, 0] [1, 2, %count, 16] [1, 1, 1, 1]
      : memref<?x2x100x16xbf16> to memref<1x2x?x16xbf16, strided<[3200, 1600, 16, 1], offset: ?>>
    linalg.copy ins(%from : memref<1x2x?x16xbf16, strided<[?, ?, 16, 1], offset: ?>>)
      outs(%place : memref<1x2x?x16xbf16, strided<[3200, 1600, 16, 1], offset: ?>>)
  }
  return
}

// -----

// What threads cannot share stays: sums of other than 32 bits, and bits.

#row = affine_map<(n, c) -> (n, c)>
#token = affine_map<(n, c) -> (n)>

// CHECK-LABEL: func @kept
// CHECK-NOT: scf.forall
func.func @kept(%x: memref<?x64xf64>, %s: memref<?xf64>, %a: memref<?x64xi1>, %b: memref<?x64xi1>) {
  linalg.generic {indexing_maps = [#row, #token], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x64xf64>) outs(%s : memref<?xf64>) {
  ^bb0(%in: f64, %sum: f64):
    %next = arith.addf %sum, %in : f64
    linalg.yield %next : f64
  }
  linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%a : memref<?x64xi1>) outs(%b : memref<?x64xi1>) {
  ^bb0(%in: i1, %unused: i1):
    linalg.yield %in : i1
  }
  return
}
