// Causal attention of one head of 64 channels over any number of tokens; every token has a learned position.
#rope = #repo.rope<theta = 1.0e4, dim = 64>
func.func @attention(%q: tensor<1x1x?x64xf32>, %k: tensor<1x1x?x64xf32>, %v: tensor<1x1x?x64xf32>,
                     %z: tensor<1x1x?xf32>) -> tensor<1x1x?x64xf32> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<1x1x?x64xf32>
  %empty = tensor.empty(%n) : tensor<1x1x?x64xf32>
  %out = repo.attention %q, %k, %v query_positions(%z) key_positions(%z) into %empty {causal, rope = #rope}
    : (tensor<1x1x?x64xf32>, tensor<1x1x?x64xf32>, tensor<1x1x?x64xf32>, tensor<1x1x?xf32>, tensor<1x1x?xf32>,
       tensor<1x1x?x64xf32>) -> tensor<1x1x?x64xf32>
  return %out : tensor<1x1x?x64xf32>
}
