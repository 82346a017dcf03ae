/*===- emulator.h - Kernels on the CPU ------------------------------ C -*-===*\
|*
|* Part of the RePo compiler, under the Apache License v2.0 with LLVM
|* Exceptions. See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
|*===----------------------------------------------------------------------===*|
|*
|* What a library made by `repo-compile --target=cuda --emulate` calls. Threads
|* of a block that meet at barriers are fibers. REPO_EMULATOR_ORDER, a number,
|* shuffles blocks and threads: results must not depend on it.
|*
\*===----------------------------------------------------------------------===*/

#ifndef REPO_EMULATOR_EMULATOR_H
#define REPO_EMULATOR_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a thread knows of itself; kernels read it by word. */
typedef struct repo_emulator_thread {
  int32_t thread_index[3], block_size[3], block_index[3], grid_size[3];
} repo_emulator_thread;

typedef void (*repo_emulator_kernel)(repo_emulator_thread *thread,
                                     void *arguments);

/* Runs a grid. `meets`: the kernel has barriers. */
void repo_emulator_launch(repo_emulator_kernel kernel, void *arguments,
                          int64_t grid_x, int64_t grid_y, int64_t grid_z,
                          int64_t block_x, int64_t block_y, int64_t block_z,
                          int32_t meets);

/* Waits for all threads of the block. */
void repo_emulator_barrier(repo_emulator_thread *thread);

#ifdef __cplusplus
}
#endif

#endif /* REPO_EMULATOR_EMULATOR_H */
