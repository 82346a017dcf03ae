// The hot loops of attention by their assembly.

// RUN: repo-compile %s -o %t.s --emit=asm --cpu=x86-64-v3
// RUN: FileCheck %s --input-file=%t.s

// Scores on AVX2: 4 keys by 3 vectors of queries. All 16 registers are used, no sum is kept in memory.
// CHECK: vbroadcastss 512(%r{{([ds]i|[a-d]x|[0-9]+)}},
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vbroadcastss 1024(
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vbroadcastss 1536(
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: vfmadd231ps %ymm
// CHECK-NEXT: incq
// CHECK-NEXT: addq
// CHECK-NEXT: cmpq
// CHECK-NEXT: jne
// No call but of memory functions.
// CHECK-NOT: call{{.*(exp|sin|cos)}}
func.func @f(%q: tensor<1x16x?x128xf32>, %k: tensor<1x16x?x128xf32>, %v: tensor<1x16x?x128xf32>,
             %z: tensor<1x16x?xf32>) -> tensor<1x16x?x128xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<1x16x?x128xf32>
  %init = tensor.empty(%n) : tensor<1x16x?x128xf32>
  %o = repo.attention %q, %k, %v query_positions(%z) key_positions(%z) into %init
      {causal, rope = #repo.rope<theta = 5.0e5, dim = 128>}
    : (tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>, tensor<1x16x?x128xf32>, tensor<1x16x?xf32>, tensor<1x16x?xf32>,
       tensor<1x16x?x128xf32>) -> tensor<1x16x?x128xf32>
  return %o : tensor<1x16x?x128xf32>
}

// bf16 by pairs: a pair of a row in all lanes meets 4 panels, with nothing between; what is rounded is rounded by an instruction.
// RUN: repo-compile %s -o %t.pairs.s --emit=asm --cpu=x86-64-v4 --features=+avx512bf16
// RUN: FileCheck %s --check-prefix=PAIRS --input-file=%t.pairs.s
// PAIRS-LABEL: short.body.task
// PAIRS: vbroadcastss -256(
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vbroadcastss (
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vbroadcastss 256(
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: vdpbf16ps %zmm
// PAIRS-NEXT: {{incq|addq}}
// PAIRS-NEXT: {{incq|addq}}
// PAIRS-NEXT: jne
// PAIRS: vcvtne2ps2bf16
func.func @short(%q: tensor<1x16x?x128xbf16>, %k: tensor<1x16x?x128xbf16>, %v: tensor<1x16x?x128xbf16>) -> tensor<1x16x?x128xbf16> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<1x16x?x128xbf16>
  %init = tensor.empty(%n) : tensor<1x16x?x128xbf16>
  %o = repo.attention %q, %k, %v into %init {causal}
    : (tensor<1x16x?x128xbf16>, tensor<1x16x?x128xbf16>, tensor<1x16x?x128xbf16>, tensor<1x16x?x128xbf16>) -> tensor<1x16x?x128xbf16>
  return %o : tensor<1x16x?x128xbf16>
}
