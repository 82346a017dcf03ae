"""Kernels on a CUDA device (make check-cuda): random configurations, goldens, streams; and what can be tested without
one: arguments, messages, and the same host code over the emulator's driver."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

import conftest
import repo_mlir as repo
from repo_mlir import find
from repo_mlir.runtime import DLDataType, DLDevice, DLTensor, check, context

ROTATE = """
func.func @f(%x: tensor<?x2x?x16xf32>, %z: tensor<?x2x?xf32>) -> tensor<?x2x?x16xf32> {
  %y = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0E+4, dim = 16>} : (tensor<?x2x?x16xf32>, tensor<?x2x?xf32>) -> tensor<?x2x?x16xf32>
  return %y : tensor<?x2x?x16xf32>
}
"""


def device_or_skip():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch


def inputs():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 2, 5, 16)).astype(np.float32)
    z = rng.standard_normal((1, 2, 5)).astype(np.float32)
    return x, z


def tensor(array, device):
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    made = DLTensor(ctypes.c_void_p(array.ctypes.data), DLDevice(*device), array.ndim, DLDataType(2, 32, 1),
                    ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64)), None, 0)
    return made, (array, shape)


def call(entry, arrays, devices):
    made = [tensor(array, device) for array, device in zip(arrays, devices)]
    pointers = (ctypes.POINTER(DLTensor) * len(made))(*(ctypes.pointer(m[0]) for m in made))
    check(entry._function(context(), ctypes.cast(pointers, ctypes.c_void_p), len(made)), context())


@pytest.fixture(scope="module")
def emulated():
    repo.load_emulator()
    return repo.compile(ROTATE, target="emulator")["f"]


def on_emulator(arrays, device=0):
    """Copies in memory of a device that the emulator's driver gives."""
    driver, copies, context = repo.load_emulator(), [], ctypes.c_void_p()
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == driver.cuCtxPushCurrent_v2(context) == 0
    for array in arrays:
        address = ctypes.c_uint64()
        assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(array.nbytes)) == 0
        memory = (ctypes.c_uint8 * array.nbytes).from_address(address.value)
        copies.append(np.frombuffer(memory, array.dtype).reshape(array.shape))
        copies[-1][...] = array
    assert driver.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    return tuple(copies)


def test_host_code_over_the_emulators_driver(emulated):
    x, z = inputs()
    wanted = repo.rotate(x, z, repo.Rope(theta=10000.0))
    assert np.abs(emulated(x, z) - wanted).max() < 2e-6
    out = np.empty_like(x)
    call(emulated, (x, z, out), [(1, 0)] * 3)
    assert np.abs(out - wanted).max() < 2e-6
    # Tensors of a device are used as they are: memory that the driver did not give is out of bounds.
    with pytest.raises(repo.RepoError, match="emulator: kernel `f_kernel1`, block .* thread .*: store of 4 bytes at 0x.*: "
                       "outside"):
        call(emulated, on_emulator((x, z)) + (out,), [(2, 0)] * 3)
    device = on_emulator((x, z, out * np.nan))
    call(emulated, device, [(2, 0)] * 3)
    assert np.abs(device[2] - wanted).max() < 2e-6
    with pytest.raises(repo.RepoError, match="`arg1`: expected a tensor on device 0 as the others, got device 0"):
        call(emulated, (x, z, out), [(1, 0), (2, 0), (1, 0)])


def test_several_devices(emulated):
    """One library on two devices, in turn; memory of another device is refused, before the kernel or in it."""
    x, z = inputs()
    wanted = repo.rotate(x, z, repo.Rope(theta=10000.0))
    for device in (0, 1, 0):
        arrays = on_emulator((x, z, x * np.nan), device)
        call(emulated, arrays, [(2, device)] * 3)
        assert np.abs(arrays[2] - wanted).max() < 2e-6
    with pytest.raises(repo.RepoError, match="`arg1`: expected a tensor on device 1 as the others, got device 0"):
        call(emulated, arrays, [(2, 1), (2, 0), (2, 1)])
    with pytest.raises(repo.RepoError, match="memory of device 0, the kernel runs on device 1"):
        call(emulated, arrays, [(2, 1)] * 3)
    with pytest.raises(repo.RepoError, match="CUDA device 2: invalid device ordinal"):
        call(emulated, arrays, [(2, 2)] * 3)


