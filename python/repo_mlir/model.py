"""Whole models: compiled ahead of time, run with a KV cache."""

import ctypes
import json
import numbers
import os
import pathlib

import numpy as np

from . import compiler
from .errors import RepoError
from .runtime import Sampling, check, context, runtime, thread_count


def compile_model(model_dir, out_dir, *, target="cpu", cpu="native", dtype=None, pipeline="cpu"):
    """Compiles a Hugging Face directory (config.json and safetensors) to `out_dir`.

    dtype: the arithmetic, "f32". Writes model.so, model.h and manifest.json.
    """
    if target != "cpu":
        raise RepoError(f"compile_model: expected target=\"cpu\", got {target!r}: this build has no GPU path")
    if dtype not in (None, "f32"):
        raise RepoError(f"compile_model: expected dtype \"f32\", got {dtype!r}: this build has no other arithmetic "
                        "for models")
    compiler.compile_to(out_dir, input=os.fspath(model_dir), cpu=cpu, pipeline=pipeline, is_model=True)


def load_model(out_dir, model_dir, *, threads=None):
    """Opens a compiled model with the checkpoint it was compiled for, which is mapped, not copied.

    threads: of this model's kernels; default as set_num_threads says. Raises RepoError where files are missing or
    the weights are not those the model was compiled for.
    """
    return Model(out_dir, model_dir, None if threads is None else thread_count("load_model", threads))


def _count(where, name, value, least=0):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise RepoError(f"{where}: expected {name} to be an integer of at least {least}, got {value!r}")
    return int(value)


