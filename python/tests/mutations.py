"""Kernels with one mistake in their synchronisation: each must be caught.

`python python/tests/mutations.py [NAME...]` makes every mistake in every kernel and prints what caught it, a table; the
exit status is 1 where one survives without an entry in SURVIVORS. Tests make a part of them (test_mutations.py).
"""

import concurrent.futures
import os
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np

import emulation
import gpu_kernels
import reference
import repo_mlir as repo
import test_emulated_instructions as kernels

# Mistakes that no run can show: (kernel, mistake) -> why the instruction is there all the same.
SURVIVORS = {
    ("positions-wgmma", "without wgmma.fence.sync.aligned"):
        "of products that follow another without a wait: orders the writes of A's registers (PTX ISA, wgmma.fence), which happen to come "
        "before the first one's fence here; a compiler may place them behind it",
}

# Orders in which mutants run: all at once, late, any time.
ORDERS = (0, 1, 2, 3, 4, 5, 6)


class Kernel:
    """A kernel of gpu_kernels.py: `run(kernels, order)` gives what it computes and what it should."""

    def __init__(self, source, run):
        self.source, self.chip, self.run = source, "sm_90a", run

    def error(self, path, order):
        """The largest error over what it may be."""
        got, wanted = self.run(emulation.Kernels(None, path), order)
        return np.abs(got - wanted).max() / (1e-5 * np.abs(wanted).max())


class Entry:
    """The kernels of a compiled entry: its host code launches those of the mutant instead."""

    def __init__(self, source, chip, prepare):
        self.source, self.chip, self.prepare, self.entry = lambda: source, chip, prepare, None

    def error(self, path, order):
        if self.entry is None:
            repo.load_emulator()
            self.entry = repo.compile(self.source(), target="emulator", chip=self.chip)["f"]
            self.arguments, self.wanted, self.bound = self.prepare()
        os.environ.update(REPO_EMULATOR_KERNELS=str(path), REPO_EMULATOR_ORDER=str(order))
        # A context of its own, as a context loads kernels once.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            try:
                got = pool.submit(self.entry, *self.arguments).result()
            except repo.RepoError as error:
                raise emulation.EmulationError(str(error)) from None
            finally:
                del os.environ["REPO_EMULATOR_KERNELS"]
        got = got[0] if isinstance(got, tuple) else got
        return np.abs(got.astype(np.float64) - self.wanted).max() / self.bound


ATTENTION = """
func.func @f(%q: tensor<?x2x?x64xbf16>, %k: tensor<?x2x?x64xbf16>, %v: tensor<?x2x?x64xbf16>) -> tensor<?x2x?x64xbf16> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : tensor<?x2x?x64xbf16>
  %n = tensor.dim %q, %c2 : tensor<?x2x?x64xbf16>
  %e = tensor.empty(%b, %n) : tensor<?x2x?x64xbf16>
  %o = repo.attention %q, %k, %v into %e {causal}
    : (tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>, tensor<?x2x?x64xbf16>) -> tensor<?x2x?x64xbf16>
  return %o : tensor<?x2x?x64xbf16>
}
"""


def prepare_attention():
    rng = np.random.default_rng(11)
    # More keys than queries, so that the diagonal crosses two tiles of keys: the masked loop runs twice.
    q, k, v = (rng.standard_normal((1, 2, n, 64)).astype(ml_dtypes.bfloat16) for n in (300, 337, 337))
    wanted = reference.attention(*(x.astype(np.float64) for x in (q, k, v)), causal=True)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    return (q, k, v), wanted, 2.0 ** -7 * np.abs(wanted).max()


TURNING = """
func.func @f(%q: tensor<2x2x?x64xbf16>, %k: tensor<2x1x?x64xbf16>, %v: tensor<2x1x?x64xbf16>, %z: tensor<2x2x?xf32>, %l: tensor<2xi32>, %at: tensor<2xi32>)
    -> tensor<2x2x?x64xbf16> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<2x2x?x64xbf16>
  %e = tensor.empty(%n) : tensor<2x2x?x64xbf16>
  %o = repo.attention %q, %k, %v query_positions(%z) lengths(%l) offset(%at) into %e
    {causal, window = array<i64: 300, 0>, rope = #repo.rope<theta = 1.0e4, dim = 64>,
     kernel_strategy = #repo.kernel_strategy<unit = wgmma, query_block = 128, key_block = 64, stages = 2, warps = 8, producers = 1>}
    : (tensor<2x2x?x64xbf16>, tensor<2x1x?x64xbf16>, tensor<2x1x?x64xbf16>, tensor<2x2x?xf32>, tensor<2xi32>, tensor<2xi32>, tensor<2x2x?x64xbf16>)
      -> tensor<2x2x?x64xbf16>
  return %o : tensor<2x2x?x64xbf16>
}
"""


