"""What the operators mean, in plain float64 NumPy: the yardstick of every other test.

Written from the published mathematics, not from the compiler. `attention` can also be evaluated the plain way in a
shorter type, every step rounded to it: the error of that evaluation is what a kernel's error is measured against.
"""

import numpy as np


def frequencies(theta, dim, scaling=None):
    """(omega [dim/2], factor of cos and sin) as Hugging Face's configs mean them."""
    omega = theta ** (-2.0 * np.arange(dim // 2) / dim)
    scaling = scaling or {}
    kind = scaling.get("rope_type", "default")
    if kind == "default":
        return omega, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return omega / factor, 1.0
    original = scaling["original_max_position_embeddings"]
    if kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = original * omega / (2 * np.pi)  # of a channel over the original context
        share = np.clip((turns - low) / (high - low), 0, 1)
        return (1 - share) * omega / factor + share * omega, 1.0
    assert kind == "yarn"

    def channel(turns):  # the channel that makes so many turns over the original context
        return dim * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(theta))

    low, high = channel(scaling.get("beta_fast", 32)), channel(scaling.get("beta_slow", 1))
    if scaling.get("truncate", True):
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    kept = 1 - np.clip((np.arange(dim // 2) - low) / (high - low if high != low else 0.001), 0, 1)
    attention = scaling.get("attention_factor") or (0.1 * np.log(factor) + 1 if factor > 1 else 1.0)
    return omega / factor * (1 - kept) + omega * kept, attention


def _rounding(dtype):
    """(type of arithmetic, rounding of a result): float64, float32, or a short type in float32."""
    dtype = np.dtype(dtype)
    if dtype.itemsize >= 4:
        return dtype, lambda x: x.astype(dtype)
    return np.dtype(np.float32), lambda x: x.astype(dtype).astype(np.float32)


def rotate(x, z, theta=500000.0, dim=None, layout="half", scaling=None, omega=None, dtype=np.float64):
    """x [B, H, N, D], z [B, H or 1, N]; omega [F] or [H, F] in place of the rule's frequencies."""
    wide, rounded = _rounding(dtype)
    x = np.asarray(x).astype(wide)
    dim = x.shape[-1] if dim is None else dim
    ruled, factor = frequencies(theta, dim, scaling)
    omega = ruled if omega is None else omega if omega.ndim == 1 else omega[:, None]
    angle = np.asarray(z).astype(wide)[..., None] * omega.astype(wide)
    cos, sin = (rounded((f(angle) * factor).astype(wide)) for f in (np.cos, np.sin))
    y = x.copy()
    first, second = ((slice(0, dim // 2), slice(dim // 2, dim)) if layout == "half"
                     else (slice(0, dim, 2), slice(1, dim, 2)))
    y[..., first] = rounded(rounded(x[..., first] * cos) - rounded(x[..., second] * sin))
    y[..., second] = rounded(rounded(x[..., second] * cos) + rounded(x[..., first] * sin))
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
              mask=None, lengths=None, offset=None, dtype=np.float64):
    """(out, lse); rope is the dict of rotate's keyword arguments."""
    wide, rounded = _rounding(dtype)
    q, k, v = (np.asarray(a).astype(wide) for a in (q, k, v))
    heads = q.shape[1]
    k, v = per_query_head(k, heads), per_query_head(v, heads)
    if rope and getattr(rope.get("omega"), "ndim", 1) == 2:  # a row for each KV head
        rope = rope | {"omega": per_query_head(rope["omega"][None], heads)[0]}
    seen = np.broadcast_to(visible(q.shape[0], q.shape[2], k.shape[2], causal, window, lengths, offset),
                           (q.shape[0], heads, q.shape[2], k.shape[2])).copy()
    if mask is not None:
        seen &= mask
    # What is not visible never enters, whatever it holds.
    used = seen.any(axis=2)[..., None]
    k, v = np.where(used, k, wide.type(0)), np.where(used, v, wide.type(0))
    if zq is not None:
        q = rotate(q, per_query_head(np.asarray(zq), heads), **(rope or {}), dtype=dtype)
    if zk is not None:
        k = rotate(k, per_query_head(np.asarray(zk), heads), **(rope or {}), dtype=dtype)
    with np.errstate(all="ignore"):
        s = rounded(rounded(q @ np.swapaxes(k, 2, 3))
                    * wide.type(1 / np.sqrt(q.shape[-1]) if scale is None else scale))
        if softcap:
            s = rounded(wide.type(softcap) * np.tanh(s / wide.type(softcap)))
        if bias is not None:
            s = rounded(s + np.asarray(bias).astype(wide))
        s = np.where(seen, s, -np.inf)
        top = s.max(axis=-1, keepdims=True, initial=-np.inf)
        top = np.where(np.isneginf(top), wide.type(0), top)
        p = np.where(seen & ~np.isneginf(s), np.exp(s - top), wide.type(0))
        total = p.sum(axis=-1, keepdims=True)
        out = rounded(rounded(p / np.where(total == 0, wide.type(1), total)) @ v)
        lse = (top + np.log(total))[..., 0]
    return out, lse
