"""Models of odd shapes, whole, against their float64 evaluation: widths, vocabularies, heads, types, shards, batches.

`python python/tests/test_random_models.py 200 [f32|bf16]` draws that many and says how near the bounds they come; model i
is always the same.
"""

import pathlib
import sys
import tempfile

import ml_dtypes
import numpy as np
import pytest

import repo_mlir as repo
from model_reference import ReferenceModel
from repo_mlir.make_checkpoint import make_checkpoint

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
SHAPES = {
    "f16 in five files": dict(dtype="f16", shards=5, vocabulary=97, hidden=72, heads=3, intermediate=50),
    "f32, width 100": dict(dtype="f32", hidden=100, heads=2, intermediate=129, vocabulary=1009),
    "grouped, head of 10": dict(hidden=60, heads=6, kv_heads=2, intermediate=33),
    "one KV head, tied": dict(heads=4, kv_heads=1, tied=True, vocabulary=33),
    "heads wider than the stream": dict(hidden=40, heads=5, head_size=26, mode="multihead_continuous"),
    "heads of 2": dict(hidden=16, heads=8, intermediate=1, vocabulary=2, dtype="f32"),
    "one layer from the start": dict(layers=1, start_layer=0, dtype="f16"),
    "listed layers": dict(layers=5, layer_ids=[0, 2, 4], start_layer=1, hidden=48, heads=2),
    "nope": dict(mode="nope", hidden=56, heads=7, vocabulary=129),
    "one position for all, llama3": dict(mode="continuous", kv_heads=2, rope_scaling=LLAMA3),
    "yarn 4": dict(hidden=192, heads=2, rope_scaling=YARN, dtype="f32"),
    "integers, linear": dict(mode="none", hidden=24, heads=1, dtype="f16", shards=2, tied=True,
                             rope_scaling={"rope_type": "linear", "factor": 2.5}),
}


MODES = ("none", "nope", "continuous", "multihead_continuous", "swigluex_multihead")
SCALINGS = [None, None, YARN, LLAMA3, {"rope_type": "linear", "factor": 2.5}]
ROUNDING = 2.0 ** -8  # of bf16


def draw(index):
    """What model `index` is made of; the same each time."""
    rng = np.random.default_rng(index)
    pick = lambda *choices: choices[rng.integers(len(choices))]  # noqa: E731
    kv_heads, layers = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    shape = dict(dtype=pick("bf16", "f16", "f32"), shards=pick(1, 1, 2, 7), vocabulary=int(rng.integers(2, 1200)),
                 hidden=int(rng.integers(8, 260)), kv_heads=kv_heads, heads=kv_heads * int(rng.integers(1, 5)),
                 head_size=2 * int(rng.integers(1, 70)), intermediate=int(rng.integers(1, 400)), layers=layers,
                 start_layer=int(rng.integers(0, layers + 1)), mode=pick(*MODES, MODES[-1]), tied=pick(False, True),
                 rope_scaling=pick(*SCALINGS))
    if rng.random() < 0.3:
        shape["layer_ids"] = sorted(rng.choice(layers, rng.integers(1, layers + 1), replace=False).tolist())
    return shape


def run(folder, seed, shape, dtype="f32", inputs=((1, 1), (3, 37), (1, 130))):
    """How much of the bounds a model takes, as a whole and in a session; the error bounds of architecture.md."""
    make_checkpoint(folder / "weights", seed=seed, **shape)
    repo.compile_model(folder / "weights", folder / "model", dtype=dtype)
    model = repo.load_model(folder / "model", folder / "weights")
    exact = ReferenceModel(folder / "weights")
    # The error of one evaluation is a matter of luck: the yardstick is the largest of several orders of summation.
    plain = [ReferenceModel(folder / "weights", np.float32 if dtype == "f32" else ml_dtypes.bfloat16, parts)
             for parts in (1, 2, 3)]
    times, least = (3, 2e-6) if dtype == "f32" else (2, ROUNDING)
    numbers = np.random.default_rng(1)
    taken = 0.0
    for batch, n in inputs:
        tokens = numbers.integers(0, model.info.vocabulary, (batch, n))
        expected = exact(tokens)
        yardsticks = list(zip(*(other(tokens) for other in plain)))

        def share(got, which, at=...):
            wanted = expected[which]
            assert got.shape == wanted[at].shape
            error = np.abs(got - wanted[at]).max(initial=0.0)
            plain_error = max(np.abs(other - wanted).max(initial=0.0) for other in yardsticks[which])
            return float(error / max(times * plain_error, least * np.abs(wanted).max(initial=0.0), 1e-30))

        session = model.session()
        parts = [session.append(part) for part in np.split(tokens[0], sorted({n // 3, n // 3 + 1, n - 1} - {0, n}))]
        shares = (share(model.logits(tokens), 0), share(model.positions(tokens), 1),
                  share(parts[-1], 0, (0, -1)))
        assert all(part <= 1 for part in shares), (seed, shape, (batch, n), shares)  # NaN is not
        taken = max(taken, *shares)
    return taken


@pytest.mark.parametrize("name", SHAPES)
def test_against_float64(name, tmp_path):
    run(tmp_path, len(name), SHAPES[name])


@pytest.mark.parametrize("index", range(8))
def test_drawn(index, tmp_path):
    run(tmp_path, index, draw(index), inputs=((2, 70),))


def main(count, dtype="f32"):
    nearest, failures = 0.0, 0
    for index in range(count):
        with tempfile.TemporaryDirectory() as folder:
            try:
                nearest = max(nearest, run(pathlib.Path(folder), index, draw(index), dtype))
            except Exception as error:  # a model that does not compile or run is a failure, too
                failures += 1
                print(f"model {index}: {type(error).__name__}: {error}", flush=True)
    print(f"{count - failures} of {count} models agree with the float64 evaluation; the nearest takes {nearest:.2f} of its bound")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