def prepare_turning():
    rng = np.random.default_rng(12)
    # The first batch has rows at both ends that must not be read; all of the second's come by the copy engine. Diagonal and
    # window cut more than two tiles, so that the masked loops go round and stages are filled again.
    q, k, v = (rng.standard_normal((2, h, n, 64)).astype(ml_dtypes.bfloat16) for h, n in ((2, 150), (1, 684), (1, 684)))
    z = (30 * rng.standard_normal((2, 2, 150))).astype(np.float32)
    lengths, offset = np.array([670, 684], np.int32), np.array([576, 556], np.int32)
    wanted, _ = reference.attention(*(x.astype(np.float64) for x in (q, k, v)), zq=z, rope={"theta": 1e4}, causal=True, window=(300, 0),
                                    lengths=lengths, offset=offset)
    return (q, k, v, z, lengths, offset), wanted, 2.0 ** -7 * np.abs(wanted).max()


DECODE = """
func.func @f(%q: tensor<2x3x1x{d}xbf16>, %k: tensor<2x1x?x{d}xbf16>, %v: tensor<2x1x?x{d}xbf16>, %z: tensor<2x3x1xf32>, %l: tensor<2xi32>, %at: tensor<2xi32>)
    -> tensor<2x3x1x{d}xbf16> {{
  %e = tensor.empty() : tensor<2x3x1x{d}xbf16>
  %o = repo.attention %q, %k, %v query_positions(%z) lengths(%l) offset(%at) into %e {{causal, rope = #repo.rope<theta = 1.0e4, dim = {d}>}}
    : (tensor<2x3x1x{d}xbf16>, tensor<2x1x?x{d}xbf16>, tensor<2x1x?x{d}xbf16>, tensor<2x3x1xf32>, tensor<2xi32>, tensor<2xi32>, tensor<2x3x1x{d}xbf16>)
      -> tensor<2x3x1x{d}xbf16>
  return %o : tensor<2x3x1x{d}xbf16>
}}
"""


def prepare_decode(d):
    rng = np.random.default_rng(13)
    # Parts without keys, with some, and full ones; the last block is not full.
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(ml_dtypes.bfloat16) for h, n in ((3, 1), (1, 345), (1, 345)))
    z = (30 * rng.standard_normal((2, 3, 1))).astype(np.float32)
    lengths = np.array([345, 75], np.int32)
    arrays = (q, k, v, z, lengths, lengths - 1)
    wanted, _ = reference.attention(*(x.astype(np.float64) for x in (q, k, v)), zq=z, rope={"theta": 1e4}, causal=True, lengths=lengths,
                                    offset=lengths - 1)
    for x, length in ((x, i) for x in (k, v) for i in range(2)):
        x[length, :, lengths[length]:] = np.nan
    return arrays, wanted, 2.0 ** -7 * np.abs(wanted).max()


PAGED = """
func.func @f(%q: tensor<2x2x?x64xbf16>, %kp: tensor<?x1x64x64xbf16>, %vp: tensor<?x1x64x64xbf16>, %table: tensor<2x?xi32>, %l: tensor<2xi32>,
             %at: tensor<2xi32>) -> tensor<2x2x?x64xbf16> {
  %c2 = arith.constant 2 : index
  %n = tensor.dim %q, %c2 : tensor<2x2x?x64xbf16>
  %k = repo.cache_view %kp table(%table) lengths(%l) : (tensor<?x1x64x64xbf16>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x1x?x64xbf16>
  %v = repo.cache_view %vp table(%table) lengths(%l) : (tensor<?x1x64x64xbf16>, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x1x?x64xbf16>
  %e = tensor.empty(%n) : tensor<2x2x?x64xbf16>
  %o = repo.attention %q, %k, %v lengths(%l) offset(%at) into %e {causal}
    : (tensor<2x2x?x64xbf16>, tensor<2x1x?x64xbf16>, tensor<2x1x?x64xbf16>, tensor<2xi32>, tensor<2xi32>, tensor<2x2x?x64xbf16>) -> tensor<2x2x?x64xbf16>
  return %o : tensor<2x2x?x64xbf16>
}
"""


