"""The operators as functions of arrays.

Each checks its arguments, writes a small module (element types, head counts, head sizes and options are
static; B, N and M are not), compiles it once and calls it. On the CPU code is for this machine, or for the one that the
environment variable REPO_CPU names when the process first calls an operator, such as x86-64-v3.
"""

import functools
import math
import numbers
import os

import numpy as np

from . import arrays, cache, devices
from .errors import RepoError
from .library import Library

_FLOATS = ("float16", "bfloat16", "float32", "float64")


class Rope:
    """A rotary rule: channel pair f turns by z * omega_f, omega_f = theta^(-2f/dim), rescaled by `scaling`.

    theta: base of the frequencies. dim: rotated channels (even), default all; the others are left alone.
    layout: "half" pairs channels (f, f + dim/2), "interleaved" (2f, 2f + 1). scaling: the dict of a Hugging Face
    config: rope_type default, linear, llama3 or yarn, e.g. {"rope_type": "yarn", "factor": 2.0,
    "original_max_position_embeddings": 4096}. Rules that depend on the length (dynamic, longrope) are refused:
    they make a cache of rotated keys wrong.
    """

    def __init__(self, theta=500000.0, dim=None, layout="half", scaling=None):
        self.theta = _positive("Rope", "theta", theta)
        if dim is not None and (isinstance(dim, bool) or not isinstance(dim, numbers.Integral) or dim <= 0 or dim % 2):
            raise RepoError(f"Rope: expected dim to be positive and even, got {dim!r}")
        if layout not in ("half", "interleaved"):
            raise RepoError(f"Rope: expected layout to be \"half\" or \"interleaved\", got {layout!r}")
        self.dim, self.layout, self.scaling = dim, layout, scaling
        self._scaling_text = _scaling(scaling)

    def text(self, head_size):
        """The attribute `#repo.rope` for heads of this size."""
        dim = head_size if self.dim is None else self.dim
        if dim > head_size or dim % 2:
            raise RepoError(f"Rope: expected an even dim of at most the head size {head_size}, got {dim}")
        layout = ", layout = interleaved" if self.layout == "interleaved" else ""
        return f"#repo.rope<theta = {_real(self.theta)}, dim = {dim}{layout}{self._scaling_text}>"

    def __repr__(self):
        return f"Rope(theta={self.theta}, dim={self.dim}, layout={self.layout!r}, scaling={self.scaling!r})"


