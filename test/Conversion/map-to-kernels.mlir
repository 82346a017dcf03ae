// Loops on buffers become launches.

// RUN: repo-opt %s --repo-map-to-kernels=threads=64 --split-input-file --verify-diagnostics | FileCheck %s

// A thread per iteration of a parallel loop; nested loops run in order.

// CHECK-LABEL: func @grid
// CHECK: %[[COUNT:.*]] = arith.muli
// CHECK: %[[BLOCKS:.*]] = arith.ceildivui %[[COUNT]], %c64
// CHECK: gpu.launch blocks(%[[B:[a-z0-9]+]], %{{.*}}, %{{.*}}) in (%{{.*}} = %[[BLOCKS]], {{.*}}) threads(%[[T:[a-z0-9]+]], %{{.*}}, %{{.*}}) in (%[[SIZE:[a-z0-9]+]] = {{.*}}) module(@kernels) function(@grid_kernel0)
// CHECK:   %[[BASE:.*]] = arith.muli %[[B]], %[[SIZE]]
// CHECK:   %[[FLAT:.*]] = arith.addi %[[BASE]], %[[T]]
// CHECK:   %[[INSIDE:.*]] = arith.cmpi ult, %[[FLAT]], %[[COUNT]]
// CHECK:   scf.if %[[INSIDE]]
// CHECK:     arith.remui %[[FLAT]]
// CHECK:     arith.divui %[[FLAT]]
// CHECK:     scf.for
// CHECK:       memref.store
// CHECK-NOT: scf.parallel
func.func @grid(%x: memref<?x?x4xf32>, %n: index, %m: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %f = arith.constant 1.0 : f32
  scf.parallel (%i, %j) = (%c0, %c0) to (%n, %m) step (%c1, %c1) {
    scf.parallel (%k) = (%c0) to (%c4) step (%c1) {
      memref.store %f, %x[%i, %j, %k] : memref<?x?x4xf32>
    }
  }
  return
}

// -----

// Other code that touches memory is one block, whose threads share the loops inside.

// CHECK-LABEL: func @block
// CHECK: gpu.launch {{.*}} threads(%[[T:[a-z0-9]+]], %{{.*}}, %{{.*}}) in
// CHECK:   scf.for
// CHECK:     memref.load
// CHECK:     scf.for %{{.*}} = %[[T]] to %{{.*}} step %c64
// CHECK:       memref.store
// CHECK:     gpu.barrier
// CHECK:     gpu.barrier
// CHECK:     %[[FIRST:.*]] = arith.cmpi eq, %[[T]]
// CHECK:     scf.if %[[FIRST]]
// CHECK:       memref.store
// CHECK:     gpu.barrier
func.func @block(%at: memref<?xindex>, %x: memref<?x8xf32>, %y: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %f = arith.constant 1.0 : f32
  scf.for %b = %c0 to %n step %c1 {
    %row = memref.load %at[%b] : memref<?xindex>
    scf.parallel (%k) = (%c0) to (%c8) step (%c1) {
      memref.store %f, %x[%row, %k] : memref<?x8xf32>
    }
    memref.store %f, %y[%b] : memref<?xf32>
  }
  return
}

// -----

// Constant data is fetched inside the kernel.

memref.global "private" constant @table : memref<4xf32> = dense<[1.0, 2.0, 3.0, 4.0]>

// CHECK-LABEL: func @constant
// CHECK: gpu.launch
// CHECK-NEXT: memref.get_global @table
func.func @constant(%y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %t = memref.get_global @table : memref<4xf32>
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    %v = memref.load %t[%i] : memref<4xf32>
    memref.store %v, %y[%i] : memref<4xf32>
  }
  return
}

// -----

// A number from a buffer that nobody writes is read by the kernel that needs it.

// CHECK-LABEL: func @scalar
// CHECK-NEXT: arith.constant
// CHECK-NOT: memref.load
// CHECK: gpu.launch
// CHECK-NEXT: %[[V:.*]] = memref.load
// CHECK-NEXT: %[[W:.*]] = arith.addf %[[V]], %[[V]]
// CHECK: memref.store %[[W]]
func.func @scalar(%x: memref<1xf32>, %y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %v = memref.load %x[%c0] : memref<1xf32>
  %w = arith.addf %v, %v : f32
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    memref.store %w, %y[%i] : memref<4xf32>
  }
  return
}

// -----

func.func @host_reads(%x: memref<?xindex>, %y: memref<?xf32>) -> index {
  %c0 = arith.constant 0 : index
  // expected-error @+1 {{expected what the host needs not to be read from device memory}}
  %v = memref.load %x[%c0] : memref<?xindex>
  return %v : index
}

// -----

func.func @allocates(%y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %f = arith.constant 1.0 : f32
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    // expected-error @+1 {{expected no buffer to be allocated inside a kernel}}
    %a = memref.alloc() : memref<4xf32>
    memref.store %f, %a[%i] : memref<4xf32>
  }
  return
}
