//===- Safetensors.cpp - Reading and writing safetensors ------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A file is 8 bytes with the length of a JSON header, the header, and the data.
// A header may lie about anything: nothing of it is believed before it was
// checked against the size of the file.
//
//===----------------------------------------------------------------------===//

#include "Context.h"
#include "Json.h"
#include "Packed.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <memory>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using nlohmann::json;

namespace {
struct ElementType {
  const char *name;
  uint8_t code, bits;
};
const ElementType elementTypes[] = {
    {"F64", 2, 64}, {"F32", 2, 32}, {"F16", 2, 16}, {"BF16", 4, 16},
    {"I64", 0, 64}, {"I32", 0, 32}, {"I16", 0, 16}, {"I8", 0, 8},
    {"U8", 1, 8},   {"BOOL", 6, 8}};

constexpr uint64_t maxHeaderBytes = uint64_t(100) << 20;

/// A file mapped read-only.
struct Mapping {
  void *data = nullptr;
  size_t size = 0;
  /// When the file was last written.
  struct timespec time = {};
  ~Mapping() {
    if (data)
      munmap(data, size);
  }
};

struct Tensor {
  DLTensor tensor = {};
  std::vector<int64_t> shape;
};
} // namespace

struct repo_rt_safetensors {
  std::vector<std::unique_ptr<Mapping>> mappings;
  std::map<std::string, Tensor> tensors;
  std::vector<std::map<std::string, Tensor>::iterator> order;
};

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {
class Reader {
public:
  Reader(repo_rt_context *context, repo_rt_safetensors &result)
      : context(context), result(result) {}

  int32_t open(const std::string &path) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0)
      return fail(path, std::strerror(errno));
    if (S_ISDIR(info.st_mode)) {
      std::string index = path + "/model.safetensors.index.json";
      if (access(index.c_str(), F_OK) == 0)
        return openIndex(index);
      std::string single = path + "/model.safetensors";
      if (access(single.c_str(), F_OK) != 0)
        return fail(
            path, "expected model.safetensors or model.safetensors.index.json "
                  "in this folder");
      return openFile(single, nullptr);
    }
    if (path.size() > 5 && path.compare(path.size() - 5, 5, ".json") == 0)
      return openIndex(path);
    return openFile(path, nullptr);
  }

