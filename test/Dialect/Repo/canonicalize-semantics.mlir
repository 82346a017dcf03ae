// RUN: repo-opt %s --repo-decompose | %run_decomposed | FileCheck %s
// RUN: repo-opt %s --canonicalize --repo-decompose | %run_decomposed | FileCheck %s

// Each identity of canonicalize.mlir, evaluated: the numbers do not depend on
// whether it was applied. A function per case keeps its operands from being
// constants of the case.

#id = affine_map<(b, h, n) -> (b, h, n)>

func.func private @printMemrefF64(tensor<*xf64> {bufferization.access = "read"}) attributes {llvm.emit_c_interface}

func.func @compose(%x: tensor<1x2x2x5xf64>, %z: tensor<1x2x2xf64>, %y: tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64> {
  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+2, dim = 4, layout = interleaved>} : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64>
  %1 = repo.rotate %0 by(%y) {rope = #repo.rope<theta = 1.0E+2, dim = 4, layout = interleaved>} : (tensor<1x2x2x5xf64>, tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @scaled(%x: tensor<1x2x2x5xf64>, %z: tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64> {
  %s = arith.constant 0.25 : f64
  %empty = tensor.empty() : tensor<1x2x2xf64>
  %zs = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%z : tensor<1x2x2xf64>) outs(%empty : tensor<1x2x2xf64>) {
  ^bb0(%in: f64, %out: f64):
    %m = arith.mulf %in, %s : f64
    linalg.yield %m : f64
  } -> tensor<1x2x2xf64>
  %1 = repo.rotate %x by(%zs) {rope = #repo.rope<theta = 1.0E+2, dim = 4, scaling = #repo.linear<factor = 2.0>>} : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @constant_positions(%x: tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64> {
  %c = arith.constant dense<3.0> : tensor<1x2x2xf64>
  %o = tensor.empty() : tensor<1x2x2x5xf64>
  %1 = repo.attention %x, %x, %x query_positions(%c) key_positions(%c) into %o {causal, scale = 0.2 : f64, rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x2x2xf64>, tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @zero_positions(%x: tensor<1x2x2x5xf64>, %z: tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64> {
  %c = arith.constant dense<0.0> : tensor<1x1x2xf64>
  %o = tensor.empty() : tensor<1x2x2x5xf64>
  %1 = repo.attention %x, %x, %x query_positions(%c) key_positions(%z) into %o {causal, scale = 0.2 : f64, rope = #repo.rope<theta = 1.0E+2, dim = 4, layout = interleaved>}
     : (tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x1x2xf64>, tensor<1x2x2xf64>, tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @equal_shifts(%x: tensor<1x2x2x5xf64>, %z: tensor<1x2x2xf64>, %y: tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64> {
  %c = arith.constant dense<1.5> : tensor<1x2x2xf64>
  %d = arith.constant dense<1.5> : tensor<1x1x2xf64>
  %zq = arith.addf %z, %c : tensor<1x2x2xf64>
  %zk = arith.addf %d, %y : tensor<1x1x2xf64>
  %o = tensor.empty() : tensor<1x2x2x5xf64>
  %1 = repo.attention %x, %x, %x query_positions(%zq) key_positions(%zk) into %o {causal, scale = 0.2 : f64, rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x1x2xf64>, tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @index_offsets(%x: tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64> {
  %c = arith.constant 9 : index
  %d = arith.constant 6 : index
  %zq = repo.index_positions offset(%c) : (index) -> tensor<1x1x2xf64>
  %zk = repo.index_positions offset(%d) : (index) -> tensor<1x1x2xf64>
  %o = tensor.empty() : tensor<1x2x2x5xf64>
  %1 = repo.attention %x, %x, %x query_positions(%zq) key_positions(%zk) into %o {causal, scale = 0.2 : f64, rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x1x2xf64>, tensor<1x1x2xf64>, tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @equal_scales(%x: tensor<1x2x2x5xf64>, %z: tensor<1x2x2xf64>, %y: tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64> {
  %c = arith.constant dense<0.5> : tensor<1x2x2xf64>
  %d = arith.constant dense<0.5> : tensor<1x1x2xf64>
  %zq = arith.mulf %z, %c : tensor<1x2x2xf64>
  %zk = arith.mulf %d, %y : tensor<1x1x2xf64>
  %o = tensor.empty() : tensor<1x2x2x5xf64>
  %1 = repo.attention %x, %x, %x query_positions(%zq) key_positions(%zk) into %o {causal, scale = 0.2 : f64, rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x1x2xf64>, tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  return %1 : tensor<1x2x2x5xf64>
}

func.func @constant_positions_magnitude(%x: tensor<1x2x2x5xf64>) -> tensor<1x2x2x4xf64> {
  %s = tensor.extract_slice %x[0, 0, 0, 0] [1, 2, 2, 4] [1, 1, 1, 1] : tensor<1x2x2x5xf64> to tensor<1x2x2x4xf64>
  %c = arith.constant dense<3.0> : tensor<1x1x2xf64>
  %o = tensor.empty() : tensor<1x2x2x4xf64>
  %1 = repo.attention %s, %s, %s query_positions(%c) key_positions(%c) into %o
       {rope = #repo.rope<theta = 1.0E+2, dim = 4, scaling = #repo.yarn<factor = 2.0, original = 64, attention_factor = 1.5>>}
     : (tensor<1x2x2x4xf64>, tensor<1x2x2x4xf64>, tensor<1x2x2x4xf64>, tensor<1x1x2xf64>, tensor<1x1x2xf64>, tensor<1x2x2x4xf64>) -> tensor<1x2x2x4xf64>
  return %1 : tensor<1x2x2x4xf64>
}

func.func @blend_of_index(%z: tensor<1x2x2xf64>) -> tensor<1x2x2xf64> {
  %c = arith.constant 4 : index
  %i = repo.index_positions offset(%c) : (index) -> tensor<1x1x2xf64>
  %1 = repo.blend_positions %z, %i {weight = 1.0 : f64} : (tensor<1x2x2xf64>, tensor<1x1x2xf64>) -> tensor<1x2x2xf64>
  return %1 : tensor<1x2x2xf64>
}

func.func @main() {
  %x = arith.constant dense<[[[[0.5, -1.0, 2.0, 0.25, 3.0], [1.5, 0.75, -0.5, 1.0, -2.0]], [[-0.25, 2.0, 1.0, -1.5, 0.5], [1.0, -0.75, 0.25, 2.0, 1.25]]]]> : tensor<1x2x2x5xf64>
  %z = arith.constant dense<[[[1.0, -2.5], [0.5, 3.0]]]> : tensor<1x2x2xf64>
  %y = arith.constant dense<[[[2.0, 0.75]]]> : tensor<1x1x2xf64>
  // compose
  // CHECK: -0.353876,     1.06055,     1.83679,     0.829875,     3
  // CHECK: 0.47062,     -1.60966,     -0.318255,     1.07178,     -2
  // CHECK: -0.996658,     -1.75191,     1.34002,     -1.20596,     0.5
  // CHECK: -1.24923,     0.0438582,     -0.499918,     1.95258,     1.25
  %compose = call @compose(%x, %z, %y) : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64>
  %u_compose = tensor.cast %compose : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_compose) : (tensor<*xf64>) -> ()
  // scaled
  // CHECK: 0.246749,     -1.00305,     2.04673,     0.237481,     3
  // CHECK: 1.27363,     0.780879,     -0.936942,     0.976078,     -2
  // CHECK: -0.311971,     2.00934,     0.982433,     -1.48747,     0.5
  // CHECK: 0.838939,     -0.824455,     0.598899,     1.97048,     1.25
  %scaled = call @scaled(%x, %z) : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64>
  %u_scaled = tensor.cast %scaled : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_scaled) : (tensor<*xf64>) -> ()
  // constant positions
  // CHECK: 0.5,     -1,     2,     0.25,     3
  // CHECK: 1.45085,     0.663989,     -0.377127,     0.963138,     -1.75425
  // CHECK: -0.25,     2,     1,     -1.5,     0.5
  // CHECK: 0.876708,     -0.478758,     0.323975,     1.65478,     1.17602
  %constant_positions = call @constant_positions(%x) : (tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  %u_constant_positions = tensor.cast %constant_positions : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_constant_positions) : (tensor<*xf64>) -> ()
  // zero positions
  // CHECK: 0.5,     -1,     2,     0.25,     3
  // CHECK: 1.32961,     0.451815,     -0.0740211,     0.872206,     -1.14804
  // CHECK: -0.25,     2,     1,     -1.5,     0.5
  // CHECK: 0.800441,     -0.310971,     0.369735,     1.44124,     1.13026
  %zero_positions = call @zero_positions(%x, %z) : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>) -> tensor<1x2x2x5xf64>
  %u_zero_positions = tensor.cast %zero_positions : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_zero_positions) : (tensor<*xf64>) -> ()
  // equal shifts
  // CHECK: 0.5,     -1,     2,     0.25,     3
  // CHECK: 1.29356,     0.388722,     0.0161117,     0.845166,     -0.967777
  // CHECK: -0.25,     2,     1,     -1.5,     0.5
  // CHECK: 0.809776,     -0.331506,     0.364135,     1.46737,     1.13587
  %equal_shifts = call @equal_shifts(%x, %z, %y) : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64>
  %u_equal_shifts = tensor.cast %equal_shifts : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_equal_shifts) : (tensor<*xf64>) -> ()
  // index offsets
  // CHECK: 0.5,     -1,     2,     0.25,     3
  // CHECK: 1.40572,     0.585002,     -0.264288,     0.929286,     -1.52858
  // CHECK: -0.25,     2,     1,     -1.5,     0.5
  // CHECK: 0.859014,     -0.43983,     0.334592,     1.60524,     1.16541
  %index_offsets = call @index_offsets(%x) : (tensor<1x2x2x5xf64>) -> tensor<1x2x2x5xf64>
  %u_index_offsets = tensor.cast %index_offsets : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_index_offsets) : (tensor<*xf64>) -> ()
  // equal scales
  // CHECK: 0.5,     -1,     2,     0.25,     3
  // CHECK: 1.44815,     0.659258,     -0.370368,     0.96111,     -1.74074
  // CHECK: -0.25,     2,     1,     -1.5,     0.5
  // CHECK: 0.852511,     -0.425524,     0.338493,     1.58703,     1.16151
  %equal_scales = call @equal_scales(%x, %z, %y) : (tensor<1x2x2x5xf64>, tensor<1x2x2xf64>, tensor<1x1x2xf64>) -> tensor<1x2x2x5xf64>
  %u_equal_scales = tensor.cast %equal_scales : tensor<1x2x2x5xf64> to tensor<*xf64>
  call @printMemrefF64(%u_equal_scales) : (tensor<*xf64>) -> ()
  // constant positions magnitude
  // CHECK: 0.50109,     -0.998092,     1.99727,     0.250818
  // CHECK: 1.49557,     0.742241,     -0.488916,     0.996675
  // CHECK: -0.249998,     2,     0.999999,     -1.49999
  // CHECK: 0.999986,     -0.749969,     0.250008,     1.99996
  %constant_positions_magnitude = call @constant_positions_magnitude(%x) : (tensor<1x2x2x5xf64>) -> tensor<1x2x2x4xf64>
  %u_constant_positions_magnitude = tensor.cast %constant_positions_magnitude : tensor<1x2x2x4xf64> to tensor<*xf64>
  call @printMemrefF64(%u_constant_positions_magnitude) : (tensor<*xf64>) -> ()
  // blend of index
  // CHECK: 4,    5
  // CHECK: 4,    5
  %blend_of_index = call @blend_of_index(%z) : (tensor<1x2x2xf64>) -> tensor<1x2x2xf64>
  %u_blend_of_index = tensor.cast %blend_of_index : tensor<1x2x2xf64> to tensor<*xf64>
  call @printMemrefF64(%u_blend_of_index) : (tensor<*xf64>) -> ()
  return
}
