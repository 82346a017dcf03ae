// The positions of the reference's layer (up to 43), on the reference path. The golden file
// names the weights as checkpoints do.

// RUN: repo-compile %s -o %t.so --pipeline=reference
// RUN: repo-run %t.so --entry=positions --inputs=%golden/layer-repo.safetensors --expect=%golden/layer-repo.safetensors --atol=8e-5 | FileCheck %s
// CHECK: z: largest error

func.func @positions(
    %h: tensor<?x?x256xf32> {repo.name = "h"},
    %gate: tensor<32x256xf32> {repo.constant, repo.name = "gate_map.weight"},
    %content: tensor<32x256xf32> {repo.constant, repo.name = "content_map.weight"},
    %heads: tensor<2x32xf32> {repo.constant, repo.name = "final_map.weight"})
    -> (tensor<?x2x?xf32> {repo.name = "z"}) {
  %z = repo.assign_positions %h gate(%gate) content(%content) heads(%heads)
     : (tensor<?x?x256xf32>, tensor<32x256xf32>, tensor<32x256xf32>, tensor<2x32xf32>) -> tensor<?x2x?xf32>
  return %z : tensor<?x2x?xf32>
}
