"""Attention on a CUDA device, positions inside: H 16, D 128, bf16, causal prefill and decode; assignment of positions.

Ours is repo.attention with the positions of queries and keys: its time has both rotations. Peers: torch SDPA (whatever it picks, and cuDNN alone),
FlexAttention and flash-attn where installed, each as it is and behind the rotary pass over Q and K that a RePo user
must add. The chain is all between the products of an attention block: norms, rotation, the write to the cache, attention
(suites/chain.py); its peers do the rest by torch.compile, and so does that of the positions (2048 channels, 256 columns; a single
token is a step of decoding, held against a copy's bytes per second). The limit of prefill is a bf16 GEMM of 8192 in the same run, that of decode a copy's bytes per second.
Kernels are started many at a time and waited for once: what is timed is the device.
"""

import subprocess

import repo_mlir as repo
from suites import Case, chain

HEADS, SIZE, REPEAT = 16, 128, 10
PREFILL, CHAIN, DECODE, POSITIONS = (2048, 4096, 8192, 16384), (4096, 16384), (2048, 32768), (1, 4096, 16384)
DEPTH, INNER = 2048, 256


def _torch():
    try:
        import torch
    except ImportError:
        raise SystemExit("benchmark: suite cuda: expected torch with CUDA, found no torch") from None
    if not torch.cuda.is_available():
        raise SystemExit("benchmark: suite cuda: expected a CUDA device, found none")
    return torch


def _query(fields):
    done = subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def machine():
    """What the record says of the device: name, driver, clocks now and at most."""
    torch = _torch()
    return {"device": torch.cuda.get_device_name(), "driver": _query("driver_version"), "torch": torch.__version__,
            "clocks": _query("clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit")}


def _repeated(torch, function):
    def run():
        for _ in range(REPEAT):
            function()
        torch.cuda.synchronize()
    return run


def _rate(torch, function, work):
    """Work per second of a function, by events, the best of 5."""
    function()
    best = 0.0
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(REPEAT):
            function()
        end.record()
        end.synchronize()
        best = max(best, REPEAT * work / (begin.elapsed_time(end) * 1e-3))
    return best


def _rotate(torch, x, z, omega):
    """The pass over memory that a framework needs: half layout, computed in float32."""
    phase = z[..., None] * omega
    cos, sin = phase.cos(), phase.sin()
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def _peers(torch, q, k, v, zq, zk, causal, work_is_decode=False):
    """name -> function or None where it is not installed."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    omega = 500000.0 ** (-torch.arange(0, SIZE, 2, device=q.device, dtype=torch.float32) / SIZE)
    rotate = torch.compile(lambda x, z: _rotate(torch, x, z, omega))
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def cudnn(q, k, v):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return sdpa(q, k, v, is_causal=causal)

    kernels = {"torch SDPA": lambda q, k, v: sdpa(q, k, v, is_causal=causal), "cuDNN": cudnn}
    try:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, q.shape[2], k.shape[2]) if causal else None
        compiled = torch.compile(flex_attention)
        kernels["FlexAttention"] = lambda q, k, v: compiled(q, k, v, block_mask=mask)
    except Exception:
        kernels["FlexAttention"] = None
    try:
        from flash_attn import flash_attn_func
        kernels["flash-attn"] = lambda q, k, v: flash_attn_func(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                                                causal=causal)
    except ImportError:
        kernels["flash-attn"] = None
    peers = {}
    for name, kernel in kernels.items():
        try:
            if kernel is not None:
                kernel(q, k, v)
        except Exception:  # a backend that does not take these shapes
            kernel = None
        peers[name] = kernel and _repeated(torch, lambda kernel=kernel: kernel(q, k, v))
        # In decode K lies rotated in the cache: only Q is rotated.
        peers[name + " + rotary"] = kernel and _repeated(
            torch, lambda kernel=kernel: kernel(rotate(q, zq), k if work_is_decode else rotate(k, zk), v))
    return peers


def _chains(torch, arguments, start):
    """name -> the chain around a peer's attention."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    omega = 500000.0 ** (-torch.arange(0, SIZE, 2, device="cuda", dtype=torch.float32) / SIZE)
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def cudnn(q, k, v):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return sdpa(q, k, v, is_causal=True)

    q, k, v, wq, wk, z, _, kc, vc = arguments
    peers = {}
    for name, kernel in {"torch SDPA": lambda q, k, v: sdpa(q, k, v, is_causal=True), "cuDNN": cudnn}.items():
        made = chain.peer(torch, HEADS, SIZE, lambda x, z: _rotate(torch, x, z, omega), kernel)
        try:
            made(q, k, v, wq, wk, z, start, kc, vc)
        except Exception:  # a backend that does not take these shapes
            made = None
        peers[name + " + norms, rotary, cache"] = made and _repeated(
            torch, lambda made=made: made(q, k, v, wq, wk, z, start, kc, vc))
    return peers


