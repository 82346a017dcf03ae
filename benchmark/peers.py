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


def torch_rotate(x, cos, sin):
    """x [..., D] by angles [..., D / 2]: the rotation a RePo user must add."""
    x1, x2 = x.chunk(2, -1)
    return torch_or_none().cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)


def attention(arrays, z, dtype, threads, causal=True, window=None):
    """Attention of q [B, H, N, D], k and v [B, Hkv, N, D], float32 arrays, rotated by z [B, Hkv, N].

    A window is left to the peers that skip what it hides: FlexAttention and ONNX Runtime.
    """
    plain = causal and arrays[0].shape == arrays[1].shape
    single = plain and not window and dtype == "f32" and arrays[0].shape[0] == 1
    return {**({iree_peer.NAME: iree_peer.attention(*arrays, threads)} if single else {}),
            **({} if window else _torch_attention(arrays, z, dtype, threads, causal)),
            **(_flex_attention(arrays, dtype, threads, window) if plain else {}),
            **(_onnx_attention(arrays, z, dtype, threads, window) if causal else {})}


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


def _flex_attention(arrays, dtype, threads, window):
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
        reach = window or length
        mask = create_block_mask(lambda b, h, i, j: (i >= j) & (i - j < reach), None, None, length, length, device="cpu")
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
        return sdpa(torch_rotate(q, *each), torch_rotate(k, cos, sin), v, is_causal=causal, enable_gqa=group > 1)

    return {"torch SDPA": plain, "torch SDPA + rotation": rotated}


def _onnx_attention(arrays, z, dtype, threads, window):
    """GroupQueryAttention, which takes integer positions alone: of rotated inputs, and behind the rotation as ONNX operators."""
    name = "ONNX Runtime GroupQueryAttention"
    names = (name, f"{name} + rotation")
    if dtype != "f32":
        return {}
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        return dict.fromkeys(names)
    return {name: _onnx_call(arrays, z, threads, window, rotated)
            for name, rotated in zip(names, (False, True))}


def _onnx_call(arrays, z, threads, window, rotated):
    import onnx
    import onnxruntime
    helper, f32, i32 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    batch, heads, length, size = arrays[0].shape
    kv_heads = arrays[1].shape[1]
    nodes, constants, inputs = [], [], ["q", "k"]
    if rotated:
        nodes, constants = _onnx_rotation(heads, kv_heads, size)
        inputs = ["q_rotated", "k_rotated"]
    nodes.append(helper.make_node(
        "GroupQueryAttention", [*inputs, "v", "", "", "seqlens_k", "total"], ["out", "pk", "pv"],
        domain="com.microsoft", num_heads=heads, kv_num_heads=kv_heads, local_window_size=window or -1))
    feeds = {n: np.ascontiguousarray(x.transpose(0, 2, 1, 3).reshape(batch, length, -1)) for n, x in zip("qkv", arrays)}
    if rotated:
        feeds["z"] = np.ascontiguousarray(z.transpose(0, 2, 1)[..., None])
    feeds["seqlens_k"] = np.full(batch, length - 1, np.int32)
    feeds["total"] = np.array([length], np.int32)
    graph = helper.make_graph(
        nodes, "attention",
        [helper.make_tensor_value_info(n, i32 if x.dtype == np.int32 else f32, x.shape) for n, x in feeds.items()],
        [helper.make_tensor_value_info("out", f32, [batch, length, heads * size])],
        [onnx.numpy_helper.from_array(value, n) for n, value in constants])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["out"], feeds)


def _onnx_rotation(heads, kv_heads, size):
    """q and k [B, N, H * D] to q_rotated and k_rotated by z [B, N, Hkv, 1]: nodes and constants [(name, array)]."""
    import onnx
    node, nodes = onnx.helper.make_node, []
    omega = (500000.0 ** (-np.arange(0, size, 2) / size)).astype(np.float32)
    constants = [("omega", omega), ("flat", np.array([0, 0, -1], np.int64))]
    nodes += [node("Mul", ["z", "omega"], ["angle"]), node("Cos", ["angle"], ["cos"]), node("Sin", ["angle"], ["sin"])]
    for x, count in (("q", heads), ("k", kv_heads)):
        # Heads that share a row of keys share its position: [B, N, Hkv, group, D / 2] by [B, N, Hkv, 1, D / 2].
        constants.append((f"{x}_heads", np.array([0, 0, kv_heads, count // kv_heads, size], np.int64)))
        nodes += [node("Reshape", [x, f"{x}_heads"], [f"{x}5"]),
                  node("Split", [f"{x}5"], [f"{x}1", f"{x}2"], axis=-1)]
    constants.append(("group", np.array([3], np.int64)))
    nodes += [node("Unsqueeze", [t, "group"], [f"{t}5"]) for t in ("cos", "sin")]
    for x in "qk":
        nodes += [node("Mul", [f"{x}{half}", f"{t}5"], [f"{x}{half}{t}"]) for half in "12" for t in ("cos", "sin")]
        nodes += [node("Sub", [f"{x}1cos", f"{x}2sin"], [f"{x}_low"]),
                  node("Add", [f"{x}2cos", f"{x}1sin"], [f"{x}_high"]),
                  node("Concat", [f"{x}_low", f"{x}_high"], [f"{x}_turned"], axis=-1),
                  node("Reshape", [f"{x}_turned", "flat"], [f"{x}_rotated"])]
    return nodes, constants
