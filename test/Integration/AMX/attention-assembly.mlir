// The hot loops of attention on the matrix unit, by their assembly: products woven
// with the softmax; no tile or vector is spilled; tiles are configured outside.

// RUN: repo-compile %s -o %t.s --emit=asm --cpu=x86-64-v4 --features=+amx-bf16,+avx512bf16
// RUN: %python %scripts/tile_schedule.py %t.s --check | FileCheck %s
// RUN: FileCheck %s --check-prefix=ASM --input-file=%t.s

// Scores of 32 queries by 16 keys a turn: a tile of keys and two of queries for two products.
// CHECK-DAG: loop: products 8, loads 12, stores 2, vectors 4{{[0-9]+}}, spills 0, tile spills 0, configurations 0, calls 0
// Values: 128 products on 32 tiles of sums, loaded and stored once.
// CHECK-DAG: straight: products 128, loads 192, stores 32, vectors {{[0-9]}}, spills 0, tile spills 0, configurations 0, calls 0

// Exponentials and rounding are single instructions, and no function is called for them.
// ASM-DAG: vscalefps
// ASM-DAG: vcvtne2ps2bf16
// ASM-NOT: exp2f
// ASM-NOT: {{call.*memset}}

#r = #repo.rope<theta = 500000.0, dim = 128>
func.func @attention(%q: tensor<1x4x?x128xbf16>, %k: tensor<1x2x?x128xbf16>, %v: tensor<1x2x?x128xbf16>,
                     %zq: tensor<1x4x?xf32>, %zk: tensor<1x2x?xf32>) -> tensor<1x4x?x128xbf16> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<1x4x?x128xbf16>
  %e = tensor.empty(%n) : tensor<1x4x?x128xbf16>
  %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %e {causal, rope = #r}
    : (tensor<1x4x?x128xbf16>, tensor<1x2x?x128xbf16>, tensor<1x2x?x128xbf16>, tensor<1x4x?xf32>, tensor<1x2x?xf32>,
       tensor<1x4x?x128xbf16>) -> tensor<1x4x?x128xbf16>
  return %o : tensor<1x4x?x128xbf16>
}
