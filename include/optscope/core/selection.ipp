// SPDX-License-Identifier: MIT
#pragma once
// Bodies of selection.hpp.

#include <charconv>
#include <limits>
#include <optscope/core/selection.hpp>
#include <system_error>
#include <utility>

namespace optscope {

namespace detail {
inline std::int64_t clip_to_slice(std::int64_t index, std::int64_t lowest, std::int64_t n) {
  if (index < 0) index += n;
  if (index < lowest + (lowest < 0 ? 1 : 0)) return lowest;
  return index > n + lowest ? n + lowest : index;  // with a negative step the last start is n - 1
}
}  // namespace detail

OPTSCOPE_INLINE selection::selection(std::string spec, std::string item)
    : spec_{std::move(spec)}, item_{std::move(item)} {}

OPTSCOPE_INLINE selection selection::parse(std::string_view spec, std::string item) {
  selection result{std::string{spec}, std::move(item)};
  if (spec == "all") spec = ":";
  for (std::string_view rest = spec;;) {
    const std::size_t comma = rest.find(',');
    result.parts_.push_back(result.part_of(rest.substr(0, comma)));
    if (comma == std::string_view::npos) return result;
    rest.remove_prefix(comma + 1);
  }
}

OPTSCOPE_INLINE std::vector<std::size_t> selection::of(std::size_t extent) const {
  std::vector<std::size_t> chosen;
  std::vector<bool> seen(extent);
  const auto take = [&](std::int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    if (!seen[i]) chosen.push_back(i);
    seen[i] = true;
  };
  const auto n = static_cast<std::int64_t>(extent);
  for (const part& p : parts_) {
    if (!p.slice) {
      const std::int64_t index = *p.begin < 0 ? *p.begin + n : *p.begin;
      if (index < 0 || index >= n) {
        throw bad_input{"", item_, "indices from " + std::to_string(-n) + " to " + std::to_string(n - 1), p.written};
      }
      take(index);
    } else if (p.step > 0) {
      const std::int64_t end = detail::clip_to_slice(p.end.value_or(n), 0, n);
      for (std::int64_t i = detail::clip_to_slice(p.begin.value_or(0), 0, n); i < end; i += p.step) {
        take(i);
        if (p.step >= n) break;  // and no overflow
      }
    } else {
      const std::int64_t end = p.end ? detail::clip_to_slice(*p.end, -1, n) : -1;
      for (std::int64_t i = detail::clip_to_slice(p.begin.value_or(n - 1), -1, n); i > end; i += p.step) {
        take(i);
        if (p.step <= -n) break;
      }
    }
  }
  if (chosen.empty()) {
    throw bad_input{"", item_, "a selection of at least one of " + std::to_string(extent), "none in '" + spec_ + "'"};
  }
  return chosen;
}

OPTSCOPE_INLINE selection::part selection::part_of(std::string_view text) const {
  part result;
  result.written = text;
  std::vector<std::optional<std::int64_t>> fields;
  for (std::string_view rest = text;;) {
    const std::size_t colon = rest.find(':');
    fields.push_back(number(rest.substr(0, colon), text));
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (fields.size() > 3) refuse(text);
  result.begin = fields[0];
  if (fields.size() == 1) {
    if (!result.begin) refuse(text);
    return result;
  }
  result.slice = true;
  result.end = fields[1];
  if (fields.size() == 3) result.step = fields[2].value_or(1);
  if (result.step == 0) throw bad_input{"", item_, "a slice step other than 0", "'" + std::string{text} + "'"};
  return result;
}

OPTSCOPE_INLINE std::optional<std::int64_t> selection::number(std::string_view text, std::string_view whole) const {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max() / 4;  // farther than any extent
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || status == std::errc::invalid_argument) refuse(whole);
  const bool negative = text.front() == '-';
  if (status == std::errc::result_out_of_range || value > far || value < -far) return negative ? -far : far;
  return value;
}

OPTSCOPE_INLINE void selection::refuse(std::string_view text) const {
  throw bad_input{"", item_, "indices and slices separated by commas, such as 0,-1 or 475:512:4",
                  "'" + std::string{text} + "'"};
}

OPTSCOPE_INLINE std::vector<std::size_t> parse_selection(std::string_view spec, std::size_t extent, std::string item) {
  return selection::parse(spec, std::move(item)).of(extent);
}

}  // namespace optscope
