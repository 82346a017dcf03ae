"""The limits of this machine, measured in the run that quotes them.

FMA peak per vector width, matrix-unit peak, and read bandwidth, on one and on all
threads. The loops are in limits.c, compiled on first use into the user's cache.
"""

import ctypes
import hashlib
import itertools
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import threading

import numpy as np

_SOURCE = pathlib.Path(__file__).with_name("limits.c")


def cpu_flags():
    """The feature flags of the first CPU, as the kernel names them."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _library():
    compiler = next((c for c in ("clang-22", "clang", "gcc") if shutil.which(c)), None)
    if compiler is None:
        raise SystemExit("benchmark: expected clang or gcc to measure the limits, found neither")
    text = _SOURCE.read_bytes()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "repo-benchmark"
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"limits-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as temporary:
            pass
        subprocess.run([compiler, "-O2", "-pthread", "-shared", "-fPIC", str(_SOURCE), "-o", temporary.name], check=True)
        os.replace(temporary.name, path)
    library = ctypes.CDLL(str(path))
    for name in ("repo_limit_fma8", "repo_limit_fma16", "repo_limit_pairs16", "repo_limit_amx"):
        getattr(library, name).restype = ctypes.c_double
        getattr(library, name).argtypes = [ctypes.c_long]
    library.repo_limit_read.restype = ctypes.c_double
    library.repo_limit_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.repo_limit_read_parts.restype = ctypes.c_double
    library.repo_limit_read_parts.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t),
                                              ctypes.c_int, ctypes.c_int, ctypes.c_int]
    return library


def _on_threads(threads, function, repeats):
    """The best total rate of `function(thread)` run on that many threads at once."""
    best, cores = 0.0, sorted(os.sched_getaffinity(0))
    for _ in range(repeats):
        rates = [0.0] * threads
        barrier = threading.Barrier(threads)

        def work(thread):
            # Each on a core of its own, whatever the scheduler would do.
            os.sched_setaffinity(0, {cores[thread % len(cores)]})
            barrier.wait()
            rates[thread] = function(thread)

        workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, min(rates) * threads)
    return best


class Limits:
    """Limits measured on demand and remembered: GFLOP/s and GB/s, by thread count."""

    def __init__(self, read_megabytes=256, without=()):
        """without: flags of the CPU that code may not use."""
        self._library = _library()
        self._flags = cpu_flags().difference(without)
        self._values = {}
        self._buffers = {}
        self._read_bytes = read_megabytes << 20

    @property
    def lanes(self):
        return 16 if "avx512f" in self._flags else 8

    def fma(self, threads=1, lanes=None):
        """Peak f32 multiply-adds, GFLOP/s."""
        lanes = lanes or self.lanes
        loop = getattr(self._library, f"repo_limit_fma{lanes}")
        return self._remember(("fma", lanes, threads),
                              lambda: _on_threads(threads, lambda _: loop(2_000_000), 20) / 1e9)

    def matrix(self, threads=1):
        """Peak bf16 products of the matrix unit, GFLOP/s; None without one."""
        if "amx_bf16" not in self._flags:
            return None
        return self._remember(("amx", threads), lambda: _on_threads(
            threads, lambda _: self._library.repo_limit_amx(400_000), 20) / 1e9)

    def bf16(self, threads=1):
        """Peak bf16 products with sums in f32, GFLOP/s: of the matrix unit, pairs on vectors, or as f32."""
        rates = [self.fma(threads), self.matrix(threads) or 0.0]
        if "avx512_bf16" in self._flags:
            rates.append(self._remember(("pairs", threads), lambda: _on_threads(
                threads, lambda _: self._library.repo_limit_pairs16(2_000_000), 20) / 1e9))
        return max(rates)

    def read(self, threads=1):
        """Read bandwidth from memory, GB/s: the best shape of loop; each thread reads a buffer of its own.

        NumPy asks for huge pages where the system leaves that to programs; without them it is a third less.
        """
        def measure(shape):
            def read(thread):
                if thread not in self._buffers:
                    self._buffers[thread] = np.ones(self._read_bytes // 4, np.float32)
                return self._library.repo_limit_read(self._buffers[thread].ctypes.data, self._read_bytes, shape)
            return _on_threads(threads, read, 5) / 1e9
        shapes = range(self._library.repo_limit_read_shapes())
        return self._remember(("read", threads), lambda: max(map(measure, shapes)))

    def reader(self, sets, threads, flops=0, peak=None):
        """A function that reads the next of `sets`, lists of arrays, on that many threads, and returns the seconds.

        The limit of a kernel that has to read these arrays, on the very memory they lie in: bandwidth depends on it
        (page size, distance to the core). Takes the shape of loop that is fastest here, and at least the time
        of `flops` multiply-adds (counting 2 each) at `peak` GFLOP/s, the FMA peak unless given.
        """
        parts = [(len(arrays), (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays)),
                  (ctypes.c_size_t * len(arrays))(*(a.nbytes for a in arrays)), arrays) for arrays in sets]
        turn = itertools.cycle(parts[len(parts) // 2:] + parts[:len(parts) // 2])
        least = flops / ((peak or self.fma(threads)) * 1e9) if flops else 0.0

        def read(shape):
            count, parts, sizes, _ = next(turn)
            return self._library.repo_limit_read_parts(parts, sizes, count, threads, shape)

        # In turn, and by the median: a machine may be twice as fast in one second as in the next.
        shapes = range(self._library.repo_limit_read_shapes())
        rounds = [[read(shape) for shape in shapes] for _ in range(7)]
        best = min(shapes, key=lambda shape: statistics.median(times[shape] for times in rounds))
        return lambda: max(read(best), least)

    def release_buffers(self):
        self._buffers.clear()

    def _remember(self, key, measure):
        if key not in self._values:
            self._values[key] = measure()
        return self._values[key]

    def record(self):
        """What was measured, for the JSON record."""
        return {"_".join(map(str, key)): round(value, 2) for key, value in self._values.items()}


if __name__ == "__main__":
    limits = Limits()
    for threads in (1, os.cpu_count()):
        print(f"{threads} threads: FMA {limits.fma(threads):.1f} GFLOP/s, "
              f"matrix unit {limits.matrix(threads)}, read {limits.read(threads):.1f} GB/s")
