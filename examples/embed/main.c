/*===- main.c - A compiled kernel in a C program
 *---------------------------------===
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 *   repo-compile attention.mlir -o attention.so
 *   cc -std=c99 -Iinclude -I. main.c ./attention.so -lrepo_rt -lm -o main
 */

#include "attention.h"
#include <math.h>
#include <stdio.h>

enum { HEADS = 3, TOKENS = 5, SIZE = 128 };

static DLTensor tensor(float *data, int32_t rank, int64_t *shape) {
  DLTensor result = {0};
  result.data = data;
  result.device.device_type = 1;
  result.ndim = rank;
  result.dtype.code = 2;
  result.dtype.bits = 32;
  result.dtype.lanes = 1;
  result.shape = shape;
  return result;
}

int main(void) {
  static float q[HEADS * TOKENS * SIZE], v[HEADS * TOKENS * SIZE],
      z[HEADS * TOKENS], out[HEADS * TOKENS * SIZE], lse[HEADS * TOKENS];
  int64_t rows[] = {1, HEADS, TOKENS, SIZE}, positions[] = {1, HEADS, TOKENS};
  for (int i = 0; i < HEADS * TOKENS * SIZE; ++i)
    v[i] = 7.0f;
  DLTensor tq = tensor(q, 4, rows), tv = tensor(v, 4, rows),
           tz = tensor(z, 3, positions), to = tensor(out, 4, rows),
           tl = tensor(lse, 3, positions);

  repo_rt_context *context = repo_rt_context_create();
  if (!context)
    return 1;
  if (attention_call(context, &tq, &tq, &tv, &tz, &tz, &to, &tl)) {
    fprintf(stderr, "%s\n", repo_rt_last_error(context));
    return 1;
  }
  /* Equal logits: the mean of equal values, and lse = ln(keys seen). */
  printf("out %g, lse %.4f (ln 5 = %.4f)\n", out[0], lse[TOKENS - 1], log(5.0));

  /* A tensor that does not fit is an error with a text, never a crash. */
  rows[3] = SIZE - 1;
  if (attention_call(context, &tq, &tq, &tv, &tz, &tz, &to, &tl))
    printf("refused: %s\n", repo_rt_last_error(context));
  repo_rt_context_destroy(context);
  return 0;
}
