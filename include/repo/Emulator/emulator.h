/*===- emulator.h - Kernels on the CPU ---------------------------*- C -*-===*\
|*
|* Part of the RePo compiler, under the Apache License v2.0 with LLVM
|* Exceptions. See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
|*===----------------------------------------------------------------------===*|
|*
|* The emulator runs kernels whose LLVM IR, as the NVPTX back end gets it, was
|* rewritten for the host: an instruction of the GPU is a call of a function
|* below. Threads are fibers. Memory is checked: bounds, alignment, races on
|* shared memory, misuse of barriers.
|*
|* REPO_EMULATOR_ORDER: 0 or unset runs threads in turn and asynchronous work at
|* once; another number is a seed: blocks and threads run in any order, and
|* asynchronous work as late as it can be (odd seeds) or at any time (even
|* ones). Results must not depend on it.
|* REPO_EMULATOR_KERNELS names a library of repo-emulate whose kernels replace
|* those of the same names.
|* REPO_EMULATOR_UNCHECKED, if not empty, leaves out the checks of races and
|* bounds.
|*
|* Kernels are launched by the functions of the CUDA driver API that the library
|* repo_emulator exports: cuModuleLoadData takes a repo_emulator_image.
|*
\*===----------------------------------------------------------------------===*/

#ifndef REPO_EMULATOR_EMULATOR_H
#define REPO_EMULATOR_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* Images
\*===----------------------------------------------------------------------===*/

#define REPO_EMULATOR_MAGIC UINT64_C(0x31554d454f504552) /* "REPOEMU1" */

typedef struct repo_emulator_kernel {
  const char *name;
  /* Runs one thread; parameters[i] points to parameter i. */
  void (*run)(void **parameters);
  uint32_t num_parameters;
  uint32_t static_shared;  /* bytes */
  uint32_t dynamic_offset; /* of dynamic shared memory, behind the static */
  uint32_t max_threads;    /* of a block, or 0 */
  const uint32_t *parameter_bytes; /* of every parameter; NULL: 8 each */
} repo_emulator_kernel;

typedef struct repo_emulator_image {
  uint64_t magic;
  uint64_t num_kernels;
  const repo_emulator_kernel *kernels;
} repo_emulator_image;

/* Memory outside of the emulator's own that kernels may use. Where nothing was
 * allowed, nothing is checked. */
void repo_emulator_allow(const void *memory, uint64_t bytes);
void repo_emulator_forbid(const void *memory);

/* The function of the driver API of that name, or NULL. */
void *repo_emulator_find(const char *name);

/*===----------------------------------------------------------------------===*\
|* Instructions
|*
|* Addresses of shared memory are numbers of 32 bits; the first byte of static
|* shared memory is at repo_emulator_shared(0). Registers that an instruction
|* reads or writes in groups are arrays.
\*===----------------------------------------------------------------------===*/

enum { REPO_EMULATOR_F16 = 0, REPO_EMULATOR_BF16 = 1 };

/* Special registers; three each of the first four. */
enum {
  REPO_EMULATOR_TID = 0,
  REPO_EMULATOR_NTID = 3,
  REPO_EMULATOR_CTAID = 6,
  REPO_EMULATOR_NCTAID = 9,
  REPO_EMULATOR_LANEID = 12,
  REPO_EMULATOR_WARPID = 13,
  REPO_EMULATOR_DYNAMIC_SHARED = 14
};
int32_t repo_emulator_register(int32_t which);
void *repo_emulator_shared(uint32_t offset);
void repo_emulator_trap(void);

/* Called before every access to memory that is not the thread's own. */
enum {
  REPO_EMULATOR_LOAD = 0,
  REPO_EMULATOR_STORE = 1,
  REPO_EMULATOR_ATOMIC = 2
};
void repo_emulator_access(const void *pointer, int32_t bytes, int32_t alignment,
                          int32_t kind);

/* bar.sync, bar.arrive, bar.red (the number of votes); count 0: all threads. */
void repo_emulator_barrier_sync(int32_t id, int32_t count);
void repo_emulator_barrier_arrive(int32_t id, int32_t count);
int32_t repo_emulator_barrier_reduce(int32_t id, int32_t count, int32_t vote);