ATTENTION = """
func.func @f(%q: tensor<?x2x1x64xf16>, %k: tensor<?x2x?x64xf16>, %o: tensor<?x2x?x64xf16>)
    -> (tensor<?x2x1x64xf16>, tensor<?x2x?x64xf16>) {
  %0 = repo.attention %q, %k, %k into %q
    : (tensor<?x2x1x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x1x64xf16>) -> tensor<?x2x1x64xf16>
  %1 = repo.attention %o, %k, %k into %o {STRATEGY}
    : (tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>, tensor<?x2x?x64xf16>) -> tensor<?x2x?x64xf16>
  return %0, %1 : tensor<?x2x1x64xf16>, tensor<?x2x?x64xf16>
}
"""


def test_what_kernels_cannot_take_is_refused_on_the_host():
    """Before any kernel runs: on a device a misaligned copy would end the process."""
    repo.load_emulator()
    f = repo.compile(ATTENTION.replace("{STRATEGY}", ""), target="emulator")["f"]

    def rows(n, shift=0, width=64):
        memory = np.zeros(2 * n * width + 72, np.float16)
        start = -memory.ctypes.data % 16 // 2 + shift
        return memory[start:start + 2 * n * width].reshape(1, 2, n, width)[..., :64]

    f(rows(1), rows(20), rows(30))
    text = "^f: expected the rows of the attention's `{}` to begin at multiples of 16 bytes$"
    with pytest.raises(repo.RepoError, match=text.format("query")):
        f(rows(1, shift=1), rows(20), rows(30))
    with pytest.raises(repo.RepoError, match=text.format("key")):
        f(rows(1), rows(20, width=68), rows(30))
    with pytest.raises(repo.RepoError, match=text.format("query")):
        f(rows(1), rows(20), rows(30, shift=4))
    strategy = "{kernel_strategy = #repo.kernel_strategy<unit = mma, query_block = 64, key_block = 128, stages = 8, warps = 4>}"
    f = repo.compile(ATTENTION.replace("{STRATEGY}", strategy), target="emulator")["f"]
    with pytest.raises(repo.RepoError, match="^kernel `f_attention0`: 270336 bytes of shared memory: more shared memory than "
                       "a block can have$"):
        f(rows(1), rows(20), rows(30))


def test_a_missing_assembler_is_one_line(run, tmp_path):
    (tmp_path / "f.mlir").write_text(ROTATE)
    flags = (tmp_path / "f.mlir", "--target=cuda", "--emit=cubin", "-o", tmp_path / "f.cubin")
    status, _, error = run("repo-compile", *flags, env={**os.environ, "REPO_PTXAS": "/nowhere/ptxas"})
    assert status == 1 and len(error.splitlines()) == 1
    assert "cannot run `ptxas`: REPO_PTXAS names `/nowhere/ptxas`, expected a program" in error
    if not os.path.exists("/usr/local/cuda/bin/ptxas"):
        status, _, error = run("repo-compile", *flags, env={"PATH": str(tmp_path)})
        assert status == 1 and "cannot find `ptxas`: expected it on the PATH" in error
    assert not (tmp_path / "f.cubin").exists()


