#!/usr/bin/env python3
"""Measures kernels beside their peers and the limits of the machine.

    benchmark/run.py --suite attention [--json FILE] [--threads 1,2] [--rounds 31]

Ours and the peers run interleaved in this process, and the limits are measured in the same
run. Prints a table and writes one JSON object (docs/performance.md explains its fields).
"""

import argparse
import importlib
import inspect
import json
import os
import pathlib
import re
import statistics
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent / "python")]

# Threads of a peer that wait for work do not take the core of what runs next.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("KMP_BLOCKTIME", "0")

import limits as machine_limits  # noqa: E402
import measure  # noqa: E402


def run_case(case, rounds, seconds, wanted):
    peers = case.peers() if callable(case.peers) else case.peers
    peers = {name: peer for name, peer in peers.items() if wanted.search(name)}
    functions = {"ours": case.ours, **{n: f for n, f in peers.items() if f is not None}}
    if case.bar:
        functions["limit"] = case.bar
    times = measure.interleave(functions, rounds, seconds)
    rate = {name: case.work / statistics.median(values) for name, values in times.items()}
    limit = rate.get("limit", case.limit)
    base = {"case": case.name, "dtype": case.dtype, "threads": case.threads, "unit": case.unit,
            "ours": round(rate["ours"], 2), "limit": round(limit, 2),
            "ours_over_limit": round(rate["ours"] / limit, 4), "rounds": len(times["ours"])}
    if case.bar:
        share, (low, high) = measure.ratio_interval(times["ours"], times["limit"])
        base |= {"ours_over_limit": round(share, 4), "limit_interval": [round(low, 3), round(high, 3)]}
    if not peers:
        yield {**base, "peer": None, "peer_name": None, "ours_over_peer": None}
    for name, function in peers.items():
        if function is None:
            yield {**base, "peer": None, "peer_name": name, "missing": True, "ours_over_peer": None}
            continue
        median, (low, high) = measure.ratio_interval(times["ours"], times[name])
        yield {**base, "peer": round(rate[name], 2), "peer_name": name,
               "ours_over_peer": round(median, 3), "interval": [round(low, 3), round(high, 3)]}


def restrict(cpu):
    """Has operators compiled for this CPU; returns the flags of this machine that it lacks."""
    import repo_mlir.compiler
    has = set(repo_mlir.compiler.features(cpu).split())
    os.environ["REPO_CPU"] = cpu
    return {"avx512f", "avx512_bf16", "amx_bf16"} - {flag for flag, feature in (
        ("avx512f", "avx512f"), ("avx512_bf16", "avx512bf16"), ("amx_bf16", "amx-bf16")) if feature in has}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", required=True,
                        choices=sorted(p.stem for p in pathlib.Path(__file__).parent.glob("suites/[a-z]*.py")
                                       if "def cases" in p.read_text()))
    parser.add_argument("--json", help="write the record to this file")
    parser.add_argument("--threads", default=None, help="thread counts, such as 1,2 (default: 1 and all)")
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds (default 31)")
    parser.add_argument("--filter", default="", help="only cases whose name and type hold this text, such as N2048 or bf16")
    parser.add_argument("--seconds", type=float, default=20, help="... or so long a case, whichever ends first (default 20)")
    parser.add_argument("--peers", default="", help="only peers whose names match this regular expression")
    parser.add_argument("--no-peers", action="store_true", help="ours and the limit alone")
    parser.add_argument("--cpu", help="operators compiled for this CPU, such as x86-64-v3, and the limits of its vectors; "
                        "peers and models stay as they are")
    parser.add_argument("--plot", help="draw shares of the limit to this file, .svg or .png (needs matplotlib)")
    arguments = parser.parse_args()

    threads = [int(t) for t in arguments.threads.split(",")] if arguments.threads else sorted(
        {1, len(os.sched_getaffinity(0))})
    suite = importlib.import_module(f"suites.{arguments.suite}")
    machine = suite.machine() if hasattr(suite, "machine") else {}
    limits = machine_limits.Limits(without=restrict(arguments.cpu) if arguments.cpu else ())
    try:
        peers = re.compile(arguments.peers)
    except re.error as error:
        parser.error(f"--peers: expected a regular expression, got `{arguments.peers}`: {error}")
    results = []
    print(f"{'case':40} {'dtype':5} {'thr':>3} {'ours':>9} {'limit':>9} {'share':>6}  peer")
    wanted = lambda name, dtype: arguments.filter in f"{name} {dtype}"  # noqa: E731
    # Suites whose cases take long to prepare ask first.
    early = {"wanted": wanted} if "wanted" in inspect.signature(suite.cases).parameters else {}
    for case in suite.cases(limits, threads=threads, **early):
        if not wanted(case.name, case.dtype):
            continue
        if arguments.no_peers:
            case.peers = {}
        for row in run_case(case, arguments.rounds, arguments.seconds, peers):
            results.append(row)
            peer = ("-" if row["peer_name"] is None else f"{row['peer_name']}: missing" if row.get("missing") else
                    f"{row['peer_name']}: {row['peer']:.1f}, ours {row['ours_over_peer']:.2f}x "
                    f"[{row['interval'][0]:.2f}, {row['interval'][1]:.2f}]")
            print(f"{row['case']:40} {row['dtype']:5} {row['threads']:3} {row['ours']:9.1f} "
                  f"{row['limit']:9.1f} {row['ours_over_limit']:6.1%}  {peer} ({row['unit']})", flush=True)
    record = {"machine": {"cpu": machine_limits.cpu_name(), "flags": sorted(machine_limits.cpu_flags()),
                          "cores": len(os.sched_getaffinity(0)), "limits": limits.record(), **machine},
              "results": results}
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(record, indent=1) + "\n")
    if arguments.plot:
        import plot
        plot.draw(record, arguments.plot)


if __name__ == "__main__":
    main()
