//===- Flags.h - Command lines of the tools ---------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `--name=value`, `--name value`, `-o value` and positional arguments. The
// tools do not use llvm::cl: its options are global, LLVM's own (among them one
// named stop-after) would be accepted too, and repo-run has no LLVM at all.
//
//===----------------------------------------------------------------------===//

#ifndef REPO_TOOLS_COMMON_FLAGS_H
#define REPO_TOOLS_COMMON_FLAGS_H

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

namespace repo_tools {

class Flags {
public:
  Flags(std::string program, std::string usage)
      : program(std::move(program)), usage(std::move(usage)) {}

  /// A flag with a value; `choices`, where given, are all it accepts.
  void add(const char *name, std::string &value, const char *help,
           std::vector<std::string> choices = {}) {
    flags.push_back({name, &value, nullptr, help, std::move(choices)});
  }
  /// A flag without a value.
  void add(const char *name, bool &value, const char *help) {
    flags.push_back({name, nullptr, &value, help, {}});
  }
  /// A flag that stands for `bare` where it has no value behind a `=`.
  void addOptional(const char *name, std::string &value, std::string bare,
                   const char *help, std::vector<std::string> choices) {
    flags.push_back(
        {name, &value, nullptr, help, std::move(choices), std::move(bare)});
  }

  /// Parses the command line. Returns -1 to go on, else the exit status: 0
  /// after
  /// --help, 2 (with one line on stderr) on wrong usage.
  int parse(int argc, char **argv) {
    // A file past the limit of the process is an error with a text, not a
    // signal.
    std::signal(SIGXFSZ, SIG_IGN);
    for (int i = 1; i < argc; ++i) {
      std::string argument = argv[i];
      if (argument == "--help" || argument == "-h") {
        printHelp();
        return 0;
      }
      if (argument == "-" || argument[0] != '-') {
        positional.push_back(argument);
        continue;
      }
      std::string name =
          argument.substr(argument.find_first_not_of('-') == std::string::npos
                              ? argument.size()
                              : argument.find_first_not_of('-'));
      size_t equals = name.find('=');
      bool hasValue = equals != std::string::npos;
      std::string value = hasValue ? name.substr(equals + 1) : "";
      name = name.substr(0, equals);
      auto flag = std::find_if(flags.begin(), flags.end(),
                               [&](const Flag &f) { return name == f.name; });
      if (flag == flags.end())
        return fail("unknown flag `" + argument + "`; see --help");
      if (flag->boolean) {
        if (hasValue && value != "true" && value != "false")
          return fail("expected no value of --" + name + ", got `" + value +
                      "`");
        *flag->boolean = value != "false";
        continue;
      }
      if (!hasValue && !flag->bare.empty()) {
        value = flag->bare;
      } else if (!hasValue) {
        if (i + 1 == argc || std::string(argv[i + 1]).rfind("--", 0) == 0)
          return fail("expected a value of --" + name);
        value = argv[++i];
      }
      if (!flag->choices.empty() &&
          std::find(flag->choices.begin(), flag->choices.end(), value) ==
              flag->choices.end())
        return fail("expected --" + name + " to be " + join(flag->choices) +
                    ", got `" + value + "`");
      *flag->text = value;
    }
    return -1;
  }

  /// Reports wrong usage; returns its exit status.
  int fail(const std::string &message) const {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
    return 2;
  }

  std::vector<std::string> positional;

private:
  struct Flag {
    std::string name;
    std::string *text;
    bool *boolean;
    std::string help;
    std::vector<std::string> choices;
    std::string bare = {};
  };

  static std::string join(const std::vector<std::string> &choices) {
    std::string text;
    for (size_t i = 0; i < choices.size(); ++i)
      text += (i == 0                    ? ""
               : i + 1 == choices.size() ? " or "
                                         : ", ") +
              choices[i];
    return text;
  }

  void printHelp() const {
    std::printf("%s\n", usage.c_str());
    for (const Flag &flag : flags) {
      std::string name = (flag.name.size() == 1 ? "-" : "--") + flag.name +
                         (!flag.text              ? ""
                          : !flag.bare.empty()    ? "[=VALUE]"
                          : flag.name.size() == 1 ? " VALUE"
                                                  : "=VALUE");
      std::printf("  %-22s %s\n", name.c_str(), flag.help.c_str());
    }
  }

  std::string program, usage;
  std::vector<Flag> flags;
};

} // namespace repo_tools

#endif // REPO_TOOLS_COMMON_FLAGS_H
