// SPDX-License-Identifier: MIT
#pragma once
// Whether a text can be a piece of a C program: a check of continuations that sees order and does not depend on a
// judge.

#include <optscope/core/compiled.hpp>
#include <string_view>

namespace optscope {

/// Whether a C tokenizer and a matcher of brackets find no error in a piece of a program. An error is:
///
/// * a character that C does not have, a character constant of several characters, an unknown directive;
/// * a closing bracket that contradicts the last open one (what begins before the piece may be closed);
/// * two neighbours that no C program has: `if` without a bracket, a number after a name, an operator before `)` or
///   `;`, three names in a row, `;` in brackets that are not those of `for`, and the like.
///
/// A piece may begin in a comment and end anywhere. False for a piece without any of `(){}[];=,#` or a comment. On
/// pieces of 48 tokens of the demo's texts: true for 92 % of code, 3 % of that with its tokens shuffled, 0 of 733 of
/// articles, papers and verse.
[[nodiscard]] bool has_code_structure(std::string_view text);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/code_structure.ipp>
#endif