def _real(where, name, value, low, high):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise RepoError(f"{where}: expected {name} to be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _tokens(tokens, dims, name):
    try:
        array = np.asarray(tokens)
    except ValueError:
        raise RepoError(f"{name}: expected sequences of the same length; a session each takes different ones") from None
    if array.dtype.kind not in "iu" or array.size == 0:
        raise RepoError(f"{name}: expected integer tokens, at least one")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or dims == 1 and array.shape[0] != 1:
        raise RepoError(f"{name}: expected tokens of rank 1 or 2, got shape {list(array.shape)}")
    for token in (array.min(), array.max()):
        if not 0 <= token <= np.iinfo(np.int32).max:
            raise RepoError(f"{name}: expected tokens from 0 to 2147483647, got {token}")
    return np.ascontiguousarray(array, np.int32)


class Model:
    """A compiled model. Use one from several threads if you like: each call uses its thread's context."""

    def __init__(self, out_dir, model_dir, threads=None):
        self._threads = threads
        self._model_dir = pathlib.Path(model_dir)
        pointer = ctypes.c_void_p()
        here = context(threads)
        check(runtime().repo_rt_model_open(here, os.fsencode(out_dir), os.fsencode(model_dir),
                                           ctypes.byref(pointer)), here)
        self._pointer = pointer
        self.info = runtime().repo_rt_model_get_info(pointer)
        ends = ctypes.POINTER(ctypes.c_int32)()
        count = runtime().repo_rt_model_end_tokens(pointer, ctypes.byref(ends))
        self.end_tokens = tuple(ends[i] for i in range(count))
        self._tokenizer = None

    def __del__(self):
        if getattr(self, "_pointer", None):
            runtime().repo_rt_model_close(self._pointer)
            self._pointer = None

    def _evaluate(self, tokens, want_logits, want_positions):
        tokens = _tokens(tokens, 2, "tokens")
        batch, n = tokens.shape
        info = self.info
        logits = np.empty((batch, n, info.vocabulary), np.float32) if want_logits else None
        positions = np.empty((info.layers, batch, info.heads, n), np.float32) if want_positions else None
        here = context(self._threads)
        address = lambda array: None if array is None else array.ctypes.data  # noqa: E731
        check(runtime().repo_rt_model_evaluate(here, self._pointer, tokens.ctypes.data, batch, n, address(logits),
                                               address(positions)), here)
        return logits if want_logits else positions

    def logits(self, tokens):
        """Logits [B, N, vocabulary] float32 of tokens [N] or [B, N]."""
        return self._evaluate(tokens, True, False)

    def positions(self, tokens):
        """Positions [layers, B, heads, N] float32; 0 in `nope` layers, a shared z repeated per head."""
        return self._evaluate(tokens, False, True)

    def session(self, batch=1):
        """An empty KV cache for `batch` sequences that advance together."""
        return Session(self, _count("session", "batch", batch, least=1))

    def append(self, sessions, tokens):
        """Advances several sessions, of any lengths, each by its own tokens: a ragged batch, one after the other.

        sessions: of one sequence each, none twice. tokens: as many lists, of any lengths. Returns logits
        [len(sessions), vocabulary] of the last ones. All is checked before any session changes.
        """
        if len(sessions) != len(tokens):
            raise RepoError(f"append: expected tokens for {len(sessions)} sessions, got {len(tokens)}")
        if len({id(session) for session in sessions}) != len(sessions):
            raise RepoError("append: expected every session once, got one twice")
        for session in sessions:
            if session.model is not self or session.batch != 1:
                raise RepoError("append: expected sessions of this model, of one sequence each")
        steps = [_tokens(step, 1, "append") for step in tokens]
        for step in steps:
            if step.max() >= self.info.vocabulary:
                raise RepoError(f"append: expected tokens below {self.info.vocabulary}, got {step.max()}")
        logits = np.empty((len(steps), self.info.vocabulary), np.float32)
        for row, session, step in zip(logits, sessions, steps):
            row[:] = session.append(step)
        return logits

    def stream(self, tokens, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None):
        """Yields new ids one by one; see generate."""
        prompt = _tokens(tokens, 1, "generate")
        count = _count("generate", "max_new_tokens", max_new_tokens)
        sampling = Sampling(_real("generate", "temperature", temperature, 0, 1e9),
                            0 if top_k is None else _count("generate", "top_k", top_k, least=1),
                            0.0 if top_p is None else _real("generate", "top_p", top_p, 1e-9, 1),
                            int.from_bytes(os.urandom(8), "little") if seed is None
                            else _count("generate", "seed", seed) % 2**64)
        ends = self.end_tokens if eos is None else tuple(np.atleast_1d(np.asarray(eos, dtype=np.int64)).tolist())
        return self._stream(prompt, count, sampling, ends)

    def _stream(self, prompt, count, sampling, ends):
        state = ctypes.c_uint64(sampling.seed)
        session = self.session()
        step = prompt
        for _ in range(count):
            logits = session.append(step)
            token = runtime().repo_rt_sample(logits.ctypes.data, logits.size, ctypes.byref(sampling),
                                             ctypes.byref(state))
            yield token
            if token in ends:
                return
            step = np.array([[token]], np.int32)

    def generate(self, tokens, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None):
        """New ids after `tokens` [N]: the most likely each time, or sampled where temperature > 0.

        top_k, top_p: sample among the most likely only. eos: ids that end it (the last one returned); None: the
        config's; (): none.
        """
        return list(self.stream(tokens, max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
                                eos=eos))

    def generate_text(self, prompt, max_new_tokens, **options):
        """Text after `prompt`, by the tokenizer.json of the model directory."""
        if self._tokenizer is None:
            path = self._model_dir / "tokenizer.json"
            if not path.exists():
                raise RepoError(f"{path}: expected a tokenizer, found none")
            try:
                import tokenizers
            except ImportError:
                raise RepoError("generate_text: expected the package `tokenizers`, found none") from None
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        ids = self.generate(self._tokenizer.encode(prompt).ids, max_new_tokens, **options)
        return self._tokenizer.decode(ids)

    def __repr__(self):
        fields = json.dumps({name: getattr(self.info, name) for name, _ in self.info._fields_})
        return f"<Model {fields}>"


class Session:
    """A KV cache. `len(session)` is the number of tokens in it."""

    def __init__(self, model, batch=1, pointer=None):
        self.model, self.batch = model, batch
        if pointer is None:
            pointer = ctypes.c_void_p()
            here = context(model._threads)
            check(runtime().repo_rt_session_create(here, model._pointer, batch, ctypes.byref(pointer)), here)
        self._pointer = pointer

    def __del__(self):
        if getattr(self, "_pointer", None):
            runtime().repo_rt_session_free(self._pointer)
            self._pointer = None

    def append(self, tokens):
        """Appends tokens [N] or [B, N]; returns the logits [vocabulary] or [B, vocabulary] of the last ones."""
        flat = np.asarray(tokens).ndim < 2 or self.batch == 1
        tokens = _tokens(tokens, 2, "append")
        if tokens.shape[0] != self.batch:
            raise RepoError(f"append: expected {self.batch} sequences, got {tokens.shape[0]}")
        logits = np.empty((self.batch, self.model.info.vocabulary), np.float32)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_append(here, self._pointer, tokens.ctypes.data, tokens.shape[1],
                                               logits.ctypes.data), here)
        return logits[0] if flat else logits

    def fork(self):
        """A copy that goes its own way."""
        pointer = ctypes.c_void_p()
        here = context(self.model._threads)
        check(runtime().repo_rt_session_fork(here, self._pointer, ctypes.byref(pointer)), here)
        return Session(self.model, self.batch, pointer)

    def trim(self, n):
        """Forgets all but the first n tokens."""
        n = _count("trim", "n", n)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_trim(here, self._pointer, n), here)

    def __len__(self):
        return runtime().repo_rt_session_length(self._pointer)

    @property
    def len(self):
        """The number of tokens in the cache, as len(session)."""
        return len(self)
