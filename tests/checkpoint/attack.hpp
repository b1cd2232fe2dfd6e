// SPDX-License-Identifier: MIT
#pragma once
// Files made byte by byte, and the check that the broken ones are refused by name.

#include <doctest/doctest.h>

#include <optscope/core/errors.hpp>
#include <string>

#include "made_files.hpp"

namespace attack {

/// Runs `call`, which has to throw `bad_input` with `expected` in its message.
template <class Call>
void refused(Call&& call, const std::string& expected) {
  std::string message;
  try {
    static_cast<void>(call());
  } catch (const optscope::bad_input& error) {
    message = error.what();
  }
  INFO("\"" << message << "\" should say \"" << expected << "\"");
  CHECK_FALSE(message.empty());
  CHECK(message.find(expected) != std::string::npos);
}

}  // namespace attack
