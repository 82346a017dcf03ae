"""Levels of CPUs, and which of them run on this host's hardware."""

import functools

from repo_mlir import compiler

LEVELS = ("x86-64-v3", "x86-64-v4")  # 16 registers of 8 lanes, 32 registers of 16


@functools.lru_cache(maxsize=None)
def _features(cpu):
    return frozenset(compiler.features(cpu).split())


def runs_here(cpu):
    return _features(cpu) <= _features("native")


@functools.lru_cache(maxsize=None)
def others_of_host():
    """The levels that this host runs and that are not its own."""
    return tuple(level for level in LEVELS if runs_here(level) and _features(level) != _features("native"))


def state(level):
    return f"{level}: " + ("on hardware" if runs_here(level) else "by its assembly, not on hardware")


def summary():
    """What ran on this host's hardware, a line for each level; the host's own level is what all tests of operators run."""
    yield from map(state, LEVELS)
    for name, feature, otherwise in (("pairs of bf16", "avx512bf16", "by their assembly"), ("matrix unit", "amx-bf16", "emulated")):
        here = feature in _features("native")
        yield f"{name} ({feature}): " + ("on hardware" if here else f"{otherwise}, not on hardware")
