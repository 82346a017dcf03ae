"""What the operators mean, in plain float64 NumPy: the yardstick of every other test.

Written from the published mathematics, not from the compiler.
"""

import numpy as np


def frequencies(theta, dim):
    return theta ** (-2.0 * np.arange(dim // 2) / dim)


def rotate(x, z, theta=500000.0, dim=None, layout="half"):
    """x [B, H, N, D], z [B, H or 1, N]."""
    x = np.asarray(x, np.float64)
    dim = x.shape[-1] if dim is None else dim
    angle = np.asarray(z, np.float64)[..., None] * frequencies(theta, dim)
    cos, sin = np.cos(angle), np.sin(angle)
    y = x.copy()
    first, second = ((slice(0, dim // 2), slice(dim // 2, dim)) if layout == "half"
                     else (slice(0, dim, 2), slice(1, dim, 2)))
    y[..., first] = x[..., first] * cos - x[..., second] * sin
    y[..., second] = x[..., second] * cos + x[..., first] * sin
    return y


def assign_positions(h, w_gate, w_content, w_pos):
    h, w_gate, w_content, w_pos = (np.asarray(a, np.float64) for a in (h, w_gate, w_content, w_pos))
    g, c = h @ w_gate.T, h @ w_content.T
    return np.swapaxes((g / (1 + np.exp(-g)) * c) @ w_pos.T, 1, 2)


def per_query_head(x, heads):
    """Repeats heads (1, Hkv or Hq of them) to Hq."""
    return np.repeat(x, heads // x.shape[1], axis=1)


def visible(b, n, m, causal, window, lengths, offset):
    """[B, 1, N, M] booleans."""
    if window is not None and not isinstance(window, tuple):
        window = (window - 1, 0)
    p = np.broadcast_to(np.asarray(m - n if offset is None else offset), (b,))[:, None, None] + np.arange(n)[:, None]
    j = np.arange(m)
    seen = np.ones((b, n, m), bool)
    if causal:
        seen &= j <= p
    if window is not None:
        left, right = window
        if left >= 0:
            seen &= j >= p - left
        if right >= 0:
            seen &= j <= p + right
    if lengths is not None:
        seen &= j < np.asarray(lengths)[:, None, None]
    return seen[:, None]


def attention(q, k, v, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None, softcap=None, bias=None,
              mask=None, lengths=None, offset=None):
    """(out, lse) in float64; rope is the dict of rotate's keyword arguments."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    heads = q.shape[1]
    k, v = per_query_head(k, heads), per_query_head(v, heads)
    if zq is not None:
        q = rotate(q, per_query_head(np.asarray(zq), heads), **(rope or {}))
    if zk is not None:
        k = rotate(k, per_query_head(np.asarray(zk), heads), **(rope or {}))
    seen = np.broadcast_to(visible(q.shape[0], q.shape[2], k.shape[2], causal, window, lengths, offset),
                           (q.shape[0], heads, q.shape[2], k.shape[2])).copy()
    if mask is not None:
        seen &= mask
    # What is not visible never enters, whatever it holds.
    used = seen.any(axis=2)[..., None]
    k, v = np.where(used, k, 0.0), np.where(used, v, 0.0)
    with np.errstate(all="ignore"):
        s = np.einsum("bhnd,bhmd->bhnm", q, k) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
        if softcap:
            s = softcap * np.tanh(s / softcap)
        if bias is not None:
            s = s + np.asarray(bias, np.float64)
        s = np.where(seen, s, -np.inf)
        top = s.max(axis=-1, keepdims=True, initial=-np.inf)
        top = np.where(np.isneginf(top), 0.0, top)
        p = np.where(seen & ~np.isneginf(s), np.exp(s - top), 0.0)
        total = p.sum(axis=-1, keepdims=True)
        out = np.einsum("bhnm,bhme->bhne", p, v) / np.where(total == 0, 1.0, total)
        lse = (top + np.log(total))[..., 0]
    return out, lse
