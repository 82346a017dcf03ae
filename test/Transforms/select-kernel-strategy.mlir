// RUN: repo-opt %s --repo-select-kernel-strategy | FileCheck %s
// RUN: repo-opt %s --repo-select-kernel-strategy=report -o /dev/null 2>&1 | FileCheck %s --check-prefix=REPORT
// RUN: repo-opt %s --repo-select-kernel-strategy="chip=sm_90a report" 2>&1 | FileCheck %s --check-prefix=SM90

#r = #repo.rope<theta = 500000.0, dim = 128>
#odd = #repo.rope<theta = 500000.0, dim = 48>

// Keys that turn do so once, in their own type; queries turn in the kernel.
// CHECK-LABEL: func.func @turns
// CHECK: %[[K:.*]] = repo.rotate %arg1 by(%arg4) {{.*}} -> tensor<1x2x?x128xbf16>
// CHECK: repo.attention %arg0, %[[K]], %arg2 query_positions(%arg3) into
// CHECK-SAME: kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>
// sm_90a has a copy engine: a warpgroup that does nothing but feed it.
// SM90: remark: attention by wgmma: 128 queries by 128 keys, 2 stages, 8 warps and a warpgroup that copies; cycles of a tile on sm_90a: tensor 2048, issue 704, special functions 1024, shared memory 1280, cache 2730
// SM90: kernel_strategy = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 128, stages = 2, warps = 8, producers = 1>
// REPORT: remark: attention by mma: 64 queries by 64 keys, 2 stages, 4 warps; cycles of a tile on sm_80: tensor 1024, issue {{[0-9]+}}, special functions 256, shared memory 1024, cache {{[0-9]+}}
func.func @turns(%q: tensor<1x4x?x128xbf16>, %k: tensor<1x2x?x128xbf16>, %v: tensor<1x2x?x128xbf16>,
    %zq: tensor<1x4x?xf32>, %zk: tensor<1x2x?xf32>, %o: tensor<1x4x?x128xbf16>) -> tensor<1x4x?x128xbf16> {
  %0 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %o {causal, rope = #r}
    : (tensor<1x4x?x128xbf16>, tensor<1x2x?x128xbf16>, tensor<1x2x?x128xbf16>, tensor<1x4x?xf32>, tensor<1x2x?xf32>, tensor<1x4x?x128xbf16>) -> tensor<1x4x?x128xbf16>
  return %0 : tensor<1x4x?x128xbf16>
}

// A strategy that is there stays.
// CHECK-LABEL: func.func @given
// CHECK: kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 128, key_block = 32, stages = 3, warps = 8>
// REPORT: remark: attention by mma: 128 queries by 32 keys, 3 stages, 8 warps
func.func @given(%q: tensor<1x4x?x64xf16>, %k: tensor<1x4x?x64xf16>, %o: tensor<1x4x?x64xf16>) -> tensor<1x4x?x64xf16> {
  %0 = repo.attention %q, %k, %k into %o
    {kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 128, key_block = 32, stages = 3, warps = 8>}
    : (tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>) -> tensor<1x4x?x64xf16>
  return %0 : tensor<1x4x?x64xf16>
}

// What the matrix units cannot do keeps the plain kernels.
// CHECK-LABEL: func.func @plain
// CHECK-NOT: kernel_strategy
// REPORT: remark: attention by plain kernels: its queries, keys and values are not all bf16 or all f16
// REPORT: remark: attention by plain kernels: its heads are not 64 or 128 wide
// REPORT: remark: attention by plain kernels: a thread does not hold both channels of a pair
func.func @plain(%a: tensor<1x4x?x64xf32>, %b: tensor<1x4x?x80xf16>, %c: tensor<1x4x?x64xf16>, %z: tensor<1x4x?xf32>)
    -> (tensor<1x4x?x64xf32>, tensor<1x4x?x80xf16>, tensor<1x4x?x64xf16>) {
  %0 = repo.attention %a, %a, %a into %a : (tensor<1x4x?x64xf32>, tensor<1x4x?x64xf32>, tensor<1x4x?x64xf32>, tensor<1x4x?x64xf32>) -> tensor<1x4x?x64xf32>
  %1 = repo.attention %b, %b, %b into %b : (tensor<1x4x?x80xf16>, tensor<1x4x?x80xf16>, tensor<1x4x?x80xf16>, tensor<1x4x?x80xf16>) -> tensor<1x4x?x80xf16>
  %2 = repo.attention %c, %c, %c query_positions(%z) into %c {rope = #odd} : (tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x4x?x64xf16>, tensor<1x4x?xf32>, tensor<1x4x?x64xf16>) -> tensor<1x4x?x64xf16>
  return %0, %1, %2 : tensor<1x4x?x64xf32>, tensor<1x4x?x80xf16>, tensor<1x4x?x64xf16>
}

// Masks, biases and windows take registers: tiles are smaller. Few queries of the heads that share keys are rows of one
// matrix, with what else they have.
// CHECK-LABEL: func.func @options
// CHECK: kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 32, stages = 2, warps = 4>
// CHECK: kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4, warps = 4, split_keys = 64>
// SM90-LABEL: func.func @options
// SM90: kernel_strategy = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 96, stages = 2, warps = 8, producers = 1>
func.func @options(%q: tensor<1x4x?x128xf16>, %k: tensor<1x1x?x128xf16>, %few: tensor<1x4x3x128xf16>, %z: tensor<1x4x?xf32>,
    %w: tensor<64xf32>, %b: tensor<1x1x?x?xf16>, %m: tensor<1x1x?x?xi1>, %n: tensor<1x1x3x?xi1>) -> (tensor<1x4x?x128xf16>, tensor<1x4x3x128xf16>) {
  %0 = repo.attention %q, %k, %k query_positions(%z) omega(%w) bias(%b) mask(%m) into %q {rope = #r, window = array<i64: 100, 20>}
    : (tensor<1x4x?x128xf16>, tensor<1x1x?x128xf16>, tensor<1x1x?x128xf16>, tensor<1x4x?xf32>, tensor<64xf32>, tensor<1x1x?x?xf16>,
       tensor<1x1x?x?xi1>, tensor<1x4x?x128xf16>) -> tensor<1x4x?x128xf16>
  %1 = repo.attention %few, %k, %k mask(%n) into %few {causal}
    : (tensor<1x4x3x128xf16>, tensor<1x1x?x128xf16>, tensor<1x1x?x128xf16>, tensor<1x1x3x?xi1>, tensor<1x4x3x128xf16>) -> tensor<1x4x3x128xf16>
  return %0, %1 : tensor<1x4x?x128xf16>, tensor<1x4x3x128xf16>
}

// One query: the heads of a group are the rows of a matrix, and keys are split over warps. A copy engine knows no
// pages; tiles of keys lie in one.
// CHECK-LABEL: func.func @decode
// CHECK: kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 4, warps = 4, split_keys = 64>
// SM90-LABEL: func.func @decode
// SM90: split_keys = 64>
// SM90: kernel_strategy = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 64, stages = 2, warps = 8>
func.func @decode(%q: tensor<?x8x1x128xbf16>, %p: tensor<?x8x?x128xbf16>, %k: tensor<?x2x?x128xbf16>,
    %pages: tensor<?x2x64x128xbf16>, %table: tensor<?x?xi32>, %lengths: tensor<?xi32>)
    -> (tensor<?x8x1x128xbf16>, tensor<?x8x?x128xbf16>) {
  %view = repo.cache_view %pages table(%table) lengths(%lengths)
    : (tensor<?x2x64x128xbf16>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x2x?x128xbf16>
  %0 = repo.attention %q, %k, %k into %q
    : (tensor<?x8x1x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x8x1x128xbf16>) -> tensor<?x8x1x128xbf16>
  %1 = repo.attention %p, %view, %view into %p
    : (tensor<?x8x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x8x?x128xbf16>) -> tensor<?x8x?x128xbf16>
  return %0, %1 : tensor<?x8x1x128xbf16>, tensor<?x8x?x128xbf16>
}
