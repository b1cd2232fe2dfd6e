// SPDX-License-Identifier: MIT
#pragma once
// Bodies of halves.hpp.

#include <cassert>
#include <optscope/corpus/halves.hpp>
#include <utility>

namespace optscope {

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
    const bool single = texts[c] == 1, is_measured = !single && found.index_in_category(t) % 2 == 1;
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
      const auto middle = tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() / 2);
      token_list second(middle, tokens.end());
      if (words.adds_bos()) second.insert(second.begin(), *words.bos());
      tokens.erase(middle, tokens.end());
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

}  // namespace optscope
