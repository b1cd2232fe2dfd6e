// SPDX-License-Identifier: MIT
#pragma once
// Whether a text has the structure of program code: a check of continuations that does not depend on a judge.

#include <optscope/core/compiled.hpp>
#include <string_view>

namespace optscope {

/// Whether a text looks like code in a language with braces: no closing bracket contradicts the last open one (what the
/// prompt opened may be closed), and at least half of the complete lines that are not blank begin or end as lines of
/// code do. False for a text without a complete line.
[[nodiscard]] bool has_code_structure(std::string_view text);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/code_structure.ipp>
#endif
