"""The suites of the benchmark: one module each, with a function `cases(limits)`."""

import dataclasses
from typing import Callable, Dict, Optional, Union


@dataclasses.dataclass
class Case:
    """One comparison: our kernel, its peers, and the limit both are held against."""

    name: str
    dtype: str
    threads: int
    work: float
    """Useful work of one call, in units of `unit` times seconds: GFLOP or GB."""
    unit: str
    limit: float
    """Rate of the machine; 0 where `bar` measures it."""
    ours: Callable[[], object]
    peers: Union[Dict[str, Optional[Callable[[], object]]], Callable[[], Dict[str, Optional[Callable[[], object]]]]]
    """Peer name -> callable, or None where the peer is not installed; or what returns that, once the case runs."""
    bar: Optional[Callable[[], float]] = None
    """Does what the machine needs at least, timing itself: seconds. Runs in turn with ours."""


def lazily(make):
    """The function that `make` returns, made at the first call."""
    made = []

    def call():
        if not made:
            made.append(make())
        return made[0]()

    return call
