// The attention block of a RePo layer as its reference computes it: positions, projections, norms over all heads, rotation,
// causal attention, output projection. Held against the published reference implementation on both paths.

// RUN: repo-compile %s -o %t.so
// RUN: repo-run %t.so --entry=layer --inputs=%golden/layer-repo.safetensors --expect=%golden/layer-repo.safetensors --atol=8e-5 | FileCheck %s
// RUN: repo-compile %s -o %t-reference.so --pipeline=reference
// RUN: repo-run %t-reference.so --entry=layer --inputs=%golden/layer-repo.safetensors --expect=%golden/layer-repo.safetensors --atol=8e-5 | FileCheck %s
// CHECK: out: largest error
// CHECK: z: largest error

#rope = #repo.rope<theta = 500000.0, dim = 128>
#x = affine_map<(b, n, o, i) -> (b, n, i)>
#w = affine_map<(b, n, o, i) -> (o, i)>
#y = affine_map<(b, n, o, i) -> (b, n, o)>
#element = affine_map<(b, n, i) -> (b, n, i)>
#token = affine_map<(b, n, i) -> (b, n)>
#channel = affine_map<(b, n, i) -> (i)>
#bnhd_query = affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>
#bnhd_key = affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>
#bnhd_value = affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>
#bnhd_output = affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>

func.func private @project(%x: tensor<?x?x256xf32>, %w: tensor<256x256xf32>) -> tensor<?x?x256xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x256xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x256xf32>
  %empty = tensor.empty(%b, %n) : tensor<?x?x256xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?x256xf32>) -> tensor<?x?x256xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x?x256xf32>, tensor<256x256xf32>)
         outs(%zeros : tensor<?x?x256xf32>) -> tensor<?x?x256xf32>
  return %y : tensor<?x?x256xf32>
}

func.func private @norm(%x: tensor<?x?x256xf32>, %w: tensor<256xf32>) -> tensor<?x?x256xf32> {
  %zero = arith.constant 0.0 : f32
  %width = arith.constant 256.0 : f32
  %eps = arith.constant 1.0e-06 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x256xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x256xf32>
  %none = tensor.empty(%b, %n) : tensor<?x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%none : tensor<?x?xf32>) -> tensor<?x?xf32>
  %squares = linalg.generic {indexing_maps = [#element, #token], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x : tensor<?x?x256xf32>) outs(%zeros : tensor<?x?xf32>) {
  ^bb0(%in: f32, %sum: f32):
    %square = arith.mulf %in, %in : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  } -> tensor<?x?xf32>
  %empty = tensor.empty(%b, %n) : tensor<?x?x256xf32>
  %y = linalg.generic {indexing_maps = [#element, #token, #channel, #element], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %squares, %w : tensor<?x?x256xf32>, tensor<?x?xf32>, tensor<256xf32>) outs(%empty : tensor<?x?x256xf32>) {
  ^bb0(%in: f32, %sum: f32, %weight: f32, %unused: f32):
    %mean = arith.divf %sum, %width : f32
    %shifted = arith.addf %mean, %eps : f32
    %root = math.sqrt %shifted : f32
    %scaled = arith.divf %in, %root : f32
    %result = arith.mulf %weight, %scaled : f32
    linalg.yield %result : f32
  } -> tensor<?x?x256xf32>
  return %y : tensor<?x?x256xf32>
}

func.func @layer(
    %h: tensor<?x?x256xf32> {repo.name = "h"},
    %wq: tensor<256x256xf32> {repo.constant, repo.name = "q_proj.weight"},
    %wk: tensor<256x256xf32> {repo.constant, repo.name = "k_proj.weight"},
    %wv: tensor<256x256xf32> {repo.constant, repo.name = "v_proj.weight"},
    %wo: tensor<256x256xf32> {repo.constant, repo.name = "o_proj.weight"},
    %nq: tensor<256xf32> {repo.constant, repo.name = "q_norm.weight"},
    %nk: tensor<256xf32> {repo.constant, repo.name = "k_norm.weight"},
    %wg: tensor<32x256xf32> {repo.constant, repo.name = "gate_map.weight"},
    %wc: tensor<32x256xf32> {repo.constant, repo.name = "content_map.weight"},
    %wz: tensor<2x32xf32> {repo.constant, repo.name = "final_map.weight"})
    -> (tensor<?x?x256xf32> {repo.name = "out"}, tensor<?x2x?xf32> {repo.name = "z"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %h, %c0 : tensor<?x?x256xf32>
  %n = tensor.dim %h, %c1 : tensor<?x?x256xf32>
  %z = repo.assign_positions %h gate(%wg) content(%wc) heads(%wz)
     : (tensor<?x?x256xf32>, tensor<32x256xf32>, tensor<32x256xf32>, tensor<2x32xf32>) -> tensor<?x2x?xf32>
  %q0 = call @project(%h, %wq) : (tensor<?x?x256xf32>, tensor<256x256xf32>) -> tensor<?x?x256xf32>
  %k0 = call @project(%h, %wk) : (tensor<?x?x256xf32>, tensor<256x256xf32>) -> tensor<?x?x256xf32>
  %v0 = call @project(%h, %wv) : (tensor<?x?x256xf32>, tensor<256x256xf32>) -> tensor<?x?x256xf32>
  %q1 = call @norm(%q0, %nq) : (tensor<?x?x256xf32>, tensor<256xf32>) -> tensor<?x?x256xf32>
  %k1 = call @norm(%k0, %nk) : (tensor<?x?x256xf32>, tensor<256xf32>) -> tensor<?x?x256xf32>
  %q = tensor.expand_shape %q1 [[0], [1], [2, 3]] output_shape [%b, %n, 2, 128] : tensor<?x?x256xf32> into tensor<?x?x2x128xf32>
  %k = tensor.expand_shape %k1 [[0], [1], [2, 3]] output_shape [%b, %n, 2, 128] : tensor<?x?x256xf32> into tensor<?x?x2x128xf32>
  %v = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [%b, %n, 2, 128] : tensor<?x?x256xf32> into tensor<?x?x2x128xf32>
  %empty = tensor.empty(%b, %n) : tensor<?x?x2x128xf32>
  %heads = repo.attention %q, %k, %v query_positions(%z) key_positions(%z) into %empty
      {causal, rope = #rope, layouts = [#bnhd_query, #bnhd_key, #bnhd_value, #bnhd_output]}
      : (tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32>, tensor<?x?x2x128xf32>, tensor<?x2x?xf32>, tensor<?x2x?xf32>,
         tensor<?x?x2x128xf32>) -> tensor<?x?x2x128xf32>
  %merged = tensor.collapse_shape %heads [[0], [1], [2, 3]] : tensor<?x?x2x128xf32> into tensor<?x?x256xf32>
  %out = call @project(%merged, %wo) : (tensor<?x?x256xf32>, tensor<256x256xf32>) -> tensor<?x?x256xf32>
  return %out, %z : tensor<?x?x256xf32>, tensor<?x2x?xf32>
}
