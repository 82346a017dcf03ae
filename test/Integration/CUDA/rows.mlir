// What a model does between its products of matrices is one pass over memory: f_phi behind its first product, the norm of the
// keys over all heads, their rotation and the write to a cache in pages are one kernel, in accesses of 16 bytes.

// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=mlir --stop-after=vector -o - | FileCheck %s --check-prefix=KERNELS
// RUN: repo-compile %s --target=cuda --chip=sm_90a --emit=ptx -o - | FileCheck %s --check-prefix=PTX
// RUN: %if ptxas %{ repo-compile %s --target=cuda --chip=sm_80 --emit=cubin --report -o %t.cubin 2>&1 | FileCheck %s --check-prefix=REPORT %}

// KERNELS-LABEL: func.func @append
// KERNELS: gpu.launch_func @kernels::@append_rows0
// KERNELS-NOT: gpu.launch_func
// KERNELS: return

// PTX-LABEL: .entry append_rows0(
// PTX: ld.global.v4.b32
// PTX: shfl.sync.bfly
// PTX: bar.sync
// PTX: ld.shared.v4.b32
// PTX: st.global.v4.b32

// REPORT: remark: 10 ops on the same rows in one kernel
// REPORT: kernel `append_rows0`: {{[0-9]+}} registers, {{[0-9]+}} bytes of shared memory, 0 bytes of spills

#r = #repo.rope<theta = 500000.0, dim = 128>
#element = affine_map<(b, n, i) -> (b, n, i)>
#token = affine_map<(b, n, i) -> (b, n)>
#channel = affine_map<(b, n, i) -> (i)>
#in = affine_map<(b, h, n, m) -> (b, n, m)>
#heads = affine_map<(b, h, n, m) -> (h, m)>
#positions = affine_map<(b, h, n, m) -> (b, h, n)>

func.func @append(%gate: tensor<?x?x256xf32>, %content: tensor<?x?x256xf32>, %w_pos: tensor<16x256xbf16>,
    %k: tensor<?x?x2048xf32>, %w: tensor<2048xbf16>, %v: tensor<?x?x2048xf32>, %at: tensor<?xi32>, %table: tensor<?x?xi32>,
    %kc: tensor<?x16x64x128xbf16> {repo.inout = 0 : index}, %vc: tensor<?x16x64x128xbf16> {repo.inout = 1 : index})
    -> (tensor<?x16x64x128xbf16>, tensor<?x16x64x128xbf16>, tensor<?x16x?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %b = tensor.dim %k, %c0 : tensor<?x?x2048xf32>
  %n = tensor.dim %k, %c1 : tensor<?x?x2048xf32>
  %e = tensor.empty(%b, %n) : tensor<?x?x256xf32>
  %r = linalg.generic {indexing_maps = [#element, #element, #element], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%gate, %content : tensor<?x?x256xf32>, tensor<?x?x256xf32>) outs(%e : tensor<?x?x256xf32>) {
  ^bb0(%g: f32, %c: f32, %unused: f32):
    %minus = arith.negf %g : f32
    %exp = math.exp %minus : f32
    %sum = arith.addf %exp, %one : f32
    %silu = arith.divf %g, %sum : f32
    %product = arith.mulf %silu, %c : f32
    linalg.yield %product : f32
  } -> tensor<?x?x256xf32>
  %ez = tensor.empty(%b, %n) : tensor<?x16x?xf32>
  %fz = linalg.fill ins(%zero : f32) outs(%ez : tensor<?x16x?xf32>) -> tensor<?x16x?xf32>
  %z = linalg.generic {indexing_maps = [#heads, #in, #positions], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%w_pos, %r : tensor<16x256xbf16>, tensor<?x?x256xf32>) outs(%fz : tensor<?x16x?xf32>) {
  ^bb0(%a: bf16, %c: f32, %sum: f32):
    %wide = arith.extf %a : bf16 to f32
    %product = arith.mulf %wide, %c : f32
    %next = arith.addf %sum, %product : f32
    linalg.yield %next : f32
  } -> tensor<?x16x?xf32>
  %es = tensor.empty(%b, %n) : tensor<?x?xf32>
  %fs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x?xf32>) -> tensor<?x?xf32>
  %s = linalg.generic {indexing_maps = [#element, #token], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k : tensor<?x?x2048xf32>) outs(%fs : tensor<?x?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %square = arith.mulf %x, %x : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  } -> tensor<?x?xf32>
  %ek = tensor.empty(%b, %n) : tensor<?x?x2048xf32>
  %normed = linalg.generic {indexing_maps = [#element, #token, #channel, #element], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%k, %s, %w : tensor<?x?x2048xf32>, tensor<?x?xf32>, tensor<2048xbf16>) outs(%ek : tensor<?x?x2048xf32>) {
  ^bb0(%x: f32, %sum: f32, %weight: bf16, %unused: f32):
    %width = arith.constant 2048.0 : f32
    %epsilon = arith.constant 1.0e-6 : f32
    %mean = arith.divf %sum, %width : f32
    %shifted = arith.addf %mean, %epsilon : f32
    %root = math.sqrt %shifted : f32
    %scaled = arith.divf %x, %root : f32
    %wide = arith.extf %weight : bf16 to f32
    %result = arith.mulf %wide, %scaled : f32
    linalg.yield %result : f32
  } -> tensor<?x?x2048xf32>
  %keys = tensor.expand_shape %normed [[0], [1], [2, 3]] output_shape [%b, %n, 16, 128] : tensor<?x?x2048xf32> into tensor<?x?x16x128xf32>
  %values = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [%b, %n, 16, 128] : tensor<?x?x2048xf32> into tensor<?x?x16x128xf32>
  %caches:2 = repo.cache_append %keys, %values positions(%z) at(%at) table(%table) into %kc, %vc
      {rope = #r, layouts = [affine_map<(b, h, n, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, d, e) -> (b, n, h, e)>]}
      : (tensor<?x?x16x128xf32>, tensor<?x?x16x128xf32>, tensor<?x16x?xf32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?x16x64x128xbf16>,
         tensor<?x16x64x128xbf16>) -> (tensor<?x16x64x128xbf16>, tensor<?x16x64x128xbf16>)
  return %caches#0, %caches#1, %z : tensor<?x16x64x128xbf16>, tensor<?x16x64x128xbf16>, tensor<?x16x?xf32>
}