def prepare_paged():
    rng = np.random.default_rng(14)
    q, k, v = (rng.standard_normal((2, h, n, 64)).astype(ml_dtypes.bfloat16) for h, n in ((2, 150), (1, 384), (1, 384)))
    lengths, offset = np.array([370, 201], np.int32), np.array([220, 51], np.int32)
    wanted, _ = reference.attention(*(x.astype(np.float64) for x in (q, k, v)), causal=True, lengths=lengths, offset=offset)
    table = rng.permutation(12).reshape(2, 6).astype(np.int32)
    pages = [np.zeros((12, 1, 64, 64), ml_dtypes.bfloat16) for _ in range(2)]
    for x, paged in zip((k, v), pages):
        for i, length in enumerate(lengths):
            x[i, :, length:] = np.nan
        paged[table] = x.reshape(2, 6, 1, 64, 64)
    table[1, 4:] = -1
    return (q, *pages, table, lengths, offset), wanted, 2.0 ** -7 * np.abs(wanted).max()


POSITIONS = """
func.func @f(%h: tensor<1x?x320xbf16>, %g: tensor<128x320xbf16>, %c: tensor<128x320xbf16>, %w: tensor<3x128xbf16>) -> tensor<1x3x?xf32> {{
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%w)
    {{kernel_strategy = #repo.position_strategy<unit = {unit}, token_block = 128, column_block = 64, stages = {stages}, warps = 8>}}
    : (tensor<1x?x320xbf16>, tensor<128x320xbf16>, tensor<128x320xbf16>, tensor<3x128xbf16>) -> tensor<1x3x?xf32>
  return %z : tensor<1x3x?xf32>
}}
"""


def prepare_positions():
    rng = np.random.default_rng(15)
    # Five steps: every stage is filled again.
    arrays = [(scale * rng.standard_normal(shape)).astype(ml_dtypes.bfloat16)
              for scale, shape in ((1, (1, 150, 320)), (0.1, (128, 320)), (0.1, (128, 320)), (1, (3, 128)))]
    wanted = reference.assign_positions(*arrays)
    return arrays, wanted, 1e-5 * np.abs(wanted).max()


ROWS = """
#element = affine_map<(b, n, i) -> (b, n, i)>
#token = affine_map<(b, n, i) -> (b, n)>
func.func @f(%k: tensor<?x?x512xf32>, %z: tensor<?x8x?xf32>) -> tensor<?x?x8x64xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %k, %c0 : tensor<?x?x512xf32>
  %n = tensor.dim %k, %c1 : tensor<?x?x512xf32>
  %e = tensor.empty(%b, %n) : tensor<?x?xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %sums = linalg.generic {indexing_maps = [#element, #token], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%k : tensor<?x?x512xf32>) outs(%zeros : tensor<?x?xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %square = arith.mulf %a, %a : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  } -> tensor<?x?xf32>
  %f = tensor.empty(%b, %n) : tensor<?x?x512xf32>
  %normed = linalg.generic {indexing_maps = [#element, #token, #element], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%k, %sums : tensor<?x?x512xf32>, tensor<?x?xf32>) outs(%f : tensor<?x?x512xf32>) {
  ^bb0(%a: f32, %sum: f32, %unused: f32):
    %root = math.sqrt %sum : f32
    %scaled = arith.divf %a, %root : f32
    linalg.yield %scaled : f32
  } -> tensor<?x?x512xf32>
  %heads = tensor.expand_shape %normed [[0], [1], [2, 3]] output_shape [%b, %n, 8, 64] : tensor<?x?x512xf32> into tensor<?x?x8x64xf32>
  %r = repo.rotate %heads by(%z) {rope = #repo.rope<theta = 5.0E+5, dim = 64>, layout = affine_map<(b, h, n, d) -> (b, n, h, d)>}
    : (tensor<?x?x8x64xf32>, tensor<?x8x?xf32>) -> tensor<?x?x8x64xbf16>
  return %r : tensor<?x?x8x64xbf16>
}
"""


