"""Mutated checkpoints, indexes, configs, manifests and packed weights: each is read, or refused in one line.

    PYTHONPATH=python python python/tests/mutate_models.py COMPILED CHECKPOINT [--count 10000] [--seed 0]

COMPILED holds packed.weights too. Every case follows from its number and the seed. Cases run in a process of their own, so that
a crash or a hang is found and named.
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

VALUES = [0, -1, 1, 7, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, "", "F32", "BF16", "x" * 300, "\0", "é", None,
          True, False, [], {}, [0], [1, 2], [[]], {"a": 1}, [2**62, 4], [-1, 2]]
TEXTS = [b"\0", b"\xff\xfe", b'"', b"{", b"}", b"[" * 200, b",", b"1e999", b"-", b"\n", b"\\u0000", b"null", b"9" * 40]


def mutate_bytes(choose, data):
    data = bytearray(data)
    for _ in range(choose.choice((1, 1, 1, 2, 8))):
        place = choose.randrange(len(data) + 1) if data else 0
        kind = choose.randrange(5)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << choose.randrange(8)
        elif kind == 1:
            data[place:place] = choose.choice(TEXTS)
        elif kind == 2:
            del data[place:place + choose.choice((1, 2, 8, 100))]
        elif kind == 3:
            del data[place:]
        elif place < len(data):
            data[place] = choose.randrange(256)
    return bytes(data)


def mutate_json(choose, data):
    """Changes, removes, adds or copies a value somewhere in a JSON text."""
    value = json.loads(data)
    for _ in range(choose.choice((1, 1, 2, 4))):
        holder = value
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = choose.choice(keys)
            if isinstance(holder[key], (dict, list)) and holder[key] and choose.random() < 0.8:
                holder = holder[key]
                continue
            kind = choose.randrange(4)
            if kind == 0:
                del holder[key]
            elif kind == 1 and isinstance(holder, dict):
                holder[choose.choice(["dtype", "shape", "data_offsets", "__metadata__", "a", str(key) + "x"])] = holder[key]
            elif kind == 2 and isinstance(holder[key], int):
                holder[key] += choose.choice((-1, 1, 4, 64))
            else:
                holder[key] = choose.choice(VALUES)
            break
    return json.dumps(value).encode()


def split_header(data):
    size = int.from_bytes(data[:8], "little")
    return data[8:8 + size], data[8 + size:]


class Case:
    """One mutant: where its files are."""

    def __init__(self, compiled, checkpoint, number, seed, work):
        self.choose = choose = random.Random(f"{seed}:{number}")
        self.compiled, self.checkpoint, self.strict = compiled, checkpoint, False
        self.kind = choose.choice(("header", "header", "index", "config", "config", "manifest", "packed", "shard"))
        source = compiled if self.kind in ("manifest", "packed") else checkpoint
        folder = work / "mutant"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in source.iterdir():
            (folder / path.name).symlink_to(path)
        shards = sorted(path.name for path in source.glob("model*.safetensors"))
        name = {"index": "model.safetensors.index.json", "config": "config.json", "manifest": "manifest.json",
                "packed": "packed.weights"}.get(self.kind) or choose.choice(shards)
        if not (source / name).exists():  # a checkpoint of one file has no index
            name = shards[0]
        data = (source / name).read_bytes()
        if name.endswith(".safetensors"):
            header, tensors = split_header(data)
            if self.kind == "shard":
                data = data[:choose.randrange(len(data))]
            else:
                header = choose.choice((mutate_bytes, mutate_json))(choose, header)
                size = len(header) if choose.random() < 0.9 else choose.choice((0, 1, len(header) - 1, 2**40, 2**63, 2**64 - 1))
                data = max(size, 0).to_bytes(8, "little") + header + tensors
        elif self.kind == "packed":
            # What its hashes cover: the fields of the header, and all data.
            data, self.strict = bytearray(data), True
            place = choose.choice((choose.randrange(120), choose.randrange(4096, len(data))))
            if choose.random() < 0.3:
                del data[place:]
            else:
                data[place] ^= 1 << choose.randrange(8)
        else:
            data = choose.choice((mutate_bytes, mutate_json, mutate_json))(choose, data)
        (folder / name).unlink()
        (folder / name).write_bytes(data)
        if source == compiled:
            self.compiled = folder
        else:
            self.checkpoint = folder


def run_case(case, work):
    """None, or what is wrong."""
    import repo_mlir as repo
    from repo_mlir import compiler

    def attempt(call):
        try:
            call()
        except repo.RepoError as error:
            return None if str(error) and "\n" not in str(error) else f"expected one line, got {error!r}"
        return "accepted"

    def evaluate():
        logits = repo.load_model(case.compiled, case.checkpoint, threads=1).logits([1, 2, 3])
        assert logits.dtype == np.float32

    def graph():
        options = compiler._Options(input=str(case.checkpoint).encode(), output=str(work / "graph.mlir").encode(), emit=b"mlir",
                                    stop_after=b"graph", is_model=1)
        compiler._call(compiler._load().repo_compiler_compile, compiler.ctypes.byref(options))

    loaded = attempt(evaluate)
    if loaded == "accepted":
        loaded = "expected changed packed weights to be refused" if case.strict else None
    if loaded:
        return loaded
    if case.kind in ("header", "index", "config", "shard"):
        written = attempt(graph)
        return None if written == "accepted" else written
    return None


def work_on(compiled, checkpoint, seed, numbers):
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for number in numbers:
            print(number, flush=True)
            wrong = run_case(Case(compiled, checkpoint, number, seed, work), work)
            if wrong:
                print(f"wrong {number} {wrong}", flush=True)


def check(compiled, checkpoint, seed, count, timeout=60):
    """What is wrong, as a list of lines."""
    found, number, started = [], 0, time.monotonic()
    while number < count:
        command = [sys.executable, __file__, str(compiled), str(checkpoint), "--seed", str(seed), "--work",
                   f"{number}:{count}"]
        limit = timeout + 0.5 * (count - number)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
            out, end = done.stdout, f"the process ended with {done.returncode}: {done.stderr[-300:]}"
        except subprocess.TimeoutExpired as error:
            out, end = (error.stdout or b"").decode(), "the process hangs"
        lines = out.splitlines()
        found += [line for line in lines if line.startswith("wrong")]
        last = max((int(line) for line in lines if line.isdigit()), default=number)
        if last == count - 1 and end.startswith("the process ended with 0"):
            break
        found.append(f"case {last}: {end}")
        number = last + 1
    print(f"{count} cases in {time.monotonic() - started:.0f} s, {len(found)} wrong", file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("compiled", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("checkpoint", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        first, end = map(int, arguments.work.split(":"))
        return work_on(arguments.compiled, arguments.checkpoint, arguments.seed, range(first, end))
    found = check(arguments.compiled, arguments.checkpoint, arguments.seed, arguments.count)
    print("\n".join(found[:50]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
