//===- Json.cpp - JSON that comes from outside ----------------------------===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Two passes: one that looks, without building anything, and then the parser.
//
//===----------------------------------------------------------------------===//

#include "Json.h"
#include <set>
#include <vector>

using nlohmann::json;

static constexpr size_t maxDepth = 32;

namespace {
/// Stops at the first thing that is refused.
class Checker : public json::json_sax_t {
public:
  explicit Checker(std::string &error) : error(error) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t &) override { return true; }
  bool string(string_t &) override { return true; }
  bool binary(binary_t &) override { return true; }

  bool start_object(size_t) override { return enter(); }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t &name) override {
    if (name.find('\0') != std::string::npos) {
      error = "expected keys without NUL, got one in `" +
              name.substr(0, name.find('\0')) + "`";
      return false;
    }
    if (open.back().insert(name).second)
      return true;
    error = "expected every key once, got `" + name + "` twice";
    return false;
  }
  bool parse_error(size_t position, const std::string &,
                   const json::exception &) override {
    error = "not valid JSON: error at byte " + std::to_string(position);
    return false;
  }

private:
  bool enter() {
    open.emplace_back();
    if (open.size() <= maxDepth)
      return true;
    error = "expected JSON at most " + std::to_string(maxDepth) +
            " levels deep, got more";
    return false;
  }
  bool leave() {
    open.pop_back();
    return true;
  }

  std::string &error;
  /// The keys of every object (and array, without any) that is open.
  std::vector<std::set<std::string>> open;
};
} // namespace

bool repo_rt::parseJson(const char *begin, const char *end, json &value,
                        std::string &error) {
  Checker checker(error);
  if (!json::sax_parse(begin, end, &checker))
    return false;
  value = json::parse(begin, end, nullptr, /*allow_exceptions=*/false);
  return true;
}
