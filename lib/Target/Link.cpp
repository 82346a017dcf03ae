//===- Link.cpp - Objects to shared libraries -----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Link.h"
#include "lld/Common/Driver.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

LLD_HAS_DRIVER(elf)

using namespace mlir;

/// The mathematics library, where the compiler finds one: the reference path
/// calls it. Linked as needed.
static std::string findMathLibrary() {
  for (StringRef path : {"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6",
                         "/usr/lib/libm.so.6"})
    if (llvm::sys::fs::exists(path))
      return path.str();
  return "";
}

LogicalResult mlir::repo::linkSharedLibrary(StringRef object,
                                            std::string &library,
                                            std::string &error) {
  SmallString<128> objectPath, libraryPath;
  auto fail = [&](const Twine &what, std::error_code code) {
    error = ("cannot link: " + what + ": " + code.message()).str();
    return failure();
  };
  int descriptor;
  if (std::error_code code = llvm::sys::fs::createTemporaryFile(
          "repo", "o", descriptor, objectPath))
    return fail("no temporary file", code);
  llvm::FileRemover removeObject(objectPath);
  {
    llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
    stream << object;
    stream.flush();
    if (std::error_code code = stream.error()) {
      stream.clear_error();
      return fail(objectPath, code);
    }
  }
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("repo", "so", libraryPath))
    return fail("no temporary file", code);
  llvm::FileRemover removeLibrary(libraryPath);

  std::string math = findMathLibrary();
  SmallVector<const char *> arguments = {
      "ld.lld",           "-shared",     "--build-id=none",
      "--hash-style=gnu", "-z",          "noexecstack",
      "--gc-sections",    "--threads=1", "-O2",
      "--as-needed",      "-o",          libraryPath.c_str(),
      objectPath.c_str()};
  if (!math.empty())
    arguments.push_back(math.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  const lld::DriverDef drivers[] = {{lld::Gnu, &lld::elf::link}};
  lld::Result result = lld::lldMain(arguments, stream, stream, drivers);
  if (result.retCode != 0) {
    error = "cannot link: " + messages;
    return failure();
  }
  auto buffer = llvm::MemoryBuffer::getFile(libraryPath);
  if (!buffer)
    return fail(libraryPath, buffer.getError());
  library = (*buffer)->getBuffer().str();
  return success();
}
