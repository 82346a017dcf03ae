// RUN: repo-opt %s --one-shot-bufferize=bufferize-function-boundaries --split-input-file | FileCheck %s

// The destination is written, never read: nothing is copied into it, although
// its old value is read elsewhere.
// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x5x4xf32>, %at: tensor<1xi32>, %at_index: index,
                     %out: tensor<1x2x3x4xf32> {bufferization.writable = true})
    -> tensor<1x2x3x4xf32> {
  // CHECK-NOT: alloc
  // CHECK-NOT: copy
  // CHECK: repo.attention %{{[a-z0-9]*}}, %{{[a-z0-9]*}}, %{{[a-z0-9]*}} lengths(%{{.*}}) offset(%{{.*}}) into %[[OUT:[a-z0-9]*]] {causal} : ({{.*}}memref<1xi32, {{.*}}>, index, memref<1x2x3x4xf32, strided{{.*}}) -> ()
  // CHECK: return %[[OUT]]
  %o = repo.attention %q, %k, %k lengths(%at) offset(%at_index) into %out {causal}
     : (tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>, tensor<1xi32>, index, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// Writing over an input needs a buffer of its own, which is not initialised.
// CHECK-LABEL: func @attention_over_query
func.func @attention_over_query(%q: tensor<1x2x3x4xf32> {bufferization.writable = true}) -> tensor<1x2x3x4xf32> {
  // CHECK: %[[OUT:.*]] = memref.alloc
  // CHECK-NOT: memref.copy
  // CHECK: repo.attention {{.*}} into %[[OUT]]
  // CHECK-NOT: memref.copy
  // CHECK: return %[[OUT]]
  %o = repo.attention %q, %q, %q into %q
     : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %o : tensor<1x2x3x4xf32>
}

// -----

// The state of the online softmax is updated in place across iterations.
// CHECK-LABEL: func @online
func.func @online(%q: tensor<2x4xf32>, %k: tensor<64x4xf32>,
                  %acc: tensor<2x4xf32> {bufferization.writable = true}, %max: tensor<2xf32> {bufferization.writable = true},
                  %sum: tensor<2xf32> {bufferization.writable = true}) -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  // CHECK-NOT: alloc
  // CHECK-NOT: copy
  // CHECK: scf.for
  // CHECK: %[[K:.*]] = memref.subview
  // CHECK: repo.online_attention %{{[a-z0-9]*}}, %[[K]], %[[K]] into
  // CHECK-NOT: alloc
  // CHECK-NOT: copy
  // CHECK: return
  %r:3 = scf.for %j = %c0 to %c64 step %c16 iter_args(%a = %acc, %m = %max, %s = %sum)
      -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>) {
    %kj = tensor.extract_slice %k[%j, 0] [16, 4] [1, 1] : tensor<64x4xf32> to tensor<16x4xf32>
    %n:3 = repo.online_attention %q, %kj, %kj into %a, %m, %s {scale = 0.5 : f64}
      : (tensor<2x4xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
        -> (tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>)
    scf.yield %n#0, %n#1, %n#2 : tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>
  }
  return %r#0, %r#1, %r#2 : tensor<2x4xf32>, tensor<2xf32>, tensor<2xf32>
}

// -----

// A cache is updated in place ...
// CHECK-LABEL: func @append
func.func @append(%k: tensor<1x2x1x4xf32>, %at: index, %kc: tensor<1x2x9x4xf32> {bufferization.writable = true},
                  %vc: tensor<1x2x9x4xf32> {bufferization.writable = true}) -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>) {
  // CHECK-NOT: alloc
  // CHECK: repo.cache_append {{.*}} -> ()
  // CHECK-NOT: copy
  // CHECK: return
  %r:2 = repo.cache_append %k, %k at(%at) into %kc, %vc
     : (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>, index, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
       -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
  return %r#0, %r#1 : tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>
}

// -----

// ... and its rows are kept: where the old cache lives on, all of it is copied.
// CHECK-LABEL: func @append_kept
func.func @append_kept(%k: tensor<1x2x1x4xf32>, %at: index, %c: tensor<1x2x9x4xf32>) -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>) {
  // CHECK-COUNT-2: memref.copy %{{.*}}, %{{.*}} : memref<1x2x9x4xf32
  // CHECK: repo.cache_append
  %r:2 = repo.cache_append %k, %k at(%at) into %c, %c
     : (tensor<1x2x1x4xf32>, tensor<1x2x1x4xf32>, index, tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
       -> (tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>)
  return %r#0, %r#1 : tensor<1x2x9x4xf32>, tensor<1x2x9x4xf32>
}

// -----

// Positions are written to their output, which is not read.
// CHECK-LABEL: func @positions
func.func @positions(%h: tensor<1x5x8xf32>, %g: tensor<4x8xf32>, %w: tensor<2x4xf32>, %z: tensor<1x2x5xf32> {bufferization.writable = true})
    -> tensor<1x2x5xf32> {
  // CHECK-NOT: alloc
  // CHECK-NOT: copy
  // CHECK: repo.assign_positions {{.*}} into %[[Z:[a-z0-9]*]] : ({{.*}}memref<1x2x5xf32, strided{{.*}}) -> ()
  // CHECK: return %[[Z]]
  %0 = repo.assign_positions %h gate(%g) content(%g) heads(%w) into %z
     : (tensor<1x5x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<2x4xf32>, tensor<1x2x5xf32>) -> tensor<1x2x5xf32>
  return %0 : tensor<1x2x5xf32>
}
