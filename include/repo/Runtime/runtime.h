/*===- runtime.h - The runtime of compiled kernels ---------------*- C -*-===*\
 *
 * Part of the RePo compiler, under the Apache License v2.0 with LLVM
 * Exceptions. See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------===
 *
 * C99. A program creates a context per calling thread, opens a library (or
 * links it) and calls its entries:
 *
 *     int32_t NAME(repo_rt_context *context,
 *                  DLTensor *const *tensors, int32_t count);
 *
 * tensors are DLPack's, on the CPU or, for a library of --target=cuda, on a
 * CUDA device: inputs, then outputs, as the generated header says. An entry
 * returns 0 or an error code; repo_rt_last_error has the text. Nothing is read
 * before every tensor was checked: number, rank, element type, sizes (sizes
 * with the same name must be equal), strides and device. The innermost stride
 * must be 1 where the size is not 1; other strides are free, 0 only on inputs.
 * An output shares no memory with another tensor. strides == NULL means
 * row-major. Any size may be 0, then data may be NULL. Element alignment
 * suffices.
 *
 * Weights. An entry NAME with constants (arguments with `repo.constant`) has a
 * faster twin that takes them packed, once, in a layout of the compiler's:
 *
 *     int64_t bytes = NAME_pack_size();
 *     NAME_pack(context, {constants..., packed}, n + 1);
 *     NAME_packed(context, {packed, other inputs..., outputs...}, m);
 *
 * with `packed` a tensor of uint8 [bytes] whose address is a multiple of 64.
 * The manifest gives the parts of the packed tensor: where each lies, of which
 * constants it is made, and by which entry (NAME_pack_partK takes them and the
 * part's bytes), so that weights can be packed one by one. Entries whose
 * `packed_layout` is the same share one packed tensor.
 *
 * There is no global state. A context must not be used by two threads at once.
 */

#ifndef REPO_RUNTIME_RUNTIME_H
#define REPO_RUNTIME_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

/* DLTensor: from DLPack where it was included before, else declared here with
 * the same layout. */
#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
#define REPO_RT_OWN_DLTENSOR 1
typedef struct {
  int32_t device_type; /* 1: CPU, 2: CUDA */
  int32_t device_id;
} DLDevice;
typedef struct {
  uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat, 6 bool */
  uint8_t bits;
  uint16_t lanes; /* 1 */
} DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements, or NULL: row-major */
  uint64_t byte_offset;
} DLTensor;
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define REPO_RT_ABI_VERSION 3
#define REPO_RT_LIBRARY_MAGIC INT64_C(0x3142494c4f504552) /* "REPOLIB1" */

#if defined(__GNUC__)
#define REPO_RT_API __attribute__((visibility("default")))
#else
#define REPO_RT_API
#endif

/** Error codes. */
enum {
  REPO_RT_OK = 0,
  REPO_RT_BAD_ARGUMENT = 1,  /**< a tensor or argument that does not fit */
  REPO_RT_OUT_OF_MEMORY = 2, /**< the workspace could not be had */
  REPO_RT_BAD_LIBRARY =
      3, /**< not a library of this compiler, or not for this host */
  REPO_RT_BAD_FILE =
      4, /**< a file that cannot be read or does not hold what it says */
  REPO_RT_NOT_FOUND = 5, /**< no such entry or tensor */
  REPO_RT_DEVICE = 6     /**< no driver or device, or a launch that failed */
};

typedef struct repo_rt_context repo_rt_context;

/** A task of a parallel loop. */
typedef void (*repo_rt_task)(repo_rt_context *context, int64_t index,
                             void *arguments);

/*===----------------------------------------------------------------------===
 * Contexts
 *===----------------------------------------------------------------------===*/

/** Creates a context, or returns NULL when out of memory. The number of threads
 * is REPO_NUM_THREADS, else what affinity and the control group's CPU quota
 * allow. */
REPO_RT_API repo_rt_context *repo_rt_context_create(void);
REPO_RT_API void repo_rt_context_destroy(repo_rt_context *context);

/** Sets the number of threads, the calling one included; 0 means the default.
 */
REPO_RT_API int32_t repo_rt_set_num_threads(repo_rt_context *context,
                                            int32_t threads);
REPO_RT_API int32_t repo_rt_get_num_threads(const repo_rt_context *context);

/** The text of the last error of this context: one line, "" if there was none.
 * Valid until the next call with this context. */
REPO_RT_API const char *repo_rt_last_error(const repo_rt_context *context);

