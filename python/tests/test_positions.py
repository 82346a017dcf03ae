"""The pictures of positions: what is drawn is what the model computes."""

import json
import sys
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from conftest import GOLDEN
from model_reference import ReferenceModel
from repo_mlir.drawing import ticks
from repo_mlir.make_checkpoint import make_checkpoint
from repo_mlir.positions import layer_modes, main

SVG = "{http://www.w3.org/2000/svg}"
NAME = "tiny-f32-sharded"  # RePo on layers 1 and 3 alone
TOKENS = [5, 9, 100, 5, 31, 77, 0, 50, 8, 9]


@pytest.fixture(scope="module")
def library(golden_model):
    return golden_model(NAME)


@pytest.fixture(scope="module")
def wanted():
    return ReferenceModel(GOLDEN / NAME)([TOKENS])[1][:, 0]


@pytest.fixture
def draw(library, tmp_path, capsys):
    def call(*arguments, outputs):
        paths = [tmp_path / name for name in outputs]
        status = main([f"--model={GOLDEN / NAME}", f"--library={library}", *arguments,
                       *(f"--output={path}" for path in paths)])
        assert status == 0, capsys.readouterr().err
        return paths[0]

    return call


def curves(path):
    """The points of every curve that goes through all tokens, and the texts."""
    tree = xml.parse(path).getroot()
    lines = [np.array([tuple(map(float, point.split(","))) for point in line.get("points").split()])
             for line in tree.iter(SVG + "polyline")]
    return [line for line in lines if len(line) == len(TOKENS)], [text.text for text in tree.iter(SVG + "text")]


def assert_shows(curve, z):
    """The curve is z against the index, upwards, in some scale."""
    assert np.allclose(np.diff(curve[:, 0]), np.diff(curve[:, 0])[0], atol=0.11)
    slope, start = np.polyfit(z, curve[:, 1], 1)
    assert slope < 0 and np.abs(start + slope * z - curve[:, 1]).max() <= 0.11  # written to a tenth of a pixel


def test_layers(draw, wanted):
    lines, texts = curves(draw("--tokens=" + ",".join(map(str, TOKENS)), outputs=["layers.svg"]))
    # Layers of integers have one curve, the others one per head.
    shown = [z for layer, mode in zip(wanted, layer_modes(GOLDEN / NAME))
             for z in (layer[:1] if mode == "none" else layer)]
    assert len(lines) == len(shown) == 10
    for line, z in zip(lines, shown):
        assert_shows(line, z)
    assert {f"layer {i}" for i in range(4)} <= set(texts) and texts.count("RePo") == texts.count("integers") == 2


def test_heads_share_a_scale(draw, wanted):
    lines, texts = curves(draw("--tokens=" + ",".join(map(str, TOKENS)), "--layer=3", outputs=["heads.svg"]))
    assert len(lines) == 4 and {f"head {i}" for i in range(4)} <= set(texts)
    slopes = [np.polyfit(z, line[:, 1], 1)[0] for line, z in zip(lines, wanted[3])]
    assert np.allclose(slopes, slopes[0], rtol=0.02)
    for line, z in zip(lines, wanted[3]):
        assert_shows(line, z)


def test_one_head_with_its_tokens(draw, wanted, tmp_path):
    (tmp_path / "prompt").write_text("\n".join(map(str, TOKENS)))
    lines, texts = curves(draw(f"--tokens=@{tmp_path / 'prompt'}", "--layer=1", "--head=2", outputs=["zoom.svg"]))
    assert_shows(lines[0], wanted[1, 2])
    # Once below in order, once beside it by position, the largest first.
    labels = texts[-2 * len(TOKENS):]
    assert labels[:len(TOKENS)] == [str(token) for token in TOKENS]
    assert labels[len(TOKENS):] == [str(TOKENS[i]) for i in np.argsort(-wanted[1, 2], kind="stable")]
    path = draw("--tokens=" + ",".join(map(str, TOKENS)), "--layer=1", "--head=2", "--first=3", "--count=4",
                outputs=["part.svg"])
    assert curves(path)[1][-8:-4] == [str(token) for token in TOKENS[3:7]]