/* Warps. Results with a flag have it in bit 32. */
enum {
  REPO_EMULATOR_SHUFFLE_UP = 0,
  REPO_EMULATOR_SHUFFLE_DOWN = 1,
  REPO_EMULATOR_SHUFFLE_BUTTERFLY = 2,
  REPO_EMULATOR_SHUFFLE_INDEX = 3
};
enum {
  REPO_EMULATOR_VOTE_ALL = 0,
  REPO_EMULATOR_VOTE_ANY = 1,
  REPO_EMULATOR_VOTE_UNIFORM = 2,
  REPO_EMULATOR_VOTE_BALLOT = 3
};
enum {
  REPO_EMULATOR_REDUCE_ADD = 0,
  REPO_EMULATOR_REDUCE_MIN = 1,
  REPO_EMULATOR_REDUCE_MAX = 2,
  REPO_EMULATOR_REDUCE_UMIN = 3,
  REPO_EMULATOR_REDUCE_UMAX = 4,
  REPO_EMULATOR_REDUCE_AND = 5,
  REPO_EMULATOR_REDUCE_OR = 6,
  REPO_EMULATOR_REDUCE_XOR = 7
};
void repo_emulator_warp_sync(int32_t mask);
uint64_t repo_emulator_shuffle(int32_t mode, int32_t mask, int32_t value,
                               int32_t lane, int32_t clamp);
int32_t repo_emulator_vote(int32_t mode, int32_t mask, int32_t vote);
int32_t repo_emulator_reduce(int32_t mode, int32_t mask, int32_t value);
uint64_t repo_emulator_elect(int32_t mask);

/* Matrices of 16-bit elements. mma: m16n8k8 or m16n8k16, f32 accumulators,
 * which become the result. */
void repo_emulator_ldmatrix(uint32_t *registers, uint32_t row, int32_t count,
                            int32_t transposed);
void repo_emulator_stmatrix(uint32_t row, uint32_t *registers, int32_t count,
                            int32_t transposed);
void repo_emulator_mma(int32_t k, int32_t type, uint32_t *a, uint32_t *b,
                       uint32_t *c);

/* wgmma m64nNk16, f32 accumulators; a: registers, or NULL for descriptor_a. */
void repo_emulator_wgmma_fence(void);
void repo_emulator_wgmma(int32_t columns, int32_t type, uint32_t *accumulators,
                         uint32_t *a, uint64_t descriptor_a,
                         uint64_t descriptor_b, int32_t accumulates,
                         int32_t scale_a, int32_t scale_b, int32_t transpose_a,
                         int32_t transpose_b);
void repo_emulator_wgmma_commit(void);
void repo_emulator_wgmma_wait(int32_t left, uint32_t *accumulators,
                              int32_t count);

/* cp.async; wait: left < 0 waits for all, committed or not. */
void repo_emulator_cp_async(uint32_t destination, const void *source,
                            int32_t bytes, int32_t source_bytes);
void repo_emulator_cp_async_commit(void);
void repo_emulator_cp_async_wait(int32_t left);
void repo_emulator_cp_async_arrive(uint32_t barrier, int32_t counts);

/* cp.async.bulk, with and without tensor maps. */
void repo_emulator_bulk_load(uint32_t destination, const void *source,
                             int32_t bytes, uint32_t barrier);
void repo_emulator_bulk_store(void *destination, uint32_t source,
                              int32_t bytes);
void repo_emulator_bulk_commit(void);
void repo_emulator_bulk_wait(int32_t left);
void repo_emulator_tensor_load(int32_t rank, uint32_t shared, const void *map,
                               uint32_t barrier, const int32_t *coordinates);
void repo_emulator_tensor_store(int32_t rank, uint32_t shared, const void *map,
                                const int32_t *coordinates);

/* mbarrier. test returns at once, try waits. */
void repo_emulator_mbarrier_init(uint32_t barrier, int32_t count);
void repo_emulator_mbarrier_inval(uint32_t barrier);
uint64_t repo_emulator_mbarrier_arrive(uint32_t barrier, int32_t count);
void repo_emulator_mbarrier_expect(uint32_t barrier, int32_t bytes);
void repo_emulator_mbarrier_complete(uint32_t barrier, int32_t bytes);
int32_t repo_emulator_mbarrier_test(uint32_t barrier, uint64_t state,
                                    int32_t is_parity);
int32_t repo_emulator_mbarrier_try(uint32_t barrier, uint64_t state,
                                   int32_t is_parity);

/* fence.proxy.async and fence.mbarrier_init. */
enum { REPO_EMULATOR_FENCE_PROXY = 0, REPO_EMULATOR_FENCE_INIT = 1 };
void repo_emulator_fence(int32_t kind);

/* Approximate mathematics of f32, without the instructions' error. */
float repo_emulator_ex2(float x);
float repo_emulator_lg2(float x);
float repo_emulator_sin(float x);
float repo_emulator_cos(float x);
float repo_emulator_tanh(float x);
float repo_emulator_rcp(float x);
float repo_emulator_sqrt(float x);
float repo_emulator_rsqrt(float x);

#ifdef __cplusplus
}
#endif

#endif /* REPO_EMULATOR_EMULATOR_H */
