"""Interleaved timing: A B A B ..., so that a noisy machine disturbs all alike."""

import statistics
import time


def interleave(functions, rounds=31, seconds=20.0, pause=0.03):
    """Times each function once per round, in turn, after one call to warm up.

    functions: name -> callable without arguments. Returns name -> list of seconds.
    The pause before each call lets threads of the one before fall asleep: those that spin take a core. Where calls are
    short, one that does not count goes before each, so that threads are awake. A function that returns a float has
    timed itself: it returns seconds. Stops early (but not before 3 rounds) when `seconds` are used up.
    """
    short = 0.06

    def timed(function):
        begin = time.perf_counter()
        result = function()
        return result if isinstance(result, float) else time.perf_counter() - begin

    first = {name: timed(function) for name, function in functions.items()}
    again = {name: first[name] < 1.0 and timed(function) < short for name, function in functions.items()}
    times = {name: [] for name in functions}
    start = time.perf_counter()
    for done in range(rounds):
        for name, function in functions.items():
            time.sleep(pause)
            if again[name]:
                function()
            times[name].append(timed(function))
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
