// SPDX-License-Identifier: MIT
#pragma once
// Bodies of file_kind.hpp.

#include <algorithm>
#include <cstdint>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/file_kind.hpp>
#include <optscope/core/errors.hpp>
#include <string_view>

namespace optscope::detail {

OPTSCOPE_INLINE std::string file_kind(std::span<const std::byte> bytes) {
  using namespace std::string_view_literals;
  const std::string_view text = as_text(bytes);
  const auto begins = [&](std::string_view with) { return text.substr(0, with.size()) == with; };
  if (text.empty()) return "an empty file";
  if (begins("version https://git-lfs"sv)) return "a git-lfs pointer: the file itself has not been downloaded";
  if (begins("PYTORCH1"sv)) return "the preview format \"PYTORCH1\" of torch before 1.0";
  if (begins("PK\x03\x04"sv)) return "a zip archive, as torch.save writes it";
  if (begins("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"sv)) {
    return "the legacy format of torch before 1.6; load it with torch and save it again to convert it";
  }
  if (begins("\x80"sv)) return "a bare pickle";
  if (text.substr(std::min<std::size_t>(text.size(), 257), 5) == "ustar") return "the tar format of torch before 0.4";
  if (text.size() > 8 && text[8] == '{' && number_at<std::uint64_t>(bytes, 0) <= text.size()) {
    return "a safetensors file";
  }
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '<' && first < 256) {
    return "an HTML page or XML: the download went wrong";
  }
  const std::string_view start = text.substr(0, 64);
  if (start.find_first_not_of('\0') == std::string_view::npos) return "zeros only: the download is not complete";
  return "bytes that begin with " + quoted(text.substr(0, 8));
}

}  // namespace optscope::detail
