"""Positions alone: 2048 tokens, d 2048 -> 256 (gate and content) -> 16 heads, f32, weights packed once.

Peer: torch, two linear maps, silu, product, linear map.
"""

import numpy as np

import peers
import repo_mlir as repo
from suites import Case

DEPTH, INNER, HEADS = 2048, 256, 16

SOURCE = f"""
func.func @assign(%h: tensor<1x?x{DEPTH}xf32>, %g: tensor<{INNER}x{DEPTH}xf32> {{repo.constant}},
                  %c: tensor<{INNER}x{DEPTH}xf32> {{repo.constant}}, %p: tensor<{HEADS}x{INNER}xf32> {{repo.constant}})
    -> tensor<1x{HEADS}x?xf32> {{
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%p)
    : (tensor<1x?x{DEPTH}xf32>, tensor<{INNER}x{DEPTH}xf32>, tensor<{INNER}x{DEPTH}xf32>, tensor<{HEADS}x{INNER}xf32>)
    -> tensor<1x{HEADS}x?xf32>
  return %z : tensor<1x{HEADS}x?xf32>
}}
"""


def cases(limits, lengths=(512, 2048), threads=(1, 2)):
    rng = np.random.default_rng(0)
    library = repo.compile(SOURCE)
    weights = [rng.standard_normal(shape, np.float32) / 45 for shape in ((INNER, DEPTH), (INNER, DEPTH), (HEADS, INNER))]
    packed = library.pack("assign", *weights)
    entry = library["assign_packed"]
    for length in lengths:
        h = rng.standard_normal((1, length, DEPTH), np.float32)
        out = np.empty((1, HEADS, length), np.float32)
        for count in threads:
            def ours(h=h, out=out, count=count):
                repo.set_num_threads(count)
                entry(packed, h, out=out)

            yield Case(name=f"f_phi N{length} {DEPTH}->{INNER}->{HEADS}", dtype="f32", threads=count,
                       work=2.0 * length * INNER * (2 * DEPTH + HEADS) / 1e9, unit="GFLOP/s", limit=limits.fma(count),
                       ours=ours, peers={"torch": torch_positions(h, weights, count)})


def torch_positions(h, weights, threads):
    torch = peers.torch_or_none()
    if torch is None:
        return None
    x, gate, content, heads = (torch.from_numpy(array) for array in (h, *weights))
    linear, silu = torch.nn.functional.linear, torch.nn.functional.silu

    @torch.inference_mode()
    def call():
        torch.set_num_threads(threads)
        return linear(silu(linear(x, gate)) * linear(x, content), heads).transpose(1, 2)

    return call
