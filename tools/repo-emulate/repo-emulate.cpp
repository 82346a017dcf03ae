//===- repo-emulate.cpp - Kernels for the emulator ------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Exit status: 0 success; 1 an error, explained in one line on stderr; 2 wrong
// usage.
//
//===----------------------------------------------------------------------===//

#include "../common/Flags.h"
#include "repo/Target/EmulatedLibrary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir::repo;

int main(int argc, char **argv) {
  std::string output, cpu, mutation;
  bool list = false;
  repo_tools::Flags flags(
      "repo-emulate",
      "usage: repo-emulate KERNELS.ll -o OUT.so [flags]\n"
      "Makes a library for the emulator from kernels in LLVM IR, as\n"
      "repo-compile --target=cuda --emit=llvm prints them.\n");
  flags.add("o", output, "output file");
  flags.add("cpu", cpu,
            "native (default) or a CPU name of LLVM, such as x86-64-v3");
  flags.add("list-mutations", list,
            "print the mistakes that --mutate can make, a line each");
  flags.add("mutate", mutation,
            "make mistake number N (from 0) in the kernels' synchronisation");
  if (int status = flags.parse(argc, argv); status >= 0)
    return status;
  if (flags.positional.size() != 1 || (output.empty() && !list))
    return flags.fail("expected one input file and -o; see --help");
  EmulatedLibraryOptions options;
  if (!mutation.empty() &&
      llvm::StringRef(mutation).getAsInteger(10, options.mutation))
    return flags.fail("expected --mutate to be a number, got `" + mutation +
                      "`");
  auto fail = [](const llvm::Twine &line) {
    llvm::errs() << "repo-emulate: " << line << "\n";
    return 1;
  };
  auto input = llvm::MemoryBuffer::getFileOrSTDIN(flags.positional[0]);
  if (!input)
    return fail("cannot read `" + flags.positional[0] +
                "`: " + input.getError().message());
  std::string error, library;
  if (list) {
    std::string lines;
    if (mlir::failed(listKernelMutations((*input)->getBuffer(), lines, error)))
      return fail(llvm::Twine(flags.positional[0]) + ": " + error);
    llvm::outs() << lines;
    return 0;
  }
  auto target = describeTarget(cpu, "", error);
  if (mlir::failed(target))
    return fail(error);
  options.target = *target;
  if (mlir::failed(compileEmulatedLibrary((*input)->getBuffer(), options,
                                          library, error)))
    return fail(llvm::Twine(flags.positional[0]) + ": " + error);
  std::error_code code;
  llvm::raw_fd_ostream file(output, code);
  if (!code) {
    file << library;
    file.close();
    code = file.error();
    file.clear_error();
  }
  if (code)
    return fail("cannot write `" + output + "`: " + code.message());
  return 0;
}
