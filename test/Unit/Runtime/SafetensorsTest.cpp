//===- SafetensorsTest.cpp - Files that are right, and files that lie -----===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "repo/Runtime/runtime.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace {
class Safetensors : public testing::Test {
protected:
  Safetensors() {
    char name[] = "/tmp/safetensors-test-XXXXXX";
    folder = mkdtemp(name);
  }
  ~Safetensors() override {
    repo_rt_context_destroy(context);
    std::string command = "rm -rf " + folder;
    EXPECT_EQ(std::system(command.c_str()), 0);
  }

  std::string path(const char *name = "a.safetensors") {
    return folder + "/" + name;
  }
  void write(const std::string &file, const std::string &bytes) {
    FILE *stream = std::fopen(file.c_str(), "wb");
    std::fwrite(bytes.data(), 1, bytes.size(), stream);
    std::fclose(stream);
  }
  /// A file with this header and `dataBytes` zeros.
  void writeHeader(const std::string &header, size_t dataBytes) {
    uint64_t size = header.size();
    std::string bytes(reinterpret_cast<const char *>(&size), 8);
    write(path(), bytes + header + std::string(dataBytes, '\0'));
  }
  void expectError(const std::string &text) {
    repo_rt_safetensors *file;
    EXPECT_EQ(repo_rt_safetensors_open(context, path().c_str(), &file),
              REPO_RT_BAD_FILE);
    EXPECT_EQ(repo_rt_last_error(context), path() + ": " + text);
  }

  repo_rt_context *context = repo_rt_context_create();
  std::string folder;
};
} // namespace

TEST_F(Safetensors, RoundTrip) {
  float values[] = {1, 2, 3, 4, 5, 6};
  int64_t shape[] = {2, 3}, empty[] = {0, 7};
  DLTensor a = {}, b = {};
  a.data = values;
  a.ndim = b.ndim = 2;
  a.dtype = {2, 32, 1};
  b.dtype = {4, 16, 1};
  a.shape = shape;
  b.shape = empty;
  const char *names[] = {"a", "b"};
  DLTensor *tensors[] = {&a, &b};
  ASSERT_EQ(
      repo_rt_safetensors_write(context, path().c_str(), names, tensors, 2), 0);
  repo_rt_safetensors *file;
  ASSERT_EQ(repo_rt_safetensors_open(context, path().c_str(), &file), 0)
      << repo_rt_last_error(context);
  ASSERT_EQ(repo_rt_safetensors_count(file), 2);
  EXPECT_STREQ(repo_rt_safetensors_name(file, 0), "a");
  const DLTensor *read = repo_rt_safetensors_find(file, "a");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->shape[1], 3);
  EXPECT_EQ(std::memcmp(read->data, values, sizeof values), 0);
  EXPECT_EQ(repo_rt_safetensors_find(file, "b")->dtype.code, 4);
  EXPECT_EQ(repo_rt_safetensors_find(file, "c"), nullptr);
  repo_rt_safetensors_close(file);
}

TEST_F(Safetensors, FullDisk) {
  float value = 1;
  DLTensor a = {};
  a.data = &value;
  a.dtype = {2, 32, 1};
  const char *name = "a";
  DLTensor *tensor = &a;
  EXPECT_EQ(repo_rt_safetensors_write(context, "/dev/full", &name, &tensor, 1),
            REPO_RT_BAD_FILE);
  EXPECT_STREQ(repo_rt_last_error(context),
               "cannot write `/dev/full`: No space left on device");
}

TEST_F(Safetensors, NoFile) { expectError("No such file or directory"); }

TEST_F(Safetensors, EmptyFile) {
  write(path(), "");
  expectError("expected a file with contents, got 0 bytes");
}

TEST_F(Safetensors, TooShort) {
  write(path(), "abc");
  expectError("expected at least 8 bytes, got 3");
}

TEST_F(Safetensors, HeaderLongerThanTheFile) {
  write(path(), std::string("\xff\0\0\0\0\0\0\0{}", 10));
  expectError("the header is said to have 255 bytes, the file has 10");
}

TEST_F(Safetensors, HeaderIsNoObject) {
  writeHeader("[1, 2]", 0);
  expectError("the header is not a JSON object");
}

TEST_F(Safetensors, HeaderIsNoJson) {
  writeHeader("{\"a\": ", 0);
  expectError("header: not valid JSON: error at byte 7");
  writeHeader("{\"\xff\": 1}", 0);
  expectError("header: not valid JSON: error at byte 3");
}

TEST_F(Safetensors, HugeHeaderSize) {
  write(path(), std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10));
  expectError("the header is said to have 18446744073709551615 bytes, the file "
              "has 10");
}

