"""The RoPE model of a checkpoint in llama.cpp: a GGUF file with the checkpoint's own weights, and calls that evaluate it.

`pip install gguf llama-cpp-python` (the latter builds llama.cpp for this machine). llama.cpp has no learned positions, so the peer is
the model of the same shape with integer ones; its cache is its default, f16.
"""

import ctypes
import importlib.util
import json
import os
import pathlib

import numpy as np

NAME = "llama.cpp (RoPE)"

# Names of tensors there, of a layer and of the model.
_OF_A_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "post_attention_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "post_feedforward_layernorm": "post_ffw_norm",
}
_OF_THE_MODEL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def installed():
    return all(importlib.util.find_spec(name) for name in ("gguf", "llama_cpp", "torch"))


def _name(name):
    name = name.removesuffix(".weight")
    if name in _OF_THE_MODEL:
        return f"{_OF_THE_MODEL[name]}.weight"
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{_OF_A_LAYER[part]}.weight"


def write_gguf(checkpoint, path):
    """Writes the weights of an OLMo-2 checkpoint without learned positions, f32 or bf16, as they are; norms in f32."""
    import gguf
    from torch_model import read_tensors
    config = json.loads((pathlib.Path(checkpoint) / "config.json").read_text())
    assert not config.get("pe_config") or config["pe_config"]["dynamic_pe_mode"] == "none", "llama.cpp has no learned positions"
    partial = pathlib.Path(f"{path}.partial")
    writer = gguf.GGUFWriter(partial, "olmo2")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    for name, kind, shape, raw in read_tensors(checkpoint):
        if len(shape) == 1:  # norms
            wide = raw.view(np.float32) if kind == "F32" else (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
            writer.add_tensor(_name(name), np.ascontiguousarray(wide))
        elif kind == "F32":
            writer.add_tensor(_name(name), raw.view(np.float32).reshape(shape))
        else:
            writer.add_tensor(_name(name), raw.view(np.uint8).reshape(*shape[:-1], 2 * shape[-1]),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.rename(partial, path)


class LlamaModel:
    """A loaded GGUF file with a cache of `capacity` tokens."""

    def __init__(self, path, capacity, threads):
        import llama_cpp
        self.c = c = llama_cpp
        self._silent = c.llama_log_callback(lambda level, text, data: None)
        c.llama_log_set(self._silent, ctypes.c_void_p(0))
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(str(path).encode(), c.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp: expected a model in {path}")
        settings = c.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_threads, settings.n_threads_batch = capacity, capacity, threads, threads
        self.context = c.llama_init_from_model(self.model, settings)
        if not self.context:
            raise RuntimeError("llama.cpp: expected a context")
        self.memory = c.llama_get_memory(self.context)
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))

    def run(self, tokens, start=0):
        """Evaluates tokens after the first `start` of the cache; the logits of the last one."""
        c, n = self.c, len(tokens)
        c.llama_memory_seq_rm(self.memory, 0, start, -1)
        batch = c.llama_batch_init(n, 0, 1)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = int(token), start + i, 1, 0
            batch.logits[i] = i == n - 1
        batch.n_tokens = n
        status = c.llama_decode(self.context, batch)
        c.llama_batch_free(batch)
        if status:
            raise RuntimeError(f"llama.cpp: llama_decode gave {status}")
        return np.ctypeslib.as_array(c.llama_get_logits_ith(self.context, -1), (self.vocabulary,))
