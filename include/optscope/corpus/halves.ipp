// SPDX-License-Identifier: MIT
#pragma once
// Bodies of halves.hpp.

#include <cassert>
#include <optional>
#include <optscope/corpus/halves.hpp>
#include <span>

namespace optscope {
namespace detail {

/// Cuts a text in the middle; the second part begins with BOS, too, if the text does.
inline token_list cut_in_middle(token_list& text, std::optional<token_id> bos) {
  const auto middle = text.begin() + static_cast<std::ptrdiff_t>(text.size() / 2);
  token_list second(middle, text.end());
  if (bos && !text.empty() && text[0] == *bos) second.insert(second.begin(), *bos);
  text.erase(middle, text.end());
  return second;
}

}  // namespace detail

OPTSCOPE_INLINE corpus_halves read_halves(const corpus& found, const halving& how) {
  assert(found.words.has_value());
  const tokenizer& words = *found.words;
  const std::vector<std::size_t> texts = found.texts_of_each();
  const std::size_t categories = found.categories.size();
  corpus_halves result{.scoring = found.emptied(), .measured = found.emptied(), .contents = {}};
  result.contents.resize(categories);
  std::vector<std::size_t> scored(categories), kept_bytes(categories), measured(categories);

  for (std::size_t t = 0; t < found.size(); ++t) {
    const std::size_t c = found.category_of[t];
    const bool single = texts[c] == 1, is_measured = !single && found.index_in_category(t) % 2 == (how.swapped ? 0 : 1);
    const bool enough = is_measured ? measured[c] >= how.measured_texts
                                    : scored[c] >= how.scoring_tokens && kept_bytes[c] >= how.content_bytes;
    if (!single && enough) continue;

    const std::string content = found.content(t);
    token_list tokens = words.encode(content, found.texts[t].file.string());
    if (tokens.size() < how.shortest) {
      found.refuse(t, "", "a text of at least " + std::to_string(how.shortest) + " tokens",
                   std::to_string(tokens.size()));
    }
    if (single) {
      token_list second = detail::cut_in_middle(tokens, found.bos());
      if (how.swapped) std::swap(tokens, second);
      result.measured.add(c, std::move(second));
    }
    if (is_measured) {
      result.measured.add(c, std::move(tokens));
      ++measured[c];
      continue;
    }
    if (kept_bytes[c] < how.content_bytes) {
      result.contents[c].push_back(single ? words.decode(tokens) : content);
      kept_bytes[c] += content.size();
    }
    if (scored[c] >= how.scoring_tokens) continue;
    const std::size_t most = how.scoring_tokens - scored[c] + 1;
    if (tokens.size() > most) tokens.resize(most);
    scored[c] += tokens.size() - 1;
    result.scoring.add(c, std::move(tokens));
  }
  return result;
}

OPTSCOPE_INLINE std::pair<corpus, corpus> parts_of(const corpus& all) {
  std::pair<corpus, corpus> result{all.emptied(), all.emptied()};
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    const std::span<const token_list> texts = all.tokens_in(c);
    std::vector<token_list> own(texts.begin(), texts.end());
    if (own.size() == 1) own.push_back(detail::cut_in_middle(own[0], all.bos()));
    for (std::size_t i = 0; i < own.size(); ++i) (i % 2 == 0 ? result.first : result.second).add(c, std::move(own[i]));
  }
  return result;
}

}  // namespace optscope
