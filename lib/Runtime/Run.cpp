//===- Run.cpp - Checks the tensors of an entry and calls it --------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include "Overlap.h"
#include <string>

static std::string describeType(int code, int bits, int lanes = 1) {
  static const char *const names[] = {"i",  "u",       "f",   "handle",
                                      "bf", "complex", "bool"};
  std::string name =
      code < 7 ? names[code] : "type" + std::to_string(code) + "_";
  if (code != 6)
    name += std::to_string(bits);
  return lanes == 1 ? name : name + "x" + std::to_string(lanes);
}

namespace {
/// Checks the tensors of one call, and fills the slots.
class Call {
public:
  Call(repo_rt_context *context, const repo_rt_signature *signature)
      : context(context), signature(signature), slots(context->slots),
        symbols(context->symbols),
        expected(signature->library->size >= 40 ? signature->library->device
                                                : 1) {}

  int32_t check(DLTensor *const *tensors, int32_t count) {
    if (count != signature->num_arguments)
      return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
                          "%s: expected %d tensors, got %d", signature->name,
                          signature->num_arguments, count);
    slots.clear();
    slots.reserve(signature->num_slots);
    symbols.assign(signature->num_symbols, -1);
    owners.assign(signature->num_symbols, nullptr);
    for (int32_t i = 0; i < count; ++i)
      if (int32_t status = checkTensor(signature->arguments[i], tensors[i]))
        return status;
    return checkOverlap();
  }

  /// Calls with the memory of every tensor.
  template <typename Function> void forEachRange(Function function) {
    for (const Range &range : ranges)
      function(range.begin, range.end - range.begin);
  }
  bool usesDevice() const { return expected != 1; }
  /// The device of the tensors; the first where there is none.
  DLDevice device = {0, 0};

private:
  /// All tensors are on one device of the kind that the library is for.
  int32_t checkDevice(const repo_rt_argument &argument, DLDevice found) {
    // Pinned and managed memory are a device's too, for CUDA.
    int32_t type = found.device_type == 13 ? 2 : found.device_type;
    if (argument.is_scalar ? type == 1 : type == expected)
      ;
    else if (!argument.is_scalar && expected == 0 && (type == 1 || type == 2))
      ;
    else
      return fail(argument, std::string("expected a tensor on ") +
                                (argument.is_scalar || expected == 1
                                     ? "the CPU (device type 1)"
                                     : "a CUDA device (device type 2)") +
                                ", got device type " +
                                std::to_string(found.device_type));
    if (argument.is_scalar || expected == 1)
      return REPO_RT_OK;
    if (device.device_type &&
        (device.device_type != type || device.device_id != found.device_id))
      return fail(argument, "expected a tensor on device " +
                                std::to_string(device.device_id) +
                                " as the others, got device " +
                                std::to_string(found.device_id));
    device = {type, found.device_id};
    return REPO_RT_OK;
  }

