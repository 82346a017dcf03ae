"""The gradients of the operators as functions of arrays: the vector-Jacobian products of the dialect.

Each takes the operands of its operator and the gradient of a loss by the operator's result, and returns the gradients by
the operands. For torch there are differentiable operators in `repo_mlir.autograd`.
"""

from .ops import AttentionCall, Rope, _as, _float_array, _run, _Shapes, _type


def assign_positions_backward(h, w_gate, w_content, w_pos, d_z):
    """The gradients of assign_positions by h, w_gate, w_content and w_pos, in their types.

    d_z [B, H, N]: the gradient by its result, float32 (float64 for float64 h). Raises RepoError on shapes that do not
    agree.
    """
    function = "assign_positions_backward"
    names = ("h", "w_gate", "w_content", "w_pos", "d_z")
    inputs = [_float_array(function, value, name) for value, name in zip((h, w_gate, w_content, w_pos, d_z), names)]
    shapes = _Shapes(function)
    for name, array, dims in zip(names, inputs, ("B N d", "m d", "m d", "H m", "B H N")):
        shapes.check(name, array, *dims.split())
    d, m, count = (shapes.sizes[name] for name in ("d", "m", "H"))
    compute = "float64" if inputs[0].dtype == "float64" else "float32"
    inputs[4] = _as(inputs[4], compute)
    types = [_type(array, *dims) for array, dims in zip(
        inputs, (("?", "?", d), (m, d), (m, d), (count, m), ("?", count, "?")))]
    results = ", ".join(types[:4])
    arguments = ", ".join(f"%{name}: {kind}" for name, kind in zip(names, types))
    source = (f"func.func @f({arguments}) -> ({results}) {{\n"
              f"  %0:4 = repo.assign_positions_backward %h gate(%w_gate) content(%w_content) heads(%w_pos) upstream(%d_z)"
              f" : ({', '.join(types)}) -> ({results})\n"
              f"  return %0#0, %0#1, %0#2, %0#3 : {results}\n}}\n")
    return _run(source, compute, inputs, None, 4)


def rotate_backward(y, z, d_y, rope):
    """The gradients (d_x, d_z) of y = rotate(x, z, rope), from its result and the gradient d_y by it.

    y, d_y [B, H, N, D]; z [B, H, N] or [B, 1, N], for which d_z is summed over the heads. d_x has the type of d_y, d_z
    is float32 (float64 for float64 y). Raises RepoError on shapes that do not agree.
    """
    function = "rotate_backward"
    data, positions, upstream = (_float_array(function, value, name) for value, name in
                                 ((y, "y"), (z, "z"), (d_y, "d_y")))
    if not isinstance(rope, Rope):
        raise TypeError(f"{function}: expected a Rope, got {type(rope).__name__}")
    shapes = _Shapes(function)
    shapes.check("y", data, "B", "H", "N", "D")
    shapes.check("z", positions, "B", (1, "H"), "N")
    shapes.check("d_y", upstream, "B", "H", "N", "D")
    compute = "float64" if "float64" in (data.dtype, upstream.dtype) else "float32"
    positions = _as(positions, compute)
    count, size = shapes.sizes["H"], shapes.sizes["D"]
    types = [_type(data, "?", count, "?", size), _type(positions, "?", positions.shape[1], "?"),
             _type(upstream, "?", count, "?", size)]
    results = f"{types[2]}, {types[1]}"
    source = (f"func.func @f(%y: {types[0]}, %z: {types[1]}, %g: {types[2]}) -> ({results}) {{\n"
              f"  %0:2 = repo.rotate_backward %y by(%z) upstream(%g) {{rope = {rope.text(size)}}}"
              f" : ({', '.join(types)}) -> ({results})\n  return %0#0, %0#1 : {results}\n}}\n")
    return _run(source, compute, [data, positions, upstream], None, 2)


def attention_backward(q, k, v, out, lse, d_out, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None,
                       softcap=None, bias=None, mask=None, lengths=None, offset=None):
    """The gradients of attention by q, k, v and, where they are given, zq and zk: (d_q, d_k, d_v [, d_zq] [, d_zk]).

    out, lse: the results of attention with these operands and options (return_lse=True); d_out: the gradient by out, of
    its shape. All options of attention are supported; bias is a constant, it gets no gradient. Gradients have the
    types of what they are gradients of, those of positions are float32 (float64 where q, k or v is). Keys and values
    that query heads share, and positions that heads share, get the sum of their gradients. What is not visible gets
    zeros. Raises RepoError or TypeError on bad arguments before anything is read.
    """
    function = "attention_backward"
    call = AttentionCall(function, q, k, v, zq, zk, rope=rope, causal=causal, window=window, scale=scale, softcap=softcap,
                         bias=bias, mask=mask, lengths=lengths, offset=offset,
                         results=(("out", out), ("lse", lse), ("d_out", d_out)))
    types, names = call.types, call.names
    wanted = [names.index(name) for name in ("q", "k", "v", "zq", "zk") if name in names]
    results = [types[index] for index in wanted]
    body = ["%c0 = arith.constant 0 : index", "%c2 = arith.constant 2 : index",
            f"%b = tensor.dim %q, %c0 : {types[0]}", f"%n = tensor.dim %q, %c2 : {types[0]}",
            f"%m = tensor.dim %k, %c2 : {types[1]}"]
    for number, index in enumerate(wanted):
        length = "%n" if names[index] in ("q", "zq") else "%m"
        body.append(f"%i{number} = tensor.empty(%b, {length}) : {types[index]}")
    into = ", ".join(f"%i{number}" for number in range(len(wanted)))
    joined = ", ".join(results)
    body.append(f"%r:{len(wanted)} = repo.attention_backward %q, %k, %v output(%out) lse(%lse) upstream(%d_out)"
                f"{call.operands} into {into}{call.attributes} : ({', '.join(types + results)}) -> ({joined})")
    body.append(f"return {', '.join(f'%r#{number}' for number in range(len(wanted)))} : {joined}")
    return _run(call.source(body, results), call.compute, call.inputs, None, len(wanted))
