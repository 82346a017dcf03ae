// RUN: repo-opt %s --split-input-file --verify-diagnostics

// One case per numbered constraint of the documentation.

// expected-error @+1 {{expected a fragment of layout `mma_row` to have rank 1, got 2}}
func.func private @fragment_c1(!repo_tile.fragment<16x64xf32, mma_row>)

// -----

// expected-error @+1 {{expected the rows of a fragment of layout `wgmma_acc` to be a multiple of 64, got 16}}
func.func private @fragment_c2(!repo_tile.fragment<16x64xf32, wgmma_acc>)

// -----

// expected-error @+1 {{expected the columns of a fragment of layout `mma_a` to be a multiple of 16, got 8}}
func.func private @fragment_c3(!repo_tile.fragment<16x8xbf16, mma_a>)

// -----

// expected-error @+1 {{expected the elements of a fragment of layout `mma_a` to be bf16 or f16, got 'f32'}}
func.func private @fragment_c4(!repo_tile.fragment<16x16xf32, mma_a>)

// -----

// expected-error @+1 {{expected a layout (mma_acc, mma_a, mma_row, wgmma_acc, wgmma_a, wgmma_row), got `mma_b`}}
func.func private @fragment_layout(!repo_tile.fragment<16x16xbf16, mma_b>)

// -----

func.func @shared_buffer_c1() {
  // expected-error @+1 {{expected `offset` to be a multiple of 1024, got 512}}
  %0 = repo_tile.shared_buffer {offset = 512} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @copy_async_c1(%k: memref<?x64xbf16>, %i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected a source with 128 columns side by side, got 'memref<?x64xbf16>'}}
  repo_tile.copy_async %k[%i] rows(%i to %i) into %0[%i] {threads = 128}
    : memref<?x64xbf16>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @copy_async_c1_matrices(%k: memref<2x?x128xbf16>, %i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected matrices of a static number of rows, got 'memref<2x?x128xbf16>'}}
  repo_tile.copy_async %k[%i] rows(%i to %i) into %0[%i] {threads = 128}
    : memref<2x?x128xbf16>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @copy_async_c2_warp(%k: memref<?x128xbf16>, %i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected 32 `threads` with `warp`, got 128}}
  repo_tile.copy_async %k[%i] rows(%i to %i) into %0[%i] {threads = 128, warp}
    : memref<?x128xbf16>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @copy_async_c2(%k: memref<?x128xbf16>, %i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected `threads` to be a multiple of 32 and of the 16 chunks of a row that divides the 1024 of a stage, got 96}}
  repo_tile.copy_async %k[%i] rows(%i to %i) into %0[%i] {threads = 96}
    : memref<?x128xbf16>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @load_shared_c1(%i: index) {
  %0 = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected a fragment with 128 columns of 'bf16', got '!repo_tile.fragment<16x64xbf16, mma_a>'}}
  %1 = repo_tile.load_shared %0[%i, %i] : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>> -> !repo_tile.fragment<16x64xbf16, mma_a>
  return
}

// -----

func.func @load_rows_c1(%z: memref<?xf32>, %i: index) {
  // expected-error @+1 {{expected a row vector of 'f32', got '!repo_tile.fragment<16xi32, mma_row>'}}
  %1 = repo_tile.load_rows %z[%i] below(%i) : memref<?xf32> -> !repo_tile.fragment<16xi32, mma_row>
  return
}

// -----

func.func @store_c1(%x: !repo_tile.fragment<16x64xf32, mma_acc>, %out: memref<?x128xbf16>, %i: index) {
  // expected-error @+1 {{expected a target with 64 columns side by side, got 'memref<?x128xbf16>'}}
  repo_tile.store %x, %out[%i] below(%i) : !repo_tile.fragment<16x64xf32, mma_acc>, memref<?x128xbf16>
  return
}

// -----

func.func @store_c2(%x: !repo_tile.fragment<16xf32, mma_row>, %out: memref<?xbf16>, %i: index) {
  // expected-error @+1 {{expected a target of the fragment's elements, got 'bf16'}}
  repo_tile.store %x, %out[%i] below(%i) : !repo_tile.fragment<16xf32, mma_row>, memref<?xbf16>
  return
}

// -----

