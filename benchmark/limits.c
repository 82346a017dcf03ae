/*===- limits.c - What the machine can do at most
 * -----------------------------===
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 * The denominators of every benchmark: fused multiply-adds per second in
 * registers, bf16 products per second of the matrix unit, and bytes per second
 * read from memory. Each measures one thread; limits.py runs one per core.
 */

#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

#define TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)

/* Twelve independent chains hide the latency of a multiply-add on every core
 * with two units of latency at most 6. */
#define FMA_LOOP(NAME, TARGET, TYPE, LANES, SET)                               \
  __attribute__((target(TARGET))) double NAME(long iterations) {               \
    TYPE acc[12], b = SET(0.999f), c = SET(1e-3f);                             \
    for (int i = 0; i < 12; ++i)                                               \
      acc[i] = SET(1.0f);                                                      \
    TYPE a0 = acc[0], a1 = acc[1], a2 = acc[2], a3 = acc[3], a4 = acc[4],      \
         a5 = acc[5], a6 = acc[6], a7 = acc[7], a8 = acc[8], a9 = acc[9],      \
         a10 = acc[10], a11 = acc[11];                                         \
    double start = now();                                                      \
    for (long i = 0; i < iterations; ++i) {                                    \
      TWELVE(FMA_STEP)                                                         \
    }                                                                          \
    return iterations * 12.0 * LANES * 2 / (now() - start);                    \
  }
