"""An OLMo-2 model with RePo in PyTorch, with the arithmetic of its published code: the peer of compiled models.

Op by op as the reference computes it: linear maps in the type of the model, norms in float32, positions rounded to that type,
the angle in float32, cosine and sine per head, scaled_dot_product_attention over a cache of rotated keys. Written from the
mathematics; tests hold it in float64 against the goldens.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_tensors(folder):
    """(name, type, shape, bytes) of every tensor in the safetensors files of a folder, mapped from them."""
    for path in sorted(pathlib.Path(folder).glob("model*.safetensors")):
        data = np.memmap(path, mode="c")
        size = int.from_bytes(data[:8].tobytes(), "little")
        for name, entry in json.loads(data[8:8 + size].tobytes()).items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                yield name, entry["dtype"], entry["shape"], data[8 + size + start:8 + size + end]


def read_weights(folder, dtype, layers=None):
    """{name: tensor} of all safetensors files of a folder; of its first `layers` layers where given."""
    weights = {}
    for name, kind, shape, data in read_tensors(folder):
        if layers is not None and name.startswith("model.layers.") and int(name.split(".")[2]) >= layers:
            continue
        raw = torch.from_numpy(data)
        if raw.data_ptr() % 8:
            raw = raw.clone()
        weights[name] = raw.view(_TYPES[kind]).reshape(shape).to(dtype)
    return weights


def layer_modes(config):
    modes, pe = ["none"] * config["num_hidden_layers"], config.get("pe_config")
    if pe:
        start = pe.get("dynmaic_pe_start_layer", pe.get("dynamic_pe_start_layer", 0))
        ids = pe.get("dynmaic_pe_layer_ids", pe.get("dynamic_pe_layer_ids", ""))
        for layer in range(start, len(modes)):
            if not ids or layer in {int(part) for part in ids.split(",")}:
                modes[layer] = pe["dynamic_pe_mode"]
    return modes


def frequencies(config, size):
    """(omega [size / 2] in float64, factor of cosine and sine)."""
    theta, scaling = config["rope_theta"], config.get("rope_scaling") or {}
    omega = theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return omega, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return omega / factor, 1.0
    assert kind == "yarn", kind
    original = scaling["original_max_position_embeddings"]
    channel = lambda turns: size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))  # noqa: E731
    low, high = math.floor(channel(scaling.get("beta_fast", 32))), math.ceil(channel(scaling.get("beta_slow", 1)))
    low, high = max(low, 0), min(high, size - 1)
    ramp = ((torch.arange(size // 2, dtype=torch.float64) - low) / (high - low or 0.001)).clamp(0, 1)
    return omega / factor * ramp + omega * (1 - ramp), scaling.get("attention_factor") or 0.1 * math.log(factor) + 1


class TorchModel:
    def __init__(self, folder, dtype="float32", layers=None):
        self.dtype = getattr(torch, dtype)
        self.config = c = json.loads((pathlib.Path(folder) / "config.json").read_text())
        self.weights = read_weights(folder, self.dtype, layers)
        self.modes = layer_modes(c)[:layers]
        self.heads, self.kv_heads = c["num_attention_heads"], c.get("num_key_value_heads") or c["num_attention_heads"]
        self.size = c.get("head_dim") or c["hidden_size"] // self.heads
        self.wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        omega, self.factor = frequencies(c, self.size)
        self.omega = omega.to(self.wide)

    def norm(self, x, name):
        wide = x.to(self.wide)
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"])
        return self.weights[name] * scaled.to(self.dtype)

    def positions_of(self, layer, h, start):
        linear = lambda x, name: F.linear(x, self.weights[f"model.layers.{layer}.self_attn.{name}.weight"])  # noqa: E731
        mode, (batch, n, _) = self.modes[layer], h.shape
        if mode == "nope":
            return None
        if mode == "none":
            return torch.arange(start, start + n, dtype=self.wide).expand(batch, 1, n)
        if mode == "swigluex_multihead":
            return linear(F.silu(linear(h, "gate_map")) * linear(h, "content_map"), "final_map").transpose(1, 2)
        return linear(h, "dynamic_map").transpose(1, 2)

    def rotate(self, x, z):
        angle = z.to(self.wide)[..., None] * self.omega
        cos, sin = ((f(angle) * self.factor).to(self.dtype).repeat(1, 1, 1, 2) for f in (torch.cos, torch.sin))
        half = self.size // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    def layer(self, layer, h, cache, start):
        prefix = f"model.layers.{layer}."
        linear = lambda x, name: F.linear(x, self.weights[f"{prefix}{name}.weight"])  # noqa: E731
        norm = lambda x, name: self.norm(x, f"{prefix}{name}.weight")  # noqa: E731
        batch, n, _ = h.shape
        split = lambda x: x.view(batch, n, -1, self.size).transpose(1, 2)  # noqa: E731
        q = split(norm(linear(h, "self_attn.q_proj"), "self_attn.q_norm"))
        k = split(norm(linear(h, "self_attn.k_proj"), "self_attn.k_norm"))
        v = split(linear(h, "self_attn.v_proj"))
        z = self.positions_of(layer, h, start)
        if z is not None:
            q = self.rotate(q, z if z.shape[1] in (1, self.heads) else z.repeat_interleave(self.heads // self.kv_heads, 1))
            k = self.rotate(k, z)
        if cache is not None:
            keys, values = cache[layer]
            keys[:, :, start:start + n], values[:, :, start:start + n] = k, v
            k, v = keys[:, :, :start + n], values[:, :, :start + n]
        mask = None
        if start and n > 1:
            mask = torch.ones(n, start + n, dtype=torch.bool).tril(start)
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not start and n > 1,
                                           enable_gqa=self.heads != self.kv_heads)
        h = h + norm(linear(o.transpose(1, 2).reshape(batch, n, -1), "self_attn.o_proj"), "post_attention_layernorm")
        inner = F.silu(linear(h, "mlp.gate_proj")) * linear(h, "mlp.up_proj")
        h = h + norm(linear(inner, "mlp.down_proj"), "post_feedforward_layernorm")
        shown = torch.zeros(batch, self.heads, n) if z is None else z.repeat_interleave(self.heads // z.shape[1], 1)
        return h, shown

    def new_cache(self, batch, tokens):
        shape = (batch, self.kv_heads, tokens, self.size)
        return [(torch.zeros(shape, dtype=self.dtype), torch.zeros(shape, dtype=self.dtype)) for _ in self.modes]

    @torch.inference_mode()
    def run(self, tokens, cache=None, start=0, last_only=False):
        """(logits, positions of every layer) of tokens [B, N] as tensors."""
        h, positions = self.weights["model.embed_tokens.weight"][torch.as_tensor(np.atleast_2d(tokens).copy()).long()], []
        for layer in range(len(self.modes)):
            h, z = self.layer(layer, h, cache, start)
            positions.append(z)
        if last_only:
            h = h[:, -1:]
        head = "model.embed_tokens.weight" if self.config.get("tie_word_embeddings") else "lm_head.weight"
        return F.linear(self.norm(h, "model.norm.weight"), self.weights[head]), positions

    def __call__(self, tokens):
        """(logits [B, N, vocabulary], positions [layers, B, heads, N]) as float64 arrays."""
        logits, positions = self.run(tokens)
        return logits.double().numpy(), torch.stack([z.double() for z in positions]).numpy()
