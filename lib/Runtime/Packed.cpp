//===- Packed.cpp - Weights in the layout of a library --------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Packed.h"
#include "Context.h"
#include "Model.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

using nlohmann::json;
using namespace repo_rt;

//===----------------------------------------------------------------------===//
// The plan
//===----------------------------------------------------------------------===//

bool repo_rt::readPackPlan(const json &library,
                           const std::vector<std::string> &entries,
                           PackPlan &plan) {
  auto find = [&](const std::string &name) -> const json * {
    for (const json &entry : library["entries"])
      if (entry["name"] == name)
        return &entry;
    return nullptr;
  };
  const json *pack = nullptr;
  for (const std::string &name : entries) {
    const json *own = find(name + "_pack");
    if (!own || !find(name + "_packed") || !own->contains("parts"))
      return false;
    if (!pack)
      pack = own;
    // Entries whose layout is the same share the packed weights.
    else if ((*own)["packed_layout"] != (*pack)["packed_layout"])
      return false;
  }
  plan.layout = (*pack)["packed_layout"].get<std::string>();
  for (const json &part : (*pack)["parts"]) {
    plan.parts.push_back({part["entry"].get<std::string>(),
                          part["sources"].get<std::vector<std::string>>(),
                          part["offset"].get<uint64_t>(),
                          part["bytes"].get<uint64_t>()});
    plan.bytes = std::max(plan.bytes,
                          plan.parts.back().offset + plan.parts.back().bytes);
  }
  return !plan.parts.empty();
}

//===----------------------------------------------------------------------===//
// Hashes
//===----------------------------------------------------------------------===//

namespace {
/// A hash of blocks, which threads take.
struct BlockHash {
  static constexpr uint64_t block = 4 << 20;
  const char *data;
  uint64_t bytes;
  std::vector<XXH64_hash_t> hashes;

  static void run(repo_rt_context *, int64_t index, void *arguments) {
    BlockHash &self = *static_cast<BlockHash *>(arguments);
    uint64_t begin = index * block;
    self.hashes[index] =
        XXH3_64bits(self.data + begin, std::min(block, self.bytes - begin));
  }
};

/// The start of a file, followed by zeros up to `PackedFile::headerBytes`.
struct Header {
  char magic[8];
  uint32_t version, reserved;
  uint64_t bytes, dataHash;
  /// Of the checkpoint: a hash of names, types, shapes and data of the weights,
  /// and a stamp of the files, which spares reading them.
  uint64_t weightsHash, weightsStamp;
  char layout[64];
  /// Of all above.
  uint64_t headerHash;
};
constexpr char magic[8] = {'R', 'E', 'P', 'O', 'P', 'A', 'C', 'K'};
constexpr uint32_t version = 1;
} // namespace

static uint64_t hashBytes(repo_rt_context *context, const void *data,
                          uint64_t bytes) {
  uint64_t blocks = (bytes + BlockHash::block - 1) / BlockHash::block;
  BlockHash hash = {static_cast<const char *>(data), bytes, {}};
  hash.hashes.resize(blocks);
  parallelFor(context, static_cast<int64_t>(blocks), BlockHash::run, &hash);
  return XXH3_64bits(hash.hashes.data(), blocks * sizeof(XXH64_hash_t));
}

