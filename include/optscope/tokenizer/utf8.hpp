// SPDX-License-Identifier: MIT
#pragma once
// UTF-8: where a text stops being valid, and U+FFFD in place of what is not.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>

namespace optscope::utf8 {

/// Byte offset of the first broken sequence; nothing if all of `text` is UTF-8. Some GB/s.
[[nodiscard]] std::optional<std::size_t> first_error(std::string_view text) noexcept;

/// `text` with U+FFFD for every broken sequence, as Python's `bytes.decode(errors="replace")` has it.
[[nodiscard]] std::string replace_errors(std::string text);

}  // namespace optscope::utf8

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/utf8.ipp>
#endif
