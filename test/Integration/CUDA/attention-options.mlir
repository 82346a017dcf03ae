// Attention with bias, mask, window and frequencies of its own, and few queries of several heads with a mask: tensor cores
// all the same, without spills.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=cubin --report -o %t.80 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_120 --emit=cubin -o %t.120

// CHECK-DAG: kernel `everything_attention0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills
// CHECK-DAG: kernel `few_decode0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills

#r = #repo.rope<theta = 10000.0, dim = 128>

func.func @everything(%q: tensor<?x8x?x128xbf16>, %k: tensor<?x2x?x128xbf16>, %z: tensor<?x8x?xf32>, %w: tensor<2x64xf32>, %bias: tensor<1x8x?x?xbf16>,
    %mask: tensor<?x1x?x?xi1>, %lengths: tensor<?xi32>, %at: tensor<?xi32>, %o: tensor<?x8x?x128xbf16>) -> tensor<?x8x?x128xbf16> {
  %0 = repo.attention %q, %k, %k query_positions(%z) omega(%w) bias(%bias) mask(%mask) lengths(%lengths) offset(%at) into %o
    {causal, window = array<i64: 100, 0>, rope = #r}
    : (tensor<?x8x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x2x?x128xbf16>, tensor<?x8x?xf32>, tensor<2x64xf32>, tensor<1x8x?x?xbf16>,
       tensor<?x1x?x?xi1>, tensor<?xi32>, tensor<?xi32>, tensor<?x8x?x128xbf16>) -> tensor<?x8x?x128xbf16>
  return %0 : tensor<?x8x?x128xbf16>
}

func.func @few(%q: tensor<?x3x8x128xbf16>, %k: tensor<?x?x2x128xbf16>, %z: tensor<?x8x3xf32>, %bias: tensor<?x8x3x?xf32>, %mask: tensor<?x8x3x?xi1>,
    %o: tensor<?x3x8x128xbf16>) -> tensor<?x3x8x128xbf16> {
  %0 = repo.attention %q, %k, %k query_positions(%z) bias(%bias) mask(%mask) into %o
    {causal, rope = #r,
     layouts = [affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>,
                affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>, affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>]}
    : (tensor<?x3x8x128xbf16>, tensor<?x?x2x128xbf16>, tensor<?x?x2x128xbf16>, tensor<?x8x3xf32>, tensor<?x8x3x?xf32>, tensor<?x8x3x?xi1>,
       tensor<?x3x8x128xbf16>) -> tensor<?x3x8x128xbf16>
  return %0 : tensor<?x3x8x128xbf16>
}
