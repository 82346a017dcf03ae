// Position assignment on tensor cores: what ptxas makes of it. Kernels that spill, or whose products ptxas serialises,
// are errors of repo-compile.

// REQUIRES: ptxas
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=cubin --report -o %t.80 2>&1 | FileCheck %s -DTHREADS=128
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s -DTHREADS=256
// RUN: repo-compile %s --target=cuda --chip=sm_86 --emit=cubin -o %t.86
// RUN: repo-compile %s --target=cuda --chip=sm_120 --emit=cubin -o %t.120
// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=ptx -o - | FileCheck %s --check-prefix=PTX
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=ptx -o - | FileCheck %s --check-prefix=WGMMA

// CHECK-DAG: remark: kernel `olmo_positions0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, {{[0-9]+}} bytes of dynamic shared memory, 2 blocks of [[THREADS]] threads on a multiprocessor
// CHECK-DAG: remark: kernel `odd_positions0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills

// A step: 64 channels of 16 tokens by 64 columns of gate and of content; behind the loop 16 heads, three
// times.
// PTX: .entry olmo_positions0(
// PTX: ldmatrix.sync.aligned.m8n8.x4.shared.b16
// PTX-COUNT-64: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
// PTX: ex2.approx.ftz.f32
// PTX: rcp.approx.ftz.f32
// PTX: cvt.rn.bf16x2.f32
// PTX-COUNT-24: mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32

// WGMMA: .entry olmo_positions0(
// WGMMA-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// WGMMA: wgmma.wait_group.sync.aligned 0
// WGMMA: fence.proxy.async.shared::cta
// WGMMA-COUNT-12: wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16

func.func @olmo(%h: tensor<?x?x2048xbf16>, %g: tensor<256x2048xbf16>, %c: tensor<256x2048xbf16>, %w: tensor<16x256xbf16>) -> tensor<?x16x?xf32> {
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%w)
    : (tensor<?x?x2048xbf16>, tensor<256x2048xbf16>, tensor<256x2048xbf16>, tensor<16x256xbf16>) -> tensor<?x16x?xf32>
  return %z : tensor<?x16x?xf32>
}

// 128 tokens: with few columns too many blocks would run one behind the other. 40 heads are three tiles.
func.func @odd(%h: tensor<2x65536x1024xf16>, %g: tensor<128x1024xf16>, %c: tensor<128x1024xf16>, %w: tensor<40x128xf16>) -> tensor<2x40x65536xf32> {
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%w)
    : (tensor<2x65536x1024xf16>, tensor<128x1024xf16>, tensor<128x1024xf16>, tensor<40x128xf16>) -> tensor<2x40x65536xf32>
  return %z : tensor<2x40x65536xf32>
}
