"""A whole OLMo-2 model with RePo in plain float64 NumPy: the yardstick for compiled models.

Written from the published mathematics and the layout of checkpoints, not from the compiler; test_model_reference.py holds
it against what the published implementation computed. With grouped KV heads, where the published one is undefined, there
is one position per KV head, shared by its query heads. Evaluated in float32 or bfloat16, weights and the result of every
step rounded to it as frameworks do, it gives the error that such arithmetic may have.
"""

import json
import pathlib

import numpy as np

import reference

_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def read_weights(folder):
    """{name: float64 array} of all safetensors files of a folder."""
    weights = {}
    for path in sorted(pathlib.Path(folder).glob("model*.safetensors")):
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8:8 + size]).items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + size + start:8 + size + end], _TYPES[entry["dtype"]])
            if entry["dtype"] == "BF16":
                values = (values.astype(np.uint32) << 16).view(np.float32)
            weights[name] = values.astype(np.float64).reshape(entry["shape"])
    return weights


def layer_modes(config):
    """The mode of every layer."""
    modes = ["none"] * config["num_hidden_layers"]
    pe = config.get("pe_config")
    if pe:
        start = pe.get("dynmaic_pe_start_layer", pe.get("dynamic_pe_start_layer", 0))
        ids = pe.get("dynmaic_pe_layer_ids", pe.get("dynamic_pe_layer_ids", ""))
        listed = {int(part) for part in ids.split(",")} if ids else set(range(len(modes)))
        for layer in range(start, len(modes)):
            if layer in listed:
                modes[layer] = pe["dynamic_pe_mode"]
    return modes


def silu(x):
    return x / (1 + np.exp(-x))


class ReferenceModel:
    def __init__(self, folder, dtype=np.float64, parts=1):
        """`parts`: products are summed in so many parts, which changes their rounding alone."""
        self.parts = parts
        self.dtype, (self.wide, self.rounded) = dtype, reference._rounding(dtype)
        self.config = json.loads((pathlib.Path(folder) / "config.json").read_text())
        self.weights = {name: self.rounded(weight) for name, weight in read_weights(folder).items()}
        self.modes = layer_modes(self.config)
        c = self.config
        self.heads, self.kv_heads = c["num_attention_heads"], c.get("num_key_value_heads") or c["num_attention_heads"]
        self.head_size = c.get("head_dim") or c["hidden_size"] // self.heads
        self.rope = dict(theta=c["rope_theta"], scaling=c.get("rope_scaling"))

    def norm(self, x, name):
        mean = (x * x).mean(axis=-1, keepdims=True)
        scaled = self.rounded(x / np.sqrt(mean + self.wide.type(self.config["rms_norm_eps"])))
        return self.rounded(scaled * self.weights[name])

    def linear(self, x, name):
        weight = self.weights[name]
        channels = np.array_split(np.arange(weight.shape[1]), self.parts)
        return self.rounded(sum(x[..., part] @ weight[:, part].T for part in channels))

    def swiglu(self, gate, up):
        return self.rounded(self.rounded(silu(gate)) * up)

    def positions_of(self, layer, h):
        """z [B, 1 or KV heads, N], or None where nothing is rotated."""
        linear = lambda x, name: self.linear(x, f"model.layers.{layer}.self_attn.{name}.weight")  # noqa: E731
        mode = self.modes[layer]
        if mode == "nope":
            return None
        if mode == "none":
            return np.broadcast_to(np.arange(h.shape[1], dtype=self.wide), (h.shape[0], 1, h.shape[1]))
        if mode == "swigluex_multihead":
            return np.swapaxes(linear(self.swiglu(linear(h, "gate_map"), linear(h, "content_map")), "final_map"), 1, 2)
        return np.swapaxes(linear(h, "dynamic_map"), 1, 2)

    def layer(self, layer, h):
        linear = lambda x, name: self.linear(x, f"model.layers.{layer}.{name}.weight")  # noqa: E731
        norm = lambda x, name: self.norm(x, f"model.layers.{layer}.{name}.weight")  # noqa: E731
        batch, n, _ = h.shape
        split = lambda x: np.swapaxes(x.reshape(batch, n, -1, self.head_size), 1, 2)  # noqa: E731
        q = split(norm(linear(h, "self_attn.q_proj"), "self_attn.q_norm"))
        k = split(norm(linear(h, "self_attn.k_proj"), "self_attn.k_norm"))
        v = split(linear(h, "self_attn.v_proj"))
        z = self.positions_of(layer, h)
        o, _ = reference.attention(q, k, v, z, z, rope=self.rope, causal=True, dtype=self.dtype)
        o = np.swapaxes(o, 1, 2).reshape(batch, n, -1)
        h = self.rounded(h + norm(linear(o, "self_attn.o_proj"), "post_attention_layernorm"))
        inner = self.swiglu(linear(h, "mlp.gate_proj"), linear(h, "mlp.up_proj"))
        h = self.rounded(h + norm(linear(inner, "mlp.down_proj"), "post_feedforward_layernorm"))
        shown = np.zeros((batch, self.heads, n)) if z is None else reference.per_query_head(z, self.heads)
        return h, shown

    def __call__(self, tokens):
        """(logits [B, N, vocabulary], positions [layers, B, heads, N]) of tokens [B, N]."""
        h, positions = self.weights["model.embed_tokens.weight"][np.atleast_2d(tokens)], []
        for layer in range(len(self.modes)):
            h, z = self.layer(layer, h)
            positions.append(z)
        head = "model.embed_tokens.weight" if self.config.get("tie_word_embeddings") else "lm_head.weight"
        return self.linear(self.norm(h, "model.norm.weight"), head), np.stack(positions)
