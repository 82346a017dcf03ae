"""A part of the mistakes of mutations.py: in every kernel, the first of each kind."""

import pytest

import emulation
import mutations


@pytest.mark.parametrize("name", mutations.KERNELS)
def test_mutants_are_caught(name, tmp_path):
    kernel = mutations.KERNELS[name]
    llvm = emulation.to_llvm(kernel.source(), kernel.chip)
    seen = set()
    for number, line in enumerate(mutations.list_mutations(llvm)):
        if line in seen or (name, line.split(" ", 1)[1]) in mutations.SURVIVORS:
            continue
        seen.add(line)
        assert mutations.catch(kernel, llvm, number, tmp_path / f"{number}.so"), f"{line} survives"
