"""Random checkpoints: their files are what Hugging Face and the reference expect, and depend on the seed alone."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from safetensors import safe_open

import repo_mlir as repo
from model_reference import read_weights
from repo_mlir import make_checkpoint as module
from repo_mlir.make_checkpoint import main, make_checkpoint


def test_files(tmp_path):
    total = make_checkpoint(tmp_path / "one", dtype="f16", layer_ids=[0, 2])
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert config["model_type"] == "olmo2" and config["torch_dtype"] == "float16" and "head_dim" not in config
    assert config["pe_config"]["dynamic_pe_mode"] == "swigluex_multihead"
    assert config["pe_config"]["dynmaic_pe_start_layer"] == 1 and config["pe_config"]["dynmaic_pe_layer_ids"] == "0,2"
    assert config["pe_config"]["dynamic_pe_start_layer"] == 0 and config["pe_config"]["dynamic_pe_layer_ids"] == ""
    with safe_open(tmp_path / "one" / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    assert sum(tensor.size for tensor in tensors.values()) == total
    assert all(tensor.dtype == np.float16 for tensor in tensors.values())
    learned = sorted(name for name in tensors if "_map" in name)
    assert learned == [f"model.layers.2.self_attn.{name}_map.weight" for name in ("content", "final", "gate")]
    assert tensors[learned[1]].shape == (4, 16)  # the start layer is 1: of the listed layers only 2 is left


@pytest.mark.parametrize("shards", [2, 7, 42])
def test_shards_hold_the_same_numbers(tmp_path, shards):
    make_checkpoint(tmp_path / "one", seed=3)
    make_checkpoint(tmp_path / "many", seed=3, shards=shards)
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == [f"model-{i:05d}-of-{shards:05d}.safetensors"
                                                         for i in range(1, shards + 1)]
    sizes = [path.stat().st_size for path in (tmp_path / "many").glob("model-*")]
    one, many = read_weights(tmp_path / "one"), read_weights(tmp_path / "many")
    assert index["metadata"]["total_size"] == 2 * sum(weight.size for weight in one.values())
    assert list(one) and set(one) == set(many) == set(index["weight_map"])
    assert all(np.array_equal(one[name], many[name]) for name in one)
    if shards == 2:
        assert max(sizes) < 1.5 * min(sizes)


def test_seed_and_types(tmp_path):
    for name, options in {"a": {}, "b": {"seed": 1}, "f32": {"dtype": "f32"}, "f16": {"dtype": "f16"}}.items():
        make_checkpoint(tmp_path / name, layers=1, **options)
    a, b, f32, f16 = (read_weights(tmp_path / name) for name in ("a", "b", "f32", "f16"))
    for name in a:
        assert not np.array_equal(a[name], b[name])
        # The same numbers, rounded to nearest: 8 and 11 bits of precision, and f16's smallest step.
        assert (np.abs(a[name] - f32[name]) <= np.abs(f32[name]) * 2.0**-8).all()
        assert (np.abs(f16[name] - f32[name]) <= np.abs(f32[name]) * 2.0**-11 + 2.0**-25).all()


@pytest.mark.parametrize("size, parameters, positions", [("1b", 1_484_916_736 + 11_579_392, 11_579_392),
                                                         ("7b", 7_298_617_344 + 92_635_136, 92_635_136)])
def test_published_shapes(size, parameters, positions):
    shape = module._shape_of(size)
    tensors = list(module._tensors(shape, "swigluex_multihead", None, False))
    assert sum(math.prod(sizes) for _, sizes, _ in tensors) == parameters
    assert sum(math.prod(sizes) for name, sizes, _ in tensors if "_map" in name) == positions
    assert len(module._split(tensors, None, 2)) == {"1b": 1, "7b": 3}[size]


def test_memory_is_that_of_a_piece(tmp_path):
    tracemalloc.start()
    make_checkpoint(tmp_path / "large", layers=1, hidden=256, vocabulary=50_000, dtype="bf16")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 4 * module._PIECE  # the embedding alone is 12.8 million numbers


def test_command_line(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(out), "--size=tiny", "--layers=2", "--dtype=f16", "--mode=multihead_continuous", "--shards=3",
                 "--kv-heads=2", "--tied", "--rope-scaling", '{"rope_type": "linear", "factor": 2.0}']
    assert main(arguments) == 0
    assert "parameters" in capsys.readouterr().out
    config = json.loads((out / "config.json").read_text())
    assert (config["num_hidden_layers"], config["num_key_value_heads"], config["tie_word_embeddings"]) == (2, 2, True)
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"make_checkpoint: {out}: expected a new or empty folder, found files in it\n"


@pytest.mark.parametrize("options, text", [
    (dict(size="2b"), "expected size to be one of 1b, 7b, tiny, got '2b'"),
    (dict(dtype="f64"), "expected dtype to be one of bf16, f16, f32, got 'f64'"),
    (dict(mode="rope"), "expected mode to be one of none, "),
    (dict(heads=3), "expected hidden to be a multiple of the 3 heads, got 128"),
    (dict(kv_heads=3), "expected kv_heads to divide the 4 heads, got 3"),
    (dict(head_size=7), "expected an even head size, got 7"),
    (dict(layers=0), "expected layers to be an integer of at least 1, got 0"),
    (dict(shards=1000), "expected 1 to 42 shards, got 1000"),
])
def test_bad_options(tmp_path, options, text):
    with pytest.raises(repo.RepoError) as caught:
        make_checkpoint(tmp_path / "out", **options)
    assert text in str(caught.value) and not (tmp_path / "out").exists()
