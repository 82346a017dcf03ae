//===- CudaDriver.cpp - The CUDA driver API, opened at run time -----------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaDriver.h"
#include <cstdlib>
#include <dlfcn.h>

using namespace repo_rt;

/// Fills the table by `find`, and starts the driver.
template <typename Find>
static CudaDriver openDriver(const std::string &name, Find find) {
  CudaDriver driver;
#define REPO_FIND(member, symbol, arguments)                                   \
  driver.member = reinterpret_cast<decltype(driver.member)>(find(symbol));     \
  if (!driver.member && driver.error.empty())                                  \
    driver.error = name + " has no `" symbol "`: expected a driver of CUDA "   \
                          "12.0 or later";
  REPO_CUDA_FUNCTIONS(REPO_FIND)
#undef REPO_FIND
  int count = 0;
  if (!driver.error.empty())
    return driver;
  if (int code = driver.init(0))
    driver.error = "the CUDA driver does not start: " + driver.describe(code);
  else if (driver.getDeviceCount(&count) || count == 0)
    driver.error = "the CUDA driver finds no device";
  return driver;
}

static const CudaDriver &getMachinesDriver() {
  static const CudaDriver driver = [] {
    const char *path = std::getenv("REPO_CUDA_DRIVER");
    std::string name = path && *path ? path : "libcuda.so.1";
    if (void *handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
      return openDriver(
          name, [handle](const char *symbol) { return dlsym(handle, symbol); });
    CudaDriver missing;
    missing.error = "no CUDA driver: cannot open `" + name + "`";
    return missing;
  }();
  return driver;
}

/// The emulator's functions of the same names, where a program has it.
static const CudaDriver &getEmulator() {
  static const CudaDriver driver = [] {
    auto find = reinterpret_cast<void *(*)(const char *)>(
        dlsym(RTLD_DEFAULT, "repo_emulator_find"));
    CudaDriver result;
    if (find)
      result = openDriver("the emulator", find);
    else
      result.error = "no emulator: the program must load librepo_emulator.so";
    result.emulated = true;
    return result;
  }();
  return driver;
}

const CudaDriver &repo_rt::getCudaDriver(bool emulated) {
  return emulated ? getEmulator() : getMachinesDriver();
}
