"""Positions: d 2048 -> 256 (gate and content) -> 16 heads, f32, weights packed once; alone, and beside the projections.

Alone the peer is torch: two linear maps, silu, product, linear map. Beside the projections of queries, keys and values
the peer is ours without positions, and the share of the operations that is left without them stands in its name: what
`ours_over_peer` is where positions cost no more than that.
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


PROJECTION = """
  %{name} = linalg.contract indexing_maps = [#x, #w, #y] ins(%h, %w{name} : tensor<1x?x2048xf32>, tensor<2048x2048xf32>)
    outs(%zeros : tensor<1x?x2048xf32>) -> tensor<1x?x2048xf32>
"""
POSITIONS = SOURCE[SOURCE.index("  %z ="):SOURCE.index("  return")]


def projections(learned):
    """q, k, v and perhaps z of h."""
    weights = ", ".join(f"%w{name}: tensor<2048x2048xf32> {{repo.constant}}" for name in "qkv")
    small = "".join(f", {name}: {kind} {{repo.constant}}" for name, kind in (
        ("%g", f"tensor<{INNER}x{DEPTH}xf32>"), ("%c", f"tensor<{INNER}x{DEPTH}xf32>"), ("%p", f"tensor<{HEADS}x{INNER}xf32>")))
    types = ", ".join(["tensor<1x?x2048xf32>"] * 3 + [f"tensor<1x{HEADS}x?xf32>"] * learned)
    return f"""
#x = affine_map<(b, n, o, i) -> (b, n, i)>
#w = affine_map<(b, n, o, i) -> (o, i)>
#y = affine_map<(b, n, o, i) -> (b, n, o)>
func.func @project(%h: tensor<1x?x{DEPTH}xf32>, {weights}{small if learned else ""}) -> ({types}) {{
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %n = tensor.dim %h, %c1 : tensor<1x?x2048xf32>
  %empty = tensor.empty(%n) : tensor<1x?x2048xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x?x2048xf32>) -> tensor<1x?x2048xf32>
  {"".join(PROJECTION.format(name=name) for name in "qkv")}
  {POSITIONS if learned else ""}
  return %q, %k, %v{", %z" if learned else ""} : {types}
}}
"""


def cases(limits, lengths=(512, 2048), threads=(1, 2)):
    yield from alone(limits, lengths, threads)
    yield from beside(limits, lengths, threads)


def beside(limits, lengths, threads):
    rng = np.random.default_rng(0)
    square = [rng.standard_normal((DEPTH, DEPTH), np.float32) / 45 for _ in range(3)]
    small = [rng.standard_normal(shape, np.float32) / 45 for shape in ((INNER, DEPTH), (INNER, DEPTH), (HEADS, INNER))]
    calls = {}
    for learned in (True, False):
        library = repo.compile(projections(learned))
        calls[learned] = (library["project_packed"], library.pack("project", *square, *(small if learned else [])))
    for length in lengths:
        h = rng.standard_normal((1, length, DEPTH), np.float32)
        outs = [np.empty((1, length, DEPTH), np.float32) for _ in range(3)] + [np.empty((1, HEADS, length), np.float32)]
        plain, extra = 6.0 * length * DEPTH * DEPTH, 2.0 * length * INNER * (2 * DEPTH + HEADS)
        for count in threads:
            def call(learned, h=h, outs=outs, count=count):
                repo.set_num_threads(count)
                entry, packed = calls[learned]
                entry(packed, h, out=outs if learned else outs[:3])

            yield Case(name=f"QKV and f_phi N{length}", dtype="f32", threads=count, work=(plain + extra) / 1e9, unit="GFLOP/s",
                       limit=limits.fma(count), ours=lambda call=call: call(True),
                       peers={f"QKV alone ({plain / (plain + extra):.4f})": lambda call=call: call(False)})


def alone(limits, lengths, threads):
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