def _positions(torch, h, weights):
    linear, silu = torch.nn.functional.linear, torch.nn.functional.silu

    @torch.compile
    def made(h, gate, content, heads):
        return linear(silu(linear(h, gate)) * linear(h, content), heads).float().transpose(1, 2).contiguous()

    made(h, *weights)
    return _repeated(torch, lambda: made(h, *weights))


def cases(limits, threads=(1,)):
    torch = _torch()
    device = torch.device("cuda")
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    gemm = _rate(torch, lambda: a @ a, 2.0 * 8192 ** 3) / 1e12
    big = torch.empty(1 << 30, device=device, dtype=torch.uint8)
    copy = _rate(torch, lambda: big[:1 << 29].copy_(big[1 << 29:]), float(1 << 30)) / 1e9
    del big
    rope = repo.Rope(theta=500000.0)
    for length in PREFILL:
        q, k, v = (torch.randn(1, HEADS, length, SIZE, device=device, dtype=torch.bfloat16) for _ in range(3))
        z = torch.randn(1, HEADS, length, device=device).cumsum(-1)
        out = torch.empty_like(q)
        yield Case(
            name=f"prefill causal H{HEADS} D{SIZE} N{length}", dtype="bf16", threads=0,
            work=REPEAT * 2.0 * 2.0 * HEADS * SIZE * length * length / 2 / 1e12, unit="TFLOP/s", limit=gemm,
            ours=_repeated(torch, lambda q=q, k=k, v=v, z=z, out=out: repo.attention(
                q, k, v, z, z, rope=rope, causal=True, out=out)),
            peers=_peers(torch, q, k, v, z, z, True))
    ours = chain.ours(HEADS, SIZE, "cuda")
    for length in CHAIN:
        q, k, v = (torch.randn(1, length, HEADS * SIZE, device=device, dtype=torch.bfloat16) for _ in range(3))
        wq, wk = (torch.randn(HEADS * SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
        z = torch.randn(1, HEADS, length, device=device).cumsum(-1)
        kc, vc = (torch.zeros(1, HEADS, length, SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
        at, out = torch.zeros(1, device=device, dtype=torch.int32), torch.empty(1, length, HEADS, SIZE, device=device, dtype=torch.bfloat16)
        arguments = (q, k, v, wq, wk, z, at, kc, vc)
        yield Case(
            name=f"chain causal H{HEADS} D{SIZE} N{length}", dtype="bf16", threads=0,
            work=REPEAT * 2.0 * 2.0 * HEADS * SIZE * length * length / 2 / 1e12, unit="TFLOP/s", limit=gemm,
            ours=_repeated(torch, lambda arguments=arguments, out=out: ours(*arguments, out)),
            peers=_chains(torch, arguments, 0))
    for length in DECODE:
        q = torch.randn(1, HEADS, 1, SIZE, device=device, dtype=torch.bfloat16)
        k, v = (torch.randn(1, HEADS, length, SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
        zq, zk = torch.randn(1, HEADS, 1, device=device), torch.randn(1, HEADS, length, device=device)
        out = torch.empty_like(q)
        yield Case(
            name=f"decode H{HEADS} D{SIZE} KV{length}", dtype="bf16", threads=0,
            work=REPEAT * 2.0 * 2.0 * HEADS * SIZE * length / 1e9, unit="GB/s", limit=copy,
            ours=_repeated(torch, lambda q=q, k=k, v=v, zq=zq, zk=zk, out=out: repo.attention(
                q, k, v, zq, zk, rope=rope, out=out)),
            peers=_peers(torch, q, k, v, zq, zk, False, work_is_decode=True))
    weights = [torch.randn(shape, device=device, dtype=torch.bfloat16) / 45 for shape in ((INNER, DEPTH), (INNER, DEPTH), (HEADS, INNER))]
    for length in POSITIONS:
        h = torch.randn(1, length, DEPTH, device=device, dtype=torch.bfloat16)
        z = torch.empty(1, HEADS, length, device=device)
        operations = 2.0 * length * INNER * (2 * DEPTH + HEADS) / 1e12
        read = 2.0 * (INNER * (2 * DEPTH + HEADS) + DEPTH * length) / 1e9
        work, unit, limit = (read, "GB/s", copy) if length == 1 else (operations, "TFLOP/s", gemm)
        yield Case(
            name=f"f_phi {DEPTH}->{INNER}->{HEADS} N{length}", dtype="bf16", threads=0, work=REPEAT * work, unit=unit, limit=limit,
            ours=_repeated(torch, lambda h=h, z=z: repo.assign_positions(h, *weights, out=z)),
            peers={"torch.compile": _positions(torch, h, weights)})
