/*===- model.h - Running compiled models -------------------------*- C -*-===*\
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 * C99. A model is a compiled folder (repo-compile --model) and the checkpoint
 * it was compiled for. Many sessions, each a KV cache, share one model:
 *
 *     repo_rt_model_open(context, "compiled", "checkpoint", &model);
 *     repo_rt_session_create(context, model, 1, &session);
 *     repo_rt_session_append(context, session, tokens, n, logits);
 *     ...
 *
 * A model for a GPU (--target=cuda) has its weights and caches on one device;
 * tokens, logits and positions are the host's here too. A function that returns
 * such waits for the stream of the context, or one of the session's own.
 *
 * Every function returns 0 or an error code of runtime.h;
 * repo_rt_last_error(context) has the text. A model may be used by several
 * threads at once, each with a context and sessions of its own.
 */

#ifndef REPO_RUNTIME_MODEL_H
#define REPO_RUNTIME_MODEL_H

#include "repo/Runtime/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct repo_rt_model repo_rt_model;
typedef struct repo_rt_session repo_rt_session;
typedef struct repo_rt_pages repo_rt_pages;

/** Sizes of a model. */
typedef struct {
  int64_t layers, heads, kv_heads, head_size, vocabulary, max_positions;
  int64_t page_size;  /**< tokens in a page of a paged cache */
  int64_t cache_bits; /**< of an element of a cache: 32 (f32) or 16 (bf16) */
} repo_rt_model_info;

/** Opens a compiled folder and maps the checkpoint. The weights must be those
 * the folder was compiled for: names, shapes and element types are compared. */
REPO_RT_API int32_t repo_rt_model_open(repo_rt_context *context,
                                       const char *compiled,
                                       const char *checkpoint,
                                       repo_rt_model **model);
/** How to open a model; zeros are the defaults. */
typedef struct {
  /** Called with the share of the weights that are ready, where they have to be
   * converted or packed. */
  void (*progress)(void *user, double done);
  void *user;
  int32_t device; /**< the CUDA device of a model for GPUs */
} repo_rt_model_options;
/** repo_rt_model_open with options. */
REPO_RT_API int32_t repo_rt_model_open_with(
    repo_rt_context *context, const char *compiled, const char *checkpoint,
    const repo_rt_model_options *options, repo_rt_model **model);
/** Packs the weights into a file in the compiled folder, packed.weights, which
 * opening the model then maps instead of packing them again: processes share
 * it. The file is refused where it was cut short or changed, where the layout
 * is not the library's, and where the checkpoint is not the one that was packed
 * (sizes and times of its files are compared, and a hash of all its weights
 * where these differ). */
REPO_RT_API int32_t repo_rt_model_pack(repo_rt_context *context,
                                       const char *compiled,
                                       const char *checkpoint,
                                       const repo_rt_model_options *options);
/** Closes a model whose sessions are all freed. */
REPO_RT_API void repo_rt_model_close(repo_rt_model *model);
REPO_RT_API repo_rt_model_info
repo_rt_model_get_info(const repo_rt_model *model);
/** The tokens that end a text; returns their number. */
REPO_RT_API int64_t repo_rt_model_end_tokens(const repo_rt_model *model,
                                             const int32_t **tokens);

/** Evaluates tokens [batch, n] from an empty cache: logits [batch, n,
 * vocabulary] and positions [layers, batch, heads, n], row-major; either may be
 * NULL. */
REPO_RT_API int32_t repo_rt_model_evaluate(repo_rt_context *context,
                                           const repo_rt_model *model,
                                           const int32_t *tokens, int64_t batch,
                                           int64_t n, float *logits,
                                           float *positions);

/** Starts `batch` empty sequences, in contiguous caches that grow. */
REPO_RT_API int32_t repo_rt_session_create(repo_rt_context *context,
                                           const repo_rt_model *model,
                                           int64_t batch,
                                           repo_rt_session **session);
/** The same in caches of `tokens` tokens, taken at once; more are an error. */
REPO_RT_API int32_t repo_rt_session_create_fixed(repo_rt_context *context,
                                                 const repo_rt_model *model,
                                                 int64_t batch, int64_t tokens,
                                                 repo_rt_session **session);

