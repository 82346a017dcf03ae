"""Random checkpoints of the real shape, for benchmarks and tests.

    python -m repo_mlir.make_checkpoint --size 1b OUT_DIR

A Hugging Face directory of an OLMo-2 model with RePo, as its reference writes it: config.json and safetensors. The
weights are random, and as tame as a trained model's: logits of a few units, positions of a few tens. A tensor depends on
the seed and on its own name alone, so files of other shards hold the same numbers; it is written in pieces, so that
memory stays small whatever the model.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import zlib

import numpy as np

from .errors import RepoError

MODES = ("none", "nope", "continuous", "multihead_continuous", "swigluex_multihead")
DTYPES = {"bf16": ("BF16", 2, "bfloat16"), "f16": ("F16", 2, "float16"), "f32": ("F32", 4, "float32")}
SIZES = {
    "1b": dict(layers=16, hidden=2048, heads=16, intermediate=8192, vocabulary=100352, start_layer=5, end=100257),
    "7b": dict(layers=32, hidden=4096, heads=32, intermediate=11008, vocabulary=100352, start_layer=10, end=100257),
    "tiny": dict(layers=3, hidden=128, heads=4, intermediate=256, vocabulary=320, start_layer=1, end=1),
}
_PIECE = 1 << 22  # numbers made at once
_BLOCK_NORM = 0.5  # of the norms after a block: the stream grows slowly with depth, as in trained models
_SHARD_BYTES = 5_000_000_000  # as Hugging Face splits


def _shape_of(size, **given):
    if size not in SIZES:
        raise RepoError(f"make_checkpoint: expected size to be one of {', '.join(SIZES)}, got {size!r}")
    shape = dict(SIZES[size])
    unknown = [name for name in given if name not in (*shape, "kv_heads", "head_size")]
    if unknown:
        raise TypeError(f"make_checkpoint() got an unexpected argument {unknown[0]!r}")
    shape.update({name: value for name, value in given.items() if value is not None})
    shape.setdefault("kv_heads", shape["heads"])
    for name, value in shape.items():
        least = 0 if name in ("start_layer", "end") else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RepoError(f"make_checkpoint: expected {name} to be an integer of at least {least}, got {value!r}")
    if "head_size" not in shape:
        if shape["hidden"] % shape["heads"]:
            raise RepoError(f"make_checkpoint: expected hidden to be a multiple of the {shape['heads']} heads, got "
                            f"{shape['hidden']}")
        shape["head_size"] = shape["hidden"] // shape["heads"]
    if shape["head_size"] % 2:
        raise RepoError(f"make_checkpoint: expected an even head size, got {shape['head_size']}")
    if shape["hidden"] < 8:
        raise RepoError(f"make_checkpoint: expected hidden to be at least 8, got {shape['hidden']}")
    if shape["heads"] % shape["kv_heads"]:
        raise RepoError(f"make_checkpoint: expected kv_heads to divide the {shape['heads']} heads, got "
                        f"{shape['kv_heads']}")
    return shape


def _config(shape, dtype, mode, layer_ids, tied, rope_scaling, head_size_given):
    config = {
        "architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "vocab_size": shape["vocabulary"],
        "hidden_size": shape["hidden"], "intermediate_size": shape["intermediate"],
        "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"], "max_position_embeddings": 4096, "rope_theta": 500000.0,
        "rms_norm_eps": 1e-06, "tie_word_embeddings": tied, "attention_bias": False, "attention_dropout": 0.0,
        "hidden_act": "silu", "initializer_range": 0.02, "eos_token_id": shape["end"], "use_cache": True,
        "torch_dtype": DTYPES[dtype][2], "rope_scaling": rope_scaling,
    }
    if head_size_given:
        config["head_dim"] = shape["head_size"]
    if mode != "none":
        # The reference reads the misspelt keys; the others are defaults that it writes and never reads.
        config["pe_config"] = {
            "dynamic_pe_dropout_anneal_step": 0, "dynamic_pe_init_pdrop": 1.0, "dynamic_pe_layer_ids": "",
            "dynamic_pe_start_layer": 0, "dynamic_pe_mode": mode, "dynmaic_pe_start_layer": shape["start_layer"]}
        if layer_ids:
            config["pe_config"]["dynmaic_pe_layer_ids"] = ",".join(map(str, layer_ids))
    return config


def _tensors(shape, mode, layer_ids, tied):
    """Yields (name, shape, standard deviation) in the order of the model; None: the weight of a norm."""
    d, inner, heads = shape["hidden"], shape["intermediate"], shape["heads"]
    queries, keys = heads * shape["head_size"], shape["kv_heads"] * shape["head_size"]
    linear = lambda fan_in: 1 / math.sqrt(fan_in)  # noqa: E731  keeps the size of its input
    width = d // 8
    embedding = 2 * linear(d) if tied else 1.0
    yield "model.embed_tokens.weight", (shape["vocabulary"], d), embedding
    for layer in range(shape["layers"]):
        # The size of the stream here; divided by it, positions are as wide in every layer. A product silu(g) c of
        # numbers of size 1 has size 0.6.
        stream = math.sqrt(embedding**2 + 2 * layer * _BLOCK_NORM**2)
        learned = {
            "continuous": [("dynamic_map", (1, d), 12 * linear(d) / stream)],
            "multihead_continuous": [("dynamic_map", (shape["kv_heads"], d), 12 * linear(d) / stream)],
            "swigluex_multihead": [("gate_map", (width, d), linear(d) / stream),
                                   ("content_map", (width, d), linear(d) / stream),
                                   ("final_map", (shape["kv_heads"], width), 20 * linear(width))]}.get(mode, [])
        prefix = f"model.layers.{layer}."
        attention = prefix + "self_attn."
        yield attention + "q_proj.weight", (queries, d), linear(d)
        yield attention + "k_proj.weight", (keys, d), linear(d)
        yield attention + "v_proj.weight", (keys, d), linear(d)
        yield attention + "o_proj.weight", (d, queries), linear(queries)
        yield attention + "q_norm.weight", (queries,), None
        yield attention + "k_norm.weight", (keys,), None
        if layer >= shape["start_layer"] and (not layer_ids or layer in layer_ids):
            for name, sizes, deviation in learned:
                yield f"{attention}{name}.weight", sizes, deviation
        yield prefix + "post_attention_layernorm.weight", (d,), None
        yield prefix + "mlp.gate_proj.weight", (inner, d), linear(d)
        yield prefix + "mlp.up_proj.weight", (inner, d), linear(d)
        yield prefix + "mlp.down_proj.weight", (d, inner), linear(inner)
        yield prefix + "post_feedforward_layernorm.weight", (d,), None
    yield "model.norm.weight", (d,), None
    if not tied:
        yield "lm_head.weight", (shape["vocabulary"], d), 2 * linear(d)


def _pieces(seed, name, sizes, deviation, dtype):
    """Yields the bytes of a tensor."""
    numbers = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    total = math.prod(sizes)
    for start in range(0, total, _PIECE):
        values = numbers.standard_normal(min(_PIECE, total - start), np.float32)
        if deviation is not None:
            values *= np.float32(deviation)
        else:
            center = _BLOCK_NORM if "_layernorm" in name else 1.0
            values *= np.float32(0.1 * center)
            values += np.float32(center)
        if dtype == "f32":
            yield values.tobytes()
        elif dtype == "f16":
            yield values.astype(np.float16).tobytes()
        else:  # to the nearest bfloat16, ties to even
            bits = values.view(np.uint32)
            bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
            yield (bits >> np.uint32(16)).astype(np.uint16).tobytes()


def _split(tensors, shards, width):
    """Groups of consecutive tensors: of at most 5 GB, or `shards` of about the same size."""
    sizes = [math.prod(tensor[1]) * width for tensor in tensors]
    if shards is None:
        shards = -(-sum(sizes) // _SHARD_BYTES)
    if not 1 <= shards <= len(tensors):
        raise RepoError(f"make_checkpoint: expected 1 to {len(tensors)} shards, got {shards}")
    groups, done, total = [[]], 0, sum(sizes)
    for i, (tensor, size) in enumerate(zip(tensors, sizes)):
        left = len(tensors) - i  # every later shard needs a tensor
        if groups[-1] and (left == shards - len(groups) or
                           len(groups) < shards and done + size / 2 > total * len(groups) / shards):
            groups.append([])
        groups[-1].append(tensor)
        done += size
    return groups


def make_checkpoint(out_dir, size="tiny", *, dtype="bf16", mode="swigluex_multihead", layer_ids=None, tied=False,
                    rope_scaling=None, shards=None, seed=0, progress=None, **shape):
    """Writes a random checkpoint to `out_dir`, which must be new or empty; returns its number of parameters.

    size: 1b, 7b or tiny; shape overrides parts of it: layers, hidden, heads, kv_heads, head_size, intermediate,
    vocabulary, start_layer, end. mode: the `dynamic_pe_mode` of the layers from start_layer, or of those of
    `layer_ids` among them; none: no pe_config. progress: called with the shares done.
    """
    if dtype not in DTYPES:
        raise RepoError(f"make_checkpoint: expected dtype to be one of {', '.join(DTYPES)}, got {dtype!r}")
    if mode not in MODES:
        raise RepoError(f"make_checkpoint: expected mode to be one of {', '.join(MODES)}, got {mode!r}")
    head_size_given = shape.get("head_size") is not None
    shape = _shape_of(size, **shape)
    tensors = list(_tensors(shape, mode, layer_ids, tied))
    name_of_dtype, width, _ = DTYPES[dtype]
    groups = _split(tensors, shards, width)
    total = sum(math.prod(sizes) for _, sizes, _ in tensors)
    out_dir = pathlib.Path(out_dir)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        if any(out_dir.iterdir()):
            raise RepoError(f"{out_dir}: expected a new or empty folder, found files in it")
        done, where = 0, {}
        for number, group in enumerate(groups, 1):
            file_name = ("model.safetensors" if len(groups) == 1
                         else f"model-{number:05d}-of-{len(groups):05d}.safetensors")
            header, offset = {"__metadata__": {"format": "pt"}}, 0
            for name, sizes, _ in group:
                end = offset + math.prod(sizes) * width
                header[name] = {"dtype": name_of_dtype, "shape": list(sizes), "data_offsets": [offset, end]}
                offset, where[name] = end, file_name
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * ((56 - len(text)) % 64)  # the numbers start at a multiple of 64 bytes
            with open(out_dir / file_name, "wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                for name, sizes, deviation in group:
                    for piece in _pieces(seed, name, sizes, deviation, dtype):
                        file.write(piece)
                        done += len(piece) // width
                        if progress:
                            progress(done / total)
        if len(groups) > 1:
            index = {"metadata": {"total_size": total * width}, "weight_map": where}
            (out_dir / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        config = _config(shape, dtype, mode, layer_ids, tied, rope_scaling, head_size_given)
        (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    except OSError as error:
        raise RepoError(f"{error.filename or out_dir}: {error.strerror}") from None
    return total


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="repo_mlir.make_checkpoint", description=__doc__.split("\n")[0])
    parser.add_argument("out_dir", metavar="OUT_DIR")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--mode", choices=MODES, default="swigluex_multihead")
    parser.add_argument("--shards", type=int, help="number of files; default: as many as 5 GB each make")
    parser.add_argument("--seed", type=int, default=0)
    for name in ("layers", "hidden", "heads", "kv-heads", "head-size", "intermediate", "vocabulary", "start-layer"):
        parser.add_argument(f"--{name}", type=int, help="default: that of the size")
    parser.add_argument("--layer-ids", help="layers that take the mode, separated by commas; default: all")
    parser.add_argument("--tied", action="store_true", help="the output head is the embedding")
    parser.add_argument("--rope-scaling", type=json.loads, help="JSON of the config's rope_scaling")
    options = vars(parser.parse_args(arguments))
    if options["seed"] < 0:
        parser.error(f"argument --seed: expected a number that is not negative, got {options['seed']}")
    if options["layer_ids"]:
        try:
            options["layer_ids"] = [int(part) for part in options["layer_ids"].split(",")]
        except ValueError:
            parser.error(f"argument --layer-ids: expected numbers separated by commas, got {options['layer_ids']!r}")
    out_dir, terminal = options.pop("out_dir"), sys.stderr.isatty()
    show = lambda share: print(f"\r{share:6.1%} of {out_dir}", end="", file=sys.stderr, flush=True)  # noqa: E731
    try:
        total = make_checkpoint(out_dir, progress=show if terminal else None, **options)
    except RepoError as error:
        print("make_checkpoint: " + str(error).removeprefix("make_checkpoint: "), file=sys.stderr)
        return 1
    if terminal:
        print(file=sys.stderr)
    files = [entry.stat().st_size for entry in os.scandir(out_dir)]
    print(f"{out_dir}: {total:,} parameters, {sum(files):,} bytes in {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