def _positive(where, name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not (math.isfinite(value) and value > 0):
        raise RepoError(f"{where}: expected {name} to be a positive number, got {value!r}")
    return float(value)


def _real(value):
    """A float literal of MLIR with every digit."""
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + (f"e{exponent}" if exponent else "")


def _scaling(scaling):
    if scaling is None:
        return ""
    if not isinstance(scaling, dict):
        raise RepoError(f"Rope: expected scaling to be a dict, got {type(scaling).__name__}")
    kind = scaling.get("rope_type", scaling.get("type", "default"))

    def number(key, default=None):
        if scaling.get(key) is None:
            if default is not None:
                return default
            raise RepoError(f"Rope: scaling of type {kind}: expected the key {key!r}")
        return _positive("Rope", f"scaling[{key!r}]", scaling[key])

    if kind == "default":
        return ""
    if kind == "linear":
        return f", scaling = #repo.linear<factor = {_real(number('factor'))}>"
    if kind == "llama3":
        return (f", scaling = #repo.llama3<factor = {_real(number('factor'))}, low = "
                f"{_real(number('low_freq_factor'))}, high = {_real(number('high_freq_factor'))}, original = "
                f"{int(number('original_max_position_embeddings'))}>")
    if kind == "yarn":
        factor = number("factor")
        attention = number("attention_factor", 0.0)
        if not attention and scaling.get("mscale") and scaling.get("mscale_all_dim"):
            def magnitude(mscale):
                return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0
            attention = magnitude(number("mscale")) / magnitude(number("mscale_all_dim"))
        truncate = "" if scaling.get("truncate", True) else ", truncate = false"
        return (f", scaling = #repo.yarn<factor = {_real(factor)}, original = "
                f"{int(number('original_max_position_embeddings'))}, beta_fast = {_real(number('beta_fast', 32.0))}, "
                f"beta_slow = {_real(number('beta_slow', 1.0))}, attention_factor = {_real(attention)}{truncate}>")
    raise RepoError(f"Rope: expected rope_type default, linear, llama3 or yarn, got {kind!r}"
                    + (" (frequencies that depend on the length make a cache of rotated keys wrong)"
                       if kind in ("dynamic", "longrope") else ""))


class _Shapes:
    """Checks shapes against named sizes."""

    def __init__(self, function):
        self.function, self.sizes = function, {}

    def check(self, name, array, *dims):
        """Each dim is a name, a number, or a tuple of those it may equal."""
        if len(array.shape) != len(dims):
            raise RepoError(f"{self.function}: `{name}`: expected rank {len(dims)}, got shape {list(array.shape)}")
        for position, (dim, size) in enumerate(zip(dims, array.shape)):
            if isinstance(dim, str):
                expected = {self.sizes.setdefault(dim, size)}
            else:
                expected = {self.sizes[d] if isinstance(d, str) else d for d in
                            (dim if isinstance(dim, tuple) else (dim,))}
            if size not in expected:
                wanted = " or ".join(map(str, sorted(expected)))
                raise RepoError(f"{self.function}: `{name}`: expected dimension {position} to be {wanted}, got {size}")


def _float_array(function, value, name):
    array = arrays.wrap(value, name)
    if array.dtype not in _FLOATS:
        raise RepoError(f"{function}: `{name}`: expected float32, float16, bfloat16 or float64, got {array.dtype}")
    return array


def _as(array, dtype):
    return array if array.dtype == dtype else arrays.convert(array, dtype)


def _same_type(function, name, array, dtype):
    if array.dtype != dtype:
        raise RepoError(f"{function}: `{name}`: expected {dtype}, got {array.dtype}")


def _type(array, *dims):
    return "tensor<" + "".join(f"{d}x" for d in dims) + array.short_dtype + ">"


@functools.lru_cache(maxsize=256)
def _entry(source, pipeline, target="cpu", chip=None):
    return Library(cache.compiled(source, cpu=os.environ.get("REPO_CPU", "native"), pipeline=pipeline, target=target,
                                  chip=chip))["f"]


def _run(source, compute, inputs, outs, result):
    pipeline = "reference" if compute == "float64" else "cpu"
    if any(array.device != devices.HOST for array in inputs):
        where = next(array.device for array in inputs if array.device != devices.HOST)
        inputs = [arrays.to_device(array, where) for array in inputs]
        entry = _entry(source, pipeline, "cuda", devices.default_chip(where[1]))
    else:
        entry = _entry(source, pipeline)
    results = entry.call(inputs, outs)
    exported = [arrays.export(array) for array in results]
    return exported[0] if result == 1 else tuple(exported)


def assign_positions(h, w_gate, w_content, w_pos, *, out=None):
    """Positions of RePo: z[b,h,n] = sum_k w_pos[h,k] * silu(g[b,n,k]) * c[b,n,k], g = h w_gate^T, c = h w_content^T.

    h [B, N, d] hidden states; w_gate, w_content [m, d]; w_pos [H, m]. Returns z [B, H, N], float32 (float64 for
    float64 h). Source: arXiv 2512.14391, mode swigluex_multihead. out: preallocated result. Raises RepoError on
    shapes that do not agree.
    """
    function = "assign_positions"
    hidden, gate, content, heads = (_float_array(function, value, name) for value, name in (
        (h, "h"), (w_gate, "w_gate"), (w_content, "w_content"), (w_pos, "w_pos")))
    shapes = _Shapes(function)
    shapes.check("h", hidden, "B", "N", "d")
    shapes.check("w_gate", gate, "m", "d")
    shapes.check("w_content", content, "m", "d")
    shapes.check("w_pos", heads, "H", "m")
    d, m, count = (shapes.sizes[name] for name in ("d", "m", "H"))
    compute = "float64" if hidden.dtype == "float64" else "float32"
    types = [_type(hidden, "?", "?", d), _type(gate, m, d), _type(content, m, d), _type(heads, count, m)]
    result = f"tensor<?x{count}x?x{'f64' if compute == 'float64' else 'f32'}>"
    source = (f"func.func @f(%h: {types[0]}, %g: {types[1]}, %c: {types[2]}, %z: {types[3]}) -> {result} {{\n"
              f"  %0 = repo.assign_positions %h gate(%g) content(%c) heads(%z) : ({', '.join(types)}) -> {result}\n"
              f"  return %0 : {result}\n}}\n")
    outs = arrays.wrap_outputs(function, out, ["out"])
    if outs:
        shapes.check("out", outs[0], "B", "H", "N")
        _same_type(function, "out", outs[0], compute)
    return _run(source, compute, [hidden, gate, content, heads], outs, 1)


def rotate(x, z, rope, *, out=None):
    """Rotary embedding of x by real positions z: y1 = x1 cos a - x2 sin a, y2 = x2 cos a + x1 sin a, a = z omega_f.

    x [B, H, N, D]; z [B, H, N] or [B, 1, N]. Returns y like x. The phase is float32 (float64 for float64 x).
    out: preallocated result. Raises RepoError on shapes that do not agree.
    """
    function = "rotate"
    data, positions = _float_array(function, x, "x"), _float_array(function, z, "z")
    if not isinstance(rope, Rope):
        raise TypeError(f"rotate: expected a Rope, got {type(rope).__name__}")
    shapes = _Shapes(function)
    shapes.check("x", data, "B", "H", "N", "D")
    shapes.check("z", positions, "B", (1, "H"), "N")
    compute = "float64" if data.dtype == "float64" else "float32"
    positions = _as(positions, compute)
    count, size = shapes.sizes["H"], shapes.sizes["D"]
    tensor, z_type = _type(data, "?", count, "?", size), _type(positions, "?", positions.shape[1], "?")
    source = (f"func.func @f(%x: {tensor}, %z: {z_type}) -> {tensor} {{\n"
              f"  %0 = repo.rotate %x by(%z) {{rope = {rope.text(size)}}} : ({tensor}, {z_type}) -> {tensor}\n"
              f"  return %0 : {tensor}\n}}\n")
    outs = arrays.wrap_outputs(function, out, ["out"])
    if outs:
        shapes.check("out", outs[0], "B", "H", "N", "D")
        _same_type(function, "out", outs[0], data.dtype)
    return _run(source, compute, [data, positions], outs, 1)


def _window(window):
    if window is None:
        return None
    if isinstance(window, numbers.Integral) and not isinstance(window, bool):
        if window < 1:
            raise RepoError(f"attention: expected a window of at least 1 key, got {window}")
        return window - 1, 0
    try:
        left, right = window
    except (TypeError, ValueError):
        raise RepoError(f"attention: expected window to be an int or (left, right), got {window!r}") from None
    for bound in (left, right):
        if isinstance(bound, bool) or not isinstance(bound, numbers.Integral) or bound < -1:
            raise RepoError(f"attention: expected the bounds of window to be integers of at least -1, got {window!r}")
    return int(left), int(right)


def _integers(name, value, batch, scalar):
    """int32 [B] of an array or, where `scalar`, of an int."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if not scalar:
            raise TypeError(f"attention: `{name}`: expected an int32 array [B], got an int")
        _fits(name, [value])
        return arrays.wrap(np.full(batch, value, np.int32), name)
    array = arrays.wrap(value, name)
    if array.dtype not in ("int32", "int64"):
        raise RepoError(f"attention: `{name}`: expected int32, got {array.dtype}")
    if array.shape != (batch,):
        raise RepoError(f"attention: `{name}`: expected shape [{batch}], got {list(array.shape)}")
    if array.dtype == "int64":
        _fits(name, array.owner.tolist())
    return _as(array, "int32")


def _fits(name, values):
    for value in values:
        if not -2**31 <= value < 2**31:
            raise RepoError(f"attention: `{name}`: expected a 32-bit integer, got {value}")


def _broadcast(name, array, full):
    """Views an array with leading dimensions of 1, and says which dimensions are full."""
    if len(array.shape) > 4:
        raise RepoError(f"attention: `{name}`: expected rank at most 4, got {len(array.shape)}")
    missing = 4 - len(array.shape)
    array = arrays.Array(array.kind, array.owner, array.address, array.dtype, (1,) * missing + array.shape,
                         (0,) * missing + array.strides, array.writable)
    for position, (size, wanted) in enumerate(zip(array.shape, full)):
        if size not in (1, wanted):
            raise RepoError(f"attention: `{name}`: expected dimension {position} of {list(full)} to be 1 or {wanted}, "
                            f"got {size}")
    if not array.passable():
        shape = array.shape
        copy = np.ascontiguousarray(np.asarray(array.owner).reshape(shape)) if array.kind != "torch" else None
        array = (arrays.wrap(copy, name) if copy is not None
                 else arrays.wrap(array.owner.reshape(shape).contiguous(), name))
    return array


class AttentionCall:
    """The operands and options of one call, checked: what attention and its gradient (gradients.py) have in common.

    sizes: B, N, M, Hq, Hkv, D, Dv. compute: the type of positions and lse. inputs, names, types: the operands in order.
    operands: the text of those that are optional. options: the attributes.
    """

    def __init__(self, function, q, k, v, zq, zk, *, rope, causal, window, scale, softcap, bias, mask, lengths, offset,
                 results=()):
        query, key, value = (_float_array(function, a, n) for a, n in ((q, "q"), (k, "k"), (v, "v")))
        self.shapes = shapes = _Shapes(function)
        shapes.check("q", query, "B", "Hq", "N", "D")
        shapes.check("k", key, "B", "Hkv", "M", "D")
        shapes.check("v", value, "B", "Hkv", "M", "Dv")
        self.sizes = size = shapes.sizes
        batch, hq, hkv, n, m, d = (size[name] for name in ("B", "Hq", "Hkv", "N", "M", "D"))
        if hkv == 0 or hq % hkv:
            raise RepoError(f"{function}: expected the query heads to be a multiple of the KV heads, got {hq} and {hkv}")
        self.compute = compute = "float64" if "float64" in (query.dtype, key.dtype, value.dtype) else "float32"
        if rope is not None and not isinstance(rope, Rope):
            raise TypeError(f"{function}: expected rope to be a Rope, got {type(rope).__name__}")

        self.inputs, self.names, self.types = [], [], []
        add = self.add
        add("q", query, "?", hq, "?", d)
        add("k", key, "?", hkv, "?", d)
        add("v", value, "?", hkv, "?", size["Dv"])
        for name, array in results:
            array = _float_array(function, array, name)
            if name == "lse":
                shapes.check(name, array, "B", "Hq", "N")
                _same_type(function, name, array, compute)
                add(name, array, "?", hq, "?")
            else:
                shapes.check(name, array, "B", "Hq", "N", "Dv")
                add(name, array, "?", hq, "?", size["Dv"])
        operands = ""
        for name, label, positions, length in (("zq", "query_positions", zq, "N"), ("zk", "key_positions", zk, "M")):
            if positions is None:
                continue
            if rope is None:
                raise TypeError(f"{function}: expected a Rope beside `{name}`, got none")
            z = _float_array(function, positions, name)
            shapes.check(name, z, "B", (1, "Hkv", "Hq"), length)
            add(name, _as(z, compute), "?", z.shape[1], "?")
            operands += f" {label}(%{name})"
        if zk is not None and self.inputs[-1].shape[1] > hkv and (zq is None or self.inputs[-2].shape[1] != hq):
            raise RepoError(f"{function}: `zk`: expected at most {hkv} heads, as `zq` has no position per query head, got "
                            f"{self.inputs[-1].shape[1]}")
        full = (batch, hq, n, m)
        if bias is not None:
            array = _broadcast("bias", _float_array(function, bias, "bias"), full)
            add("bias", array,
                *("1" if s == 1 else f if i == 1 else "?" for i, (s, f) in enumerate(zip(array.shape, full))))
            operands += " bias(%bias)"
        if mask is not None:
            array = arrays.wrap(mask, "mask")
            if array.dtype != "bool":
                raise RepoError(f"{function}: `mask`: expected bool, got {array.dtype}")
            array = _broadcast("mask", array, full)
            add("mask", array,
                *("1" if s == 1 else f if i == 1 else "?" for i, (s, f) in enumerate(zip(array.shape, full))))
            operands += " mask(%mask)"
        bounds = _window(window)
        if lengths is not None:
            if offset is None and (causal or bounds) and n != m:
                raise RepoError(f"{function}: expected `offset` beside `lengths` with causal or window, as {n} queries and "
                                f"{m} keys differ in number")
            add("lengths", _integers("lengths", lengths, batch, scalar=False), "?")
            operands += " lengths(%lengths)"
        if offset is not None:
            add("offset", _integers("offset", offset, batch, scalar=True), "?")
            operands += " offset(%offset)"
        self.operands = operands

        options = []
        if causal:
            options.append("causal")
        if bounds:
            options.append(f"window = array<i64: {bounds[0]}, {bounds[1]}>")
        if scale is not None:
            if isinstance(scale, bool) or not isinstance(scale, numbers.Real) or not math.isfinite(scale):
                raise RepoError(f"{function}: expected scale to be a finite number, got {scale!r}")
            options.append(f"scale = {_real(scale)} : f64")
        if softcap is not None:
            options.append(f"softcap = {_real(_positive(function, 'softcap', softcap))} : f64")
        if zq is not None or zk is not None:
            options.append(f"rope = {rope.text(d)}")
        self.attributes = f" {{{', '.join(options)}}}" if options else ""

    def add(self, name, array, *dims):
        self.inputs.append(array)
        self.names.append(name)
        self.types.append(_type(array, *dims))

    def source(self, body, results):
        """The module of a function of the inputs, whose body ends with the return."""
        arguments = ", ".join(f"%{name}: {kind} {{repo.name = \"{name}\"}}" for name, kind in zip(self.names, self.types))
        return f"func.func @f({arguments}) -> ({', '.join(results)}) {{\n  " + "\n  ".join(body) + "\n}\n"


def attention(q, k, v, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None, softcap=None, bias=None,
              mask=None, lengths=None, offset=None, return_lse=False, out=None):
    """Softmax attention over keys, queries and keys rotated by real positions.

    q [B, Hq, N, D], k [B, Hkv, M, D], v [B, Hkv, M, Dv], Hq a multiple of Hkv. Returns out [B, Hq, N, Dv] of q's type
    and, with return_lse, lse [B, Hq, N] (natural logarithm, float32).

    zq [B, 1|Hkv|Hq, N], zk [B, 1|Hkv|Hq, M]: positions, with `rope` the rule; none: that side is not rotated.
    offset: query i stands at key index p = offset + i; an int or int32 [B], default M - N, may be negative.
    causal: keys j <= p. window (left, right): p - left <= j <= p + right, -1 unbounded; an int w means (w - 1, 0).
    logits = softcap * tanh(scale q.k / softcap) + bias; scale default 1 / sqrt(D). bias (additive) and mask (bool, True =
    attend) are broadcastable to [B, Hq, N, M]. lengths int32 [B]: keys at and past it do not exist; with causal or
    window and N != M it needs an offset. A row without any key gives 0 and lse -inf. out: preallocated result, or
    (out, lse). Raises RepoError or TypeError on bad arguments before anything is read.
    """
    function = "attention"
    call = AttentionCall(function, q, k, v, zq, zk, rope=rope, causal=causal, window=window, scale=scale, softcap=softcap,
                         bias=bias, mask=mask, lengths=lengths, offset=offset)
    query, compute, types = call.inputs[0], call.compute, call.types
    hq = call.sizes["Hq"]
    outs = arrays.wrap_outputs(function, out, ["out", "lse"] if return_lse else ["out"])
    if outs:
        call.shapes.check("out", outs[0], "B", "Hq", "N", "Dv")
        _same_type(function, "out", outs[0], query.dtype)
    if outs and return_lse:
        call.shapes.check("lse", outs[1], "B", "Hq", "N")
        _same_type(function, "lse", outs[1], compute)

    o_type = _type(query, "?", hq, "?", call.sizes["Dv"])
    l_type = f"tensor<?x{hq}x?x{'f64' if compute == 'float64' else 'f32'}>"
    results = [o_type, l_type] if return_lse else [o_type]
    body = ["%c0 = arith.constant 0 : index", "%c2 = arith.constant 2 : index",
            f"%b = tensor.dim %q, %c0 : {types[0]}", f"%n = tensor.dim %q, %c2 : {types[0]}",
            f"%o = tensor.empty(%b, %n) : {o_type}"]
    if return_lse:
        body.append(f"%l = tensor.empty(%b, %n) : {l_type}")
    into = "%o, %l" if return_lse else "%o"
    count = ":2" if return_lse else ""
    joined = ", ".join(results)
    body.append(f"%r{count} = repo.attention %q, %k, %v{call.operands} into {into}{call.attributes} : "
                f"({', '.join(types + results)}) -> ({joined})")
    body.append(f"return {'%r#0, %r#1' if return_lse else '%r'} : {joined}")
    return _run(call.source(body, results), compute, call.inputs, outs, len(results))
