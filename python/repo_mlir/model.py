"""Whole models: compiled ahead of time, run with a KV cache."""

import ctypes
import json
import numbers
import os
import pathlib
import sys

import numpy as np

from . import compiler, devices
from .errors import RepoError
from .runtime import PROGRESS, ModelOptions, Sampling, check, context, runtime, thread_count


def compile_model(model_dir, out_dir, *, target="cpu", cpu="native", chip=None, dtype=None, cache_dtype=None,
                  pipeline="cpu"):
    """Compiles a Hugging Face directory (config.json and safetensors) to `out_dir`.

    target: "cpu"; "cuda", for the device with torch or `chip` ("sm_90a", or "sm_80,sm_90a" for several); "emulator": the
    kernels for a GPU, run on the CPU. dtype: the arithmetic, "f32" (weights as the checkpoint has them; default on a CPU)
    or "bf16" (matrices as bf16, sums in float32; default on a GPU). cache_dtype: of keys and values, "f32" or "bf16";
    default as dtype. Writes model.so, model.h and manifest.json,
    and for a device kernels.cubin.
    """
    if target not in ("cpu", "cuda", "emulator"):
        raise RepoError(f"compile_model: expected target=\"cpu\", \"cuda\" or \"emulator\", got {target!r}")
    if target == "cpu" and chip is not None:
        raise RepoError(f"compile_model: expected no chip with target=\"cpu\", got {chip!r}")
    for name, value in (("dtype", dtype), ("cache_dtype", cache_dtype)):
        if value not in (None, "f32", "bf16"):
            raise RepoError(f"compile_model: expected {name} \"f32\" or \"bf16\", got {value!r}")
    if target == "cuda" and chip is None:
        chip = devices.default_chip()
    compiler.compile_to(out_dir, input=os.fspath(model_dir), cpu=cpu, pipeline=pipeline, is_model=True, dtype=dtype,
                        cache_dtype=cache_dtype, target=target, chip=chip)


def pack_model(out_dir, model_dir, *, progress=None):
    """Packs the weights into a file in `out_dir` that load_model then maps: processes share it.

    progress: called with the share that is done; default: a line on a terminal.
    """
    progress = progress or (_show_progress if sys.stderr.isatty() else None)
    options, here = ModelOptions(PROGRESS(lambda _, done: progress(done)) if progress else PROGRESS(), None, 0), context()
    check(runtime().repo_rt_model_pack(here, os.fsencode(out_dir), os.fsencode(model_dir), ctypes.byref(options)), here)


def load_model(out_dir, model_dir, *, target=None, device=None, threads=None, progress=None):
    """Opens a compiled model with the checkpoint it was compiled for, which is mapped; what has another type is copied.

    target: what the model must have been compiled for; None: whatever it was. device: the number of the CUDA device that
    holds weights and caches; default 0, or torch's current one. Tokens and results are arrays of the host all the same.
    threads: of this model's kernels; default as set_num_threads says. progress: called with the share of the weights
    that are ready, where there is something to convert; default: a line on a terminal. Raises RepoError where files are missing or
    the weights are not those the model was compiled for.
    """
    found = _target_of(out_dir)
    if target not in (None, found):
        raise RepoError(f"load_model: expected a model compiled for target={target!r}, got one for {found!r}")
    if device is not None:
        device = _count("load_model", "device", device)
    elif found == "cuda":
        device = devices.current_index()
    if found == "emulator":
        devices.load_emulator()
    return Model(out_dir, model_dir, None if threads is None else thread_count("load_model", threads),
                 progress or (_show_progress if sys.stderr.isatty() else None), device or 0)


def _target_of(out_dir):
    """What a compiled folder says it is for; opening it tells what is wrong with one that says nothing."""
    try:
        return json.loads((pathlib.Path(out_dir) / "manifest.json").read_text()).get("target", "cpu")
    except (OSError, ValueError, AttributeError):
        return "cpu"


def _show_progress(done):
    print(f"\rloading weights {done:4.0%}", end="\n" if done >= 1 else "", file=sys.stderr, flush=True)


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


