/*===- main.c - The compiler in a C program
 * ----------------------------------===
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 *   cc -std=c99 -Iinclude main.c -lrepo_compiler -o main
 *   ./main attention.mlir attention.so
 */

#include "repo-c/compiler.h"
#include <stdio.h>
#include <string.h>

/* Every diagnostic comes as one line. */
static void print(void *user, const char *line) {
  ++*(int *)user;
  printf("message: %s\n", line);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: main FILE.mlir OUT.so\n");
    return 2;
  }
  int messages = 0;
  char *text;

  /* Parse, run a pipeline, print. */
  const char *source =
      "func.func @f(%z: tensor<1x2x5xf32>, %i: tensor<1x1x5xf32>) -> "
      "tensor<1x2x5xf32> {\n"
      "  %0 = repo.blend_positions %z, %i {weight = 0.0 : f64}\n"
      "     : (tensor<1x2x5xf32>, tensor<1x1x5xf32>) -> tensor<1x2x5xf32>\n"
      "  return %0 : tensor<1x2x5xf32>\n}\n";
  if (repo_compiler_opt(source, "canonicalize", print, &messages, &text))
    return 1;
  printf("canonical: %s\n",
         strstr(text, "repo.") ? "has an op" : "no op is left");
  repo_compiler_free(text);

  /* What is wrong is told, not printed. */
  if (!repo_compiler_opt("func.func @f(", "canonicalize", print, &messages,
                         &text) ||
      messages != 1)
    return 1;
  if (!repo_compiler_opt(source, "no-such-pass", print, &messages, &text) ||
      messages != 2)
    return 1;

  if (repo_compiler_features("x86-64-v3", "-fma", print, &messages, &text))
    return 1;
  printf("fma: %s\n", strstr(text, "fma") ? "yes" : "no");
  repo_compiler_free(text);

  /* Compile, with a report. */
  repo_compiler_options options = {0};
  options.input = argv[1];
  options.output = argv[2];
  options.report = 1;
  if (repo_compiler_compile(&options, print, &messages))
    return 1;
  options.output = "/dev/full";
  options.emit = "asm";
  options.report = 0;
  if (!repo_compiler_compile(&options, print, &messages))
    return 1;
  options.emit = "elf";
  return !repo_compiler_compile(&options, print, &messages);
}