func.func @map_c1(%x: !repo_tile.fragment<16x64xf32, mma_acc>, %m: !repo_tile.fragment<64xf32, wgmma_row>) {
  // expected-error @+1 {{expected fragments like the result '!repo_tile.fragment<16x64xf32, mma_acc>', or its row vectors, got '!repo_tile.fragment<64xf32, wgmma_row>'}}
  %0 = repo_tile.map %x, %m : (!repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<64xf32, wgmma_row>) -> !repo_tile.fragment<16x64xf32, mma_acc> {
  ^bb0(%a: f32, %b: f32, %row: i32, %column: i32):
    repo_tile.yield %a : f32
  }
  return
}

// -----

func.func @map_c2(%m: !repo_tile.fragment<16xf32, mma_row>) {
  // expected-error @+1 {{expected results that are all matrices or all row vectors, got '!repo_tile.fragment<16x64xf32, mma_acc>' and '!repo_tile.fragment<16xf32, mma_row>'}}
  %0:2 = repo_tile.map %m : (!repo_tile.fragment<16xf32, mma_row>) -> (!repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<16xf32, mma_row>) {
  ^bb0(%b: f32, %row: i32, %column: i32):
    repo_tile.yield %b, %b : f32, f32
  }
  return
}

// -----

func.func @map_c3(%m: !repo_tile.fragment<16xf32, mma_row>) {
  // expected-error @+1 {{expected a block with arguments ('f32', 'i32', 'i32'), got ('f32')}}
  %0 = repo_tile.map %m : (!repo_tile.fragment<16xf32, mma_row>) -> !repo_tile.fragment<16xf32, mma_row> {
  ^bb0(%b: f32):
    repo_tile.yield %b : f32
  }
  return
}

// -----

func.func @map_c4(%m: !repo_tile.fragment<16xf32, mma_row>) {
  // expected-error @+1 {{expected the block to yield ('f32'), got ('i32')}}
  %0 = repo_tile.map %m : (!repo_tile.fragment<16xf32, mma_row>) -> !repo_tile.fragment<16xf32, mma_row> {
  ^bb0(%b: f32, %row: i32, %column: i32):
    repo_tile.yield %row : i32
  }
  return
}

// -----

func.func @map_pairs_c1(%q: !repo_tile.fragment<16x64xf16, mma_a>, %z: !repo_tile.fragment<32xf32, mma_row>) {
  // expected-error @+1 {{expected row vectors of '!repo_tile.fragment<16x64xf16, mma_a>', got '!repo_tile.fragment<32xf32, mma_row>'}}
  %0 = repo_tile.map_pairs half %q, %z {dim = 64} : !repo_tile.fragment<16x64xf16, mma_a>, !repo_tile.fragment<32xf32, mma_row> {
  ^bb0(%a: f16, %b: f16, %p: f32, %row: i32, %pair: i32):
    repo_tile.yield %a, %b : f16, f16
  }
  return
}

// -----

func.func @map_pairs_c2(%q: !repo_tile.fragment<16x64xf16, mma_a>) {
  // expected-error @+1 {{expected `dim` to be a multiple of 32 up to the 64 columns, so that a thread holds both columns of a pair, got 48}}
  %0 = repo_tile.map_pairs half %q {dim = 48} : !repo_tile.fragment<16x64xf16, mma_a> {
  ^bb0(%a: f16, %b: f16, %row: i32, %pair: i32):
    repo_tile.yield %a, %b : f16, f16
  }
  return
}

// -----

func.func @map_pairs_c3(%q: !repo_tile.fragment<16x64xf16, mma_a>) {
  // expected-error @+1 {{expected the block to yield ('f16', 'f16'), got ('f16')}}
  %0 = repo_tile.map_pairs half %q {dim = 64} : !repo_tile.fragment<16x64xf16, mma_a> {
  ^bb0(%a: f16, %b: f16, %row: i32, %pair: i32):
    repo_tile.yield %a : f16
  }
  return
}

// -----

func.func @reduce_c1(%x: !repo_tile.fragment<16x64xf32, mma_acc>, %m: !repo_tile.fragment<16xi32, mma_row>) {
  // expected-error @+1 {{expected `init` to be '!repo_tile.fragment<16xf32, mma_row>', got '!repo_tile.fragment<16xi32, mma_row>'}}
  %0 = repo_tile.reduce sum %x, %m : !repo_tile.fragment<16x64xf32, mma_acc>, !repo_tile.fragment<16xi32, mma_row>
  return
}

// -----