  int32_t checkTensor(const repo_rt_argument &argument,
                      const DLTensor *tensor) {
    if (!tensor)
      return fail(argument, "expected a tensor, got NULL");
    if (int32_t status = checkDevice(argument, tensor->device))
      return status;
    if (tensor->dtype.code != argument.dtype_code ||
        tensor->dtype.bits != argument.dtype_bits || tensor->dtype.lanes != 1)
      return fail(argument,
                  "expected element type " +
                      describeType(argument.dtype_code, argument.dtype_bits) +
                      ", got " +
                      describeType(tensor->dtype.code, tensor->dtype.bits,
                                   tensor->dtype.lanes));
    if (tensor->ndim != argument.rank)
      return fail(argument, "expected rank " + std::to_string(argument.rank) +
                                ", got " + std::to_string(tensor->ndim));
    bool empty = false;
    for (int32_t dim = 0; dim < argument.rank; ++dim) {
      int64_t size = tensor->shape[dim], expected = argument.sizes[dim];
      const char *owner = nullptr;
      if (size < 0)
        return failSize(argument, dim, "a size that is not negative", size);
      if (expected < 0) {
        int64_t symbol = -1 - expected;
        if (symbols[symbol] < 0) {
          symbols[symbol] = size;
          owners[symbol] = argument.name;
        }
        expected = symbols[symbol];
        owner = owners[symbol];
      }
      if (size != expected)
        return failSize(
            argument, dim,
            std::to_string(expected) +
                (owner ? std::string(" as in `") + owner + "`" : ""),
            size);
      empty = empty || size == 0;
    }
    if (!tensor->data && !empty)
      return fail(argument, "expected data, got NULL");

    slots.push_back(static_cast<int64_t>(
        reinterpret_cast<intptr_t>(tensor->data) + tensor->byte_offset));
    if (argument.alignment && !empty && slots.back() % argument.alignment)
      return fail(argument,
                  "expected an address aligned to " +
                      std::to_string(argument.alignment) +
                      " bytes, got one at " +
                      std::to_string(slots.back() % argument.alignment) +
                      " bytes past it");
    for (int32_t dim = 0; dim < argument.rank; ++dim)
      slots.push_back(tensor->shape[dim]);
    size_t first = slots.size();
    slots.resize(first + argument.rank);
    int64_t rowMajor = 1;
    bool output = argument.role >= 2;
    for (int32_t dim = argument.rank - 1; dim >= 0; --dim) {
      int64_t size = tensor->shape[dim];
      int64_t stride = tensor->strides ? tensor->strides[dim] : rowMajor;
      if (tensor->strides && size > 1 && !empty) {
        if (dim == argument.rank - 1 && stride != 1)
          return failStride(argument, dim, "1", stride);
        if (stride < 0)
          return failStride(argument, dim, "a stride that is not negative",
                            stride);
        if (output && stride == 0)
          return failStride(argument, dim,
                            "a stride other than 0, as it is written", stride);
      }
      slots[first + dim] = stride;
      rowMajor *= size;
    }
    return REPO_RT_OK;
  }

  bool isWritten(int32_t index) {
    return signature->arguments[index].role >= 2;
  }

  repo_rt::View getView(int32_t index) {
    const repo_rt_argument &argument = signature->arguments[index];
    const int64_t *slot = &slots[ranges[index].slot];
    return {*slot, argument.dtype_bits / 8, argument.rank, slot + 1,
            slot + 1 + argument.rank};
  }

  /// What is written shares no memory with any other tensor, nor with itself.
  int32_t checkOverlap() {
    int32_t count = signature->num_arguments;
    ranges.resize(count);
    size_t slot = 0;
    for (int32_t i = 0; i < count; ++i) {
      ranges[i] = {slot, slots[slot], 0};
      ranges[i].end = repo_rt::getEnd(getView(i));
      slot += 1 + 2 * signature->arguments[i].rank;
    }
    for (int32_t i = 0; i < count; ++i) {
      const repo_rt_argument &argument = signature->arguments[i];
      if (!isWritten(i) || ranges[i].begin == ranges[i].end)
        continue;
      if (repo_rt::overlapsItself(getView(i)))
        return fail(argument, "expected strides that keep its elements apart, "
                              "got elements that overlap");
      for (int32_t other = 0; other < count; ++other) {
        // Addresses that are far apart settle nearly all pairs.
        if (ranges[i].end <= ranges[other].begin ||
            ranges[other].end <= ranges[i].begin)
          continue;
        // Of two that are written, the second one checks.
        if (other == i || (isWritten(other) && other > i))
          continue;
        if (repo_rt::overlap(getView(i), getView(other)))
          return fail(argument,
                      std::string("expected memory of its own, got memory "
                                  "shared with `") +
                          signature->arguments[other].name + "`");
      }
    }
    return REPO_RT_OK;
  }

  int32_t fail(const repo_rt_argument &argument, const std::string &text) {
    return repo_rt_fail(context, REPO_RT_BAD_ARGUMENT, "%s: `%s`: %s",
                        signature->name, argument.name, text.c_str());
  }
  int32_t failSize(const repo_rt_argument &argument, int32_t dim,
                   const std::string &expected, int64_t found) {
    return fail(argument, "expected dimension " + std::to_string(dim) +
                              " to be " + expected + ", got " +
                              std::to_string(found));
  }
  int32_t failStride(const repo_rt_argument &argument, int32_t dim,
                     const std::string &expected, int64_t found) {
    return fail(argument, "expected stride " + std::to_string(dim) + " to be " +
                              expected + ", got " + std::to_string(found));
  }

  repo_rt_context *context;
  const repo_rt_signature *signature;
  std::vector<int64_t> &slots, &symbols;
  std::vector<const char *> owners;
  int32_t expected;

  /// Where the slots of an argument start, and its range of addresses.
  struct Range {
    size_t slot;
    int64_t begin, end;
  };
  std::vector<Range> ranges;
};
} // namespace