static uint64_t hashWeights(repo_rt_context *context,
                            const repo_rt_model &model) {
  std::vector<uint64_t> parts;
  for (size_t i = 0; i < model.weights.size(); ++i) {
    const DLTensor &tensor = model.weights[i];
    uint64_t bytes = tensor.dtype.bits / 8;
    for (int32_t dim = 0; dim < tensor.ndim; ++dim) {
      bytes *= tensor.shape[dim];
      parts.push_back(tensor.shape[dim]);
    }
    const std::string &name = model.weightNames[i];
    parts.push_back(XXH3_64bits(name.data(), name.size()));
    parts.push_back(tensor.dtype.code * 256 + tensor.dtype.bits);
    parts.push_back(hashBytes(context, tensor.data, bytes));
  }
  return XXH3_64bits(parts.data(), parts.size() * sizeof(uint64_t));
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

/// Pages of 2 MB, where the file system has them: in small ones, every step of
/// a model that reads gigabytes is a fifth slower. What is not in memory yet
/// then comes, or is made, in large pieces.
static void askForLargePages(void *memory, uint64_t size) {
#ifdef MADV_HUGEPAGE
  madvise(memory, size, MADV_HUGEPAGE); // Without them it goes too.
#endif
}

PackedFile::~PackedFile() {
  if (memory)
    munmap(memory, size);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

int32_t PackedFile::fail(repo_rt_context *context, const std::string &text) {
  return repo_rt_fail(context, REPO_RT_BAD_FILE, "%s: %s", path.c_str(),
                      text.c_str());
}

int32_t PackedFile::open(repo_rt_context *context, const std::string &file,
                         const PackPlan &plan, const repo_rt_model &model) {
  path = file;
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(context, std::strerror(errno));
  struct stat info;
  bool regular = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
  size = regular ? static_cast<uint64_t>(info.st_size) : 0;
  void *mapped = size < headerBytes ? MAP_FAILED
                                    : mmap(nullptr, size, PROT_READ, MAP_SHARED,
                                           descriptor, 0);
  ::close(descriptor);
  if (size < headerBytes)
    return fail(context, "expected packed weights, got " +
                             std::to_string(size) + " bytes");
  if (mapped == MAP_FAILED)
    return fail(context, std::string("cannot map: ") + std::strerror(errno));
  memory = mapped;
  askForLargePages(memory, size);
  Header header;
  std::memcpy(&header, memory, sizeof header);
  if (std::memcmp(header.magic, magic, sizeof magic) != 0)
    return fail(context, "expected packed weights, got another file");
  if (header.version != version)
    return fail(context, "expected packed weights of version " +
                             std::to_string(version) + ", got version " +
                             std::to_string(header.version));
  if (header.headerHash != XXH3_64bits(&header, offsetof(Header, headerHash)))
    return fail(context, "the header is not as it was written");
  std::string layout(header.layout,
                     strnlen(header.layout, sizeof header.layout));
  if (layout != plan.layout || header.bytes != plan.bytes)
    return fail(context, "expected weights packed for model.so (layout " +
                             plan.layout + "), got layout " + layout +
                             ": pack them again");
  if (size != headerBytes + header.bytes)
    return fail(context, "expected " +
                             std::to_string(headerBytes + header.bytes) +
                             " bytes, got " + std::to_string(size));
  if (header.weightsStamp != getStamp(model.checkpoint) &&
      header.weightsHash != hashWeights(context, model))
    return fail(context, "expected the checkpoint that was packed, got "
                         "another one: pack it again");
  if (header.dataHash != hashBytes(context, data(), header.bytes))
    return fail(context, "the packed weights are not as they were written");
  return REPO_RT_OK;
}

int32_t PackedFile::create(repo_rt_context *context, const std::string &file,
                           const PackPlan &plan) {
  path = file;
  temporary = file + ".XXXXXX";
  int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) {
    temporary.clear();
    return fail(context, std::string("cannot write: ") + std::strerror(errno));
  }
  size = headerBytes + plan.bytes;
  // Space is taken now: a full disk is an error here and no crash later.
  int error = posix_fallocate(descriptor, 0, static_cast<off_t>(size));
  void *mapped = error ? MAP_FAILED
                       : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                              descriptor, 0);
  fchmod(descriptor, 0644);
  ::close(descriptor);
  if (mapped == MAP_FAILED)
    return fail(context, std::string("cannot write: ") +
                             std::strerror(error ? error : errno));
  memory = mapped;
  askForLargePages(memory, size);
  return REPO_RT_OK;
}

int32_t PackedFile::finish(repo_rt_context *context, const PackPlan &plan,
                           const repo_rt_model &model) {
  Header header = {};
  std::memcpy(header.magic, magic, sizeof magic);
  header.version = version;
  header.bytes = plan.bytes;
  header.dataHash = hashBytes(context, data(), plan.bytes);
  header.weightsHash = hashWeights(context, model);
  header.weightsStamp = getStamp(model.checkpoint);
  std::strncpy(header.layout, plan.layout.c_str(), sizeof header.layout);
  header.headerHash = XXH3_64bits(&header, offsetof(Header, headerHash));
  std::memcpy(memory, &header, sizeof header);
  if (msync(memory, size, MS_SYNC) != 0 ||
      rename(temporary.c_str(), path.c_str()) != 0)
    return fail(context, std::string("cannot write: ") + std::strerror(errno));
  temporary.clear();
  return REPO_RT_OK;
}
