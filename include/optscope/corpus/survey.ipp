// SPDX-License-Identifier: MIT
#pragma once
// Bodies of survey.hpp.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optscope/corpus/survey.hpp>
#include <optscope/corpus/windows.hpp>
#include <span>
#include <system_error>
#include <unordered_map>

namespace optscope {
namespace detail {

/// A passage of a text, by its hash.
struct hashed_passage {
  std::uint64_t hash = 0;
  std::uint32_t text = 0;

  friend bool operator<(const hashed_passage& a, const hashed_passage& b) noexcept {
    return a.hash != b.hash ? a.hash < b.hash : a.text < b.text;
  }
};

inline std::uint64_t mixed_bits(std::uint64_t x) noexcept {  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// Hashes of passages of a text, those of which the last bits `mask` are 0.
inline void add_passages(std::span<const token_id> tokens, std::uint32_t text, std::uint64_t mask,
                         std::vector<hashed_passage>& to) {
  constexpr std::size_t length = 32;
  constexpr std::uint64_t base = 0x9e3779b97f4a7c15u;
  std::uint64_t oldest = 1, rolling = 0;
  for (std::size_t i = 0; i < length; ++i) oldest *= base;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    rolling = rolling * base + static_cast<std::uint64_t>(tokens[i]) + 1;
    if (i >= length) rolling -= oldest * (static_cast<std::uint64_t>(tokens[i - length]) + 1);
    const std::uint64_t hash = mixed_bits(rolling);
    if (i + 1 >= length && (hash & mask) == 0) to.push_back({.hash = hash, .text = text});
  }
}

/// Texts that share passages, from passages in order.
inline std::vector<shared_text> texts_that_share(const std::vector<hashed_passage>& sorted, std::size_t texts) {
  constexpr double least = 0.1;
  std::vector<std::size_t> all(texts), elsewhere(texts);
  std::vector<std::map<std::uint32_t, std::size_t>> partners(texts);
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    const auto end = std::find_if(begin, sorted.end(), [&](const auto& each) { return each.hash != begin->hash; });
    const std::uint32_t first = begin->text, last = (end - 1)->text;
    for (; begin != end; ++begin) {
      all[begin->text] += 1;
      if (first == last) continue;
      elsewhere[begin->text] += 1;
      partners[begin->text][begin->text == first ? last : first] += 1;
    }
  }
  std::vector<shared_text> result;
  for (std::size_t t = 0; t < texts; ++t) {
    const double share = static_cast<double>(elsewhere[t]) / static_cast<double>(all[t]);
    if (all[t] == 0 || share < least) continue;
    const auto most =
        std::ranges::max_element(partners[t], [](const auto& a, const auto& b) { return a.second < b.second; });
    result.push_back({.text = t, .other = most->first, .share = share});
  }
  std::ranges::stable_sort(result, [](const shared_text& a, const shared_text& b) { return a.share > b.share; });
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE text_survey survey(const corpus& found) {
  constexpr std::uint64_t most_passages = 1 << 22;
  text_survey result;
  std::uint64_t bytes = 0;
  for (const corpus_text& each : found.texts) {
    std::error_code unknown;
    const std::uintmax_t size = std::filesystem::file_size(each.file, unknown);
    if (!unknown) bytes += size;  // one that cannot be read is refused below
  }
  std::uint64_t step = 1;  // one passage in this many is looked at
  while (bytes / 3 / step > most_passages) step *= 2;
  std::vector<detail::hashed_passage> passages;
  std::unordered_map<std::uint64_t, std::size_t> whole;  // hash of all tokens: text
  for (std::size_t t = 0; t < found.size(); ++t) {
    const token_list tokens = found.read(t);
    const std::size_t skip = found.bos() && !tokens.empty() && tokens[0] == *found.bos() ? 1 : 0;
    const std::span<const token_id> own = std::span{tokens}.subspan(skip);
    result.lengths.push_back(own.size());
    std::uint64_t hash = own.size();
    for (const token_id token : own) hash = detail::mixed_bits(hash * 31 + static_cast<std::uint64_t>(token) + 1);
    const auto [place, unseen] = whole.emplace(hash, t);
    if (!unseen && !own.empty() && found.read(place->second) == tokens) {
      found.refuse(t, "", "texts that are independent of each other",
                   "a copy of " + found.texts[place->second].file.string());
    }
    detail::add_passages(own, static_cast<std::uint32_t>(t), step - 1, passages);
  }
  std::ranges::sort(passages, std::less{});
  result.shared = detail::texts_that_share(passages, found.size());
  return result;
}

OPTSCOPE_INLINE std::string shared_passages(const text_survey& known, const corpus& found) {
  if (known.shared.empty()) return "";
  const shared_text& most = known.shared[0];
  const auto name = [&](std::size_t t) { return found.category_name(t) + "/" + found.texts[t].name; };
  return std::to_string(known.shared.size()) + " of " + std::to_string(found.size()) +
         " texts share passages of 32 tokens with others (" + name(most.text) + " " +
         std::to_string(static_cast<int>(100 * most.share)) + " % of them, with " + name(most.other) + ")";
}

}  // namespace optscope
