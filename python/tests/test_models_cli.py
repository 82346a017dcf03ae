"""The golden models through repo-compile and repo-run: logits, positions, greedy tokens."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import GOLDEN, MODELS, expectations


@pytest.fixture(scope="module", params=MODELS)
def compiled(request, golden_model):
    folder = golden_model(request.param)
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "model.h", "model.so"]
    return request.param, folder


def test_logits_and_positions(compiled, run, tmp_path):
    model, folder = compiled
    for name, reference_error in expectations(model)["reference_f32_error"].items():
        expected = load_file(GOLDEN / model / f"{name}.safetensors")
        largest = np.abs(expected["logits"]).max()
        bound = max(3 * reference_error, 2e-6)
        for batch, tokens in enumerate(expected["tokens"]):
            status, _, error = run(
                "repo-run", f"--model={folder}", f"--weights={GOLDEN / model}",
                "--tokens=" + ",".join(map(str, tokens)), f"--logits={tmp_path / 'l'}",
                f"--positions={tmp_path / 'p'}")
            assert status == 0, error
            logits = load_file(tmp_path / "l")["logits"][0]
            positions = load_file(tmp_path / "p")["positions"][:, 0]
            assert np.abs(logits - expected["logits"][batch]).max() <= bound * largest
            wanted = expected["positions"][:, batch]
            assert np.abs(positions - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def test_greedy_tokens(compiled, run):
    model, folder = compiled
    generate = expectations(model)["generate"]
    status, out, error = run(
        "repo-run", f"--model={folder}", f"--weights={GOLDEN / model}", "--json",
        "--tokens=" + ",".join(map(str, generate["prompt"])),
        f"--generate={len(generate['greedy'])}", "--ignore-eos")
    assert status == 0, error
    assert json.loads(out)["generated"] == generate["greedy"]


def test_end_of_sequence_stops(run, golden_model):
    # The greedy continuation of tiny-nope has token 1, its end of sequence, third.
    model = "tiny-nope"
    generate = expectations(model)["generate"]
    position = generate["greedy"].index(1)
    status, out, error = run(
        "repo-run", f"--model={golden_model(model)}", f"--weights={GOLDEN / model}",
        "--tokens=" + ",".join(map(str, generate["prompt"])), "--generate=24")
    assert (status, out.strip()) == (0, ",".join(map(str, generate["greedy"][: position + 1])))


@pytest.fixture(scope="module")
def yarn(golden_model):
    return [f"--model={golden_model('tiny-yarn')}", f"--weights={GOLDEN / 'tiny-yarn'}", "--ignore-eos"]


def test_report_of_a_run(yarn, run, tmp_path):
    (tmp_path / "prompt").write_text("5, 9 12\n3,\n4")
    status, out, error = run("repo-run", *yarn, f"--tokens=@{tmp_path / 'prompt'}", "--generate=70", "--json", "--threads=1")
    assert (status, error) == (0, "")
    report = json.loads(out)
    assert report["tokens"] == [5, 9, 12, 3, 4] and len(report["generated"]) == 70 and report["threads"] == 1
    for name in ("load_s", "time_to_first_token_s", "prefill_tokens_per_s", "decode_tokens_per_s", "cache_mb",
                 "peak_memory_mb", "anonymous_memory_mb"):
        assert report[name] > 0
    config = json.loads((GOLDEN / "tiny-yarn" / "config.json").read_text())
    token = 2 * config["num_hidden_layers"] * config["hidden_size"] * 4  # one head as wide as the stream
    assert 74 * token <= report["cache_mb"] * 2**20 <= 2 * 74 * token
    assert report["anonymous_memory_mb"] < report["peak_memory_mb"]


def test_sampling_and_batches(yarn, run):
    prompt = ["--tokens=5,9,12,3,4", "--generate=20"]
    sampled = [*yarn, *prompt, "--temperature=1.5", "--top-k=40", "--top-p=0.9"]
    one = [run("repo-run", *sampled, f"--seed={seed}")[1] for seed in (3, 4, 5)]
    assert len(set(one)) == 3 and run("repo-run", *sampled, "--seed=3")[1] == one[0]
    # The sequences of a batch are those of seed, seed + 1, ...
    assert run("repo-run", *sampled, "--seed=3", "--batch=3")[1] == "".join(one)
    report = json.loads(run("repo-run", *sampled, "--seed=3", "--batch=3", "--json")[1])
    assert report["batch"] == 3 and report["generated"] == [[int(token) for token in line.split(",")] for line in one]
    greedy = run("repo-run", *yarn, *prompt)[1]
    assert run("repo-run", *sampled[:-2], "--top-k=1")[1] == greedy != one[0]


@pytest.mark.parametrize("flag, text", [
    ("--batch=0", "expected --batch to be an integer of at least 1, got `0`"),
    ("--generate=1.5", "expected --generate to be an integer of at least 0, got `1.5`"),
    ("--top-k=0", "expected --top-k to be an integer of at least 1, got `0`"),
    ("--temperature=-1", "expected --temperature to be a number that is not negative, got `-1`"),
    ("--top-p=x", "expected --top-p to be a number that is not negative, got `x`"),
])
def test_wrong_usage(yarn, run, flag, text):
    assert run("repo-run", *yarn, "--tokens=1", "--generate=1", flag) == (2, "", f"repo-run: {text}\n")
