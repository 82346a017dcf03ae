// RUN: repo-opt %s --repo-decompose --split-input-file | FileCheck %s
// RUN: repo-opt %s --repo-decompose --split-input-file | mlir-opt --split-input-file -o /dev/null

// CHECK-LABEL: func @half
func.func @half(%x: tensor<1x2x?x8xf32>, %z: tensor<1x2x?xf32>) -> tensor<1x2x?x8xf32> {
  // 100^(-2f/8) in double precision, rounded once.
  // CHECK-DAG: arith.constant dense<[1.000000e+00, 0.316227764, 1.000000e-01, 0.0316227749]> : tensor<4xf32>
  // CHECK-DAG: tensor.extract_slice %{{.*}}[0, 0, 0, 0] [1, 2, %{{.*}}, 4] [1, 1, 1, 1]
  // CHECK-DAG: tensor.extract_slice %{{.*}}[0, 0, 0, 4] [1, 2, %{{.*}}, 4] [1, 1, 1, 1]
  // CHECK: linalg.generic
  // CHECK: %[[A:.*]] = arith.mulf
  // CHECK: math.cos %[[A]]
  // CHECK: math.sin %[[A]]
  // CHECK: arith.subf
  // CHECK: arith.addf
  // CHECK: tensor.insert_slice %{{.*}}[0, 0, 0, 0] [1, 2, %{{.*}}, 4] [1, 1, 1, 1]
  // CHECK: tensor.insert_slice %{{.*}}[0, 0, 0, 4] [1, 2, %{{.*}}, 4] [1, 1, 1, 1]
  // CHECK-NOT: tensor.insert_slice
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+2, dim = 8>}
     : (tensor<1x2x?x8xf32>, tensor<1x2x?xf32>) -> tensor<1x2x?x8xf32>
  return %y : tensor<1x2x?x8xf32>
}

// -----

#bnhd = affine_map<(b, h, n, d) -> (b, n, h, d)>
#rope = #repo.rope<theta = 1.0E+2, dim = 4, layout = interleaved,
                   scaling = #repo.yarn<factor = 2.0, original = 64, attention_factor = 1.5>>
// CHECK-LABEL: func @partial_interleaved
func.func @partial_interleaved(%x: tensor<1x?x2x6xbf16>, %z: tensor<1x1x?xf32>, %w: tensor<2x2xf32>)
    -> tensor<1x?x2x6xbf16> {
  // One position for all heads, an operand for the frequencies of each.
  // CHECK: tensor.collapse_shape %{{.*}} {{\[}}[0], [1, 2]] : tensor<1x1x?xf32> into tensor<1x?xf32>
  // CHECK-DAG: tensor.extract_slice %{{.*}}[0, 0, 0, 0] [1, %{{.*}}, 2, 2] [1, 1, 1, 2]
  // CHECK-DAG: tensor.extract_slice %{{.*}}[0, 0, 0, 1] [1, %{{.*}}, 2, 2] [1, 1, 1, 2]
  // The magnitude, in the compute type; one rounding at the end.
  // CHECK: arith.constant 1.500000e+00 : f32
  // CHECK: arith.truncf %{{.*}} : f32 to bf16
  // Channels 4 and 5 stay.
  // CHECK: tensor.extract_slice %{{.*}}[0, 0, 0, 4] [1, %{{.*}}, 2, 2] [1, 1, 1, 1]
  // CHECK: tensor.insert_slice %{{.*}}[0, 0, 0, 4] [1, %{{.*}}, 2, 2] [1, 1, 1, 1]
  %y = repo.rotate %x by(%z) omega(%w) {rope = #rope, layout = #bnhd}
     : (tensor<1x?x2x6xbf16>, tensor<1x1x?xf32>, tensor<2x2xf32>) -> tensor<1x?x2x6xbf16>
  return %y : tensor<1x?x2x6xbf16>
}

// -----

// CHECK-LABEL: func @other_element_type
func.func @other_element_type(%x: tensor<1x2x0x4xbf16>, %z: tensor<1x2x0xf32>) -> tensor<1x2x0x4xf32> {
  // Nothing to slice.
  // CHECK-NEXT: tensor.empty() : tensor<1x2x0x4xf32>
  // CHECK-NEXT: return
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+2, dim = 4>}
     : (tensor<1x2x0x4xbf16>, tensor<1x2x0xf32>) -> tensor<1x2x0x4xf32>
  return %y : tensor<1x2x0x4xf32>
}