def _log_probability(logits, tokens):
    """Of `tokens` [...] by logits [..., vocabulary]."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, np.asarray(tokens)[..., None], axis=-1)[..., 0]
    return chosen - np.log(np.exp(logits, out=logits).sum(axis=-1))


def _unzipped(pairs):
    return [token for token, _ in pairs], [probability for _, probability in pairs]


def load_tokenizer(model_dir):
    """The tokenizer.json of a model directory."""
    path = pathlib.Path(model_dir) / "tokenizer.json"
    if not path.exists():
        raise RepoError(f"{path}: expected a tokenizer, found none")
    try:
        import tokenizers
    except ImportError:
        raise RepoError("expected the package `tokenizers` for text, found none") from None
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package has no type of its own
        raise RepoError(f"{path}: {' '.join(str(error).split())}") from None


class Model:
    """A compiled model. Use one from several threads if you like: each call uses its thread's context."""

    def __init__(self, out_dir, model_dir, threads=None, progress=None, device=0):
        self._threads = threads
        self._model_dir = pathlib.Path(model_dir)
        pointer = ctypes.c_void_p()
        here = context(threads)
        options = ModelOptions(PROGRESS(lambda _, done: progress(done)) if progress else PROGRESS(), None, device)
        check(runtime().repo_rt_model_open_with(here, os.fsencode(out_dir), os.fsencode(model_dir),
                                                ctypes.byref(options), ctypes.byref(pointer)), here)
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

    def session(self, batch=1, *, pages=None, capacity=None):
        """An empty KV cache for `batch` sequences: one that grows, one of `capacity` tokens, or one on `pages`."""
        return Session(self, _count("session", "batch", batch, least=1), pages=pages, capacity=capacity)

    def pages(self, tokens):
        """Pages for `tokens` tokens of keys and values, which sessions share (`session(pages=...)`)."""
        return Pages(self, tokens)

    def append(self, sessions, tokens):
        """Advances several sessions, of any lengths, each by its own tokens: a ragged batch.

        sessions: of one sequence each, none twice. tokens: as many lists, of any lengths. Returns logits
        [len(sessions), vocabulary] of the last ones. Sessions on the same pages run together, others one after the
        other. All is checked before any session changes.
        """
        if len(sessions) != len(tokens):
            raise RepoError(f"append: expected tokens for {len(sessions)} sessions, got {len(tokens)}")
        if len({id(session) for session in sessions}) != len(sessions):
            raise RepoError("append: expected every session once, got one twice")
        for session in sessions:
            if session.model is not self or session.batch != 1:
                raise RepoError("append: expected sessions of this model, of one sequence each")
        steps = [_tokens(step, 1, "append")[0] for step in tokens]
        logits = np.empty((len(steps), self.info.vocabulary), np.float32)
        if not steps:
            return logits
        counts, together = np.array([step.size for step in steps], np.int64), np.concatenate(steps)
        pointers = (ctypes.c_void_p * len(steps))(*(session._pointer.value for session in sessions))
        here = context(self._threads)
        check(runtime().repo_rt_sessions_append(here, pointers, len(steps), together.ctypes.data, counts.ctypes.data,
                                                logits.ctypes.data), here)
        return logits

    def log_probabilities(self, tokens):
        """The natural logarithm of the probability of every token after the first, given those before it.

        tokens [N] or [B, N] -> [B, N - 1] float32. Memory does not grow with N times the vocabulary.
        """
        tokens = _tokens(tokens, 2, "log_probabilities")
        self._check_vocabulary(tokens, "log_probabilities")
        batch, n = tokens.shape
        session, result = self.session(batch), np.empty((batch, n - 1), np.float32)
        chunk = max(1, (1 << 24) // (batch * self.info.vocabulary))
        for start in range(0, n - 1, chunk):
            following = tokens[:, start + 1:start + 1 + chunk]
            logits = session._evaluate(np.ascontiguousarray(tokens[:, start:start + following.shape[1]]))
            result[:, start:start + following.shape[1]] = _log_probability(logits, following)
        return result

    def _check_vocabulary(self, tokens, where):
        if tokens.size and tokens.max() >= self.info.vocabulary:
            raise RepoError(f"{where}: expected tokens below {self.info.vocabulary}, got {tokens.max()}")

    def stream(self, tokens, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None,
               log_probabilities=False):
        """Yields new ids one by one, or pairs (id, log-probability); see generate."""
        steps = self._steps("generate", [_tokens(tokens, 1, "generate")[0]], max_new_tokens, temperature, top_k, top_p,
                            seed, eos, log_probabilities)
        return (step[0] for step in steps)

    def stream_batch(self, prompts, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None,
                     log_probabilities=False):
        """Yields a list per step: the new id (or pair) of every prompt, None where it has ended; see generate_batch."""
        prompts = [_tokens(prompt, 1, "generate_batch")[0] for prompt in prompts]
        if not prompts:
            raise RepoError("generate_batch: expected at least one prompt, got none")
        return self._steps("generate_batch", prompts, max_new_tokens, temperature, top_k, top_p, seed, eos,
                           log_probabilities)

    def _steps(self, where, prompts, max_new_tokens, temperature, top_k, top_p, seed, eos, log_probabilities):
        """Checks the options at once, then returns the generator."""
        count = _count(where, "max_new_tokens", max_new_tokens)
        sampling = Sampling(_real(where, "temperature", temperature, 0, 1e9),
                            0 if top_k is None else min(_count(where, "top_k", top_k, least=1), 2**31 - 1),
                            0.0 if top_p is None else _real(where, "top_p", top_p, 1e-9, 1),
                            int.from_bytes(os.urandom(8), "little") if seed is None
                            else _count(where, "seed", seed) % 2**64)
        ends = self.end_tokens if eos is None else tuple(np.atleast_1d(np.asarray(eos, dtype=np.int64)).tolist())
        for prompt in prompts:
            self._check_vocabulary(prompt, where)
        return self._run_steps(prompts, count, sampling, ends, log_probabilities)

    def _run_steps(self, prompts, count, sampling, ends, log_probabilities):
        states = [ctypes.c_uint64((sampling.seed + i) % 2**64) for i in range(len(prompts))]
        session, steps, live = self.session(len(prompts)), prompts, [True] * len(prompts)
        for number in range(count):
            logits, found = session._append_ragged(steps), [None] * len(prompts)
            for i, row in enumerate(logits):
                if live[i]:
                    token = runtime().repo_rt_sample(row.ctypes.data, row.size, ctypes.byref(sampling),
                                                     ctypes.byref(states[i]))
                    found[i] = (token, float(_log_probability(row, np.array(token)))) if log_probabilities else token
                    live[i] = token not in ends
                    # A sequence that has ended runs on unseen: one batch reads the weights once.
                    steps[i] = np.array([token], np.int32)
            yield found
            if not any(live):
                return

    def generate(self, tokens, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None,
                 log_probabilities=False):
        """New ids after `tokens` [N]: the most likely each time, or sampled where temperature > 0.

        top_k, top_p: sample among the most likely only. eos: ids that end it (the last one returned); None: the
        config's; (): none. log_probabilities: returns (ids, the logarithm of the probability that the model gave
        each, before temperature, top_k and top_p).
        """
        found = list(self.stream(tokens, max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
                                 eos=eos, log_probabilities=log_probabilities))
        return _unzipped(found) if log_probabilities else found

    def generate_batch(self, prompts, max_new_tokens, *, temperature=0.0, top_k=None, top_p=None, seed=None, eos=None,
                       log_probabilities=False):
        """generate for several prompts of any lengths, decoded together; prompt i samples with seed + i."""
        found = [[] for _ in prompts]
        for step in self.stream_batch(prompts, max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p,
                                      seed=seed, eos=eos, log_probabilities=log_probabilities):
            for ids, item in zip(found, step):
                if item is not None:
                    ids.append(item)
        return [_unzipped(ids) for ids in found] if log_probabilities else found

    @property
    def tokenizer(self):
        """The tokenizer.json of the model directory, by the package `tokenizers`."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self._model_dir)
        return self._tokenizer

    def generate_text(self, prompt, max_new_tokens, **options):
        """Text after `prompt`, by the tokenizer.json of the model directory; a list of texts for a list of prompts."""
        if not isinstance(prompt, str):
            prompts = [self.tokenizer.encode(one).ids for one in prompt]
            return [self.tokenizer.decode(ids) for ids in self.generate_batch(prompts, max_new_tokens, **options)]
        return "".join(self.stream_text(prompt, max_new_tokens, **options))

    def stream_text(self, prompt, max_new_tokens, **options):
        """Yields pieces of the text of generate_text as they come; a character is never cut."""
        ids, shown = [], ""
        for token in self.stream(self.tokenizer.encode(prompt).ids, max_new_tokens, **options):
            ids.append(token)
            text = self.tokenizer.decode(ids)
            # The start of a character that the next token completes decodes to this mark.
            if not text.endswith("\N{REPLACEMENT CHARACTER}") and text.startswith(shown):
                yield text[len(shown):]
                shown = text
        if ids and self.tokenizer.decode(ids) != shown:
            yield self.tokenizer.decode(ids)[len(shown):]

    def __repr__(self):
        fields = json.dumps({name: getattr(self.info, name) for name, _ in self.info._fields_})
        return f"<Model {fields}>"


class Pages:
    """Pages of keys and values, taken by the sessions on them as they grow, and shared where sessions fork."""

    def __init__(self, model, tokens):
        self.model, pointer, here = model, ctypes.c_void_p(), context(model._threads)
        check(runtime().repo_rt_pages_create(here, model._pointer, _count("pages", "tokens", tokens, least=1),
                                             ctypes.byref(pointer)), here)
        self._pointer = pointer

    def __del__(self):
        if getattr(self, "_pointer", None):
            runtime().repo_rt_pages_free(self._pointer)
            self._pointer = None

    def __len__(self):
        return runtime().repo_rt_pages_count(self._pointer)

    @property
    def free(self):
        """The number of pages that no session uses."""
        return runtime().repo_rt_pages_count_free(self._pointer)


class Session:
    """A KV cache. `len(session)` is the number of tokens in it, of the longest sequence."""

    def __init__(self, model, batch=1, pointer=None, *, pages=None, capacity=None):
        self.model, self.batch, self._pages = model, batch, pages
        if pages is not None and (not isinstance(pages, Pages) or pages.model is not model or capacity is not None):
            raise RepoError("session: expected pages of this model, without capacity")
        if pointer is None:
            pointer, library = ctypes.c_void_p(), runtime()
            here, result = context(model._threads), ctypes.byref(pointer)
            if pages is not None:
                status = library.repo_rt_session_create_paged(here, pages._pointer, batch, result)
            elif capacity is not None:
                capacity = _count("session", "capacity", capacity, least=1)
                status = library.repo_rt_session_create_fixed(here, model._pointer, batch, capacity, result)
            else:
                status = library.repo_rt_session_create(here, model._pointer, batch, result)
            check(status, here)
        self._pointer = pointer

    def __del__(self):
        if getattr(self, "_pointer", None):
            runtime().repo_rt_session_free(self._pointer)
            self._pointer = None

    def append(self, tokens, *, all_logits=False):
        """Appends tokens [N] or [B, N]; returns the logits [vocabulary] or [B, vocabulary] of the last ones.

        With a batch, also lists of different lengths, empty ones among them (0 is the result there). all_logits: those
        of every token, [N, vocabulary] or [B, N, vocabulary].
        """
        if self.batch > 1 and not all_logits and len({np.size(row) for row in tokens}) > 1:
            rows = [_tokens(row, 1, "append")[0] if np.size(row) else np.empty(0, np.int32) for row in tokens]
            if len(rows) != self.batch:
                raise RepoError(f"append: expected {self.batch} sequences, got {len(rows)}")
            return self._append_ragged(rows)
        flat = np.asarray(tokens).ndim < 2 or self.batch == 1
        tokens = _tokens(tokens, 2, "append")
        if tokens.shape[0] != self.batch:
            raise RepoError(f"append: expected {self.batch} sequences, got {tokens.shape[0]}")
        if all_logits:
            logits = self._evaluate(tokens)
            return logits[0] if flat else logits
        logits = np.empty((self.batch, self.model.info.vocabulary), np.float32)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_append(here, self._pointer, tokens.ctypes.data, tokens.shape[1],
                                               logits.ctypes.data), here)
        return logits[0] if flat else logits

    def _append_ragged(self, rows):
        """Appends int32 arrays, one per sequence."""
        logits = np.zeros((self.batch, self.model.info.vocabulary), np.float32)
        tokens, counts = np.concatenate(rows), np.array([len(row) for row in rows], np.int64)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_append_ragged(here, self._pointer, tokens.ctypes.data, counts.ctypes.data,
                                                      logits.ctypes.data), here)
        return logits

    def _evaluate(self, tokens):
        """Appends int32 tokens [B, N]; the logits of all of them."""
        logits = np.empty((*tokens.shape, self.model.info.vocabulary), np.float32)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_evaluate(here, self._pointer, tokens.ctypes.data, tokens.shape[1],
                                                 logits.ctypes.data, None), here)
        return logits

    def fork(self):
        """A copy that goes its own way; on pages it shares what it has in common."""
        pointer = ctypes.c_void_p()
        here = context(self.model._threads)
        check(runtime().repo_rt_session_fork(here, self._pointer, ctypes.byref(pointer)), here)
        return Session(self.model, self.batch, pointer, pages=self._pages)

    def trim(self, n):
        """Forgets all but the first n tokens, of every sequence."""
        n = _count("trim", "n", n)
        here = context(self.model._threads)
        check(runtime().repo_rt_session_trim(here, self._pointer, n), here)

    def __len__(self):
        return runtime().repo_rt_session_length(self._pointer)

    @property
    def lengths(self):
        """The number of tokens of every sequence."""
        return [runtime().repo_rt_session_length_of(self._pointer, i) for i in range(self.batch)]

    @property
    def nbytes(self):
        """The size of the cache in memory, room to grow included."""
        return runtime().repo_rt_session_bytes(self._pointer)

    @property
    def len(self):
        """The number of tokens in the cache, as len(session)."""
        return len(self)
