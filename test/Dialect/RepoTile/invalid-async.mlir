// RUN: repo-opt %s --split-input-file --verify-diagnostics

// Roles, barriers, copies and products under way: one case per numbered constraint of the documentation.

// expected-error @+1 {{expected `stages` and `arrivals` of barriers to be positive, got 2 and 0}}
func.func private @barriers_type_c1(!repo_tile.barriers<2, arrivals = 0>)

// -----

// expected-error @+1 {{expected an accumulator of a warpgroup, `wgmma_acc`, got `mma_acc`}}
func.func private @pending_c1(!repo_tile.pending<16x64xf32, mma_acc>)

// -----

func.func @specialize_c1() {
  // expected-error @+1 {{expected at least two roles, each with `warpgroups` and `registers`, got 1, 1 and 1}}
  repo_tile.warp_specialize
  role(%i) warpgroups = 2, registers = 240 {}
  return
}

// -----

func.func @specialize_c2() {
  // expected-error @+1 {{expected `registers` to be a multiple of 8 from 24 to 256, got 20}}
  repo_tile.warp_specialize
  role(%i) warpgroups = 1, registers = 20 {}
  role(%j) warpgroups = 2, registers = 240 {}
  return
}

// -----

func.func @specialize_c2_total() {
  // expected-error @+1 {{expected at most 65536 registers of a block, got 66560}}
  repo_tile.warp_specialize
  role(%i) warpgroups = 1, registers = 40 {}
  role(%j) warpgroups = 2, registers = 240 {}
  return
}

// -----

func.func @specialize_c3() {
  // expected-error @+1 {{expected no op behind it: the roles of a block do not meet again}}
  repo_tile.warp_specialize
  role(%i) warpgroups = 1, registers = 24 {}
  role(%j) warpgroups = 2, registers = 240 {}
  gpu.barrier
  return
}

// -----

func.func @barriers_c1() {
  // expected-error @+1 {{expected `offset` to be a multiple of 8, got 12}}
  %0 = repo_tile.barriers {offset = 12} : !repo_tile.barriers<2, arrivals = 1>
  return
}

// -----

!map = !nvgpu.tensormap.descriptor<tensor = memref<1x64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
func.func @copy_tensor_c1(%map: !map, %i: index, %full: !repo_tile.barriers<1, arrivals = 1>) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected a map with boxes of a stage of 'memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>', got 'memref<1x64x64xbf16, 3>'}}
  repo_tile.copy_tensor %map[%i, %i, %i] into %b[%i] arrive %full : !map, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.barriers<1, arrivals = 1>
  return
}

// -----

!map = !nvgpu.tensormap.descriptor<tensor = memref<1x64x64xbf16, 3>, swizzle = swizzle_64b, l2promo = none, oob = zero, interleave = none>
func.func @copy_tensor_c2(%map: !map, %i: index, %full: !repo_tile.barriers<1, arrivals = 1>) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected a map with `swizzle_128b` and zeros outside of the tensor}}
  repo_tile.copy_tensor %map[%i, %i, %i] into %b[%i] arrive %full : !map, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.barriers<1, arrivals = 1>
  return
}

// -----

!map = !nvgpu.tensormap.descriptor<tensor = memref<1x64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
func.func @copy_tensor_c3(%map: !map, %i: index, %full: !repo_tile.barriers<1, arrivals = 1>) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected 3 coordinates, got 2}}
  repo_tile.copy_tensor %map[%i, %i] into %b[%i] arrive %full : !map, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.barriers<1, arrivals = 1>
  return
}

// -----

!map = !nvgpu.tensormap.descriptor<tensor = memref<1x64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
func.func @copy_tensor_c4(%map: !map, %i: index, %full: !repo_tile.barriers<1, arrivals = 2>) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected 1 barriers of one arrival, one for each stage, got '!repo_tile.barriers<1, arrivals = 2>'}}
  repo_tile.copy_tensor %map[%i, %i, %i] into %b[%i] arrive %full : !map, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.barriers<1, arrivals = 2>
  return
}

// -----

func.func @mma_async_c1(%a: !repo_tile.fragment<64x64xbf16, wgmma_a>, %c: !repo_tile.fragment<64x32xf32, wgmma_acc>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected `init` to be '!repo_tile.fragment<64x64xf32, wgmma_acc>', got '!repo_tile.fragment<64x32xf32, wgmma_acc>'}}
  %0 = repo_tile.mma_async %a, %b[%i] init(%c : !repo_tile.fragment<64x32xf32, wgmma_acc>)
    : !repo_tile.fragment<64x64xbf16, wgmma_a>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @mma_async_c2(%a: !repo_tile.fragment<64x64xf32, wgmma_acc>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{cannot consume layout `wgmma_acc` as operand A of a warpgroup: expected `wgmma_a`, which repo_tile.convert makes of an accumulator}}
  %0 = repo_tile.mma_async %a, %b[%i]
    : !repo_tile.fragment<64x64xf32, wgmma_acc>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @mma_async_c2_stage(%i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected the stage of `a` in shared memory}}
  %0 = repo_tile.mma_async %b, %b[%i]
    : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @mma_async_c3(%a: !repo_tile.fragment<64x64xbf16, wgmma_a>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected `a` [64, 32] and a result [64, 64], got [64, 64] and [64, 64]}}
  %0 = repo_tile.mma_async %a, %b[%i]
    : !repo_tile.fragment<64x64xbf16, wgmma_a>, memref<1x1x32x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @wait_mma_c1(%x: !repo_tile.pending<64x64xf32, wgmma_acc>) {
  // expected-error @+1 {{expected `left` not to be negative, got -1}}
  %0 = repo_tile.wait_mma %x {left = -1} : !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @wait_mma_c2(%x: !repo_tile.pending<64x64xf32, wgmma_acc>, %s: !repo_tile.fragment<64xi32, wgmma_row>) {
  // expected-error @+1 {{expected `after` to be f32 of the rows of a warpgroup, got '!repo_tile.fragment<64xi32, wgmma_row>'}}
  %0 = repo_tile.wait_mma %x after(%s : !repo_tile.fragment<64xi32, wgmma_row>) {left = 0} : !repo_tile.pending<64x64xf32, wgmma_acc>
  return
}