def test_numbers(draw, wanted, tmp_path):
    draw("--tokens=" + ",".join(map(str, TOKENS)), outputs=["a.json", "a.npz"])
    numbers, arrays = json.loads((tmp_path / "a.json").read_text()), np.load(tmp_path / "a.npz")
    assert numbers["tokens"] == arrays["tokens"].tolist() == TOKENS
    assert numbers["modes"] == list(arrays["modes"]) == ["none", "swigluex_multihead"] * 2
    for positions in (np.array(numbers["positions"]), arrays["positions"]):
        np.testing.assert_allclose(positions, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_png(draw, tmp_path, monkeypatch, capsys, library):
    arguments = ["--tokens=" + ",".join(map(str, TOKENS)), "--layer=1", "--head=0"]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([f"--model={GOLDEN / NAME}", f"--library={library}", *arguments, f"-o={tmp_path / 'a.png'}"]) == 1
    error = capsys.readouterr().err
    assert error == (f"positions: {tmp_path / 'a.png'}: expected the package matplotlib for PNG, found none; a name "
                     "ending in .svg needs no package\n")
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    from matplotlib import image
    picture = image.imread(draw(*arguments, outputs=["b.png"]))
    assert picture.shape[0] > 600 and picture.shape[1] > 600
    assert 0.05 < (picture[..., :3].min(axis=-1) < 0.99).mean()  # not an empty sheet


def test_long_prompts_stay_small(draw, tmp_path):
    tokens = np.random.default_rng(0).integers(0, 100, 3000)
    path = draw("--tokens=" + ",".join(map(str, tokens)), outputs=["long.svg"])
    assert path.stat().st_size < 300_000


def test_text(tmp_path, capsys):
    tokenizers = pytest.importorskip("tokenizers")
    make_checkpoint(tmp_path / "w", layers=2)
    words = {"<unk>": 0, "a": 1, "<b>&": 2, "long" * 9: 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "w" / "tokenizer.json"))
    text = "a <b>& other " + "long" * 9
    assert main([f"--model={tmp_path / 'w'}", "--text", text, "--layer=1", "--head=3", f"-o={tmp_path / 'o.svg'}",
                 f"-o={tmp_path / 'o.json'}"]) == 0
    numbers = json.loads((tmp_path / "o.json").read_text())
    assert numbers["tokens"] == [1, 2, 0, 3] and numbers["text"] == text.split()
    labels = [item.text for item in xml.parse(tmp_path / "o.svg").getroot().iter(SVG + "text")][-8:-4]
    assert labels == ["a", "<b>&", "other", "longlonglonglon\N{HORIZONTAL ELLIPSIS}"]


@pytest.mark.parametrize("arguments, text", [
    (["--tokens=1,x"], "--tokens: expected numbers separated by commas"),
    (["--tokens="], "--tokens: expected at least one token, got none"),
    (["--tokens=1,999"], "token 1: expected 0 to"),
    (["--tokens=1", "--layer=4"], "--layer: expected 0 to 3, got 4"),
    (["--tokens=1", "--layer=0", "--head=4"], "--head: expected 0 to 3, got 4"),
    (["--tokens=1", "--layer=0", "--head=0", "--first=1"], "--first: expected 0 to 0, got 1"),
    (["--text=hello"], "tokenizer.json: expected a tokenizer, found none"),
    (["--tokens=@/nowhere"], "/nowhere: No such file or directory"),
    (["--tokens=1", "-o=x.pdf"], "x.pdf: expected a name ending in .svg, .png, .json or .npz"),
])
def test_errors(arguments, text, library, tmp_path, capsys):
    status = main([f"--model={GOLDEN / NAME}", f"--library={library}", f"-o={tmp_path / 'o.svg'}", *arguments])
    error = capsys.readouterr().err
    assert status == 1 and text in error and error.count("\n") == 1
    assert not (tmp_path / "o.svg").exists()


def test_ticks_are_round():
    assert ticks(-48, 60) == [-40, -20, 0, 20, 40, 60] and ticks(0, 1e-3, 4) == pytest.approx([0, 5e-4, 1e-3])
    assert ticks(3, 3) == [3]
