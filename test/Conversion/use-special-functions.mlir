// Functions of the hardware compute what is rounded to 16 bits.

// RUN: repo-opt %s --repo-use-special-functions --cse | FileCheck %s
// RUN: repo-opt %s --repo-use-special-functions --repo-expand-trigonometry --repo-approximate-math | FileCheck %s --check-prefix=KEPT

#row = affine_map<(c) -> (c)>

// The angle is reduced exactly, once for sine and cosine.
// CHECK-LABEL: func @rounded
// CHECK:   math.fma
// CHECK:   arith.subf
// CHECK-COUNT-3: math.fma
// CHECK:   math.cos %[[R:.*]] fastmath<afn>
// CHECK-NOT: math.fma
// CHECK:   math.sin %[[R]] fastmath<afn>
// CHECK:   math.exp2 %{{.*}} fastmath<afn>
// CHECK:   arith.divf {{.*}} fastmath<afn>
// KEPT-LABEL: func @rounded
// KEPT:   math.cos
// KEPT:   math.sin
// KEPT:   math.exp2
func.func @rounded(%x: tensor<8xf32>, %y: tensor<8xbf16>) -> tensor<8xbf16> {
  %0 = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%y : tensor<8xbf16>) {
  ^bb0(%a: f32, %unused: bf16):
    %cos = math.cos %a : f32
    %sin = math.sin %a : f32
    %exp = math.exp %a : f32
    %sum = arith.addf %cos, %sin : f32
    %quotient = arith.divf %sum, %exp : f32
    %rounded = arith.truncf %quotient : f32 to bf16
    linalg.yield %rounded : bf16
  } -> tensor<8xbf16>
  return %0 : tensor<8xbf16>
}

// What stays in f32, or decides something, is computed to the last digits.
// CHECK-LABEL: func @kept
// CHECK-NOT: fastmath
// CHECK: return
func.func @kept(%x: tensor<8xf32>, %y: tensor<8xbf16>, %z: tensor<8xf32>) -> (tensor<8xbf16>, tensor<8xf32>) {
  %0:2 = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel"]}
      ins(%x : tensor<8xf32>) outs(%y, %z : tensor<8xbf16>, tensor<8xf32>) {
  ^bb0(%a: f32, %unused: bf16, %unused2: f32):
    %cos = math.cos %a : f32
    %exp = math.exp %a : f32
    %large = arith.cmpf ogt, %exp, %a : f32
    %chosen = arith.select %large, %a, %cos : f32
    %rounded = arith.truncf %chosen : f32 to bf16
    linalg.yield %rounded, %cos : bf16, f32
  } -> (tensor<8xbf16>, tensor<8xf32>)
  return %0#0, %0#1 : tensor<8xbf16>, tensor<8xf32>
}