func.func @convert_c1(%x: !repo_tile.fragment<16x64xf32, mma_acc>) {
  // expected-error @+1 {{expected a result with 16 rows and 64 columns, got 16 and 32}}
  %0 = repo_tile.convert %x : !repo_tile.fragment<16x64xf32, mma_acc> -> !repo_tile.fragment<16x32xbf16, mma_a>
  return
}

// -----

func.func @convert_c2(%x: !repo_tile.fragment<64x64xf32, wgmma_acc>) {
  // expected-error @+1 {{cannot make layout `mma_a` of `wgmma_acc` in registers: the rows of a warpgroup lie in four warps}}
  %0 = repo_tile.convert %x : !repo_tile.fragment<64x64xf32, wgmma_acc> -> !repo_tile.fragment<64x64xbf16, mma_a>
  return
}

// -----

func.func @convert_back(%x: !repo_tile.fragment<16x64xbf16, mma_a>) {
  // expected-error @+1 {{cannot make layout `mma_acc` of `mma_a` in registers: only an accumulator becomes an operand A}}
  %0 = repo_tile.convert %x : !repo_tile.fragment<16x64xbf16, mma_a> -> !repo_tile.fragment<16x64xf32, mma_acc>
  return
}

// -----

func.func @mma_c1(%a: !repo_tile.fragment<64x64xbf16, mma_a>, %c: !repo_tile.fragment<64x64xf32, wgmma_acc>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{cannot consume layout `wgmma_acc` as accumulator beside an operand `mma_a`}}
  %0 = repo_tile.mma %a, %b[%i], %c : !repo_tile.fragment<64x64xbf16, mma_a>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.fragment<64x64xf32, wgmma_acc>
  return
}

// -----

func.func @mma_c2(%a: !repo_tile.fragment<16x64xf32, mma_acc>, %c: !repo_tile.fragment<16x64xf32, mma_acc>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{cannot consume layout `mma_acc` as operand A: expected `mma_a` or `wgmma_a`, which repo_tile.convert makes of it}}
  %0 = repo_tile.mma %a, %b[%i], %c : !repo_tile.fragment<16x64xf32, mma_acc>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.fragment<16x64xf32, mma_acc>
  return
}

// -----

func.func @mma_c3(%a: !repo_tile.fragment<16x64xbf16, mma_a>, %c: !repo_tile.fragment<16x64xf32, mma_acc>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected `a` [16, 64] and `init` [16, 32], got [16, 64] and [16, 64]}}
  %0 = repo_tile.mma %a, %b[%i], %c {transpose_b} : !repo_tile.fragment<16x64xbf16, mma_a>, memref<1x1x32x64xbf16, #gpu.address_space<workgroup>>, !repo_tile.fragment<16x64xf32, mma_acc>
  return
}

// -----

func.func @store_shared_c1(%x: !repo_tile.fragment<64x64xbf16, wgmma_a>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected a fragment with 128 columns of 'bf16', got '!repo_tile.fragment<64x64xbf16, wgmma_a>'}}
  repo_tile.store_shared %x, %b[%i, %i] : !repo_tile.fragment<64x64xbf16, wgmma_a>, memref<1x2x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @copy_async_c3(%m: memref<?x64xbf16>, %i: index) {
  %b = repo_tile.shared_buffer {offset = 0} : memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  // expected-error @+1 {{expected rows of a stage of 64 from a multiple of 8 on, got 32 from 40 on}}
  repo_tile.copy_async %m[%i] rows(%i to %i) into %b[%i] {threads = 64, target_row = 40, num_rows = 32}
    : memref<?x64xbf16>, memref<1x1x64x64xbf16, #gpu.address_space<workgroup>>
  return
}

// -----

func.func @split_c1(%x: !repo_tile.fragment<16x64xf32, mma_acc>) {
  // expected-error @+1 {{expected results of 64 columns together, got 48}}
  %0:2 = repo_tile.split %x : !repo_tile.fragment<16x64xf32, mma_acc>
    -> !repo_tile.fragment<16x32xf32, mma_acc>, !repo_tile.fragment<16x16xf32, mma_acc>
  return
}

// -----

func.func @split_c1_rows(%x: !repo_tile.fragment<16x64xf32, mma_acc>) {
  // expected-error @+1 {{expected results with the rows and the layout of '!repo_tile.fragment<16x64xf32, mma_acc>', got '!repo_tile.fragment<32x64xf32, mma_acc>'}}
  %0 = repo_tile.split %x : !repo_tile.fragment<16x64xf32, mma_acc> -> !repo_tile.fragment<32x64xf32, mma_acc>
  return
}
