"""Pictures of learned positions: z against the token index, per layer and head.

    python -m repo_mlir.positions --model DIR --text "..." -o positions.svg
    python -m repo_mlir.positions --model DIR --tokens 92,309,166 --layer 1 --head 0 -o zoom.png -o numbers.npz

Without --layer: a grid of layers, each with its heads; with --layer: a grid of heads; with --layer and --head: one head, with
the text of the tokens. Names ending in .svg or .png are pictures, in .json or .npz the numbers of all layers.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

from .drawing import Panel, Sheet, color_of
from .errors import RepoError
from .model import compile_model, load_model, load_tokenizer

SUFFIXES = (".svg", ".png", ".json", ".npz")
_NAMES = {"none": "integers", "nope": "no rotation", "continuous": "one z for all heads",
          "multihead_continuous": "linear z per head", "swigluex_multihead": "RePo"}


def layer_modes(model_dir):
    """The `dynamic_pe_mode` of every layer of a checkpoint that compiles."""
    config = json.loads((pathlib.Path(model_dir) / "config.json").read_text())
    modes, pe = ["none"] * config["num_hidden_layers"], config.get("pe_config") or {}

    def live(name, absent):  # the reference reads the misspelt key
        value = pe.get("dynmaic_pe_" + name)
        value = pe.get("dynamic_pe_" + name) if value is None else value
        return absent if value is None else value

    ids = {int(part) for part in live("layer_ids", "").split(",") if part.strip()}
    for layer in range(live("start_layer", 0), len(modes)):
        if not ids or layer in ids:
            modes[layer] = pe.get("dynamic_pe_mode") or "none"
    return modes


def _range(values, least=1.0):
    """The range of values with some room, never empty."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    room = 0.05 * (high - low)
    return low - room, high + room


