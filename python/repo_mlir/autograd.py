"""The operators for torch tensors, differentiable: forward and backward are compiled kernels.

    from repo_mlir import Rope, autograd
    z = autograd.assign_positions(h, w_gate, w_content, w_pos)
    out = autograd.attention(q, k, v, z, z, rope=Rope(theta=500000.0), causal=True)
    out.sum().backward()

Arguments and results are those of the operators of the same names in repo_mlir. Kept for the backward pass are the
operands and, of attention, its result and lse: nothing of size N x M. Gradients of gradients are not computed.
"""

import torch
from torch.autograd.function import once_differentiable

from . import gradients, ops
from .errors import RepoError


class _AssignPositions(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *operands):
        ctx.save_for_backward(*operands)
        return ops.assign_positions(*operands)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_z):
        return gradients.assign_positions_backward(*ctx.saved_tensors, d_z)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, z, rope):
        y = ops.rotate(x, z, rope)
        ctx.rope = rope
        ctx.z_type = z.dtype
        ctx.save_for_backward(y if ctx.needs_input_grad[1] else None, z)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, d_y):
        y, z = ctx.saved_tensors
        if y is None:  # the rotation by -z is the transposed one
            return ops.rotate(d_y, -z, ctx.rope), None, None
        d_x, d_z = gradients.rotate_backward(y, z, d_y, ctx.rope)
        return d_x, d_z.to(ctx.z_type), None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, zq, zk, options):
        out, lse = ops.attention(q, k, v, zq, zk, return_lse=True, **options)
        ctx.options = options
        ctx.save_for_backward(q, k, v, out, lse, zq, zk)
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out, _):
        q, k, v, out, lse, zq, zk = ctx.saved_tensors
        d_q, d_k, d_v, *positions = gradients.attention_backward(q, k, v, out, lse, d_out.to(out.dtype), zq, zk, **ctx.options)
        d_zq, d_zk = (None if z is None else positions.pop(0).to(z.dtype) for z in (zq, zk))
        return d_q, d_k, d_v, d_zq, d_zk, None


def _tensors(function, *named):
    for name, value in named:
        if value is not None and not isinstance(value, torch.Tensor):
            raise TypeError(f"autograd.{function}: `{name}`: expected a torch tensor, got {type(value).__name__}")


def assign_positions(h, w_gate, w_content, w_pos):
    """repo_mlir.assign_positions with gradients of all four."""
    _tensors("assign_positions", ("h", h), ("w_gate", w_gate), ("w_content", w_content), ("w_pos", w_pos))
    return _AssignPositions.apply(h, w_gate, w_content, w_pos)


def rotate(x, z, rope):
    """repo_mlir.rotate with gradients of x and z."""
    _tensors("rotate", ("x", x), ("z", z))
    return _Rotate.apply(x, z, rope)


def attention(q, k, v, zq=None, zk=None, *, rope=None, causal=False, window=None, scale=None, softcap=None, bias=None,
              mask=None, lengths=None, offset=None, return_lse=False):
    """repo_mlir.attention with gradients of q, k, v, zq and zk. A bias that wants a gradient is refused; lse has none."""
    _tensors("attention", ("q", q), ("k", k), ("v", v), ("zq", zq), ("zk", zk))
    if isinstance(bias, torch.Tensor) and bias.requires_grad:
        raise RepoError("autograd.attention: `bias`: expected a constant, got a tensor that requires a gradient (detach it)")
    options = dict(rope=rope, causal=causal, window=window, scale=scale, softcap=softcap, bias=bias, mask=mask,
                   lengths=lengths, offset=offset)
    out, lse = _Attention.apply(q, k, v, zq, zk, options)
    return (out, lse) if return_lse else out
