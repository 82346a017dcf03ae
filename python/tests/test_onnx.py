"""ONNX's own node tests of its Attention operator, mapped onto repo.attention.

The operator's caches are concatenated outside, its masks padded outside; its alignments are `offset` and
`lengths`. Output Y is compared; present caches and the raw scores are not ours to compute.
"""

import warnings

import numpy as np
import pytest

import repo_mlir as repo

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    CASES = [case for case in collect_testcases("Attention")
             if case.name.startswith("test_attention") and "expanded" not in case.name]


def split(x, heads):
    """[B, N, H * D] as [B, H, N, D]."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def test_all_are_here():
    assert len(CASES) == 93


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case):
    node = case.model.graph.node[0]
    options = {a.name: a.f if a.type == 1 else a.i for a in node.attribute}
    given, outputs = case.data_sets[0]
    given = iter(given)
    names = ("q", "k", "v", "mask", "past_key", "past_value", "lengths")
    x = {name: next(given) for name, present in zip(names, node.input) if present}
    packed = x["q"].ndim == 3
    if packed:
        x["q"] = split(x["q"], options["q_num_heads"])
        x["k"], x["v"] = (split(x[name], options["kv_num_heads"]) for name in "kv")
    offset, lengths = 0, None
    if "past_key" in x:
        offset = x["past_key"].shape[2]
        x["k"] = np.concatenate((x["past_key"], x["k"]), axis=2)
        x["v"] = np.concatenate((x["past_value"], x["v"]), axis=2)
    elif "lengths" in x:
        lengths = x["lengths"].reshape(-1).astype(np.int32)
        offset = (lengths - x["q"].shape[2]).astype(np.int32)
    window = (options.get("left_window_size", -1), options.get("right_window_size", -1))
    masks = {}
    if "mask" in x:
        mask = x["mask"]
        missing = x["k"].shape[2] - mask.shape[-1]
        fill = False if mask.dtype == bool else -np.inf
        mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, missing)], constant_values=fill)
        masks["mask" if mask.dtype == bool else "bias"] = mask
    out = repo.attention(
        x["q"], x["k"], x["v"], causal=bool(options.get("is_causal", 0)),
        window=None if window == (-1, -1) else window, scale=options.get("scale"),
        softcap=options.get("softcap") or None, lengths=lengths, offset=offset, **masks)
    wanted = outputs[0]
    if packed:
        out = out.transpose(0, 2, 1, 3).reshape(wanted.shape)
    assert out.dtype == wanted.dtype
    # The cases' own tolerance in f32; in f16 and bf16 the expected values are themselves rounded at every step.
    rtol = {"float32": 1e-3, "float16": 4e-3, "bfloat16": 3e-2}[wanted.dtype.name]
    found, wanted = out.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-6 if rtol == 1e-3 else rtol)
