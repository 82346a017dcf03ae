//===- Library.cpp - Opening compiled libraries ---------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPU.h"
#include "Context.h"
#include <dlfcn.h>
#include <new>

struct repo_rt_library {
  void *handle;
  const repo_rt_library_info *info;
};

int32_t repo_rt::checkLibrary(repo_rt_context *context,
                              const repo_rt_library_info *info,
                              const char *name) {
  if (info->magic != REPO_RT_LIBRARY_MAGIC)
    return repo_rt_fail(
        context, REPO_RT_BAD_LIBRARY,
        "%s: expected a library of the RePo compiler, got other contents",
        name);
  if (info->abi_version != REPO_RT_ABI_VERSION)
    return repo_rt_fail(context, REPO_RT_BAD_LIBRARY,
                        "%s: expected version %d of the interface, got %d",
                        name, REPO_RT_ABI_VERSION, info->abi_version);
  std::string missing = findMissingFeatures(info->features);
  if (!missing.empty())
    return repo_rt_fail(context, REPO_RT_BAD_LIBRARY,
                        "%s: the code needs CPU features this host lacks: %s",
                        name, missing.c_str());
  return REPO_RT_OK;
}

int32_t repo_rt::getLibraryDevice(const repo_rt_library *library) {
  return library->info->size >= 40 ? library->info->device : 1;
}

int32_t repo_rt_library_open(repo_rt_context *context, const char *path,
                             repo_rt_library **library) {
  *library = nullptr;
  // A name without a slash would be looked up in the system's folders.
  std::string file = path;
  if (file.find('/') == std::string::npos)
    file = "./" + file;
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return repo_rt_fail(context, REPO_RT_BAD_LIBRARY, "cannot open `%s`: %s",
                        path, dlerror());
  auto *info = static_cast<const repo_rt_library_info *>(
      dlsym(handle, "repo_library_info"));
  int32_t status =
      info ? repo_rt::checkLibrary(context, info, path)
           : repo_rt_fail(
                 context, REPO_RT_BAD_LIBRARY,
                 "%s: expected a library of the RePo compiler: it exports no "
                 "repo_library_info",
                 path);
  if (status) {
    dlclose(handle);
    return status;
  }
  *library = new (std::nothrow) repo_rt_library{handle, info};
  if (!*library) {
    dlclose(handle);
    return repo_rt_fail(context, REPO_RT_OUT_OF_MEMORY, "out of memory");
  }
  return REPO_RT_OK;
}

void repo_rt_library_close(repo_rt_library *library) {
  if (!library)
    return;
  dlclose(library->handle);
  delete library;
}

const char *repo_rt_library_manifest(const repo_rt_library *library) {
  return library->info->manifest;
}

int32_t repo_rt_library_entry(repo_rt_context *context,
                              const repo_rt_library *library, const char *name,
                              repo_rt_entry *entry) {
  *entry = reinterpret_cast<repo_rt_entry>(dlsym(library->handle, name));
  if (*entry)
    return REPO_RT_OK;
  return repo_rt_fail(context, REPO_RT_NOT_FOUND,
                      "no entry `%s` in the library", name);
}
