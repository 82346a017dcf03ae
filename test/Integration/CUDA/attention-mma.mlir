// Attention on tensor cores: what ptxas makes of it. Kernels that spill, or call functions nobody defines,
// are errors of repo-compile.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=cubin --report -o %t.80 2>&1 | FileCheck %s
// RUN: sed 's/{causal, r/{kernel_strategy = #s, causal, r/; s/{window/{kernel_strategy = #s, window/' %s > %t.mlir
// RUN: repo-compile %t.mlir --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_86 --emit=cubin -o %t.86
// RUN: repo-compile %s --target=cuda --chip=sm_89 --emit=cubin -o %t.89
// RUN: repo-compile %s --target=cuda --chip=sm_100a --emit=cubin -o %t.100
// RUN: repo-compile %s --target=cuda --chip=sm_120 --emit=cubin -o %t.120
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=ptx -o - | FileCheck %s --check-prefix=PTX

// CHECK-DAG: remark: kernel `prefill_attention0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, {{[0-9]+}} bytes of dynamic shared memory, {{[0-9]+}} blocks of 128 threads on a multiprocessor
// CHECK-DAG: remark: kernel `everything_attention0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, {{[0-9]+}} bytes of dynamic shared memory, {{[0-9]+}} blocks of 128 threads on a multiprocessor

// PTX: .extern .shared .align 1024 .b8 smem[];
// PTX: .entry prefill_attention0(
// PTX: .minnctapersm 1
// Copies whose last operand says how much of a row exists.
// PTX: cp.async.cg.shared.global [{{.*}}], [{{.*}}], 16, %r
// PTX: sin.approx.ftz.f32
// Of 64 keys and 128 channels: 64 products for the scores, 64 for the sums.
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX-COUNT-64: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX: ex2.approx.ftz.f32
// PTX: cvt.rn.bf16x2.f32
// PTX: ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16
// PTX-COUNT-64: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32

#s = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 64, stages = 2, warps = 4>
#r = #repo.rope<theta = 500000.0, dim = 128>
#i = #repo.rope<theta = 10000.0, dim = 32, layout = interleaved, scaling = #repo.yarn<factor = 2.0, original = 4096>>

func.func @prefill(%q: tensor<?x16x?x128xbf16>, %k: tensor<?x16x?x128xbf16>, %v: tensor<?x16x?x128xbf16>, %z: tensor<?x16x?xf32>)
    -> (tensor<?x16x?x128xbf16>, tensor<?x16x?xf32>) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : tensor<?x16x?x128xbf16>
  %n = tensor.dim %q, %c2 : tensor<?x16x?x128xbf16>
  %e = tensor.empty(%b, %n) : tensor<?x16x?x128xbf16>
  %l = tensor.empty(%b, %n) : tensor<?x16x?xf32>
  %o:2 = repo.attention %q, %k, %v query_positions(%z) into %e, %l {causal, rope = #r}
    : (tensor<?x16x?x128xbf16>, tensor<?x16x?x128xbf16>, tensor<?x16x?x128xbf16>, tensor<?x16x?xf32>,
       tensor<?x16x?x128xbf16>, tensor<?x16x?xf32>) -> (tensor<?x16x?x128xbf16>, tensor<?x16x?xf32>)
  return %o#0, %o#1 : tensor<?x16x?x128xbf16>, tensor<?x16x?xf32>
}

func.func @everything(%q: tensor<?x?x8x64xf16>, %k: tensor<?x?x2x64xf16>, %v: tensor<?x?x2x64xf16>, %z: tensor<?x2x?xf32>,
    %bias: tensor<1x8x?x?xf16>, %lengths: tensor<?xi32>, %at: tensor<?xi32>) -> tensor<?x?x8x64xf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %q, %c0 : tensor<?x?x8x64xf16>
  %n = tensor.dim %q, %c1 : tensor<?x?x8x64xf16>
  %e = tensor.empty(%b, %n) : tensor<?x?x8x64xf16>
  %o = repo.attention %q, %k, %v query_positions(%z) bias(%bias) lengths(%lengths) offset(%at) into %e
    {window = array<i64: 100, 0>, softcap = 30.0, rope = #i,
     layouts = [affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>,
                affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>, affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>]}
    : (tensor<?x?x8x64xf16>, tensor<?x?x2x64xf16>, tensor<?x?x2x64xf16>, tensor<?x2x?xf32>, tensor<1x8x?x?xf16>,
       tensor<?xi32>, tensor<?xi32>, tensor<?x?x8x64xf16>) -> tensor<?x?x8x64xf16>
  return %o : tensor<?x?x8x64xf16>
}
