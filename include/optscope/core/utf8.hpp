// SPDX-License-Identifier: MIT
#pragma once
// UTF-8: one code point at a time, where a text stops being valid, and U+FFFD in place of what is not.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>

namespace optscope::utf8 {

/// How many bytes at the front of a text belong together, and whether they are a whole code point. Of a broken one
/// this is the longest beginning that some valid sequence has, at least one byte: what Unicode replaces by one U+FFFD.
struct sequence {
  std::size_t size;
  bool valid;
};

/// The sequence at the front of `bytes`, which is not empty. Overlong forms, surrogates and numbers past U+10FFFF are
/// broken (RFC 3629).
[[nodiscard]] sequence first_sequence(std::string_view bytes) noexcept;

/// Byte offset of the first broken sequence; nothing if all of `text` is UTF-8. Some GB/s for ASCII.
[[nodiscard]] std::optional<std::size_t> first_error(std::string_view text) noexcept;

/// `text` with U+FFFD for every broken sequence, like Python's `bytes.decode(errors="replace")`.
[[nodiscard]] std::string replace_errors(std::string text);

}  // namespace optscope::utf8

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/utf8.ipp>
#endif
