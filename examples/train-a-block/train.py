"""Trains the attention block of a RePo layer for a few steps, positions and all.

    PYTHONPATH=python python examples/train-a-block/train.py

The module is written in torch, as the published reference's is; positions and attention, forward and backward, are kernels
of this compiler. The task: tell how far back the token with the same mark is, which needs positions that mean something.
"""

import torch
from repo_mlir import Rope, autograd


class RepoAttention(torch.nn.Module):
    """h [B, N, d] -> [B, N, d]: projections, norms over all heads, learned positions, causal attention."""

    def __init__(self, d, heads, rope, eps=1e-6):
        super().__init__()
        self.heads, self.rope, self.eps = heads, rope, eps
        for name, rows, columns in (("q_proj", d, d), ("k_proj", d, d), ("v_proj", d, d), ("o_proj", d, d),
                                    ("gate_map", d // 8, d), ("content_map", d // 8, d), ("final_map", heads, d // 8)):
            self.register_parameter(name, torch.nn.Parameter(torch.randn(rows, columns) * columns ** -0.5))
        self.q_norm, self.k_norm = (torch.nn.Parameter(torch.ones(d)) for _ in range(2))

    def positions(self, h):
        return autograd.assign_positions(h, self.gate_map, self.content_map, self.final_map)

    def forward(self, h, z=None):
        def split(x):  # [B, N, d] -> [B, H, N, D], a view
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        def norm(x, weight):
            return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)

        z = self.positions(h) if z is None else z
        q = split(norm(h @ self.q_proj.T, self.q_norm))
        k = split(norm(h @ self.k_proj.T, self.k_norm))
        out = autograd.attention(q, k, split(h @ self.v_proj.T), z, z, rope=self.rope, causal=True)
        return out.transpose(1, 2).flatten(2) @ self.o_proj.T


def main(steps=30, tokens=48, d=64):
    torch.manual_seed(0)
    block = RepoAttention(d, heads=2, rope=Rope(theta=100.0))
    read_out = torch.nn.Linear(d, 1)
    optimizer = torch.optim.AdamW([*block.parameters(), *read_out.parameters()], lr=3e-3)
    marks = torch.randn(tokens // 4, d)
    losses = []
    for step in range(steps):
        order = torch.stack([torch.randperm(tokens) % (tokens // 4) for _ in range(4)])
        same = order[:, :, None] == order[:, None, :]
        before = torch.where(same.tril(-1), torch.arange(tokens), -1).amax(-1)
        distance = torch.where(before < 0, 0, torch.arange(tokens) - before) / tokens
        h = marks[order]
        loss = (read_out(h + block(h))[..., 0] - distance).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 5 == 0 or step == steps - 1:
            z = block.positions(h)
            print(f"step {step:3}  loss {loss.item():.4f}  positions from {z.min():.2f} to {z.max():.2f}")
    return losses


if __name__ == "__main__":
    main()