static int32_t run(repo_rt_context *context, const repo_rt_signature *signature,
                   DLTensor *const *tensors, int32_t count,
                   void (*call)(repo_rt_context *, const int64_t *)) {
  if (context->checked != signature->library) {
    if (int32_t status =
            repo_rt::checkLibrary(context, signature->library, signature->name))
      return status;
    context->checked = signature->library;
  }
  {
    Call checked(context, signature);
    if (int32_t status = checked.check(tensors, count))
      return status;
    bool usesDevice = checked.usesDevice();
    bool emulated = usesDevice && signature->library->device == 0;
    // An emulated library also takes tensors of the host, on device 0.
    bool ofHost = emulated && checked.device.device_type != 2;
    if (usesDevice)
      if (int32_t status = context->cuda.enter(
              context, ofHost ? 0 : checked.device.device_id, emulated))
        return status;
    if (ofHost)
      checked.forEachRange([&](int64_t begin, int64_t bytes) {
        context->cuda.allowHost(reinterpret_cast<void *>(begin),
                                static_cast<uint64_t>(bytes));
      });
  }
  context->error.clear();
  // Nothing with a destructor lives in the frames that a jump leaves: they are
  // of emitted code.
  std::jmp_buf exit;
  context->failure = REPO_RT_OK;
  if (!setjmp(exit)) {
    context->exit = &exit;
    context->entry = signature;
    call(context, context->slots.data());
  }
  context->exit = nullptr;
  context->workspace.reset();
  context->cuda.leave();
  return context->failure;
}

/// Ends the entry that runs.
[[noreturn]] static void abandon(repo_rt_context *context, int32_t code) {
  context->failure = code;
  std::longjmp(*context->exit, 1);
}

static void *allocate(repo_rt_context *context, uint64_t bytes) {
  if (context->cuda.isActive()) {
    if (void *memory = context->cuda.allocate(context, bytes))
      return memory;
    abandon(context, REPO_RT_OUT_OF_MEMORY);
  }
  if (void *memory = context->workspace.allocate(bytes))
    return memory;
  repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY,
               "out of memory: cannot allocate %llu bytes of workspace",
               static_cast<unsigned long long>(bytes));
  abandon(context, REPO_RT_OUT_OF_MEMORY);
}

static void wrongSize(repo_rt_context *context, int32_t argument,
                      int32_t dimension, int64_t expected, int64_t found) {
  repo_rt_fail(context, REPO_RT_BAD_ARGUMENT,
               "%s: `%s`: expected dimension %d to be %lld, got %lld",
               context->entry->name, context->entry->arguments[argument].name,
               dimension, static_cast<long long>(expected),
               static_cast<long long>(found));
  abandon(context, REPO_RT_BAD_ARGUMENT);
}

static uint64_t mark(repo_rt_context *context) {
  return context->cuda.isActive() ? context->cuda.mark()
                                  : context->workspace.mark();
}

static void release(repo_rt_context *context, uint64_t mark) {
  if (context->cuda.isActive())
    context->cuda.release(mark);
  else
    context->workspace.release(mark);
}

static void launch(repo_rt_context *context, const repo_rt_kernel *kernel,
                   const int64_t *sizes, void **parameters) {
  if (int32_t code = context->cuda.launch(context, kernel, sizes, parameters))
    abandon(context, code);
}

static void encodeMap(repo_rt_context *context, const repo_rt_map *map,
                      void *encoded) {
  if (int32_t code = context->cuda.encodeMap(context, map, encoded))
    abandon(context, code);
}

static void gemm(repo_rt_context *context, const repo_rt_gemm *product) {
  if (int32_t code = context->cuda.multiply(context, *product))
    abandon(context, code);
}

static void refuse(repo_rt_context *context, const char *message) {
  repo_rt_fail(context, REPO_RT_BAD_ARGUMENT, "%s: %s", context->entry->name,
               message);
  abandon(context, REPO_RT_BAD_ARGUMENT);
}

const repo_rt_api repo_rt::api = {REPO_RT_ABI_VERSION,
                                  sizeof(repo_rt_api),
                                  run,
                                  repo_rt::parallelFor,
                                  allocate,
                                  mark,
                                  release,
                                  launch,
                                  encodeMap,
                                  wrongSize,
                                  gemm,
                                  refuse};
