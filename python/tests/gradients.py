"""The operators' gradients: in float64 by torch's autograd from forward formulas written out here, the yardstick, and by
the published formulas of the backward pass in NumPy in any type, whose error in float32 a kernel's error is measured against.

Everything takes and returns NumPy arrays. `upstream` is the gradient by the result.
"""

import numpy as np

import reference

try:
    import torch
except ModuleNotFoundError:  # tests marked `frameworks` alone ask for it
    torch = None


def leaf(x):
    return None if x is None else torch.from_numpy(np.asarray(x, np.float64)).requires_grad_()


def per_query_head(x, heads):
    return x.repeat_interleave(heads // x.shape[1], 1)


def rotate(x, z, theta=500000.0, dim=None, layout="half", scaling=None, omega=None):
    dim = x.shape[-1] if dim is None else dim
    ruled, factor = reference.frequencies(theta, dim, scaling)
    omega = torch.from_numpy(np.asarray(ruled if omega is None else omega, np.float64))
    omega = omega[:, None] if omega.ndim == 2 else omega
    angle = z[..., None] * omega
    cos, sin = angle.cos() * factor, angle.sin() * factor
    half = layout == "half"
    x1, x2 = (x[..., :dim // 2], x[..., dim // 2:dim]) if half else (x[..., :dim:2], x[..., 1:dim:2])
    y1, y2 = x1 * cos - x2 * sin, x2 * cos + x1 * sin
    turned = torch.cat((y1, y2), -1) if half else torch.stack((y1, y2), -1).flatten(-2)
    return torch.cat((turned, x[..., dim:]), -1)


def assign_positions(h, w_gate, w_content, w_pos):
    g, c = h @ w_gate.T, h @ w_content.T
    return ((torch.nn.functional.silu(g) * c) @ w_pos.T).transpose(1, 2)


def attention(q, k, v, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None, softcap=None, bias=None,
              mask=None, lengths=None, offset=None):
    """(out, lse)."""
    heads = q.shape[1]
    seen = np.broadcast_to(reference.visible(q.shape[0], q.shape[2], k.shape[2], causal, window, lengths, offset),
                           (q.shape[0], heads, q.shape[2], k.shape[2]))
    seen = torch.from_numpy((seen if mask is None else seen & mask).copy())
    k, v = per_query_head(k, heads), per_query_head(v, heads)
    if rope and getattr(rope.get("omega"), "ndim", 1) == 2:
        rope = rope | {"omega": np.repeat(rope["omega"], heads // len(rope["omega"]), 0)}
    q = q if zq is None else rotate(q, per_query_head(zq, heads), **(rope or {}))
    k = k if zk is None else rotate(k, per_query_head(zk, heads), **(rope or {}))
    s = q @ k.transpose(2, 3) * (q.shape[-1] ** -0.5 if scale is None else scale)
    s = softcap * torch.tanh(s / softcap) if softcap else s
    s = s if bias is None else s + torch.from_numpy(np.asarray(bias, np.float64))
    any_key = seen.any(-1, keepdim=True)
    s = torch.where(seen, s, -torch.inf)
    lse = torch.logsumexp(torch.where(any_key, s, 0.0), -1, keepdim=True)
    p = torch.where(seen & any_key, torch.exp(torch.where(seen, s - lse, 0.0)), 0.0)
    return p @ v, torch.where(any_key, lse, -torch.inf)[..., 0]


def of(function, arrays, upstream, **options):
    """The gradients of sum(upstream * function(*arrays)) by the arrays; None for None."""
    leaves = [leaf(x) for x in arrays]
    result = function(*leaves, **options)
    result = result[0] if isinstance(result, tuple) else result
    result.backward(torch.from_numpy(np.asarray(upstream, np.float64)))
    return [None if x is None else np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]


def _sum_heads(x, heads):
    """Sums what is per query head to `heads` heads."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, *x.shape[2:]).sum(2, dtype=x.dtype)


def rotate_back(y, g, z, wide, theta=500000.0, dim=None, layout="half", scaling=None, omega=None):
    """(dx, dz) per head of y = rotate(x, z), from y and the gradient g by it."""
    dim = y.shape[-1] if dim is None else dim
    ruled, factor = reference.frequencies(theta, dim, scaling)
    omega = np.asarray(ruled if omega is None else omega if omega.ndim == 1 else omega[:, None]).astype(wide)
    angle = z.astype(wide)[..., None] * omega
    cos, sin = (np.asarray(f(angle) * factor, wide) for f in (np.cos, np.sin))
    first, second = ((slice(0, dim // 2), slice(dim // 2, dim)) if layout == "half"
                     else (slice(0, dim, 2), slice(1, dim, 2)))
    dx = g.copy()
    dx[..., first] = g[..., first] * cos + g[..., second] * sin
    dx[..., second] = g[..., second] * cos - g[..., first] * sin
    return dx, (omega * (g[..., second] * y[..., first] - g[..., first] * y[..., second])).sum(-1, dtype=wide)


def plain_attention_backward(q, k, v, upstream, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None,
                             softcap=None, bias=None, mask=None, lengths=None, offset=None, dtype=np.float64):
    """The gradients by q, k, v, zq and zk (None for None), evaluated in `dtype` from out and lse in `dtype`."""
    wide = np.dtype(dtype)
    options = dict(causal=causal, window=window, scale=scale, softcap=softcap, bias=bias, mask=mask, lengths=lengths,
                   offset=offset)
    out, lse = reference.attention(q, k, v, zq, zk, rope=rope, **options, dtype=wide)
    heads, kv_heads = q.shape[1], k.shape[1]
    if rope and getattr(rope.get("omega"), "ndim", 1) == 2:
        rope = rope | {"omega": reference.per_query_head(rope["omega"][None], heads)[0]}
    seen = np.broadcast_to(reference.visible(q.shape[0], q.shape[2], k.shape[2], causal, window, lengths, offset),
                           (q.shape[0], heads, q.shape[2], k.shape[2]))
    seen = seen if mask is None else seen & mask
    q, k, v, g = (reference.per_query_head(x.astype(wide), heads) for x in (q, k, v, upstream))
    used = seen.any(axis=2)[..., None]
    k, v = np.where(used, k, wide.type(0)), np.where(used, v, wide.type(0))
    turn = {"zq": zq, "zk": zk}
    turn = {name: None if z is None else reference.per_query_head(z, heads) for name, z in turn.items()}
    q = q if zq is None else reference.rotate(q, turn["zq"], **(rope or {}), dtype=wide)
    k = k if zk is None else reference.rotate(k, turn["zk"], **(rope or {}), dtype=wide)
    factor = wide.type(q.shape[-1] ** -0.5 if scale is None else scale)
    with np.errstate(all="ignore"):
        s = q @ k.swapaxes(2, 3) * factor
        slope = 1
        if softcap:
            ratio = np.tanh(s / wide.type(softcap))
            s, slope = wide.type(softcap) * ratio, 1 - ratio * ratio
        s = s if bias is None else s + np.asarray(bias).astype(wide)
        p = np.where(seen & ~np.isneginf(s), np.exp(s - lse[..., None].astype(wide)), wide.type(0))
    delta = (g * out.astype(wide)).sum(-1, keepdims=True, dtype=wide)
    ds = p * (g @ v.swapaxes(2, 3) - delta) * slope * factor
    dq, dk, dv = ds @ k, ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ g
    dzq = dzk = None
    if zq is not None:
        dq, dzq = rotate_back(q, dq, turn["zq"], wide, **(rope or {}))
        dzq = _sum_heads(dzq, zq.shape[1])
    if zk is not None:
        dk, dzk = rotate_back(k, dk, turn["zk"], wide, **(rope or {}))
        dzk = _sum_heads(dzk, zk.shape[1])
    return [dq, _sum_heads(dk, kv_heads), _sum_heads(dv, kv_heads), dzq, dzk]
