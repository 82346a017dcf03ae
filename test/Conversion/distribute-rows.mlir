// The threads of a block share a row.

// RUN: repo-opt %s --repo-distribute-rows=threads=64 --split-input-file --verify-diagnostics | FileCheck %s

#row = affine_map<(n, c) -> (n, c)>
#token = affine_map<(n, c) -> (n)>

// A sum meets by shuffles and through shared memory; what was read for it is
// still in registers. Buffers from outside may begin anywhere: that is looked at once.

// CHECK-LABEL: func @norm
// CHECK: gpu.launch blocks(%[[B:.*]], %{{.*}}, %{{.*}}) in (%{{.*}} = %arg2, {{.*}}) threads(%[[T:.*]], %{{.*}}, %{{.*}}) in (%{{.*}} = %c64{{.*}}, {{.*}} workgroup(%[[PARTS:[a-z0-9]+]] : memref<2xf32, #gpu.address_space<workgroup>>,
// CHECK:   memref.extract_aligned_pointer_as_index %arg0
// CHECK:   scf.if
// CHECK:     memref.subview %arg0[%{{.*}}, 0] [1, 512]
// CHECK:     %[[V:.*]] = vector.load {{.*}} {alignment = 16 : i64} : {{.*}}, vector<8xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK:     memref.store %{{.*}}, %[[PARTS]]
// CHECK:     gpu.barrier
// CHECK-COUNT-2: memref.load %[[PARTS]]
// CHECK-NOT: gpu.barrier
// CHECK-NOT: vector.load
// CHECK:     vector.store {{.*}} {alignment = 16 : i64} : {{.*}}, vector<8xbf16>
// CHECK:   } else {
// CHECK-NOT: vector
// CHECK:     memref.store
func.func @norm(%x: memref<?x512xf32, strided<[?, 1], offset: ?>>, %y: memref<?x512xbf16>, %n: index) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    %s = memref.alloc() : memref<1xf32, #gpu.address_space<workgroup>>
    %in = memref.subview %x[%i, 0] [1, 512] [1, 1] : memref<?x512xf32, strided<[?, 1], offset: ?>> to memref<1x512xf32, strided<[?, 1], offset: ?>>
    %out = memref.subview %y[%i, 0] [1, 512] [1, 1] : memref<?x512xbf16> to memref<1x512xbf16, strided<[512, 1], offset: ?>>
    linalg.fill ins(%zero : f32) outs(%s : memref<1xf32, #gpu.address_space<workgroup>>)
    linalg.generic {indexing_maps = [#row, #token], iterator_types = ["parallel", "reduction"]}
        ins(%in : memref<1x512xf32, strided<[?, 1], offset: ?>>) outs(%s : memref<1xf32, #gpu.address_space<workgroup>>) {
    ^bb0(%a: f32, %sum: f32):
      %square = arith.mulf %a, %a : f32
      %next = arith.addf %sum, %square : f32
      linalg.yield %next : f32
    }
    linalg.generic {indexing_maps = [#row, #token, #row], iterator_types = ["parallel", "parallel"]}
        ins(%in, %s : memref<1x512xf32, strided<[?, 1], offset: ?>>, memref<1xf32, #gpu.address_space<workgroup>>)
        outs(%out : memref<1x512xbf16, strided<[512, 1], offset: ?>>) {
    ^bb0(%a: f32, %sum: f32, %unused: bf16):
      %scaled = arith.mulf %a, %sum : f32
      %rounded = arith.truncf %scaled : f32 to bf16
      linalg.yield %rounded : bf16
    }
  } {mapping = [#gpu.block<x>]}
  return
}

// -----

// Where no thread needs what another has, units of all rows are numbered
// through: blocks need not match rows.

#row = affine_map<(n, c) -> (n, c)>

// CHECK-LABEL: func @flat
// CHECK: %[[UNITS:.*]] = arith.muli
// CHECK: %[[BLOCKS:.*]] = arith.ceildivui %[[UNITS]]
// CHECK: gpu.launch blocks({{.*}}) in (%{{.*}} = %[[BLOCKS]],
// CHECK:   arith.cmpi ult
// CHECK:   scf.if
// CHECK:     arith.divui
func.func @flat(%n: index) {
  %x = memref.alloc(%n) {alignment = 64 : i64} : memref<?x24xf32>
  scf.forall (%i) in (%n) {
    %row = memref.subview %x[%i, 0] [1, 24] [1, 1] : memref<?x24xf32> to memref<1x24xf32, strided<[24, 1], offset: ?>>
    linalg.generic {indexing_maps = [#row], iterator_types = ["parallel", "parallel"]}
        outs(%row : memref<1x24xf32, strided<[24, 1], offset: ?>>) {
    ^bb0(%a: f32):
      // CHECK: vector.load {{.*}} vector<4xf32>
      // CHECK-COUNT-4: arith.negf
      %b = arith.negf %a : f32
      linalg.yield %b : f32
    }
  } {mapping = [#gpu.block<x>]}
  return
}

// -----

// Several sums of a row: a warp each. What the threads wrote before is behind a
// barrier.

#in = affine_map<(n, h, c) -> (n, c)>
#w = affine_map<(n, h, c) -> (h, c)>
#out = affine_map<(n, h, c) -> (n, h)>
#row = affine_map<(n, c) -> (n, c)>

// CHECK-LABEL: func @sums
// CHECK: gpu.launch {{.*}} workgroup(%[[ROW:[a-z0-9]+]] : memref<1x256xf32
// CHECK:   vector.store {{.*}}, %[[ROW]]
// CHECK:   gpu.barrier
// CHECK:   scf.for {{.*}} to %c3
// CHECK:     vector.load {{.*}}, vector<4xf32>
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK:     scf.if
// CHECK:       memref.store
func.func @sums(%n: index) {
  %x = memref.alloc(%n) {alignment = 64 : i64} : memref<?x256xf32>
  %weights = memref.alloc() {alignment = 64 : i64} : memref<3x256xf32>
  %y = memref.alloc(%n) {alignment = 64 : i64} : memref<?x3xf32>
  scf.forall (%i) in (%n) {
    %t = memref.alloc() : memref<1x256xf32, #gpu.address_space<workgroup>>
    %row = memref.subview %x[%i, 0] [1, 256] [1, 1] : memref<?x256xf32> to memref<1x256xf32, strided<[256, 1], offset: ?>>
    %sums = memref.subview %y[%i, 0] [1, 3] [1, 1] : memref<?x3xf32> to memref<1x3xf32, strided<[3, 1], offset: ?>>
    linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
        ins(%row : memref<1x256xf32, strided<[256, 1], offset: ?>>) outs(%t : memref<1x256xf32, #gpu.address_space<workgroup>>) {
    ^bb0(%a: f32, %unused: f32):
      %b = arith.negf %a : f32
      linalg.yield %b : f32
    }
    linalg.generic {indexing_maps = [#in, #w, #out], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%t, %weights : memref<1x256xf32, #gpu.address_space<workgroup>>, memref<3x256xf32>) outs(%sums : memref<1x3xf32, strided<[3, 1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32, %sum: f32):
      %product = arith.mulf %a, %b : f32
      %next = arith.addf %sum, %product : f32
      linalg.yield %next : f32
    }
  } {mapping = [#gpu.block<x>]}
  return
}

// -----

func.func @writes(%x: memref<?xf32>, %n: index) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    // expected-error @+1 {{expected a structured op, or one that writes no memory, in a loop over rows}}
    memref.store %zero, %x[%i] : memref<?xf32>
  } {mapping = [#gpu.block<x>]}
  return
}
