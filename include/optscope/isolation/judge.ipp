// SPDX-License-Identifier: MIT
#pragma once
// Bodies of judge.hpp.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <optscope/isolation/judge.hpp>
#include <random>
#include <utility>

namespace optscope {
namespace detail {

inline constexpr std::size_t ngram_features = 1 << 18, longest_ngram = 5;

template <class Body>
void for_ngrams(std::string_view text, Body body) {
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (std::size_t n = 0; n < longest_ngram && begin + n < text.size(); ++n) {
      hash = (hash ^ static_cast<unsigned char>(text[begin + n])) * 16777619u;
      body((hash ^ hash >> 14) % ngram_features);
    }
  }
}

/// Bytes of the smallest category that has any.
inline std::size_t bytes_of_smallest(const std::vector<std::vector<std::string>>& texts) {
  std::size_t smallest = static_cast<std::size_t>(-1);
  for (const std::vector<std::string>& own : texts) {
    std::size_t bytes = 0;
    for (const std::string& text : own) bytes += text.size();
    if (bytes != 0) smallest = std::min(smallest, bytes);
  }
  return smallest;
}

/// Runs of letters and digits, with the space before them, runs of other white space, and single other characters.
inline std::vector<std::string_view> words_of(std::string_view text) {
  const auto kind = [&](std::size_t i) {
    const auto c = static_cast<unsigned char>(text[i]);
    return std::isalnum(c) != 0 || c == '_' || c >= 0x80 ? 0 : std::isspace(c) != 0 ? 1 : 2;
  };
  std::vector<std::string_view> words;
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = begin + 1;
    const bool space = text[begin] == ' ' && end < text.size() && kind(end) == 0;
    const int of = space ? 0 : kind(begin);
    while (of != 2 && end < text.size() && kind(end) == of) ++end;
    words.push_back(text.substr(begin, end - begin));
  }
  return words;
}

inline std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) text += word;
  return text;
}

/// Random places below `size`.
inline std::size_t drawn_below(std::mt19937_64& bits, std::size_t size) { return bits() % size; }

inline void shuffle_words(std::vector<std::string_view>& words, std::mt19937_64& bits) {
  for (std::size_t i = words.size(); i > 1; --i) std::swap(words[i - 1], words[drawn_below(bits, i)]);
}

/// Pieces of up to four letters of words drawn at random.
inline std::string random_pieces(const std::vector<std::string_view>& words, std::size_t size, std::mt19937_64& bits) {
  std::string text;
  while (!words.empty() && text.size() < size) {
    const std::string_view word = words[drawn_below(bits, words.size())];
    text += word.substr(drawn_below(bits, word.size()), 1 + drawn_below(bits, 4));
  }
  return text;
}

/// As many bytes of every category as the smallest has: [category].
inline std::vector<std::string> texts_of_one_size(const std::vector<std::vector<std::string>>& texts) {
  const std::size_t smallest = bytes_of_smallest(texts);
  std::vector<std::string> result;
  for (const std::vector<std::string>& own : texts) {
    std::string& text = result.emplace_back();
    for (const std::string& each : own) text += each.substr(0, smallest - text.size());
  }
  return result;
}

/// The logarithm of every n-gram's share of a text: [feature].
inline std::vector<double> log_shares_of(std::string_view text) {
  std::vector<double> share(ngram_features, 0.1);  // an n-gram that is not in the text is still possible
  double all = 0.1 * static_cast<double>(ngram_features);
  for_ngrams(text, [&](std::size_t feature) {
    ++share[feature];
    ++all;
  });
  for (double& each : share) each = std::log(each / all);
  return share;
}

}  // namespace detail

OPTSCOPE_INLINE ngram_judge::ngram_judge(const std::vector<std::vector<std::string>>& texts)
    : categories_{texts.size()}, log_share_(detail::ngram_features * (2 * categories_ + 1)) {
  const std::vector<std::string> whole = detail::texts_of_one_size(texts);
  std::vector<std::string> classes = whole;
  std::mt19937_64 bits{1};
  std::vector<std::string_view> all;
  for (const std::string& text : whole) {
    std::vector<std::string_view> words = detail::words_of(text);
    all.insert(all.end(), words.begin(), words.end());
    detail::shuffle_words(words, bits);
    classes.push_back(detail::joined(words));
  }
  classes.push_back(detail::random_pieces(all, whole[0].size(), bits));
  for (std::size_t k = 0; k < classes.size(); ++k) {
    const std::vector<double> share = detail::log_shares_of(classes[k]);
    for (std::size_t i = 0; i < share.size(); ++i) {
      log_share_[i * classes.size() + k] = static_cast<float>(share[i]);
    }
  }
}

OPTSCOPE_INLINE std::vector<double> ngram_judge::probabilities(std::string_view text) const {
  constexpr double ngrams_of_a_byte = detail::longest_ngram * (detail::longest_ngram + 1) / 2;
  const std::size_t classes = 2 * categories_ + 1;
  std::vector<double> of_class(classes);
  detail::for_ngrams(text, [&](std::size_t feature) {
    const float* share = log_share_.data() + feature * classes;
    for (std::size_t k = 0; k < classes; ++k) of_class[k] += static_cast<double>(share[k]);
  });
  const double largest = *std::max_element(of_class.begin(), of_class.end());
  std::vector<double> p(categories_ + 1);
  double sum = 0;
  for (std::size_t k = 0; k < classes; ++k) {
    const double prior = k < categories_ ? 1 : 1 / static_cast<double>(categories_ + 1);
    const double weight = prior * std::exp((of_class[k] - largest) / ngrams_of_a_byte);
    p[std::min(k, categories_)] += weight;
    sum += weight;
  }
  for (double& each : p) each /= sum;
  return p;
}

OPTSCOPE_INLINE std::size_t most_probable(const std::vector<double>& probabilities) {
  return static_cast<std::size_t>(std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
}

}  // namespace optscope