/** Records an error (printf-like) and returns `code`. */
REPO_RT_API int32_t repo_rt_fail(repo_rt_context *context, int32_t code,
                                 const char *format, ...);

/** A parallel loop of the host: calls task(context, i, arguments) for i in
 * 0..n-1 and returns when all are done. */
typedef void (*repo_rt_parallel_for)(void *host, int64_t n, repo_rt_task task,
                                     repo_rt_context *context, void *arguments);
/** Uses the host's thread pool instead of our own; NULL goes back. */
REPO_RT_API void repo_rt_set_parallel_for(repo_rt_context *context,
                                          repo_rt_parallel_for parallel_for,
                                          void *host);

/** Takes workspace from `allocate` (aligned to 64 bytes, or NULL) and gives it
 * back to `release`; NULL goes back to our own. */
REPO_RT_API void
repo_rt_set_allocator(repo_rt_context *context,
                      void *(*allocate)(void *host, size_t bytes),
                      void (*release)(void *host, void *memory), void *host);

/** The CUDA stream (CUstream or cudaStream_t) of libraries for a GPU; NULL, the
 * default, is the default stream. An entry starts its work on the stream of the
 * tensors' device and does not wait for it. Workspace is taken and given back
 * in the order of the stream; an allocator set above is for CPUs. */
REPO_RT_API void repo_rt_set_stream(repo_rt_context *context, void *stream);

/*===----------------------------------------------------------------------===
 * Libraries
 *===----------------------------------------------------------------------===*/

typedef struct repo_rt_library repo_rt_library;
typedef int32_t (*repo_rt_entry)(repo_rt_context *context,
                                 DLTensor *const *tensors, int32_t count);

/** Opens a compiled library. Refuses files that are none, another version of
 * the interface, and code that needs CPU features this host lacks. */
REPO_RT_API int32_t repo_rt_library_open(repo_rt_context *context,
                                         const char *path,
                                         repo_rt_library **library);
REPO_RT_API void repo_rt_library_close(repo_rt_library *library);
/** The manifest: JSON text with the entries and their tensors. */
REPO_RT_API const char *
repo_rt_library_manifest(const repo_rt_library *library);
/** Finds an entry by name. */
REPO_RT_API int32_t repo_rt_library_entry(repo_rt_context *context,
                                          const repo_rt_library *library,
                                          const char *name,
                                          repo_rt_entry *entry);

/*===----------------------------------------------------------------------===
 * Safetensors
 *===----------------------------------------------------------------------===*/

typedef struct repo_rt_safetensors repo_rt_safetensors;

/** Maps a safetensors file, a `*.index.json` with the files it names, or a
 * folder that holds `model.safetensors` or `model.safetensors.index.json`.
 * Every header is checked: sizes, offsets, element types, overlaps, duplicates.
 */
REPO_RT_API int32_t repo_rt_safetensors_open(repo_rt_context *context,
                                             const char *path,
                                             repo_rt_safetensors **file);
REPO_RT_API void repo_rt_safetensors_close(repo_rt_safetensors *file);
REPO_RT_API int64_t repo_rt_safetensors_count(const repo_rt_safetensors *file);
/** The name and tensor number `index`, in order of names. The tensor
 * (row-major, mapped read-only, perhaps unaligned) lives as long as the file.
 */
REPO_RT_API const char *
repo_rt_safetensors_name(const repo_rt_safetensors *file, int64_t index);
REPO_RT_API const DLTensor *
repo_rt_safetensors_tensor(const repo_rt_safetensors *file, int64_t index);
/** The tensor of that name, or NULL. */
REPO_RT_API const DLTensor *
repo_rt_safetensors_find(const repo_rt_safetensors *file, const char *name);
/** Writes row-major tensors to a file; a file that could not be written whole
 * is not there afterwards. */
REPO_RT_API int32_t repo_rt_safetensors_write(repo_rt_context *context,
                                              const char *path,
                                              const char *const *names,
                                              DLTensor *const *tensors,
                                              int64_t count);

/*===----------------------------------------------------------------------===
 * The interface to emitted code: stable within one REPO_RT_ABI_VERSION
 *===----------------------------------------------------------------------===*/

/** Exported as `repo_library_info` by every library. */
struct repo_rt_library_info {
  int64_t magic;
  int32_t abi_version;
  int32_t size;         /**< of this struct */
  const char *features; /**< CPU features the code needs, LLVM's names, spaces
                           between */
  const char *manifest;
  int32_t device; /**< of the tensors, as DLPack counts: 1 CPU, 2 CUDA; 0:
                     kernels are emulated, both will do */
  int32_t reserved;
};

