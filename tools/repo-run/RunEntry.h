//===- RunEntry.h - Run an entry on the tensors of a file -------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TOOLS_REPO_RUN_RUNENTRY_H
#define REPO_TOOLS_REPO_RUN_RUNENTRY_H

#include <string>

/// What the command line asks for; numbers were checked.
struct EntryRequest {
  std::string library, entry, inputs, outputs, expect, rtol = "0", atol = "0",
                                                       time, threads;
  bool list = false, json = false;
};

/// Lists or runs; returns the exit status.
int runEntry(const EntryRequest &request);

#endif // REPO_TOOLS_REPO_RUN_RUNENTRY_H
