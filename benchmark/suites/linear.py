"""Linear maps as IR, shared by the suites of matrix products: y[n, o] = sum_i x[n, i] w[o, i], y in f32."""

import itertools

import numpy as np

import peers
import repo_mlir as repo

MAPS = """#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
"""

LINEAR = MAPS + """
func.func @linear(%x: tensor<?x{i}x{x}>, %w: tensor<{o}x{i}x{dtype}> {{repo.constant}}) -> tensor<?x{o}xf32> {{
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x{i}x{x}>
  %empty = tensor.empty(%n) : tensor<?x{o}xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  %y = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x{i}x{x}>, tensor<{o}x{i}x{dtype}>)
    outs(%zeros : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  return %y : tensor<?x{o}xf32>
}}
"""


def convert(array, dtype):
    if dtype == "f32":
        return array
    import ml_dtypes
    return array.astype({"bf16": ml_dtypes.bfloat16, "f16": np.float16}[dtype])


def torch_linear(x, weights, dtype, threads):
    """`torch` on arrays: x times each of the weights in turn, rounded to dtype."""
    torch = peers.torch_or_none()
    if torch is None:
        return None
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    source = torch.from_numpy(x).to(kind)
    matrices = [torch.from_numpy(w).to(kind) for w in weights]
    state = {"next": 0}

    @torch.inference_mode()
    def call():
        torch.set_num_threads(threads)
        state["next"] = (state["next"] + 1) % len(matrices)
        return torch.nn.functional.linear(source, matrices[state["next"]])

    return call


def packed_linear(library, x, packed, out, threads):
    """Ours: x times each of the packed weights in turn."""
    entry = library["linear_packed"]
    turn = itertools.cycle([entry.bind(weights, x, out=out) for weights in packed])

    def call():
        repo.set_num_threads(threads)
        next(turn)()

    return call