TEST_F(Safetensors, KeyTwice) {
  std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  writeHeader("{" + entry + "," + entry + "}", 4);
  expectError("header: expected every key once, got `a` twice");
  writeHeader(R"({"a":{"dtype":"F32","dtype":"I32","shape":[1],)"
              R"("data_offsets":[0,4]}})",
              4);
  expectError("header: expected every key once, got `dtype` twice");
}

TEST_F(Safetensors, NestedDeeply) {
  writeHeader("{\"a\":" + std::string(1000000, '['), 0);
  expectError("header: expected JSON at most 32 levels deep, got more");
}

TEST_F(Safetensors, NulInAName) {
  writeHeader(
      R"({"a\u0000b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  expectError("header: expected keys without NUL, got one in `a`");
}

TEST_F(Safetensors, MetadataIsOfStrings) {
  writeHeader(R"({"__metadata__":{"format":"pt"}})", 0);
  repo_rt_safetensors *file;
  EXPECT_EQ(repo_rt_safetensors_open(context, path().c_str(), &file), 0);
  repo_rt_safetensors_close(file);
  writeHeader(R"({"__metadata__":{"format":[1]}})", 0);
  expectError("`__metadata__`: expected an object of strings");
}

TEST_F(Safetensors, RankTooLarge) {
  std::string ones = "1";
  for (int i = 0; i < 32; ++i)
    ones += ",1";
  writeHeader("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + ones +
                  "],\"data_offsets\":[0,4]}}",
              4);
  expectError("`a`: expected rank at most 32, got 33");
}

TEST_F(Safetensors, BytesOfNoTensor) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 6);
  expectError("expected tensors to cover all 6 bytes of data, got none at "
              "offset 4");
  writeHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8);
  expectError("expected tensors to cover all 8 bytes of data, got none at "
              "offset 0");
}

TEST_F(Safetensors, OffsetsBackwards) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}})", 8);
  expectError("`a`: expected data within 8 bytes, got 8 to 4");
}

TEST_F(Safetensors, SizesThatAreNoIntegers) {
  for (const char *size : {"-1", "1.5", "\"1\"", "null", "[1]"}) {
    writeHeader(std::string("{\"a\":{\"dtype\":\"F32\",\"shape\":[") + size +
                    "],\"data_offsets\":[0,4]}}",
                4);
    expectError("`a`: expected sizes that are not negative");
  }
}

TEST_F(Safetensors, NamesInErrorsAreOneLine) {
  writeHeader(R"({"a\nb\rc":1})", 0);
  expectError("`a b c`: expected dtype, shape and data_offsets");
}

TEST_F(Safetensors, LongNamesInErrorsEndWithACharacter) {
  std::string name;
  for (int i = 0; i < 3000; ++i)
    name += "\u00e4";
  writeHeader("{\"" + name + "\":1}", 0);
  repo_rt_safetensors *file;
  EXPECT_EQ(repo_rt_safetensors_open(context, path().c_str(), &file),
            REPO_RT_BAD_FILE);
  std::string error = repo_rt_last_error(context);
  ASSERT_GT(error.size(), 2000u);
  EXPECT_EQ(error.substr(error.size() - 5), "\u00e4...");
}

TEST_F(Safetensors, DataPastTheEnd) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12);
  expectError("`a`: expected data within 12 bytes, got 0 to 16");
}

TEST_F(Safetensors, SizeAndShapeDisagree) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})", 16);
  expectError("`a`: expected 20 bytes for its shape and type, got 16");
}

TEST_F(Safetensors, ShapeOverflows) {
  writeHeader(
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
      0);
  expectError("`a`: the shape is too large");
}

TEST_F(Safetensors, NegativeOffset) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 8);
  expectError("`a`: expected offsets that are not negative");
}

TEST_F(Safetensors, UnknownType) {
  writeHeader(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})",
              8);
  expectError("`a`: element type F8_E4M3 is not supported");
}

TEST_F(Safetensors, Overlap) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
              R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
              12);
  expectError("two tensors share bytes at offset 4");
}

TEST_F(Safetensors, IndexNamesFilesOfItsFolderOnly) {
  std::string index = folder + "/model.safetensors.index.json";
  write(index, R"({"weight_map":{"a":"../secret"}})");
  repo_rt_safetensors *file;
  EXPECT_EQ(repo_rt_safetensors_open(context, folder.c_str(), &file),
            REPO_RT_BAD_FILE);
  EXPECT_EQ(
      repo_rt_last_error(context),
      index + ": expected `a` to name a file in this folder, got `../secret`");
}

TEST_F(Safetensors, IndexThatLies) {
  writeHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  write(folder + "/model.safetensors.index.json",
        R"({"weight_map":{"b":"a.safetensors"}})");
  repo_rt_safetensors *file;
  EXPECT_EQ(repo_rt_safetensors_open(context, folder.c_str(), &file),
            REPO_RT_BAD_FILE);
  EXPECT_EQ(repo_rt_last_error(context),
            path() + ": the index says that `b` is in this file, it is not");
}
