// Decode: keys split over warps, on a contiguous cache and on pages; no spills on any chip.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=cubin --report -o %t.80 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_89 --emit=cubin --report -o %t.89 2>&1 | FileCheck %s --check-prefix=SMALL
// RUN: repo-compile %s --target=cuda --chip=sm_120 --emit=cubin -o %t.120

// CHECK: remark: attention by mma: 16 queries by 16 keys, 4 stages, 4 warps
// CHECK-DAG: kernel `grouped_decode0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, 135168 bytes of dynamic shared memory
// CHECK-DAG: kernel `paged_decode0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills
// Less shared memory: the copies run less far ahead.
// SMALL: attention by mma: 16 queries by 16 keys, 2 stages, 4 warps

#rope = #repo.rope<theta = 5.0E+5, dim = 128>

func.func @grouped(%q: tensor<?x16x1x128xbf16>, %k: tensor<?x4x?x128xbf16>, %v: tensor<?x4x?x128xbf16>,
                   %z: tensor<?x16x1xf32>, %at: tensor<?xi32>, %init: tensor<?x16x1x128xbf16>) -> tensor<?x16x1x128xbf16> {
  %0 = repo.attention %q, %k, %v query_positions(%z) offset(%at) into %init {causal, rope = #rope}
    : (tensor<?x16x1x128xbf16>, tensor<?x4x?x128xbf16>, tensor<?x4x?x128xbf16>, tensor<?x16x1xf32>, tensor<?xi32>,
       tensor<?x16x1x128xbf16>) -> tensor<?x16x1x128xbf16>
  return %0 : tensor<?x16x1x128xbf16>
}

func.func @paged(%q: tensor<?x16x1x128xbf16>, %k: tensor<?x16x64x128xbf16>, %v: tensor<?x16x64x128xbf16>,
                 %table: tensor<?x?xi32>, %lengths: tensor<?xi32>, %z: tensor<?x16x1xf32>, %at: tensor<?xi32>,
                 %init: tensor<?x16x1x128xbf16>) -> tensor<?x16x1x128xbf16> {
  %keys = repo.cache_view %k table(%table) lengths(%lengths)
    : (tensor<?x16x64x128xbf16>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x16x?x128xbf16>
  %values = repo.cache_view %v table(%table) lengths(%lengths)
    : (tensor<?x16x64x128xbf16>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x16x?x128xbf16>
  %0 = repo.attention %q, %keys, %values query_positions(%z) offset(%at) into %init {causal, rope = #rope}
    : (tensor<?x16x1x128xbf16>, tensor<?x16x?x128xbf16>, tensor<?x16x?x128xbf16>, tensor<?x16x1xf32>, tensor<?xi32>,
       tensor<?x16x1x128xbf16>) -> tensor<?x16x1x128xbf16>
  return %0 : tensor<?x16x1x128xbf16>
}
