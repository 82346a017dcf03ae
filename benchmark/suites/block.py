"""An attention block with learned positions beside the same block with integer RoPE: what the positions cost.

d 2048, H 16, D 128, f32, weights packed once: q, k, v, positions, causal attention, output projection. Both
blocks are ours; the peer is the one with integer positions, so that `ours_over_peer` is below 1 by what learned
positions cost. Their share of the operations is in the case's name.
"""

import numpy as np

import repo_mlir as repo
from suites import Case

DEPTH, HEADS, SIZE, INNER = 2048, 16, 128, 256

LINEAR = """
  %{name}_zero = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x?x2048xf32>) -> tensor<1x?x2048xf32>
  %{name} = linalg.contract indexing_maps = [#x, #w, #y] ins(%{input}, %w{name} : tensor<1x?x2048xf32>, tensor<2048x2048xf32>)
    outs(%{name}_zero : tensor<1x?x2048xf32>) -> tensor<1x?x2048xf32>
"""
HEADS_OF = """
  %{name}h = tensor.expand_shape %{name} [[0], [1], [2, 3]] output_shape [1, %n, 16, 128]
    : tensor<1x?x2048xf32> into tensor<1x?x16x128xf32>
"""
LEARNED = """
  %z = repo.assign_positions %h gate(%wg) content(%wc) heads(%wz)
    : (tensor<1x?x2048xf32>, tensor<256x2048xf32>, tensor<256x2048xf32>, tensor<16x256xf32>) -> tensor<1x16x?xf32>
"""
INTEGER = """
  %z = repo.index_positions sizes(%n) : (index) -> tensor<1x1x?xf32>
"""


def source(learned):
    positions = "tensor<1x16x?xf32>" if learned else "tensor<1x1x?xf32>"
    heads = "tensor<1x?x16x128xf32>"
    weights = ", ".join(f"%w{name}: tensor<2048x2048xf32> {{repo.constant}}" for name in "qkvo")
    if learned:
        weights += (", %wg: tensor<256x2048xf32> {repo.constant}, %wc: tensor<256x2048xf32> {repo.constant}"
                    ", %wz: tensor<16x256xf32> {repo.constant}")
    return f"""
#x = affine_map<(b, n, o, i) -> (b, n, i)>
#w = affine_map<(b, n, o, i) -> (o, i)>
#y = affine_map<(b, n, o, i) -> (b, n, o)>
#query = affine_map<(b, h, n, m, d, e) -> (b, n, h, d)>
#key = affine_map<(b, h, n, m, d, e) -> (b, m, h, d)>
#value = affine_map<(b, h, n, m, d, e) -> (b, m, h, e)>
#output = affine_map<(b, h, n, m, d, e) -> (b, n, h, e)>
func.func @block(%h: tensor<1x?x2048xf32>, {weights}) -> tensor<1x?x2048xf32> {{
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %n = tensor.dim %h, %c1 : tensor<1x?x2048xf32>
  %empty = tensor.empty(%n) : tensor<1x?x2048xf32>
  {LEARNED if learned else INTEGER}
  {"".join(LINEAR.format(name=name, input="h") + HEADS_OF.format(name=name) for name in "qkv")}
  %init = tensor.empty(%n) : {heads}
  %a = repo.attention %qh, %kh, %vh query_positions(%z) key_positions(%z) into %init
    {{causal, rope = #repo.rope<theta = 5.0e5, dim = 128>, layouts = [#query, #key, #value, #output]}}
    : ({heads}, {heads}, {heads}, {positions}, {positions}, {heads}) -> {heads}
  %m = tensor.collapse_shape %a [[0], [1], [2, 3]] : {heads} into tensor<1x?x2048xf32>
  {LINEAR.format(name="o", input="m")}
  return %o : tensor<1x?x2048xf32>
}}
"""


def cases(limits, lengths=(512, 2048, 4096), threads=(1, 2)):
    rng = np.random.default_rng(0)
    square = [rng.standard_normal((DEPTH, DEPTH), np.float32) / 45 for _ in range(4)]
    small = [rng.standard_normal(shape, np.float32) / 45 for shape in ((INNER, DEPTH), (INNER, DEPTH), (HEADS, INNER))]
    calls = {}
    for learned in (True, False):
        library = repo.compile(source(learned))
        packed = library.pack("block", *square, *(small if learned else []))
        calls[learned] = (library["block_packed"], packed)
    for length in lengths:
        h = rng.standard_normal((1, length, DEPTH), np.float32)
        out = np.empty_like(h)
        common = 8.0 * length * DEPTH * DEPTH + 2.0 * HEADS * SIZE * length * length
        extra = 2.0 * length * INNER * (2 * DEPTH + HEADS)
        for count in threads:
            def call(learned, h=h, out=out, count=count):
                repo.set_num_threads(count)
                entry, packed = calls[learned]
                entry(packed, h, out=out)

            yield Case(name=f"block N{length} (positions {extra / (common + extra):.2%})", dtype="f32", threads=count,
                       work=(common + extra) / 1e9, unit="GFLOP/s", limit=limits.fma(count),
                       ours=lambda call=call: call(True), peers={"the same with integer RoPE": lambda call=call: call(False)})
