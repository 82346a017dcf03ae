// RUN: repo-opt %s --repo-select-kernel-strategy=report 2>&1 | FileCheck %s
// RUN: repo-opt %s --repo-select-kernel-strategy="chip=sm_90a report" 2>&1 | FileCheck %s --check-prefix=SM90
// RUN: repo-opt %s --repo-select-kernel-strategy --repo-decompose=keep-kernels | FileCheck %s --check-prefix=KEPT

// A position assignment of OLMo-2 1B writes to an output that it is given.
// CHECK: remark: positions by mma: 64 tokens by 64 columns, 3 stages, 4 warps; cycles of 64 channels on sm_80: tensor 512, issue 136, shared memory 576, cache 522; special functions 512 once; 4096 tokens take 56832 cycles
// SM90: remark: positions by wgmma: 128 tokens by 64 columns, 3 stages, 8 warps; cycles of 64 channels on sm_90a: tensor 512, issue 48, shared memory 384, cache 1365;
// CHECK: remark: positions by plain kernels: its hidden states and weights are not all bf16 or all f16
// CHECK: remark: positions by plain kernels: its channels are not a multiple of 64
// CHECK: remark: positions by plain kernels: its gate does not have a multiple of 64 columns
// CHECK-LABEL: func.func @olmo
// CHECK: %[[OUT:.*]] = tensor.empty(%{{.*}}, %{{.*}}) : tensor<?x16x?xf32>
// CHECK: repo.assign_positions %arg0 gate(%arg1) content(%arg2) heads(%arg3) into %[[OUT]]
// CHECK-SAME: kernel_strategy = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 3, warps = 4>
// KEPT-LABEL: func.func @olmo
// KEPT: repo.assign_positions
// KEPT-LABEL: func.func @plain
// KEPT-NOT: repo.assign_positions
func.func @olmo(%h: tensor<?x?x2048xbf16>, %g: tensor<256x2048xbf16>, %c: tensor<256x2048xbf16>, %w: tensor<16x256xbf16>) -> tensor<?x16x?xf32> {
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%w)
    : (tensor<?x?x2048xbf16>, tensor<256x2048xbf16>, tensor<256x2048xbf16>, tensor<16x256xbf16>) -> tensor<?x16x?xf32>
  return %z : tensor<?x16x?xf32>
}

func.func @plain(%h: tensor<1x5x128xbf16>, %h96: tensor<1x5x96xbf16>, %g: tensor<64x128xbf16>, %gf: tensor<64x128xf32>, %g96: tensor<64x96xbf16>,
                 %g24: tensor<24x128xbf16>, %w: tensor<2x64xbf16>, %w24: tensor<2x24xbf16>) -> (tensor<1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>) {
  %0 = repo.assign_positions %h gate(%gf) content(%gf) heads(%w)
    : (tensor<1x5x128xbf16>, tensor<64x128xf32>, tensor<64x128xf32>, tensor<2x64xbf16>) -> tensor<1x2x5xf32>
  %1 = repo.assign_positions %h96 gate(%g96) content(%g96) heads(%w)
    : (tensor<1x5x96xbf16>, tensor<64x96xbf16>, tensor<64x96xbf16>, tensor<2x64xbf16>) -> tensor<1x2x5xf32>
  %2 = repo.assign_positions %h gate(%g24) content(%g24) heads(%w24)
    : (tensor<1x5x128xbf16>, tensor<24x128xbf16>, tensor<24x128xbf16>, tensor<2x24xbf16>) -> tensor<1x2x5xf32>
  return %0, %1, %2 : tensor<1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>
}
