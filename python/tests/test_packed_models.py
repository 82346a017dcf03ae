"""Packed weights: at load or from a file that is mapped, with the same results; a file that does not belong is refused."""

import os
import re
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
from conftest import GOLDEN

NAME = "tiny-f32-sharded"
TOKENS = load_file(GOLDEN / NAME / "expect-0.safetensors")["tokens"]


@pytest.fixture
def folders(golden_model, tmp_path):
    """A compiled model with packed weights, and a copy of its checkpoint."""
    shutil.copytree(golden_model(NAME), tmp_path / "model")
    shutil.copytree(GOLDEN / NAME, tmp_path / "weights")
    done = []
    repo.pack_model(tmp_path / "model", tmp_path / "weights", progress=done.append)
    assert done == sorted(done) and done[-1] == 1.0 and len(done) > 20
    return tmp_path / "model", tmp_path / "weights"


def test_mapped_weights_give_the_same(folders):
    mapped = repo.load_model(*folders).logits(TOKENS)
    (folders[0] / "packed.weights").unlink()
    done = []
    assert np.array_equal(repo.load_model(*folders, progress=done.append).logits(TOKENS), mapped)
    assert done[-1] == 1.0


def test_mapped_weights_are_no_memory_of_ours(folders):
    model = repo.load_model(*folders)
    model.logits(TOKENS)
    with open("/proc/self/smaps") as file:
        found = re.search(r"^\S+ (\S+) .*packed\.weights\n((?:\w+:.*\n)+)", file.read(), re.M)
    assert found and "w" not in found[1] and re.search(r"Anonymous:\s+0 kB", found[2])


def refused(folders, text):
    with pytest.raises(repo.RepoError) as caught:
        repo.load_model(*folders)
    assert "packed.weights: " in str(caught.value) and text in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_do_not_belong(folders, golden_model, run):
    path, whole = folders[0] / "packed.weights", (folders[0] / "packed.weights").read_bytes()
    for changed, text in ((b"", "expected packed weights, got 0 bytes"), (whole[:100], "got 100 bytes"),
                          (b"X" + whole[1:], "got another file"), (whole[:8] + b"\x02" + whole[9:], "got version 2"),
                          (whole[:40] + b"X" + whole[41:], "the header is not as it was written"),
                          (whole[:-1], f"expected {len(whole)} bytes, got {len(whole) - 1}"),
                          (whole + b"\0", f"expected {len(whole)} bytes, got {len(whole) + 1}"),
                          (whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "the packed weights are not as they were written")):
        path.write_bytes(changed)
        refused(folders, text)
    status, out, error = run("repo-run", f"--model={folders[0]}", f"--weights={folders[1]}", "--tokens=1", "--generate=1")
    assert status == 1 and out == "" and error.count("\n") == 1 and "not as they were written" in error
    path.write_bytes(whole)
    shard = folders[1] / "model-00002-of-00002.safetensors"
    os.utime(shard)  # another time alone: the same weights by their hash
    repo.load_model(*folders)
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    refused(folders, "expected the checkpoint that was packed, got another one")


def test_packing_is_whole_or_not_at_all(folders):
    path = folders[0] / "packed.weights"
    before = path.read_bytes()
    repo.pack_model(*folders)
    assert path.read_bytes() == before
    (folders[1] / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(repo.RepoError, match="No such file"):
        repo.pack_model(*folders)
    assert path.read_bytes() == before
    assert sorted(p.name for p in folders[0].iterdir()) == ["manifest.json", "model.h", "model.so", "packed.weights"]
