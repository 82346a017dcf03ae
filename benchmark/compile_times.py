#!/usr/bin/env python3
"""How long the compiler takes, how large what it makes is, and how long packed weights take to be mapped and checked.

    benchmark/compile_times.py [--rounds 3] [--json FILE]

The checkpoints of the large models are headers with holes behind them: the compiler reads shapes alone. Weights of the 1B
shape are packed (3 GB in bf16, in TMPDIR, for the run), and opened from the page cache.
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

from repo_mlir import make_checkpoint  # noqa: E402


def hollow_checkpoint(folder, size):
    """config.json and a safetensors file whose weights take no room on the disk."""
    shape = make_checkpoint._shape_of(size)
    config = make_checkpoint._config(shape, "bf16", "swigluex_multihead", (), False, None, False)
    (folder / "config.json").write_text(json.dumps(config))
    header, at = {}, 0
    for name, sizes, _ in make_checkpoint._tensors(shape, "swigluex_multihead", (), False):
        count = 2
        for extent in sizes:
            count *= extent
        header[name] = {"dtype": "BF16", "shape": list(sizes), "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


def map_seconds(model, weights, rounds):
    """The least time in which a program has the packed weights of a model, checked."""
    run = [ROOT / "build/bin/repo-run", f"--model={model}", f"--weights={weights}"]
    subprocess.run([*run, "--pack"], check=True)
    return min(json.loads(subprocess.run([*run, "--tokens=1", "--generate=1", "--json"], check=True, capture_output=True,
                                         text=True).stdout)["load_s"] for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the record to this file")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        cases = {"attention, D 128 (attention-mha.mlir)": ([ROOT / "test/Integration/CPU/attention-mha.mlir"], "a.so")}
        for size in ("tiny", "1b", "7b"):
            (work / size).mkdir()
            hollow_checkpoint(work / size, size)
            cases[f"model, {size}, bf16"] = ([f"--model={work / size}", "--dtype=bf16"], f"{size}.out")
        cases["model, 1b, f32"] = ([f"--model={work / '1b'}", "--dtype=f32"], "1b-f32.out")
        for name, (given, output) in cases.items():
            seconds = []
            for _ in range(arguments.rounds):
                begin = time.perf_counter()
                subprocess.run([ROOT / "build/bin/repo-compile", *given, "-o", work / output], check=True)
                seconds.append(time.perf_counter() - begin)
            made = work / output
            library = made / "model.so" if made.is_dir() else made
            results.append({"case": name, "seconds": round(min(seconds), 3), "library_kb": library.stat().st_size / 1024})
            print(f"{name:40} {min(seconds):7.2f} s  {results[-1]['library_kb']:7.1f} KB", flush=True)
        seconds = map_seconds(work / "1b.out", work / "1b", arguments.rounds)
        results.append({"case": "packed weights, 1b, bf16", "seconds": round(seconds, 3), "library_kb": None})
        print(f"{'packed weights, 1b, bf16':40} {seconds:7.2f} s", flush=True)
    for library in ("lib/librepo_rt.so", "lib/librepo_compiler.so"):
        size = (ROOT / "build" / library).resolve().stat().st_size / 1024
        results.append({"case": library, "seconds": None, "library_kb": size})
        print(f"{library:40} {'':9}  {size:7.1f} KB")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
