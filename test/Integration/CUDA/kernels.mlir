// Every op has kernels, in every element type, down to PTX for sm_80 and sm_90a.

// RUN: repo-compile %s --target=cuda --chip=sm_80 --emit=ptx -o - | FileCheck %s --check-prefixes=PTX,PTX80
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=ptx -o - | FileCheck %s --check-prefixes=PTX,PTX90
// RUN: repo-compile %s --target=cuda --stop-after=vector -o - | FileCheck %s --check-prefix=KERNELS
// RUN: not repo-compile %s --target=cuda --chip=sm_75 --emit=ptx -o - 2>&1 | FileCheck %s --check-prefix=CHIP

// PTX80: .target sm_80
// PTX90: .target sm_90a
// PTX-NOT: .extern .func
// PTX: .visible .entry attention_bf16_kernel0(
// PTX-NOT: .extern .func
// CHIP: error: expected a chip from sm_80 on that LLVM knows, such as sm_80 or sm_90a, got `sm_75`

// KERNELS-LABEL: func.func @attention_bf16
// KERNELS: gpu.launch_func @kernels::@attention_bf16_kernel0
// KERNELS-LABEL: gpu.module @kernels
// KERNELS: gpu.func @attention_bf16_kernel0

#r = #repo.rope<theta = 500000.0, dim = 48>

func.func @attention_bf16(%q: tensor<?x4x?x96xbf16>, %k: tensor<?x2x?x96xbf16>, %v: tensor<?x2x?x80xbf16>,
    %zq: tensor<?x4x?xf32>, %zk: tensor<?x2x?xf32>, %e: tensor<?x4x?x80xbf16>, %l: tensor<?x4x?xf32>)
    -> (tensor<?x4x?x80xbf16>, tensor<?x4x?xf32>) {
  %o:2 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %e, %l {causal, softcap = 20.0, rope = #r}
    : (tensor<?x4x?x96xbf16>, tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>, tensor<?x4x?xf32>, tensor<?x2x?xf32>,
       tensor<?x4x?x80xbf16>, tensor<?x4x?xf32>) -> (tensor<?x4x?x80xbf16>, tensor<?x4x?xf32>)
  return %o#0, %o#1 : tensor<?x4x?x80xbf16>, tensor<?x4x?xf32>
}

func.func @attention_f16(%q: tensor<?x4x?x64xf16>, %k: tensor<?x4x?x64xf16>, %v: tensor<?x4x?x64xf16>, %e: tensor<?x4x?x64xf16>) -> tensor<?x4x?x64xf16> {
  %o = repo.attention %q, %k, %v into %e {window = array<i64: 5, 3>}
    : (tensor<?x4x?x64xf16>, tensor<?x4x?x64xf16>, tensor<?x4x?x64xf16>, tensor<?x4x?x64xf16>) -> tensor<?x4x?x64xf16>
  return %o : tensor<?x4x?x64xf16>
}

func.func @rotate(%x: tensor<?x4x?x96xf32>, %z: tensor<?x4x?xf32>) -> tensor<?x4x?x96xf32> {
  %y = repo.rotate %x by(%z) {rope = #r} : (tensor<?x4x?x96xf32>, tensor<?x4x?xf32>) -> tensor<?x4x?x96xf32>
  return %y : tensor<?x4x?x96xf32>
}

func.func @positions(%h: tensor<?x?x256xbf16>, %gate: tensor<32x256xbf16>, %content: tensor<32x256xbf16>, %heads: tensor<2x32xbf16>) -> tensor<?x2x?xf32> {
  %z = repo.assign_positions %h gate(%gate) content(%content) heads(%heads)
     : (tensor<?x?x256xbf16>, tensor<32x256xbf16>, tensor<32x256xbf16>, tensor<2x32xbf16>) -> tensor<?x2x?xf32>
  return %z : tensor<?x2x?xf32>
}

func.func @append(%k: tensor<?x2x?x96xbf16>, %v: tensor<?x2x?x80xbf16>, %z: tensor<?x2x?xf32>, %at: tensor<?xi32>,
    %kc: tensor<?x2x?x96xbf16> {repo.inout = 0 : index}, %vc: tensor<?x2x?x80xbf16> {repo.inout = 1 : index})
    -> (tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>) {
  %r:2 = repo.cache_append %k, %v positions(%z) at(%at) into %kc, %vc {rope = #r}
    : (tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>, tensor<?x2x?xf32>, tensor<?xi32>, tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>)
      -> (tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>)
  return %r#0, %r#1 : tensor<?x2x?x96xbf16>, tensor<?x2x?x80xbf16>
}
