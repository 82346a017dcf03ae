//===- Packed.h - Weights in the layout of a library ------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights are packed at load into memory, or once into a file beside the
// library that later loads map. The file names the layout and the checkpoint
// that it was made of, and holds a hash of its data.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_PACKED_H
#define REPO_LIB_RUNTIME_PACKED_H

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

struct repo_rt_context;
struct repo_rt_model;
struct repo_rt_safetensors;

namespace repo_rt {

/// How the packed weights of a library are made, as its manifest says.
struct PackPlan {
  struct Part {
    std::string entry;
    std::vector<std::string> sources;
    uint64_t offset, bytes;
  };
  std::vector<Part> parts;
  uint64_t bytes = 0;
  std::string layout;
};

/// The plan that all `entries` share; false where there is none.
bool readPackPlan(const nlohmann::json &library,
                  const std::vector<std::string> &entries, PackPlan &plan);

/// A file mapped read-only; its data lies `headerBytes` after the start.
class PackedFile {
public:
  static constexpr uint64_t headerBytes = 4096;

  PackedFile() = default;
  PackedFile(const PackedFile &) = delete;
  ~PackedFile();
  char *data() const { return static_cast<char *>(memory) + headerBytes; }

  /// Maps `path`, which must hold the packed weights of `model`.
  int32_t open(repo_rt_context *context, const std::string &path,
               const PackPlan &plan, const repo_rt_model &model);
  /// Makes a file of the right size to be filled through data().
  int32_t create(repo_rt_context *context, const std::string &path,
                 const PackPlan &plan);
  /// Writes the header and gives the file its name.
  int32_t finish(repo_rt_context *context, const PackPlan &plan,
                 const repo_rt_model &model);

private:
  int32_t fail(repo_rt_context *context, const std::string &text);

  std::string path, temporary;
  void *memory = nullptr;
  uint64_t size = 0;
};

/// Sizes and times of the files of a checkpoint: they change where it does.
uint64_t getStamp(const repo_rt_safetensors *checkpoint);

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_PACKED_H
