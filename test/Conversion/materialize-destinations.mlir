// RUN: repo-opt %s --repo-materialize-destinations --split-input-file | FileCheck %s

// CHECK: func.func @f(%[[CTX:.*]]: !llvm.ptr, %[[X:.*]]: memref<?xf32, strided<[1], offset: ?>> {repo.name = "arg0"},
// CHECK-SAME: %[[OUT:.*]]: memref<?xf32, strided<[1], offset: ?>> {repo.name = "y"})
// CHECK: %[[T:.*]] = bufferization.to_tensor %[[X]] restrict :
// CHECK: %[[R:.*]] = math.exp %[[T]]
// CHECK: bufferization.materialize_in_destination %[[R]] in restrict writable %[[OUT]]
// CHECK: return{{$}}
func.func @f(%x: tensor<?xf32>) -> (tensor<?xf32> {repo.name = "y"}) {
  %0 = math.exp %x : tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// A cache is updated in place: its result has no buffer of its own.
// CHECK: func.func @inout(%{{[^:]*}}: !llvm.ptr, %[[C:[^:]*]]: memref<{{[^{]*}}{repo.inout = 0 : index, repo.name = "arg0"}) {
// CHECK: to_tensor %[[C]] restrict writable
// CHECK: materialize_in_destination %{{.*}} in restrict writable %[[C]]
func.func @inout(%c: tensor<4xf32> {repo.inout = 0 : index}) -> tensor<4xf32> {
  %0 = math.exp %c : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Booleans are bytes at the boundary.
// CHECK: func.func @mask(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: memref<4xi8, strided<[1], offset: ?>> {repo.boolean
// CHECK: arith.cmpi ne
func.func @mask(%m: tensor<4xi1>) -> tensor<4xi1> {
  return %m : tensor<4xi1>
}

// -----

// Private functions and calls pass the context on.
// CHECK: func.func private @callee(%{{.*}}: !llvm.ptr, %{{.*}}: tensor<4xf32>
// CHECK: func.func @caller(%[[CTX:.*]]: !llvm.ptr
// CHECK: call @callee(%[[CTX]], %{{.*}}) : (!llvm.ptr, tensor<4xf32>)
func.func private @callee(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func @caller(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @callee(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// An entry that another one calls has tensors inside and buffers outside.
// CHECK: func.func @called(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: memref<
// CHECK: func.func @caller(%[[CTX:[^:]*]]: !llvm.ptr
// CHECK: call @called.inner(%[[CTX]], %{{.*}}) : (!llvm.ptr, tensor<4xf32>) -> tensor<4xf32>
// CHECK: func.func private @called.inner(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: tensor<4xf32>
func.func @called(%x: tensor<4xf32> {repo.name = "x"}) -> (tensor<4xf32> {repo.name = "y"}) {
  %0 = math.exp %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @caller(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @called(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
