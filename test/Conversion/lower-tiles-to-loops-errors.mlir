// RUN: repo-opt %s --repo-lower-tiles-to-loops --split-input-file --verify-diagnostics

// Roles of warps run side by side.
func.func @roles(%n: index, %bytes: i32) {
  gpu.launch blocks(%x, %y, %z) in (%gx = %n, %gy = %n, %gz = %n) threads(%t, %ty, %tz) in (%sx = %n, %sy = %n, %sz = %n)
      dynamic_shared_memory_size %bytes {
    // expected-error @+1 {{'repo_tile.warp_specialize' op has no meaning for one thread alone: roles and barriers run on the emulator}}
    repo_tile.warp_specialize
    role(%producer) warpgroups = 1, registers = 24 {
      repo_tile.yield
    }
    role(%consumer) warpgroups = 1, registers = 240 {
      repo_tile.yield
    }
    gpu.terminator
  }
  return
}

// -----

// Data passed from one buffer to another by its place.
func.func @overlay(%n: index, %bytes: i32, %m: memref<64x64xbf16>) {
  gpu.launch blocks(%x, %y, %z) in (%gx = %n, %gy = %n, %gz = %n) threads(%t, %ty, %tz) in (%sx = %n, %sy = %n, %sz = %n)
      dynamic_shared_memory_size %bytes {
    %0 = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
    // expected-error @+1 {{expected shared buffers side by side, got one at 4096 before the end of another at 8192}}
    %1 = repo_tile.shared_buffer {offset = 4096} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
    gpu.terminator
  }
  return
}

// -----

func.func @lanes(%n: index, %bytes: i32, %m: memref<?xf32>) {
  gpu.launch blocks(%x, %y, %z) in (%gx = %n, %gy = %n, %gz = %n) threads(%t, %ty, %tz) in (%sx = %n, %sy = %n, %sz = %n)
      dynamic_shared_memory_size %bytes {
    %0 = repo_tile.load_rows %m[%x] below(%n) : memref<?xf32> -> !repo_tile.fragment<16xf32, mma_row>
    // expected-error @+1 {{'nvvm.read.ptx.sreg.laneid' op has no meaning for one thread alone}}
    %lane = nvvm.read.ptx.sreg.laneid : i32
    gpu.terminator
  }
  return
}