def _grid(count, widest):
    """(columns, rows) for `count` panels: full rows where possible."""
    columns = count if count <= widest else widest - 1 if count <= 2 * (widest - 1) else widest
    return columns, -(-count // columns)


def _sheet_of_panels(title, subtitle, count, *, width, height, widest):
    """A sheet and the places of its panels."""
    left, top, gap_x, gap_y = 58, 82, 46, 46
    columns, rows = _grid(count, widest)
    sheet = Sheet(max(left + columns * (width + gap_x), 640), top + rows * (height + gap_y) + 12)
    sheet.text(left - 40, 26, title, size=15, bold=True)
    sheet.text(left - 40, 44, subtitle, size=10.5, color="#555555")
    return sheet, [(left + i % columns * (width + gap_x), top + i // columns * (height + gap_y)) for i in range(count)]


def _legend(sheet, heads):
    """Which colour is which head, in the upper right corner."""
    if heads <= 8:
        x = sheet.width - 46 - 36 * heads
        for head in range(heads):
            sheet.line([(x + 36 * head, 23), (x + 36 * head + 14, 23)], color_of(head, heads), width=2.5)
            sheet.text(x + 36 * head + 18, 26.5, str(head), size=9.5, color="#555555")
    else:
        x = sheet.width - 46 - 110
        for i in range(80):
            sheet.line([(x + i, 23), (x + i + 1.5, 23)], color_of(round(i * (heads - 1) / 79), heads), width=4)
        sheet.text(x - 5, 26.5, "0", size=9.5, color="#555555", anchor="end")
        sheet.text(x + 85, 26.5, str(heads - 1), size=9.5, color="#555555")
        x -= 12
    sheet.text(x - 8, 26.5, "head", size=9.5, color="#555555", anchor="end")


def draw_layers(positions, modes, name):
    """A panel per layer of positions [layers, heads, N], with all its heads."""
    layers, heads, n = positions.shape
    sheet, places = _sheet_of_panels(
        f"Positions by layer: {name}", f"z against the token index, {n} tokens; dashed: the index itself, z = i", layers,
        width=230, height=130, widest=4)
    _legend(sheet, heads)
    for layer, (x, y) in enumerate(places):
        panel = Panel(sheet, x, y, 230, 130, (0, max(1, n - 1)), _range(positions[layer]))
        panel.axes(f"layer {layer}", note=_NAMES.get(modes[layer], modes[layer]))
        panel.diagonal()
        if modes[layer] in ("none", "nope", "continuous"):
            panel.curve(positions[layer, 0], "#333333", width=1.6)
            continue
        for head in range(heads):
            panel.curve(positions[layer, head], color_of(head, heads), width=1.0, opacity=0.75 if heads > 4 else 0.9)
    return sheet


def draw_heads(positions, modes, name, layer):
    """A panel per head of a layer, all on the same scale."""
    _, heads, n = positions.shape
    sheet, places = _sheet_of_panels(
        f"Positions by head: {name}, layer {layer} ({_NAMES.get(modes[layer], modes[layer])})",
        f"z against the token index, {n} tokens; one scale for all; dashed: the index itself, z = i", heads, width=230,
        height=130, widest=4)
    scale = _range(positions[layer])
    for head, (x, y) in enumerate(places):
        z = positions[layer, head]
        panel = Panel(sheet, x, y, 230, 130, (0, max(1, n - 1)), scale)
        panel.axes(f"head {head}", note=f"{z.min():.3g} to {z.max():.3g}")
        panel.diagonal()
        panel.curve(z, color_of(head, heads), dots=n <= 60)
    return sheet


def draw_zoom(positions, modes, name, layer, head, labels, start):
    """One head for the tokens from `start`, with their text below and, beside it, in the order of their positions."""
    z = positions[layer, head, start:start + len(labels)]
    heads, n = positions.shape[1], len(labels)
    step, height = 15, max(300, 15 * n // 2)
    width = max(360, step * n)
    longest = max(len(label) for label in labels)
    below = 26 + 6.2 * longest
    sheet = Sheet(64 + width + 60 + 7 * longest + 60, 84 + height + below)
    sheet.text(18, 26, f"Positions: {name}, layer {layer}, head {head} ({_NAMES.get(modes[layer], modes[layer])})",
               size=15, bold=True)
    sheet.text(18, 44, f"z of tokens {start} to {start + n - 1}; dashed: the index itself; right: the tokens in the order "
               "of their positions", size=10.5, color="#555555")
    scale = _range(z)
    panel = Panel(sheet, 64, 68, width, height, (start - 0.5, start + n - 0.5), scale)
    panel.axes(x_ticks=False)
    panel.diagonal()
    panel.curve(z, color_of(head, heads), start=start, dots=True)
    for i, label in enumerate(labels):
        x, y = panel.place(start + i, float(z[i]) if np.isfinite(z[i]) else scale[0])
        sheet.line([(x, y), (x, 68 + height)], "#cccccc", width=0.6, opacity=0.7)
        sheet.text(x + 3.5, 68 + height + 8, label, size=9.5, anchor="end", turned=90)
    # Labels that would overlap are moved apart, from the middle outwards; a line leads to the place of each.
    order = sorted(range(n), key=lambda i: -z[i])
    places = [panel.place(0, float(z[i]))[1] for i in order]
    apart = min(11.5, height / n)
    shown = _apart(places, apart, 68 + 4, 68 + height - 2)
    right = 64 + width
    for i, place, y in zip(order, places, shown):
        sheet.line([(right, place), (right + 8, place), (right + 30, y), (right + 36, y)], "#bbbbbb", width=0.6)
        sheet.text(right + 40, y + 3.2, labels[i], size=min(9.5, apart * 0.95))
    return sheet


def _apart(places, gap, low, high):
    """Ascending places moved as little as a simple rule can to be `gap` apart, between low and high."""
    moved = []
    for place in places:
        moved.append(max(place, moved[-1] + gap if moved else low))
    limit = high
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved


def _write_numbers(path, tokens, labels, modes, positions):
    if path.suffix == ".npz":
        with open(path, "wb") as file:
            np.savez_compressed(file, tokens=tokens, text=np.array(labels), modes=np.array(modes), positions=positions)
        return
    numbers = {"tokens": tokens.tolist(), "text": labels, "modes": modes,
               "positions": [[[float(f"{z:.9g}") for z in head] for head in layer] for layer in positions]}
    path.write_text(json.dumps(numbers, allow_nan=True) + "\n")


def _read_tokens(text):
    """1,2,3, or @FILE with such numbers, separated by commas or white space."""
    if text.startswith("@"):
        text = pathlib.Path(text[1:]).read_text()
    try:
        tokens = [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise RepoError(f"--tokens: expected numbers separated by commas: {error}") from None
    if not tokens:
        raise RepoError("--tokens: expected at least one token, got none")
    return tokens


def _tokens_and_labels(options):
    """The tokens, and a text for each: its piece of the prompt, else its number."""
    if options.text is None:
        tokens = _read_tokens(options.tokens)
        if not (pathlib.Path(options.model) / "tokenizer.json").exists():
            return tokens, [str(token) for token in tokens]
        try:
            tokenizer = load_tokenizer(options.model)
        except RepoError:
            return tokens, [str(token) for token in tokens]
        return tokens, [tokenizer.decode([token], skip_special_tokens=False) or str(token) for token in tokens]
    text = pathlib.Path(options.text[1:]).read_text() if options.text.startswith("@") else options.text
    encoded = load_tokenizer(options.model).encode(text)
    if not encoded.ids:
        raise RepoError("--text: expected at least one token, got none")
    return encoded.ids, [text[start:end] or piece for (start, end), piece in zip(encoded.offsets, encoded.tokens)]


def _shorten(label, longest=16):
    label = label.strip(" ") or "\N{OPEN BOX}"  # a space before a word says nothing here
    label = label.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("\t", "\N{RIGHTWARDS ARROW TO BAR}")
    return label if len(label) <= longest else label[:longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _check(name, value, count):
    if value is not None and not 0 <= value < count:
        raise RepoError(f"--{name}: expected 0 to {count - 1}, got {value}")


def run(options):
    outputs = [pathlib.Path(path) for path in options.output]
    for path in outputs:
        if path.suffix not in SUFFIXES:
            raise RepoError(f"{path}: expected a name ending in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    tokens, labels = _tokens_and_labels(options)
    with tempfile.TemporaryDirectory() as temporary:
        library = options.library
        if library is None:
            library = pathlib.Path(temporary) / "model"
            compile_model(options.model, library)
        model = load_model(library, options.model)
        positions = model.positions(tokens)[:, 0]
    tokens, modes = np.array(tokens), layer_modes(options.model)
    layers, heads, n = positions.shape
    for name, value, count in (("layer", options.layer, layers), ("head", options.head, heads), ("first", options.first, n)):
        _check(name, value, count)
    name = options.name or pathlib.Path(options.model).resolve().name
    for path in outputs:
        if path.suffix in (".json", ".npz"):
            _write_numbers(path, tokens, labels, modes, positions)
            continue
        if options.head is not None:
            shown = [_shorten(label) for label in labels[options.first:options.first + options.count]]
            sheet = draw_zoom(positions, modes, name, options.layer, options.head, shown, options.first)
        elif options.layer is not None:
            sheet = draw_heads(positions, modes, name, options.layer)
        else:
            sheet = draw_layers(positions, modes, name)
        sheet.save(path)
    for path in outputs:
        print(f"{path}: {layers} layers, {heads} heads, {n} tokens, z from {positions.min():.4g} to {positions.max():.4g}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="repo_mlir.positions", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)
    parser.add_argument("--model", required=True, help="checkpoint: a Hugging Face directory")
    parser.add_argument("--library", help="what repo-compile --model made of it; default: compiled here")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", help="numbers separated by commas, or @FILE")
    source.add_argument("--text", help="text for the model's tokenizer.json, or @FILE")
    parser.add_argument("--layer", type=int, help="draw the heads of this layer")
    parser.add_argument("--head", type=int, help="with --layer: draw this head, with the text of the tokens")
    parser.add_argument("--first", type=int, default=0, help="with --head: the first token (default 0)")
    parser.add_argument("--count", type=int, default=64, help="with --head: how many tokens (default 64)")
    parser.add_argument("--name", help="of the model, in the title; default: its folder's")
    parser.add_argument("-o", "--output", action="append", required=True, help="OUT.svg, .png, .json or .npz; several")
    options = parser.parse_args(arguments)
    if options.head is not None and options.layer is None:
        parser.error("argument --head: expected --layer beside it")
    if options.count < 1:
        parser.error(f"argument --count: expected at least 1, got {options.count}")
    try:
        run(options)
    except (RepoError, OSError) as error:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"positions: {text}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
