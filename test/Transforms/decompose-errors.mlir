// RUN: repo-opt %s --repo-decompose --verify-diagnostics

func.func @buffers(%q: memref<1x2x3x4xf32>, %k: memref<1x2x5x4xf32>, %out: memref<1x2x3x4xf32>) {
  // expected-error @+1 {{expected tensors, got buffers: decompose before bufferization}}
  repo.attention %q, %k, %k into %out
     : (memref<1x2x3x4xf32>, memref<1x2x5x4xf32>, memref<1x2x5x4xf32>, memref<1x2x3x4xf32>) -> ()
  return
}
