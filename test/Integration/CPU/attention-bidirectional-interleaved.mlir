// No mask, interleaved pairs. Held against the
// published reference implementation on the reference path.

// RUN: repo-compile %s -o %t.so --pipeline=reference
// RUN: repo-run %t.so --entry=attention --inputs=%golden/attention-bidirectional-interleaved.safetensors --expect=%golden/attention-bidirectional-interleaved.safetensors --atol=3e-6 | FileCheck %s
// CHECK: out: largest error
// CHECK: lse: largest error

#r = #repo.rope<theta = 10000.0, dim = 64, layout = interleaved>
func.func @attention(
    %q: tensor<?x2x?x64xf32> {repo.name = "q"},
    %k: tensor<?x2x?x64xf32> {repo.name = "k"},
    %v: tensor<?x2x?x64xf32> {repo.name = "v"},
    %zq: tensor<?x2x?xf32> {repo.name = "zq"},
    %zk: tensor<?x2x?xf32> {repo.name = "zk"})
    -> (tensor<?x2x?x64xf32> {repo.name = "out"}, tensor<?x2x?xf32> {repo.name = "lse"}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x?x64xf32>
  %n = tensor.dim %q, %c2 : tensor<?x2x?x64xf32>
  %e = tensor.empty(%b, %n) : tensor<?x2x?x64xf32>
  %l = tensor.empty(%b, %n) : tensor<?x2x?xf32>
  %o:2 = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %e, %l {rope = #r}
    : (tensor<?x2x?x64xf32>, tensor<?x2x?x64xf32>, tensor<?x2x?x64xf32>, tensor<?x2x?xf32>, tensor<?x2x?xf32>,
       tensor<?x2x?x64xf32>, tensor<?x2x?xf32>) -> (tensor<?x2x?x64xf32>, tensor<?x2x?xf32>)
  return %o#0, %o#1 : tensor<?x2x?x64xf32>, tensor<?x2x?xf32>
}