private:
  int32_t fail(const std::string &path, const std::string &text) {
    return repo_rt_fail(context, REPO_RT_BAD_FILE, "%s: %s", path.c_str(),
                        text.c_str());
  }

  int32_t map(const std::string &path, Mapping &mapping) {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
      return fail(path, std::strerror(errno));
    struct stat info;
    int32_t status = REPO_RT_OK;
    if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
      status = fail(path, "expected a regular file");
    } else if (info.st_size == 0) {
      status = fail(path, "expected a file with contents, got 0 bytes");
    } else {
      void *data =
          mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (data == MAP_FAILED) {
        status = fail(path, std::string("cannot map: ") + std::strerror(errno));
      } else {
        mapping.data = data;
        mapping.size = info.st_size;
        mapping.time = info.st_mtim;
      }
    }
    ::close(descriptor);
    return status;
  }

  int32_t openIndex(const std::string &path) {
    Mapping text;
    if (int32_t status = map(path, text))
      return status;
    auto *begin = static_cast<const char *>(text.data);
    json index;
    std::string error;
    if (!repo_rt::parseJson(begin, begin + text.size, index, error))
      return fail(path, error);
    if (!index.is_object() || !index.contains("weight_map") ||
        !index["weight_map"].is_object())
      return fail(path, "expected a JSON object with a `weight_map`");
    std::map<std::string, std::set<std::string>> files;
    for (auto &[name, file] : index["weight_map"].items()) {
      if (!file.is_string())
        return fail(path, "expected `" + name + "` to name a file");
      std::string value = file.get<std::string>();
      if (value.empty() || value.find('/') != std::string::npos ||
          value[0] == '.')
        return fail(path, "expected `" + name +
                              "` to name a file in this folder, got `" + value +
                              "`");
      files[value].insert(name);
    }
    std::string folder = path.substr(0, path.find_last_of('/') + 1);
    for (auto &[file, names] : files)
      if (int32_t status = openFile(folder + file, &names))
        return status;
    return REPO_RT_OK;
  }

  /// Adds the tensors of a file; `expected`: those an index says it holds.
  int32_t openFile(const std::string &path,
                   const std::set<std::string> *expected) {
    auto mapping = std::make_unique<Mapping>();
    if (int32_t status = map(path, *mapping))
      return status;
    auto *bytes = static_cast<const char *>(mapping->data);
    if (mapping->size < 8)
      return fail(path, "expected at least 8 bytes, got " +
                            std::to_string(mapping->size));
    uint64_t headerBytes;
    std::memcpy(&headerBytes, bytes, 8);
    if (headerBytes > maxHeaderBytes || headerBytes > mapping->size - 8)
      return fail(path,
                  "the header is said to have " + std::to_string(headerBytes) +
                      " bytes, the file has " + std::to_string(mapping->size));
    json header;
    std::string error;
    if (!repo_rt::parseJson(bytes + 8, bytes + 8 + headerBytes, header, error))
      return fail(path, "header: " + error);
    if (!header.is_object())
      return fail(path, "the header is not a JSON object");
    const char *data = bytes + 8 + headerBytes;
    uint64_t dataBytes = mapping->size - 8 - headerBytes;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
    for (auto &[name, entry] : header.items()) {
      if (name == "__metadata__") {
        if (!isMetadata(entry))
          return fail(path, "`__metadata__`: expected an object of strings");
        continue;
      }
      if (int32_t status =
              addTensor(path, name, entry, data, dataBytes, ranges))
        return status;
    }
    std::sort(ranges.begin(), ranges.end());
    // The format has no holes: a byte that is no tensor's is one that the
    // header lies about.
    uint64_t covered = 0;
    for (auto [begin, end] : ranges) {
      if (begin < covered)
        return fail(path, "two tensors share bytes at offset " +
                              std::to_string(begin));
      if (begin > covered)
        break;
      covered = end;
    }
    if (covered != dataBytes)
      return fail(path, "expected tensors to cover all " +
                            std::to_string(dataBytes) +
                            " bytes of data, got none at offset " +
                            std::to_string(covered));
    if (expected)
      for (const std::string &name : *expected)
        if (!header.contains(name))
          return fail(path, "the index says that `" + name +
                                "` is in this file, it is not");
    result.mappings.push_back(std::move(mapping));
    return REPO_RT_OK;
  }

  static bool isMetadata(const json &entry) {
    if (!entry.is_object())
      return false;
    for (const json &value : entry)
      if (!value.is_string())
        return false;
    return true;
  }

  int32_t addTensor(const std::string &path, const std::string &name,
                    const json &entry, const char *data, uint64_t dataBytes,
                    std::vector<std::pair<uint64_t, uint64_t>> &ranges) {
    std::string where = "`" + name + "`: ";
    if (!entry.is_object() || !entry.contains("dtype") ||
        !entry["dtype"].is_string() || !entry.contains("shape") ||
        !entry["shape"].is_array() || !entry.contains("data_offsets") ||
        !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2)
      return fail(path, where + "expected dtype, shape and data_offsets");
    std::string dtype = entry["dtype"].get<std::string>();
    const ElementType *type = nullptr;
    for (const ElementType &candidate : elementTypes)
      if (dtype == candidate.name)
        type = &candidate;
    if (!type)
      return fail(path, where + "element type " + dtype + " is not supported");
    Tensor tensor;
    if (entry["shape"].size() > 32)
      return fail(path, where + "expected rank at most 32, got " +
                            std::to_string(entry["shape"].size()));
    uint64_t count = 1;
    for (const json &size : entry["shape"]) {
      if (!size.is_number_unsigned())
        return fail(path, where + "expected sizes that are not negative");
      uint64_t value = size.get<uint64_t>();
      if (value > INT64_MAX || (value != 0 && count > INT64_MAX / 16 / value))
        return fail(path, where + "the shape is too large");
      count *= value;
      tensor.shape.push_back(static_cast<int64_t>(value));
    }
    const json &offsets = entry["data_offsets"];
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
      return fail(path, where + "expected offsets that are not negative");
    uint64_t begin = offsets[0].get<uint64_t>(),
             end = offsets[1].get<uint64_t>();
    if (begin > end || end > dataBytes)
      return fail(path, where + "expected data within " +
                            std::to_string(dataBytes) + " bytes, got " +
                            std::to_string(begin) + " to " +
                            std::to_string(end));
    if (end - begin != count * (type->bits / 8))
      return fail(path, where + "expected " +
                            std::to_string(count * (type->bits / 8)) +
                            " bytes for its shape and type, got " +
                            std::to_string(end - begin));
    if (begin != end)
      ranges.push_back({begin, end});
    tensor.tensor.data = const_cast<char *>(data + begin);
    tensor.tensor.device = {static_cast<decltype(DLDevice::device_type)>(1), 0};
    tensor.tensor.dtype = {type->code, type->bits, 1};
    auto [it, inserted] = result.tensors.emplace(name, std::move(tensor));
    if (!inserted)
      return fail(path, where + "the tensor is in two files");
    it->second.tensor.ndim = static_cast<int32_t>(it->second.shape.size());
    it->second.tensor.shape = it->second.shape.data();
    return REPO_RT_OK;
  }

  repo_rt_context *context;
  repo_rt_safetensors &result;
};
} // namespace