/** One tensor of an entry. */
struct repo_rt_argument {
  const char *name;
  const int64_t *sizes; /**< a size, or -(1 + s) for symbol s */
  uint8_t dtype_code, dtype_bits, rank;
  uint8_t role;       /**< 0 input, 1 constant, 2 inout, 3 output */
  uint16_t alignment; /**< of the address, in bytes; 0: any */
  uint16_t is_scalar; /**< the host reads it: on the CPU, whatever the device */
};

/** One entry. */
struct repo_rt_signature {
  const struct repo_rt_library_info *library;
  const char *name;
  const struct repo_rt_argument *arguments;
  int32_t num_arguments, num_symbols;
  int64_t
      num_slots; /**< of 64 bits: address, sizes and strides of every tensor */
};

/** Code of the kernels of a library, for one architecture. */
struct repo_rt_kernel_image {
  const void *data;
  int32_t format;       /**< 0 cubin, 1 PTX, 2 for the emulator */
  int32_t architecture; /**< 80 for sm_80 */
  int32_t is_specific;  /**< sm_90a: runs on that architecture alone */
  int32_t reserved;
};
struct repo_rt_kernel_images {
  int64_t count;
  const struct repo_rt_kernel_image *images;
  int64_t serial; /**< 0; the runtime numbers what it loads */
};
struct repo_rt_kernel {
  struct repo_rt_kernel_images *images;
  const char *name;
};

/** A tensor map (CUtensorMap) to be: numbers of cuTensorMapEncodeTiled,
 * innermost dimension first, 1 beyond the rank. */
struct repo_rt_map {
  int64_t element_type, rank, address;
  int64_t sizes[5], strides[5]; /**< elements; bytes */
  int64_t box[5];
  int64_t swizzle, l2_promotion, fill;
};

/** A matrix product by cuBLASLt: c = a b, or a b^T, (+ c). Rows of a and c in
 * `batch` groups; addresses; strides in elements; element types as numbers of
 * cudaDataType. */
struct repo_rt_gemm {
  int64_t type, result_type;
  int64_t a, b, c;
  int64_t batch, rows, columns, depth;
  int64_t a_batch, a_row, c_batch, c_row, b_row;
  int64_t transpose_b, accumulate;
};

/** What emitted code calls. The first member of a context points to it. */
struct repo_rt_api {
  int32_t abi_version;
  int32_t size;
  /** Checks the tensors and calls call(context, slots). */
  int32_t (*run)(repo_rt_context *context,
                 const struct repo_rt_signature *signature,
                 DLTensor *const *tensors, int32_t count,
                 void (*call)(repo_rt_context *context, const int64_t *slots));
  void (*parallel_for)(repo_rt_context *context, int64_t n, repo_rt_task task,
                       void *arguments);
  /** Workspace, aligned to 64 bytes; on failure `run` returns and this does
   * not. Not to be called from a task. */
  void *(*allocate)(repo_rt_context *context, uint64_t bytes);
  uint64_t (*mark)(repo_rt_context *context);
  /** Gives back what was allocated since `mark`. */
  void (*release)(repo_rt_context *context, uint64_t mark);
  /** Launches a kernel on the context's stream. sizes: grid, block, bytes of
   * dynamic shared memory; a grid without blocks launches nothing. On failure
   * `run` returns and this does not. */
  void (*launch)(repo_rt_context *context, const struct repo_rt_kernel *kernel,
                 const int64_t *sizes, void **parameters);
  /** Encodes a tensor map to 128 bytes, aligned to 64. Fails as `launch`. */
  void (*encode_map)(repo_rt_context *context, const struct repo_rt_map *map,
                     void *encoded);
  /** Ends the entry with an error: the computed size of an output is not that
   * of its tensor. `run` returns and this does not. Not to be called from a
   * task. */
  void (*wrong_size)(repo_rt_context *context, int32_t argument,
                     int32_t dimension, int64_t expected, int64_t found);
  /** Multiplies matrices on the context's stream. Fails as `launch`. */
  void (*gemm)(repo_rt_context *context, const struct repo_rt_gemm *gemm);
  /** Ends the entry with an error: its arguments are not what its kernels take.
   * `run` returns and this does not. */
  void (*refuse)(repo_rt_context *context, const char *message);
};

#ifdef __cplusplus
}
#endif

#endif /* REPO_RUNTIME_RUNTIME_H */
