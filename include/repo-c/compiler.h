/*===- compiler.h - The compiler as a C library ------------------*- C -*-===*\
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 * C99. Every function returns 0, or 1 after it told the callback why in one
 * line. Strings are NUL-terminated UTF-8; those a function returns are freed by
 * repo_compiler_free.
 */

#ifndef REPO_C_COMPILER_H
#define REPO_C_COMPILER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define REPO_COMPILER_API __attribute__((visibility("default")))
#else
#define REPO_COMPILER_API
#endif

/** Takes one line of text per error or remark. */
typedef void (*repo_compiler_message)(void *user, const char *line);

/** The version of the compiler. */
REPO_COMPILER_API const char *repo_compiler_version(void);

/** The features that `cpu` ("native" or a name) with `features` ("+amx-bf16",
 * may be "") stands for: LLVM's names, sorted, spaces between. */
REPO_COMPILER_API int32_t repo_compiler_features(const char *cpu,
                                                 const char *features,
                                                 repo_compiler_message message,
                                                 void *user, char **result);

/** Runs a textual pass pipeline, such as "builtin.module(repo-decompose)" or
 * just "repo-decompose", on IR text; `result` is the text that repo-opt prints.
 */
REPO_COMPILER_API int32_t repo_compiler_opt(const char *source,
                                            const char *pipeline,
                                            repo_compiler_message message,
                                            void *user, char **result);

/** What to compile, and how. Strings may be NULL: the default. */
typedef struct {
  const char *
      input; /**< a file of IR, or the name of `source`, or a model directory */
  const char *source;   /**< IR text, or NULL: read `input` */
  const char *output;   /**< the file or folder to write; whole or not at all */
  const char *cpu;      /**< "native" */
  const char *features; /**< "" */
  const char *emit;     /**< "so"; mlir, llvm, asm, obj */
  const char
      *stop_after;      /**< with "mlir": graph, schedule, tile, vector, llvm */
  const char *pipeline; /**< "cpu"; reference */
  int32_t is_model;     /**< `input` is a model directory */
  int32_t report;       /**< tell the callback what was decided */
  const char *
      target; /**< "cpu"; cuda, or emulator: CUDA kernels that run on the CPU */
  const char *chip;  /**< of a GPU: "sm_80"; a library holds code for several,
                        "sm_80,sm_90a" */
  const char *dtype; /**< arithmetic of a model: "f32", for a GPU
                        "bf16" */
  const char *cache_dtype; /**< elements of its caches; default: as dtype */
} repo_compiler_options;

/** Compiles, as repo-compile does. */
REPO_COMPILER_API int32_t
repo_compiler_compile(const repo_compiler_options *options,
                      repo_compiler_message message, void *user);

REPO_COMPILER_API void repo_compiler_free(char *text);

#ifdef __cplusplus
}
#endif

#endif /* REPO_C_COMPILER_H */