class RowsAnywhere(Entry):
    """A kernel of rows has code for buffers at multiples of 16 bytes and for others: both run."""

    def error(self, path, order):
        largest = super().error(path, order)
        aligned = self.arguments
        self.arguments = []
        for array in aligned:
            memory = np.zeros(array.size + 1, array.dtype)
            memory[1:] = array.ravel()
            self.arguments.append(memory[1:].reshape(array.shape))
        try:
            return max(largest, super().error(path, order))
        finally:
            self.arguments = aligned


def prepare_rows():
    rng = np.random.default_rng(16)
    k, z = rng.standard_normal((2, 3, 512)).astype(np.float32), (9 * rng.standard_normal((2, 8, 3))).astype(np.float32)
    wide = k.astype(np.float64)
    normed = (wide / np.sqrt((wide * wide).sum(-1, keepdims=True))).reshape(2, 3, 8, 64).transpose(0, 2, 1, 3)
    wanted = reference.rotate(normed, z.astype(np.float64)).transpose(0, 2, 1, 3)
    return [k, z], wanted, 2.0 ** -8 * np.abs(wanted).max()


KERNELS = {
    "mma": Kernel(gpu_kernels.mma_gemm, lambda k, order: kernels.run_mma(k, 32, 16, 160, order)),
    "wgmma": Kernel(gpu_kernels.wgmma_gemm, lambda k, order: kernels.run_wgmma(k, 64, 64, 320, order)),
    "wgmma-register-a": Kernel(lambda: gpu_kernels.wgmma_gemm(3, register_a=True),
                               lambda k, order: kernels.run_wgmma(k, 64, 64, 448, order, stages=3)),
    "attention": Entry(ATTENTION, "sm_80", prepare_attention),
    # Warps with roles: queries turn in shared memory; tiles by the copy engine and by the producer's warp.
    "attention-roles": Entry(TURNING, "sm_90a", prepare_turning),
    # Pages of the cache, by mma.sync and by wgmma.
    "attention-paged": Entry(PAGED, "sm_80", prepare_paged),
    "attention-paged-wgmma": Entry(PAGED, "sm_90a", prepare_paged),
    # Few queries: warps by themselves, four stages and two; a second kernel merges what they found.
    "decode": Entry(DECODE.format(d=64), "sm_80", lambda: prepare_decode(64)),
    "decode-short": Entry(DECODE.format(d=128), "sm_86", lambda: prepare_decode(128)),
    # Tokens and weights, five steps by three stages and by two; parts that a second kernel sums up.
    "positions": Entry(POSITIONS.format(unit="mma", stages=3), "sm_80", prepare_positions),
    # Sums of a row through shared memory, pairs of channels that other threads hold.
    "rows": RowsAnywhere(ROWS, "sm_80", prepare_rows),
    "positions-wgmma": Entry(POSITIONS.format(unit="wgmma", stages=2), "sm_90a", prepare_positions),
}


def list_mutations(llvm):
    done = subprocess.run([str(emulation.TOOLS / "repo-emulate"), "-", "--list-mutations"], input=llvm, text=True,
                          capture_output=True, check=True, timeout=60)
    return done.stdout.splitlines()


def catch(kernel, llvm, number, path):
    """What catches mutation `number`, or None."""
    order = None
    try:
        emulation.build(llvm, path, f"--mutate={number}")
        for order in ORDERS:
            if not kernel.error(path, order) <= 1:
                return f"order {order}: wrong numbers"
    except emulation.EmulationError as error:
        return f"order {order}: {str(error).split(': ', 3 if isinstance(kernel, Entry) else 2)[-1]}"
    return None


def main(names):
    survivors = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names or KERNELS:
            kernel = KERNELS[name]
            llvm = emulation.to_llvm(kernel.source(), kernel.chip)
            emulation.build(llvm, f"{folder}/{name}.so")
            for order in ORDERS:
                assert kernel.error(f"{folder}/{name}.so", order) <= 1, f"{name} itself is wrong in order {order}"
            for number, line in enumerate(list_mutations(llvm)):
                total += 1
                caught = catch(kernel, llvm, number, f"{folder}/{name}-{number}.so")
                reason = SURVIVORS.get((name, line.split(" ", 1)[1]))
                print(f"{name} | {number} | {line.split(' ', 1)[1]} | {caught or reason or 'SURVIVES'}", flush=True)
                survivors += not caught and not reason
    print(f"{total - survivors} of {total} mutants accounted for")
    return survivors != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
