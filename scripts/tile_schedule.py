#!/usr/bin/env python3
"""Counts what the hot loops of AMX code hold, and what that costs by a model.

    repo-compile attention.mlir -o a.s --emit=asm --cpu=sapphirerapids && tile_schedule.py a.s

A hot loop is a basic block that jumps to itself or a run of straight-line code, with products of tiles in it. Per loop:
products (tdpbf16ps), tile loads and stores, vector instructions of 512 bits, spilled vectors, scalar instructions, and
the cycles the model gives: a product 16, a tile load 8, a store 16 in the matrix unit's own queues, a vector
instruction 1 beside running products (1/2 alone). The longest of the queues is the bound; `share` is the products' part
of it, the fraction of the matrix unit's peak while the loop runs, caches aside. A model, not a measurement.
With `--check` the exit status is 1 where a loop spills tiles or vectors or reconfigures the tiles.
"""

import argparse
import re
import sys

LABEL = re.compile(r"^([.\w]+):")
JUMP = re.compile(r"^\tj\w+\s+(\S+)")


def read_blocks(lines):
    """Yields (label, instructions, whether it jumps to itself)."""
    label, block = None, []
    for line in lines:
        match = LABEL.match(line)
        if match:
            if block:
                yield label, block, False
            label, block = match[1], []
        elif line.startswith("\t") and not line.startswith("\t."):
            block.append(line.strip())
            jump = JUMP.match(line)
            if jump:
                yield label, block, jump[1] == label
                block = []
    if block:
        yield label, block, False


def count(block):
    names = [line.split()[0] for line in block]
    tiles = [line for line in block if "%tmm" in line]
    counts = {
        "products": sum(n == "tdpbf16ps" for n in names),
        "loads": sum(n.startswith("tileload") for n in names),
        "stores": sum(n.startswith("tilestore") for n in names),
        "vectors": sum("zmm" in line for line in block),
        # A spill goes to a constant place on the stack, an access to a buffer there is indexed.
        "spills": sum(bool(re.match(r"vmov\S+\s+%zmm\d+, -?\d*\(%rsp\)$", line)) for line in block),
        "tile spills": sum(bool(re.search(r"\(%rsp,%r\w+\)|\(%rsp\)", line)) for line in tiles
                           if line.startswith("tilestore")),
        "configurations": names.count("ldtilecfg"),
        "calls": sum(n.startswith("call") for n in names),
        "scalar": sum("%zmm" not in line and "%tmm" not in line and not line.startswith("v") for line in block),
    }
    counts["matrix cycles"] = max(16 * counts["products"], 8 * counts["loads"], 16 * counts["stores"])
    counts["vector cycles"] = counts["vectors"]
    counts["cycles"] = max(counts["matrix cycles"], counts["vector cycles"])
    counts["share"] = 16 * counts["products"] / max(1, counts["cycles"])
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=argparse.FileType("r"))
    parser.add_argument("--check", action="store_true", help="fail where a hot loop spills or reconfigures")
    options = parser.parse_args()
    failed = found = False
    for label, block, loops in read_blocks(options.file):
        counts = count(block)
        if not counts["products"]:
            continue
        found = True
        print(f"{label} {'loop' if loops else 'straight'}:",
              ", ".join(f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in counts.items()))
        if counts["tile spills"] or counts["calls"] or (loops and (counts["configurations"] or counts["spills"])):
            failed = True
            print(f"{label}: expected no spills, calls or configurations beside products", file=sys.stderr)
    if not found:
        print("expected products of tiles, found none", file=sys.stderr)
    return int(options.check and (failed or not found))


if __name__ == "__main__":
    sys.exit(main())
