"""Interleaved timing: A B A B ..., so that a noisy machine disturbs all alike."""

import statistics
import time


def interleave(functions, rounds=31, seconds=20.0, pause=0.01):
    """Times each function once per round, in turn, after one call to warm up.

    functions: name -> callable without arguments. Returns name -> list of seconds.
    The pause before each call lets threads of the one before fall asleep: those that spin take a core.
    Stops early (but not before 3 rounds) when `seconds` are used up.
    """
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    start = time.perf_counter()
    for done in range(rounds):
        for name, function in functions.items():
            time.sleep(pause)
            begin = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - begin)
        if done >= 2 and time.perf_counter() - start > seconds:
            break
    return times


def ratio_interval(ours, peer):
    """Median of peer/ours over the pairs, and its 95% interval by order statistics."""
    ratios = sorted(p / o for o, p in zip(ours, peer))
    count = len(ratios)
    half = 0.98 * count ** 0.5
    low = ratios[max(0, int(count / 2 - half))]
    high = ratios[min(count - 1, int(count / 2 + half))]
    return statistics.median(ratios), (low, high)
