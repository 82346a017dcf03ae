"""Kernels with one mistake in their synchronisation: each must be caught.

`python python/tests/mutations.py` makes every mistake in every kernel and prints what caught it, a table; the exit
status is 1 where one survives without an entry in SURVIVORS. Tests make a part of them (test_mutations.py).
"""

import collections
import subprocess
import sys
import tempfile

import numpy as np

import emulation
import gpu_kernels
import test_emulated_instructions as kernels

# Mistakes that no run can show, with the reason the instruction is there all the same.
SURVIVORS = {}

# Orders in which mutants run: all at once, late, any time.
ORDERS = (0, 1, 2, 3, 4, 5, 6)

Kernel = collections.namedtuple("Kernel", "source run")

KERNELS = {
    "mma": Kernel(gpu_kernels.mma_gemm, lambda k, order: kernels.run_mma(k, 32, 16, 160, order)),
    "wgmma": Kernel(gpu_kernels.wgmma_gemm, lambda k, order: kernels.run_wgmma(k, 64, 64, 320, order)),
    "wgmma-register-a": Kernel(lambda: gpu_kernels.wgmma_gemm(3, register_a=True),
                               lambda k, order: kernels.run_wgmma(k, 64, 64, 448, order, stages=3)),
}


def list_mutations(llvm):
    done = subprocess.run([str(emulation.TOOLS / "repo-emulate"), "-", "--list-mutations"], input=llvm, text=True,
                          capture_output=True, check=True, timeout=60)
    return done.stdout.splitlines()


def catch(llvm, number, run, path):
    """What catches mutation `number`, or None."""
    try:
        mutant = emulation.Kernels(llvm, path, f"--mutate={number}")
        for order in ORDERS:
            got, wanted = run(mutant, order)
            if not np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max():
                return f"order {order}: wrong numbers"
    except emulation.EmulationError as error:
        return f"order {order}: {str(error).split(': ', 2)[-1]}"
    return None


def main(names):
    survivors = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names or KERNELS:
            llvm = emulation.to_llvm(KERNELS[name].source())
            for number, line in enumerate(list_mutations(llvm)):
                total += 1
                caught = catch(llvm, number, KERNELS[name].run, f"{folder}/{name}-{number}.so")
                reason = SURVIVORS.get((name, line.split(" ", 1)[1]))
                print(f"{name} | {number} | {line.split(' ', 1)[1]} | {caught or reason or 'SURVIVES'}", flush=True)
                survivors += not caught and not reason
    print(f"{total - survivors} of {total} mutants accounted for")
    return survivors != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
