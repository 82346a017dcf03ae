// RUN: repo-opt %s --repo-decompose --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-decompose --split-input-file | mlir-opt --split-input-file -o /dev/null
// RUN: repo-opt %s --repo-decompose --one-shot-bufferize="bufferize-function-boundaries" --canonicalize --split-input-file | FileCheck %s --check-prefix=BUFFERS

// The state is updated in place; only the scores, the block maximum and alpha
// need memory.
// CHECK-LABEL: func @step
// BUFFERS-LABEL: func @step
func.func @step(%q: tensor<24x128xf32>, %k: tensor<256x128xf32>, %v: tensor<256x128xf32>,
                %acc: tensor<24x128xf32> {bufferization.writable = true},
                %max: tensor<24xf32> {bufferization.writable = true},
                %sum: tensor<24xf32> {bufferization.writable = true})
    -> (tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>) {
  // BUFFERS-DAG: memref.alloc() {{.*}} : memref<24x256xf32>
  // BUFFERS-DAG: memref.alloc() {{.*}} : memref<24xf32>
  // BUFFERS-DAG: memref.alloc() {{.*}} : memref<24xf32>
  // BUFFERS-NOT: memref.alloc
  // BUFFERS-NOT: memref.copy
  // scale * log2(e)
  // CHECK: arith.constant 0.127517432 : f32
  // CHECK: arith.maxnumf
  // CHECK: linalg.generic {{.*}} outs(%{{.*}}, %{{.*}} : tensor<24xf32>, tensor<24xf32>)
  // CHECK: math.exp2
  // No key can hide: the exponent needs no guard.
  // CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<24x256xf32>)
  // CHECK-NEXT: ^bb0
  // CHECK-NEXT: arith.subf
  // CHECK-NEXT: math.exp2
  %r:3 = repo.online_attention %q, %k, %v into %acc, %max, %sum {scale = 0.088388347648318447 : f64}
     : (tensor<24x128xf32>, tensor<256x128xf32>, tensor<256x128xf32>, tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>)
       -> (tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>)
  // BUFFERS: return
  return %r#0, %r#1, %r#2 : tensor<24x128xf32>, tensor<24xf32>, tensor<24xf32>
}

// -----

// Keys that no query of the block sees lose their values.
// CHECK-LABEL: func @masked
// CHECK-SAME: %[[V:[a-z0-9]*]]: tensor<8x4xf32>, %[[MASK:[a-z0-9]*]]: tensor<2x8xi1>
func.func @masked(%q: tensor<2x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>, %mask: tensor<2x8xi1>,
                  %o: index, %l: index, %acc: tensor<2x4xf32>, %max: tensor<2xf32>, %sum: tensor<2xf32>)
    -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) {
  // CHECK: %[[SEEN:.*]] = linalg.generic {{.*}}"reduction"]} ins(%[[MASK]] : tensor<2x8xi1>) outs(%{{.*}} : tensor<8xi1>)
  // CHECK: arith.ori
  // CHECK: %[[VISIBLE:.*]] = linalg.generic {{.*}} ins(%[[V]], %[[SEEN]]
  // CHECK: arith.select
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[VISIBLE]]
  %r:3 = repo.online_attention %q, %k, %v mask(%mask) offset(%o) limit(%l) into %acc, %max, %sum
         {scale = 0.5 : f64, band = array<i64: 3, 0>, softcap = 2.0 : f64}
     : (tensor<2x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<2x8xi1>, index, index,
        tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
  return %r#0, %r#1, %r#2 : tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>
}