@pytest.mark.skipif(find.ptxas() is None, reason="no ptxas")
def test_a_library_for_a_device_says_what_it_needs(tmp_path):
    library = repo.compile(ROTATE, target="cuda", chip="sm_80,sm_90a", out=tmp_path / "f.so")
    x, z = inputs()
    with pytest.raises(repo.RepoError, match="`arg0`: expected a tensor on a CUDA device .device type 2., got device type 1"):
        library["f"](x, z)
    # Without a driver: one line. The variable is read when the driver is opened, once a process.
    script = f"""
import sys; sys.path[:0] = {sys.path!r}
import repo_mlir as repo, test_cuda
x, z = test_cuda.inputs()
try:
    test_cuda.call(repo.Library({str(tmp_path / "f.so")!r})["f"], (x, z, x.copy()), [(2, 0)] * 3)
except repo.RepoError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "REPO_CUDA_DRIVER": "/nowhere/libcuda.so"})
    assert done.stdout.strip() == "no CUDA driver: cannot open `/nowhere/libcuda.so`", done.stderr
    # A driver that is none of CUDA, and one whose device has another architecture (the emulator's: sm_90).
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "REPO_CUDA_DRIVER": "libm.so.6"})
    assert done.stdout.startswith("libm.so.6 has no `cuInit`"), done.stderr
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "REPO_CUDA_DRIVER": str(conftest.BUILD / "lib" / "librepo_emulator.so")})
    assert done.stdout.strip() == "cannot load the kernels: the emulator loads only images of emulated kernels", done.stderr


@pytest.mark.frameworks
@pytest.mark.parametrize("command", [["bash", "scripts/check-cuda.sh"],
                                     [sys.executable, "benchmark/run.py", "--suite", "cuda"]])
def test_without_a_device_the_checks_say_so(command):
    done = subprocess.run(command, cwd=conftest.ROOT, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": "python", "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "expected a CUDA device, found none" in done.stderr or "expected torch with CUDA, found no torch" in done.stderr


def test_targets_and_chips_are_checked():
    with pytest.raises(repo.RepoError, match='expected target="cpu", "cuda" or "emulator", got \'tpu\''):
        repo.compile(ROTATE, target="tpu")
    with pytest.raises(repo.RepoError, match='expected no chip with target="cpu"'):
        repo.compile(ROTATE, chip="sm_80")
    with pytest.raises(repo.RepoError, match="expected a chip from sm_80 on that LLVM knows"):
        repo.compile(ROTATE, target="cuda", chip="sm_75")


# On a device.


def on_device(torch, value):
    return torch.from_numpy(value.view(np.uint16)).view(torch.bfloat16).cuda() if value.dtype.name == "bfloat16" else \
        torch.from_numpy(value).cuda()


@pytest.mark.cuda
def test_smoke():
    torch = device_or_skip()
    x, z = inputs()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        y = repo.rotate(torch.from_numpy(x).cuda(), torch.from_numpy(z).cuda(), repo.Rope(theta=10000.0))
    stream.synchronize()
    assert np.abs(y.cpu().numpy() - repo.rotate(x, z, repo.Rope(theta=10000.0))).max() < 2e-6


@pytest.mark.cuda
@pytest.mark.parametrize("dtype, bound", [("float32", 2e-5), ("bfloat16", 2e-2), ("float16", 3e-3)])
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(dtype, bound, size, causal):
    torch = device_or_skip()
    rng = np.random.default_rng(size)
    q, k, v = (torch.from_numpy(rng.standard_normal((2, heads, 257, size)).astype(np.float32)).to(getattr(torch, dtype))
               for heads in (4, 2, 2))
    zq, zk = (torch.from_numpy(rng.standard_normal((2, heads, 257)).astype(np.float32) * 20) for heads in (4, 2))
    zk = zk.repeat_interleave(2, 1)
    rope = repo.Rope(theta=10000.0)
    wanted = repo.attention(*(t.double() for t in (q, k, v)), zq, zk, rope=rope, causal=causal)
    got = repo.attention(*(t.cuda() for t in (q, k, v)), zq.cuda(), zk.cuda(), rope=rope, causal=causal)
    assert (got.double().cpu() - wanted).abs().max() <= bound * wanted.abs().max()


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("batches, tokens", [(1, 300), (3, 1)])
def test_positions(dtype, batches, tokens):
    """On tensor cores, as good as in float32; the same bits every time."""
    torch = device_or_skip()
    rng = np.random.default_rng(tokens)
    arrays = [torch.from_numpy(rng.standard_normal(shape).astype(np.float32) * scale).to(getattr(torch, dtype))
              for shape, scale in (((batches, tokens, 512), 1), ((128, 512), 0.1), ((128, 512), 0.1), ((12, 128), 1))]
    wanted = repo.assign_positions(*(a.double() for a in arrays))
    moved = [a.cuda() for a in arrays]
    got = [repo.assign_positions(*moved) for _ in range(3)]
    assert (got[0].double().cpu() - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert all(torch.equal(got[0], other) for other in got)


@pytest.mark.cuda
@pytest.mark.parametrize("index", range(0, 200, 5))
def test_random_configurations(monkeypatch, index):
    import test_random
    torch = device_or_skip()
    plain = repo.ops._run

    def run(source, compute, arrays, outs, result):
        if compute == "float64":
            return plain(source, compute, arrays, outs, result)
        moved = [repo.arrays.to_device(array, (2, torch.cuda.current_device())) for array in arrays]
        results = plain(source, compute, moved, None, result)
        back = lambda t: repo.arrays.wrap(t.cpu(), "result").owner.float().numpy()
        return back(results) if result == 1 else tuple(map(back, results))

    monkeypatch.setattr(repo.ops, "_run", run)
    test_random.run(index)
