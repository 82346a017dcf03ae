"""The operator goldens through Python, and the float64 reference against them."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file

import reference
import repo_mlir as repo
from conftest import GOLDEN, ROOT


def metadata(name):
    data = (GOLDEN / f"{name}.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size])["__metadata__"]


ATTENTION = sorted(path.stem for path in GOLDEN.glob("attention-*.safetensors"))


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_attention(name, dtype):
    x = load_file(GOLDEN / f"{name}.safetensors")
    about = metadata(name)
    options = dict(causal=about["causal"] == "True",
                   window=None if about["window"] == "None" else int(about["window"]))
    theta = float(about["theta"])
    inputs = [x[key].astype(dtype) for key in ("q", "k", "v", "zq", "zk")]
    wanted, wanted_lse = reference.attention(*inputs, rope=dict(theta=theta, layout=about["layout"]), **options)
    assert np.abs(wanted - x["out"]).max() <= 1e-6 * np.abs(x["out"]).max()
    assert np.abs(wanted_lse - x["lse"]).max() <= 1e-6 * np.abs(x["lse"]).max()
    out, lse = repo.attention(*inputs, rope=repo.Rope(theta, layout=about["layout"]), return_lse=True, **options)
    assert out.dtype == dtype
    bound = 1e-12 if dtype == "float64" else 2e-6
    assert np.abs(out - wanted).max() <= bound * np.abs(wanted).max()
    assert np.abs(lse - wanted_lse).max() <= bound * max(1.0, np.abs(wanted_lse).max())


def test_positions():
    x = load_file(GOLDEN / "layer-repo.safetensors")
    weights = [x[f"{name}_map.weight"] for name in ("gate", "content", "final")]
    assert np.abs(reference.assign_positions(x["h"], *weights) - x["z"]).max() <= 1e-5
    z = repo.assign_positions(x["h"], *weights)
    assert z.dtype == np.float32
    assert np.abs(z - x["z"]).max() <= 2e-6 * np.abs(x["z"]).max()


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("dim", [None, 32])
def test_rotate(layout, dim):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 17, 64)).astype(np.float32)
    z = (rng.standard_normal((2, 1, 17)) * 100).astype(np.float32)
    y = repo.rotate(x, z, repo.Rope(10000.0, dim=dim, layout=layout))
    wanted = reference.rotate(x, z, 10000.0, dim, layout)
    # An f32 angle of 300 is off by 1.5e-5 before any sine.
    assert np.abs(y - wanted).max() <= 5e-5


def test_layer():
    """The attention block of a layer, as IR with repo ops between linalg, in f32 and as the definition in f64."""
    x = load_file(GOLDEN / "layer-repo.safetensors")
    text = (ROOT / "test/Integration/CPU/layer-repo.mlir").read_text()
    names = ["h", *(f"{name}.weight" for name in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "gate_map",
                                                  "content_map", "final_map"))]
    inputs = [x[name] for name in names]
    exact = repo.compile(text.replace("f32", "f64"), pipeline="reference")["layer"](*(a.astype(np.float64) for a in inputs))
    plain = repo.compile(text, pipeline="reference")["layer"](*inputs)
    found = repo.compile(text)["layer"](*inputs)
    for name, value, wanted, other in zip(("out", "z"), found, exact, plain):
        largest = np.abs(wanted).max()
        assert np.abs(wanted - x[name]).max() <= 1e-6 * largest  # stored as f32
        assert np.abs(value - wanted).max() <= max(2e-6 * largest, 3 * np.abs(other - wanted).max())
