// Attention by wgmma: all steps of a product in one piece of PTX, the fence before it, the wait behind it.
// Kernels that spill, or whose products ptxas had to serialise (C75xx), are errors of repo-compile.

// REQUIRES: ptxas
// RUN: sed 's/{causal, r/{kernel_strategy = #s, causal, r/; s/^#s = .*/#s = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 96, stages = 2, warps = 8>/' %S/attention-mma.mlir > %t.mlir
// RUN: repo-compile %t.mlir --target=cuda --chip=sm_90a --emit=cubin --report -o %t.90 2>&1 | FileCheck %s
// RUN: repo-compile %t.mlir --target=cuda --chip=sm_90a --emit=ptx -o - | FileCheck %s --check-prefix=PTX

// CHECK-DAG: remark: attention by wgmma: 128 queries by 96 keys, 2 stages, 8 warps; cycles of a tile on sm_90a: tensor 1536
// CHECK-DAG: remark: kernel `prefill_attention0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills, 131072 bytes of dynamic shared memory, 1 blocks of 256 threads on a multiprocessor
// CHECK-DAG: remark: kernel `everything_attention0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills

// PTX: .entry prefill_attention0(
// What cp.async wrote is made visible to wgmma before the barrier.
// PTX: cp.async.wait_group 0;
// PTX-NEXT: fence.proxy.async.shared::cta;
// PTX-NEXT: {{bar|barrier}}.{{.*}}sync
// PTX: wgmma.fence.sync.aligned;
// PTX-COUNT-8: wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {{.*}}, {{first|more}}, 1, 1, 0;
// PTX: wgmma.commit_group.sync.aligned;
// PTX: wgmma.wait_group.sync.aligned 0;
// PTX: ex2.approx.ftz.f32
// PTX: wgmma.fence.sync.aligned;
// PTX-COUNT-6: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {{.*}}, {{first|more}}, 1, 1, 1;
// PTX: wgmma.commit_group.sync.aligned;
