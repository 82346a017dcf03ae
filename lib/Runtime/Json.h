//===- Json.h - JSON that comes from outside --------------------*- C++ -*-===//
//
// Part of the RePo compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef REPO_LIB_RUNTIME_JSON_H
#define REPO_LIB_RUNTIME_JSON_H

#include <nlohmann/json.hpp>
#include <string>

namespace repo_rt {

/// Parses text that may say anything. Refused, with the reason in `error`: what
/// is not JSON in UTF-8, a key that is there twice (readers differ in which one
/// they take), NUL in a key, and nesting past a few levels (code that walks the
/// value may recurse).
bool parseJson(const char *begin, const char *end, nlohmann::json &value,
               std::string &error);

} // namespace repo_rt

#endif // REPO_LIB_RUNTIME_JSON_H
