"""What stands between the products of an attention block: norms of queries and keys over all heads, rotation by real
positions, the write to the cache, attention to all it holds. One program for a GPU, and the same in torch."""

import repo_mlir as repo


def source(heads, size):
    width = heads * size
    rows, one = f"tensor<?x?x{width}xbf16>", f"tensor<?x?x{heads}x{size}xbf16>"
    cache, channel = f"tensor<?x{heads}x?x{size}xbf16>", f"tensor<{width}xbf16>"

    def norm(x):
        return f"""
  %{x}s = linalg.generic {{indexing_maps = [#element, #token], iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%{x} : {rows}) outs(%zeros : tensor<?x?xf32>) {{
  ^bb0(%a: bf16, %sum: f32):
    %wide = arith.extf %a : bf16 to f32
    %square = arith.mulf %wide, %wide : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  }} -> tensor<?x?xf32>
  %{x}e = tensor.empty(%b, %n) : {rows}
  %{x}n = linalg.generic {{indexing_maps = [#element, #token, #channel, #element], iterator_types = ["parallel", "parallel", "parallel"]}}
      ins(%{x}, %{x}s, %w{x} : {rows}, tensor<?x?xf32>, {channel}) outs(%{x}e : {rows}) {{
  ^bb0(%a: bf16, %sum: f32, %weight: bf16, %unused: bf16):
    %width = arith.constant {width}.0 : f32
    %epsilon = arith.constant 1.0e-6 : f32
    %mean = arith.divf %sum, %width : f32
    %shifted = arith.addf %mean, %epsilon : f32
    %root = math.sqrt %shifted : f32
    %wide = arith.extf %a : bf16 to f32
    %scaled = arith.divf %wide, %root : f32
    %factor = arith.extf %weight : bf16 to f32
    %product = arith.mulf %factor, %scaled : f32
    %rounded = arith.truncf %product : f32 to bf16
    linalg.yield %rounded : bf16
  }} -> {rows}
  %{x}h = tensor.expand_shape %{x}n [[0], [1], [2, 3]] output_shape [%b, %n, {heads}, {size}] : {rows} into {one}"""

    return f"""
#rope = #repo.rope<theta = 500000.0, dim = {size}>
#element = affine_map<(b, n, i) -> (b, n, i)>
#token = affine_map<(b, n, i) -> (b, n)>
#channel = affine_map<(b, n, i) -> (i)>
func.func @chain(%q: {rows}, %k: {rows}, %v: {rows}, %wq: {channel}, %wk: {channel}, %z: tensor<?x{heads}x?xf32>, %at: tensor<?xi32>,
    %kc: {cache} {{repo.inout = 0 : index}}, %vc: {cache} {{repo.inout = 1 : index}}, %out: {one} {{repo.inout = 2 : index}})
    -> ({cache}, {cache}, {one}) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %k, %c0 : {rows}
  %n = tensor.dim %k, %c1 : {rows}
  %sums = tensor.empty(%b, %n) : tensor<?x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%sums : tensor<?x?xf32>) -> tensor<?x?xf32>{norm("q")}{norm("k")}
  %vh = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [%b, %n, {heads}, {size}] : {rows} into {one}
  %caches:2 = repo.cache_append %kh, %vh positions(%z) at(%at) into %kc, %vc
      {{rope = #rope, layouts = [affine_map<(b, h, n, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, d, e) -> (b, n, h, e)>]}}
      : ({one}, {one}, tensor<?x{heads}x?xf32>, tensor<?xi32>, {cache}, {cache}) -> ({cache}, {cache})
  %o = repo.attention %qh, %caches#0, %caches#1 query_positions(%z) offset(%at) into %out
      {{causal, rope = #rope, layouts = [affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>, affine_map<(b, h, n, m, d, e) -> (b, h, m, d)>,
        affine_map<(b, h, n, m, d, e) -> (b, h, m, e)>, affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>]}}
      : ({one}, {cache}, {cache}, tensor<?x{heads}x?xf32>, tensor<?xi32>, {one}) -> {one}
  return %caches#0, %caches#1, %o : {cache}, {cache}, {one}
}}
"""


def ours(heads, size, target):
    """chain(q, k, v [B, N, H D], wq, wk [H D], z [B, H, N], at [B], caches [B, H, capacity, D], out [B, N, H, D])"""
    return repo.compile(source(heads, size), target=target)["chain"]


def peer(torch, heads, size, rotate, attention):
    """The same with the framework's kernels: norms, rotation, and writes compiled, so that it fuses what it can."""

    def norm(x, w):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * w).to(x.dtype)

    def prepare(q, k, v, wq, wk, z, start, kc, vc):
        def split(x):
            return x.unflatten(-1, (heads, size)).transpose(1, 2)
        end = start + q.shape[1]
        kc[:, :, start:end] = rotate(split(norm(k, wk)), z)
        vc[:, :, start:end] = split(v)
        return rotate(split(norm(q, wq)), z)

    prepare = torch.compile(prepare)

    def chain(q, k, v, wq, wk, z, start, kc, vc):
        turned = prepare(q, k, v, wq, wk, z, start, kc, vc)
        end = start + q.shape[1]
        return attention(turned, kc[:, :, :end], vc[:, :, :end])
    return chain
