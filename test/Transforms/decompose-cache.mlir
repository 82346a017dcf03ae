// RUN: repo-opt %s --repo-decompose --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-decompose --split-input-file | mlir-opt --split-input-file -o /dev/null
// RUN: repo-opt %s --repo-decompose --one-shot-bufferize="bufferize-function-boundaries" --canonicalize --split-input-file | FileCheck %s --check-prefix=BUFFERS

// A row per batch at its own place. The caches are updated in place: what is
// copied are slices of new rows.
// CHECK-LABEL: func @append
// BUFFERS-LABEL: func @append
func.func @append(%k: tensor<2x3x?x4xf32>, %v: tensor<2x3x?x4xf32>, %z: tensor<2x3x?xf32>, %at: tensor<2xi32>,
                  %kc: tensor<2x3x64x4xbf16> {bufferization.writable = true},
                  %vc: tensor<2x3x64x4xbf16> {bufferization.writable = true})
    -> (tensor<2x3x64x4xbf16>, tensor<2x3x64x4xbf16>) {
  // CHECK: scf.for
  // CHECK: arith.minsi
  // CHECK: tensor.insert_slice
  // CHECK: tensor.insert_slice
  // BUFFERS-NOT: memref.alloc{{.*}}x64x
  // BUFFERS-NOT: memref.copy {{.*}} to memref<2x3x64x4xbf16
  // BUFFERS: scf.for
  // BUFFERS-NOT: memref.alloc
  // BUFFERS-COUNT-2: memref.copy %{{.*}} to memref<1x3x?x4xbf16
  // BUFFERS-NOT: memref.copy
  // BUFFERS: return
  %0:2 = repo.cache_append %k, %v positions(%z) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 4>}
     : (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2x3x?xf32>, tensor<2xi32>, tensor<2x3x64x4xbf16>, tensor<2x3x64x4xbf16>)
       -> (tensor<2x3x64x4xbf16>, tensor<2x3x64x4xbf16>)
  return %0#0, %0#1 : tensor<2x3x64x4xbf16>, tensor<2x3x64x4xbf16>
}

// -----

// One place for all of the batch needs no loop.
// CHECK-LABEL: func @append_shared
func.func @append_shared(%k: tensor<2x3x1x4xf32>, %v: tensor<2x3x1x4xf32>, %at: index,
                         %kc: tensor<2x3x?x4xf32>, %vc: tensor<2x3x?x4xf32>)
    -> (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>) {
  // CHECK-NOT: scf.for
  // CHECK-COUNT-2: tensor.insert_slice
  %0:2 = repo.cache_append %k, %v at(%at) into %kc, %vc
     : (tensor<2x3x1x4xf32>, tensor<2x3x1x4xf32>, index, tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>)
       -> (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>)
  return %0#0, %0#1 : tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>
}

// -----

// CHECK-LABEL: func @append_paged
// BUFFERS-LABEL: func @append_paged
func.func @append_paged(%k: tensor<2x3x5x4xf32>, %v: tensor<2x3x5x4xf32>, %at: tensor<2xi32>, %table: tensor<2x?xi32>,
                        %kc: tensor<?x3x16x4xf32> {bufferization.writable = true},
                        %vc: tensor<?x3x16x4xf32> {bufferization.writable = true})
    -> (tensor<?x3x16x4xf32>, tensor<?x3x16x4xf32>) {
  // CHECK: scf.for
  // CHECK: scf.for
  // CHECK: scf.if
  // CHECK: tensor.extract %{{.*}} : tensor<2x?xi32>
  // CHECK: tensor.insert_slice
  // BUFFERS-NOT: memref.alloc
  // BUFFERS-COUNT-2: memref.copy %{{.*}} to memref<1x3x?x4xf32
  // BUFFERS-NOT: memref.copy
  // BUFFERS: return
  %0:2 = repo.cache_append %k, %v at(%at) table(%table) into %kc, %vc
     : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>, tensor<2xi32>, tensor<2x?xi32>, tensor<?x3x16x4xf32>, tensor<?x3x16x4xf32>)
       -> (tensor<?x3x16x4xf32>, tensor<?x3x16x4xf32>)
  return %0#0, %0#1 : tensor<?x3x16x4xf32>, tensor<?x3x16x4xf32>
}

// -----

// CHECK-LABEL: func @view
// CHECK-SAME: %[[PAGES:.*]]: tensor<?x3x16x4xbf16>
func.func @view(%pages: tensor<?x3x16x4xbf16>, %table: tensor<2x?xi32>, %lengths: tensor<2xi32>)
    -> tensor<2x3x?x4xbf16> {
  // CHECK: linalg.generic
  // CHECK: scf.if
  // CHECK: arith.divui
  // CHECK: tensor.extract %{{.*}} : tensor<2x?xi32>
  // CHECK: tensor.extract %[[PAGES]]
  %0 = repo.cache_view %pages table(%table) lengths(%lengths)
     : (tensor<?x3x16x4xbf16>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x3x?x4xbf16>
  return %0 : tensor<2x3x?x4xbf16>
}