int32_t repo_rt_safetensors_open(repo_rt_context *context, const char *path,
                                 repo_rt_safetensors **file) {
  auto result = std::make_unique<repo_rt_safetensors>();
  *file = nullptr;
  if (int32_t status = Reader(context, *result).open(path))
    return status;
  for (auto it = result->tensors.begin(); it != result->tensors.end(); ++it)
    result->order.push_back(it);
  *file = result.release();
  return REPO_RT_OK;
}

void repo_rt_safetensors_close(repo_rt_safetensors *file) { delete file; }

int64_t repo_rt_safetensors_count(const repo_rt_safetensors *file) {
  return static_cast<int64_t>(file->order.size());
}

const char *repo_rt_safetensors_name(const repo_rt_safetensors *file,
                                     int64_t index) {
  return file->order[index]->first.c_str();
}

const DLTensor *repo_rt_safetensors_tensor(const repo_rt_safetensors *file,
                                           int64_t index) {
  return &file->order[index]->second.tensor;
}

uint64_t repo_rt::getStamp(const repo_rt_safetensors *checkpoint) {
  uint64_t stamp = 0;
  for (const auto &mapping : checkpoint->mappings)
    for (int64_t part : {int64_t(mapping->size), int64_t(mapping->time.tv_sec),
                         int64_t(mapping->time.tv_nsec)})
      stamp = (stamp ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15 +
              (stamp >> 29);
  return stamp;
}

const DLTensor *repo_rt_safetensors_find(const repo_rt_safetensors *file,
                                         const char *name) {
  auto it = file->tensors.find(name);
  return it == file->tensors.end() ? nullptr : &it->second.tensor;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Writes all bytes; errno says why not.
static bool writeAll(int descriptor, const void *data, size_t bytes) {
  auto *begin = static_cast<const char *>(data);
  while (bytes) {
    ssize_t written =
        ::write(descriptor, begin, std::min<size_t>(bytes, 1 << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    begin += written;
    bytes -= written;
  }
  return true;
}

int32_t repo_rt_safetensors_write(repo_rt_context *context, const char *path,
                                  const char *const *names,
                                  DLTensor *const *tensors, int64_t count) {
  json header = json::object();
  std::vector<uint64_t> sizes(count);
  uint64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    const DLTensor &tensor = *tensors[i];
    const ElementType *type = nullptr;
    for (const ElementType &candidate : elementTypes)
      if (candidate.code == tensor.dtype.code &&
          candidate.bits == tensor.dtype.bits)
        type = &candidate;
    if (!type || tensor.strides)
      return repo_rt_fail(
          context, REPO_RT_BAD_ARGUMENT,
          "`%s`: expected a row-major tensor of a type that safetensors "
          "holds",
          names[i]);
    uint64_t elements = 1;
    json shape = json::array();
    for (int32_t dim = 0; dim < tensor.ndim; ++dim) {
      elements *= tensor.shape[dim];
      shape.push_back(tensor.shape[dim]);
    }
    sizes[i] = elements * (type->bits / 8);
    header[names[i]] = {{"dtype", type->name},
                        {"shape", shape},
                        {"data_offsets", {offset, offset + sizes[i]}}};
    offset += sizes[i];
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t headerBytes = text.size();

  // Special files (a pipe, /dev/full) are written to as they are.
  struct stat info;
  bool special = stat(path, &info) == 0 && !S_ISREG(info.st_mode);
  std::string temporary = special ? path : std::string(path) + ".XXXXXX";
  int descriptor =
      special ? ::open(path, O_WRONLY | O_CLOEXEC) : mkstemp(temporary.data());
  if (descriptor < 0)
    return repo_rt_fail(context, REPO_RT_BAD_FILE, "cannot write `%s`: %s",
                        path, std::strerror(errno));
  bool good = writeAll(descriptor, &headerBytes, 8) &&
              writeAll(descriptor, text.data(), text.size());
  for (int64_t i = 0; good && i < count; ++i)
    good = writeAll(descriptor,
                    static_cast<const char *>(tensors[i]->data) +
                        tensors[i]->byte_offset,
                    sizes[i]);
  if (!special)
    good = good && fchmod(descriptor, 0644) == 0;
  int error = good ? 0 : errno;
  if (::close(descriptor) != 0 && good) {
    good = false;
    error = errno;
  }
  if (good && !special && std::rename(temporary.c_str(), path) != 0) {
    good = false;
    error = errno;
  }
  if (good)
    return REPO_RT_OK;
  if (!special)
    ::unlink(temporary.c_str());
  return repo_rt_fail(context, REPO_RT_BAD_FILE, "cannot write `%s`: %s", path,
                      std::strerror(error));
}