#define FMA_STEP(K)                                                            \
  __asm__ volatile("vfmadd213ps %1,%2,%0" : "+v"(a##K) : "v"(b), "v"(c));

/** Operations per second of 8-lane f32 multiply-adds (2 per lane). */
FMA_LOOP(repo_limit_fma8, "avx2,fma", __m256, 8, _mm256_set1_ps)
/** The same with 16 lanes. */
FMA_LOOP(repo_limit_fma16, "avx512f", __m512, 16, _mm512_set1_ps)

#undef FMA_STEP
#define FMA_STEP(K)                                                            \
  __asm__ volatile("vdpbf16ps %1,%2,%0" : "+v"(a##K) : "v"(b), "v"(c));
/** Operations per second of pairs of bf16 products in 16 lanes. */
FMA_LOOP(repo_limit_pairs16, "avx512f,avx512bf16", __m512, 32, _mm512_set1_ps)

/* How a core reads fastest differs by machine, by page size and by what the
 * other cores do: few long streams or many, with requests ahead of the loads or
 * left to the hardware. So there are several shapes, of which limits.py takes
 * the best: STREAMS parts of the buffer in turn, LINES cache lines of each at a
 * time, AHEAD bytes asked for in advance (0: none). */
#define READ_LOOP(NAME, STREAMS, LINES, AHEAD)                                 \
  __attribute__((target("avx2"))) static void NAME(const char *data,           \
                                                   size_t bytes) {             \
    size_t part = bytes / STREAMS / (64 * LINES) * (64 * LINES);               \
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(),          \
                      _mm256_setzero_si256(), _mm256_setzero_si256()};         \
    for (size_t i = 0; i < part; i += 64 * LINES) {                            \
      UNROLL for (int s = 0; s < STREAMS; ++s)                                 \
          UNROLL for (int l = 0; l < LINES; ++l) {                             \
        const char *p = data + s * part + i + 64 * l;                          \
        if (AHEAD)                                                             \
          _mm_prefetch(p + AHEAD, _MM_HINT_T0);                                \
        int k = 2 * (s * LINES + l) % 4;                                       \
        sum[k] =                                                               \
            _mm256_add_epi32(sum[k], _mm256_loadu_si256((const __m256i *)p));  \
        sum[k + 1] = _mm256_add_epi32(                                         \
            sum[k + 1], _mm256_loadu_si256((const __m256i *)(p + 32)));        \
      }                                                                        \
    }                                                                          \
    sum[0] = _mm256_add_epi32(_mm256_add_epi32(sum[0], sum[1]),                \
                              _mm256_add_epi32(sum[2], sum[3]));               \
    volatile int sink = _mm256_extract_epi32(sum[0], 0);                       \
    (void)sink;                                                                \
  }
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
READ_LOOP(read_1_4, 1, 4, 0)
READ_LOOP(read_2_4, 2, 4, 0)
READ_LOOP(read_4_1, 4, 1, 0)
READ_LOOP(read_8_1, 8, 1, 0)
READ_LOOP(read_1_4_ahead, 1, 4, 2048)
READ_LOOP(read_4_1_ahead, 4, 1, 1024)
READ_LOOP(read_4_4_ahead, 4, 4, 512)
static void (*const read_loops[])(const char *, size_t) = {
    read_1_4,       read_2_4,       read_4_1,      read_8_1,
    read_1_4_ahead, read_4_1_ahead, read_4_4_ahead};

/** The number of shapes of `repo_limit_read`. */
int repo_limit_read_shapes(void) {
  return sizeof read_loops / sizeof *read_loops;
}

/** Bytes per second read from `bytes` at `data` in one of the shapes. */
double repo_limit_read(const char *data, size_t bytes, int shape) {
  double start = now();
  read_loops[shape](data, bytes);
  return bytes / (now() - start);
}

struct reader {
  const char *const *parts;
  const size_t *bytes;
  int count, thread, threads, shape;
  atomic_int *ready;
  double start, end;
};

/* Each thread takes its share of every part. */
static void *read_share(void *argument) {
  struct reader *reader = argument;
  atomic_fetch_add(reader->ready, 1);
  while (atomic_load(reader->ready) < reader->threads)
    _mm_pause();
  reader->start = now();
  for (int i = 0; i < reader->count; ++i) {
    size_t share = reader->bytes[i] / reader->threads / 64 * 64;
    read_loops[reader->shape](reader->parts[i] + reader->thread * share, share);
  }
  reader->end = now();
  return NULL;
}

/* Starts a thread on the core of that number among those allowed, so that no
 * two share one. */
static int start_on(int number, pthread_t *handle, struct reader *reader) {
  cpu_set_t allowed, one;
  pthread_attr_t attributes;
  int result;
  sched_getaffinity(0, sizeof allowed, &allowed);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && number-- == 0)
      CPU_SET(cpu, &one);
  pthread_attr_init(&attributes);
  if (CPU_COUNT(&one))
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
  result = pthread_create(handle, &attributes, read_share, reader);
  pthread_attr_destroy(&attributes);
  return result;
}

/** Seconds in which up to 64 threads, awake already, read all `parts`; negative
 * where they cannot be had. */
double repo_limit_read_parts(const char *const *parts, const size_t *bytes,
                             int count, int threads, int shape) {
  struct reader readers[64];
  pthread_t handles[64];
  atomic_int ready = 0;
  double start = 0, end = 0;
  if (threads > 64)
    return -1;
  for (int i = 0; i < threads; ++i) {
    readers[i] = (struct reader){parts, bytes,  count, i,  threads,
                                 shape, &ready, 0.0,   0.0};
    if (start_on(i, &handles[i], &readers[i]))
      return -1;
  }
  for (int i = 0; i < threads; ++i) {
    pthread_join(handles[i], NULL);
    start = i && start < readers[i].start ? start : readers[i].start;
    end = i && end > readers[i].end ? end : readers[i].end;
  }
  return end - start;
}

struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
} __attribute__((packed));

/** Operations per second of bf16 tile products, 0 where the matrix unit cannot
 * be had. */
__attribute__((target("amx-tile,amx-bf16"))) double
repo_limit_amx(long iterations) {
  static char data[4096] __attribute__((aligned(64)));
  struct tile_config config;
  if (syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18))
    return 0;
  memset(&config, 0, sizeof config);
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.bytes_per_row[i] = 64;
    config.rows[i] = 16;
  }
  _tile_loadconfig(&config);
  _tile_loadd(4, data, 64);
  _tile_loadd(5, data + 1024, 64);
  _tile_loadd(6, data + 2048, 64);
  _tile_loadd(7, data + 3072, 64);
  double start = now();
  for (long i = 0; i < iterations; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  double seconds = now() - start;
  _tile_release();
  return iterations * 4.0 * 2 * 16 * 16 * 32 / seconds;
}