/** Takes pages for `tokens` tokens, to be shared by sessions. Memory is used
 * where it is written. Sessions of several threads may share pages, if each
 * session is used by one thread. */
REPO_RT_API int32_t repo_rt_pages_create(repo_rt_context *context,
                                         const repo_rt_model *model,
                                         int64_t tokens, repo_rt_pages **pages);
/** Frees pages, as soon as no session is on them. */
REPO_RT_API void repo_rt_pages_free(repo_rt_pages *pages);
/** How many pages there are, and how many of them nobody uses. */
REPO_RT_API int64_t repo_rt_pages_count(const repo_rt_pages *pages);
REPO_RT_API int64_t repo_rt_pages_count_free(repo_rt_pages *pages);
/** Starts `batch` empty sequences on pages. A fork shares them until one side
 * writes; trimming gives them back. */
REPO_RT_API int32_t repo_rt_session_create_paged(repo_rt_context *context,
                                                 repo_rt_pages *pages,
                                                 int64_t batch,
                                                 repo_rt_session **session);

REPO_RT_API void repo_rt_session_free(repo_rt_session *session);
/** A copy that goes its own way. */
REPO_RT_API int32_t repo_rt_session_fork(repo_rt_context *context,
                                         const repo_rt_session *session,
                                         repo_rt_session **copy);
/** The number of tokens in the cache, of the longest sequence. */
REPO_RT_API int64_t repo_rt_session_length(const repo_rt_session *session);
/** The number of tokens of one sequence, 0 to batch - 1. */
REPO_RT_API int64_t repo_rt_session_length_of(const repo_rt_session *session,
                                              int64_t sequence);
/** The size of the cache in memory, room to grow included. */
REPO_RT_API int64_t repo_rt_session_bytes(const repo_rt_session *session);
/** Forgets all but the first n tokens of every sequence. */
REPO_RT_API int32_t repo_rt_session_trim(repo_rt_context *context,
                                         repo_rt_session *session, int64_t n);
/** Appends tokens [batch, n], n >= 1; logits [batch, vocabulary] of the last
 * ones. Sequences may have different lengths. Here and below, nothing has been
 * appended where the result is an error. */
REPO_RT_API int32_t repo_rt_session_append(repo_rt_context *context,
                                           repo_rt_session *session,
                                           const int32_t *tokens, int64_t n,
                                           float *logits);
/** Appends counts[i] tokens to sequence i; `tokens` holds them one sequence
 * after the other. Sequences with none stay, and so do their rows of logits
 * [batch, vocabulary]. */
REPO_RT_API int32_t repo_rt_session_append_ragged(repo_rt_context *context,
                                                  repo_rt_session *session,
                                                  const int32_t *tokens,
                                                  const int64_t *counts,
                                                  float *logits);
/** Appends to several sessions of one sequence each and of one model, every
 * session once; counts and logits as in repo_rt_session_append_ragged.
 * Sequences on the same pages run together. */
REPO_RT_API int32_t repo_rt_sessions_append(
    repo_rt_context *context, repo_rt_session *const *sessions, int64_t count,
    const int32_t *tokens, const int64_t *counts, float *logits);
/** Appends tokens [batch, n] as repo_rt_session_append does, with the logits of
 * all of them [batch, n, vocabulary] and their positions [layers, batch, heads,
 * n]; either may be NULL. */
REPO_RT_API int32_t repo_rt_session_evaluate(repo_rt_context *context,
                                             repo_rt_session *session,
                                             const int32_t *tokens, int64_t n,
                                             float *logits, float *positions);

/** How the next token is chosen. */
typedef struct {
  float temperature; /**< 0: the most likely token (the first of equals) */
  int32_t top_k;     /**< only the k most likely; 0: all */
  float top_p;       /**< only the most likely that sum to p; 0 or 1: all */
  uint64_t seed;
} repo_rt_sampling;

/** Chooses a token by logits [vocabulary]; `state` starts as the seed and is
 * advanced. */
REPO_RT_API int32_t repo_rt_sample(const float *logits, int64_t vocabulary,
                                   const repo_rt_sampling *sampling,
                                   uint64_t *state);

#ifdef __cplusplus
}
#endif

#endif /* REPO_RUNTIME_MODEL_H */
