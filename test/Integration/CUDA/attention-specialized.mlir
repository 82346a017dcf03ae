// Attention on sm_90a with a warpgroup that copies and two that multiply: no spills within the registers of each role,
// no product that ptxas had to serialise. Both are errors of repo-compile.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=cubin --report -o %t.cubin 2>&1 | FileCheck %s
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=ptx -o - | FileCheck %s --check-prefix=PTX

// CHECK-DAG: remark: kernel `prefill_attention0`: 168 registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, 163920 bytes of dynamic shared memory, 1 blocks of 384 threads on a multiprocessor
// CHECK-DAG: remark: kernel `grouped_attention0`: 168 registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, {{[0-9]+}} bytes of dynamic shared memory, 1 blocks of 384 threads on a multiprocessor

// PTX: .entry prefill_attention0(
// PTX: .param .align 64 .b8 prefill_attention0_param_{{[0-9]+}}[128]
// PTX: .maxntid 384, 1, 1
// PTX: .minnctapersm 1
// PTX: mbarrier.init.shared.b64
// PTX: fence.mbarrier_init.release.cluster
// PTX-NEXT: $L
// PTX: bar.sync
// PTX: setmaxnreg.inc.sync.aligned.u32 224;
// Queries turn in shared memory, before the first product reads them.
// PTX: ldmatrix
// PTX: sin.approx.ftz.f32
// PTX: st.shared.b32
// PTX: fence.proxy.async.shared::cta;
// PTX: bar.sync {{.*}}, 256;
// The loop over whole tiles comes last: scores of a tile and sums of the one before under way together.
// PTX: mbarrier.try_wait.parity.shared.b64
// PTX-COUNT-8: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {{.*}}, da, db, {{first|more}}, 1, 1, 0, 0;
// PTX: wgmma.wait_group.sync.aligned 0;
// PTX: wgmma.commit_group.sync.aligned;
// PTX: wgmma.commit_group.sync.aligned;
// PTX: wgmma.wait_group.sync.aligned 1;
// PTX: mbarrier.arrive
// PTX: max.f32
// PTX: ex2.approx.ftz.f32
// PTX: @never st.shared.f32
// PTX: wgmma.wait_group.sync.aligned 0;
// PTX: setmaxnreg.dec.sync.aligned.u32 56;
// PTX: mbarrier.arrive.expect_tx
// PTX: cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes

#r = #repo.rope<theta = 500000.0, dim = 128>

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

func.func @grouped(%q: tensor<2x?x8x64xf16>, %k: tensor<2x?x2x64xf16>, %v: tensor<2x?x2x64xf16>, %lengths: tensor<2xi32>, %at: tensor<2xi32>)
    -> tensor<2x?x8x64xf16> {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %q, %c1 : tensor<2x?x8x64xf16>
  %e = tensor.empty(%n) : tensor<2x?x8x64xf16>
  %o = repo.attention %q, %k, %v lengths(%lengths) offset(%at) into %e
    {causal, softcap = 30.0,
     layouts = [affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>,
                affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>, affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>]}
    : (tensor<2x?x8x64xf16>, tensor<2x?x2x64xf16>, tensor<2x?x2x64xf16>, tensor<2xi32>, tensor<2xi32>, tensor<2x?x8x64xf16>) -> tensor<2x?x8x64xf16>
  return %o : tensor<2x?x8x64xf16>
}
