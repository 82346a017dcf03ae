"""What a RePo user could call instead. A peer that is not installed is None.

`pip install -r python/requirements-benchmark.txt` installs all of them (of torch the CPU wheels do).
"""

import itertools

import numpy as np

import iree_peer


def torch_or_none():
    try:
        import torch
    except ImportError:
        return None
    return torch


def attention(arrays, z, dtype, threads, causal=True):
    """Attention of q [B, H, N, D], k and v [B, Hkv, N, D], float32 arrays, rotated by z [B, Hkv, N]."""
    plain = causal and arrays[0].shape == arrays[1].shape
    single = plain and dtype == "f32" and arrays[0].shape[0] == 1
    return {**({iree_peer.NAME: iree_peer.attention(*arrays, threads)} if single else {}),
            **_torch_attention(arrays, z, dtype, threads, causal),
            **(_flex_attention(arrays, dtype, threads) if plain else {}),
            **(_onnx_attention(arrays, dtype, threads) if causal else {})}


def decode(query, caches, dtype, threads):
    """Attention of one query [B, H, 1, D] to caches [(k, v)], each [B, Hkv, M, D], taken in turn."""
    torch = torch_or_none()
    if torch is None:
        return {"torch SDPA": None}

    def tensor(array):
        if dtype == "bf16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    q, turn = tensor(query), itertools.cycle([(tensor(k), tensor(v)) for k, v in caches])

    @torch.inference_mode()
    def plain():
        torch.set_num_threads(threads)
        return torch.nn.functional.scaled_dot_product_attention(q, *next(turn), enable_gqa=True)

    return {"torch SDPA": plain}


def _flex_attention(arrays, dtype, threads):
    """FlexAttention behind torch.compile, which needs a C++ compiler; None where it does not work."""
    name = "torch FlexAttention"
    torch = torch_or_none()
    if torch is None or dtype != "f32":
        return {} if torch else {name: None}
    q, k, v = (torch.from_numpy(x) for x in arrays)
    torch.set_num_threads(threads)
    try:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        length = q.shape[2]
        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, length, length, device="cpu")
        compiled = torch.compile(flex_attention)
        with torch.inference_mode():
            compiled(q, k, v, block_mask=mask)
    except Exception:  # whatever a compiler at hand may raise
        return {name: None}

    @torch.inference_mode()
    def flex():
        torch.set_num_threads(threads)
        return compiled(q, k, v, block_mask=mask)

    return {name: flex}


def _torch_attention(arrays, z, dtype, threads, causal):
    torch = torch_or_none()
    if torch is None:
        return {"torch SDPA": None, "torch SDPA + rotation": None}
    kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
    q, k, v = (torch.from_numpy(x).to(kind) for x in arrays)
    positions, group = torch.from_numpy(z), q.shape[1] // k.shape[1]
    size = q.shape[-1]
    omega = 500000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def rotate(x, cos, sin):
        x1, x2 = x[..., : size // 2], x[..., size // 2:]
        return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)

    @torch.inference_mode()
    def plain():
        torch.set_num_threads(threads)
        return sdpa(q, k, v, is_causal=causal, enable_gqa=group > 1)

    @torch.inference_mode()
    def rotated():
        torch.set_num_threads(threads)
        angle = positions[..., None] * omega
        cos, sin = angle.cos().to(kind), angle.sin().to(kind)
        each = (cos.repeat_interleave(group, 1), sin.repeat_interleave(group, 1)) if group > 1 else (cos, sin)
        return sdpa(rotate(q, *each), rotate(k, cos, sin), v, is_causal=causal, enable_gqa=group > 1)

    return {"torch SDPA": plain, "torch SDPA + rotation": rotated}


def _onnx_attention(arrays, dtype, threads):
    name = "ONNX Runtime GroupQueryAttention"
    if dtype != "f32":
        return {}
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return {name: None}
    batch, heads, length, size = arrays[0].shape
    kv_heads = arrays[1].shape[1]
    helper, f32, i32 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    node = helper.make_node(
        "GroupQueryAttention", ["q", "k", "v", "", "", "seqlens_k", "total"], ["out", "pk", "pv"],
        domain="com.microsoft", num_heads=heads, kv_num_heads=kv_heads)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g",
        [tensor(n, f32, [batch, length, x.shape[1] * size]) for n, x in zip("qkv", arrays)]
        + [tensor("seqlens_k", i32, [batch]), tensor("total", i32, [1])],
        [tensor("out", f32, [batch, length, heads * size])])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {n: np.ascontiguousarray(x.transpose(0, 2, 1, 3).reshape(batch, length, x.shape[1] * size))
             for n, x in zip("qkv", arrays)}
    feeds["seqlens_k"] = np.full(batch, length - 1, np.int32)
    feeds["total"] = np.array([length], np.int32)
    return {name: lambda: session.run(["out"], feeds)}
