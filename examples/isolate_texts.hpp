// SPDX-License-Identifier: MIT
#pragma once
// The texts of `isolate`: halved, so that what scores come from is not what is measured.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <optional>
#include <optscope/corpus/windows.hpp>
#include <optscope/isolation/isolation.hpp>
#include <optscope/isolation/learned_mask.hpp>
#include <optscope/isolation/prompts.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/opt/tensors.hpp>
#include <vector>

#include "program.hpp"

namespace isolate {

using namespace optscope;
namespace fs = std::filesystem;

using pruned_model = model<any_opt, float, cpu, pruned_weights<float>>;

struct settings {
  std::string keep, by = "ratio-rms", with = "zero", units = "both", keep_layers;
  std::size_t prompts = 16, prompt_tokens = 32, new_tokens = 48, scoring = 20000;
  std::optional<std::size_t> shares;   // points of a curve; else as many as `minutes` allow, at most 20
  double minutes = 10;                 // that removals may take
  std::size_t rounds = 1;              // of scoring
  std::size_t held_back = 512;         // tokens of each category, for curves
  std::optional<std::size_t> written;  // tokens of each category
  bool alone = false;                  // the kept category, not all in turn
  bool no_curves = false;              // nor a search for the smallest removal
  bool even = false;                   // as many neurons from every layer
  std::size_t draws = 3;               // by chance, for each point
  std::optional<double> share;         // to remove without a search
  mask_settings mask;
  std::size_t ablation_tokens = 128;  // of each category
  double hours = 1;                   // that ablation may take

  [[nodiscard]] bool curves() const { return !share && !no_curves; }
  [[nodiscard]] bool directions() const { return units == "directions"; }
  [[nodiscard]] double most() const { return directions() ? 0.1 : 0.6; }  // of the units, on curves
};

/// The texts, halved: what scores and judge are made from, and what is measured.
struct halves {
  std::vector<std::string> categories;
  std::vector<std::size_t> texts;                  // [category]
  std::vector<std::vector<token_list>> scoring;    // [category][text]
  std::vector<std::vector<token_list>> written;    // [category][text]: the model's own, to score with; may be empty
  std::vector<std::vector<std::string>> training;  // [category][text]: the same as they stand in the files
  std::vector<std::vector<token_list>> measured;   // [category][text]
  std::vector<std::string> limits;

  /// All that scores come from: [category][text].
  [[nodiscard]] std::vector<std::vector<token_list>> scored() const {
    std::vector<std::vector<token_list>> all = scoring;
    for (std::size_t c = 0; c < written.size(); ++c) all[c].insert(all[c].end(), written[c].begin(), written[c].end());
    return all;
  }
};

/// Every second text of a category is measured; of a single one the second half is.
inline halves read_halves(const program::app& app, const tokenizer& words, const settings& how) {
  const corpus all = app.find_texts();
  const std::vector<std::size_t> sizes = all.texts_of_each();
  halves result;
  result.categories = all.categories;
  result.texts = sizes;
  const std::size_t count = all.categories.size();
  result.scoring.resize(count);
  result.training.resize(count);
  result.measured.resize(count);
  std::vector<std::size_t> taken(count), kept_bytes(count);
  constexpr std::size_t most_bytes = 400000;
  for (std::size_t t = 0; t < all.size(); ++t) {
    const std::size_t c = all.category_of[t];
    const fs::path& path = all.texts[t].file;
    const std::string content = all.content(t);
    const bool single = sizes[c] == 1, measured = all.index_in_category(t) % 2 == 1;
    if (!single &&
        (measured ? result.measured[c].size() > 200 : taken[c] >= how.scoring && kept_bytes[c] > most_bytes)) {
      continue;
    }
    token_list tokens = words.encode(content, path.string());
    if (tokens.size() < 8)
      throw bad_input{path.string(), "", "a text of at least 8 tokens", std::to_string(tokens.size())};
    if (single) {
      const auto middle = tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() / 2);
      token_list second(middle, tokens.end());
      if (words.adds_bos()) second.insert(second.begin(), *words.bos());
      tokens.erase(middle, tokens.end());
      result.measured[c].push_back(std::move(second));
    }
    if (!single && measured) {
      result.measured[c].push_back(std::move(tokens));
      continue;
    }
    if (kept_bytes[c] <= most_bytes) {
      result.training[c].push_back(single ? words.decode(tokens) : content);
      kept_bytes[c] += content.size();
    }
    if (taken[c] >= how.scoring) continue;
    if (tokens.size() > how.scoring - taken[c] + 1) tokens.resize(how.scoring - taken[c] + 1);
    taken[c] += tokens.size() - 1;
    result.scoring[c].push_back(std::move(tokens));
  }
  for (std::size_t c = 0; c < count; ++c) {
    if (sizes[c] == 1) {
      result.limits.push_back("category " + all.categories[c] +
                              " has one text: scores and measurements are of its halves");
    }
    if (taken[c] < 500) {
      result.limits.push_back("category " + all.categories[c] + " has " + std::to_string(taken[c]) +
                              " tokens to compute scores from: few");
    }
  }
  return result;
}

inline std::optional<token_id> bos_of(const tokenizer& words) { return words.adds_bos() ? words.bos() : std::nullopt; }
/// Tells of a token whether its last character is white space.
inline auto ends_in_space(const tokenizer& words) {
  return [&words](token_id id) {
    const std::string piece = words.piece(id);
    return piece.empty() || std::string_view{" \n\t\r"}.find(piece.back()) != std::string_view::npos;
  };
}

/// What is measured: on curves little, of which the size of a removal is chosen, and in the end more and other prompts.
struct measured_texts {
  labelled_texts held_back, prompts;
};
inline measured_texts draw_measured(const halves& texts, const tokenizer& words, const settings& how,
                                    std::size_t max_positions, std::size_t held_back, std::size_t prompts,
                                    std::uint64_t seed) {
  measured_texts result;
  result.prompts = draw_prompts(texts.measured, bos_of(words), ends_in_space(words), prompts, how.prompt_tokens, seed);
  for (std::size_t c = 0; c < texts.categories.size(); ++c) {
    std::size_t taken = 0;
    for (const token_list& text : texts.measured[c]) {
      for (window& w : windows_of(text, std::min<std::size_t>(256, max_positions), words.bos())) {
        if (taken >= held_back || w.tokens.size() < 2) break;
        taken += w.tokens.size();
        result.held_back.add(std::move(w.tokens), c);
      }
    }
  }
  return result;
}

/// What the model itself writes from the scoring texts' prompts, about `count` tokens of each category.
inline void write_more(side_by_side<pruned_model>& copies, halves& texts, const tokenizer& words, const settings& how,
                       std::size_t count) {
  const std::size_t length = std::min<std::size_t>(128, copies[0].shape().max_positions - how.prompt_tokens - 1);
  const labelled_texts prompts = draw_prompts(texts.scoring, bos_of(words), ends_in_space(words),
                                              (count + length - 1) / length, how.prompt_tokens, 3);
  constexpr std::size_t together = 64;
  const std::size_t all = prompts.tokens.size(), batches = (all + together - 1) / together;
  token_batch more(all);
  program::progress line{"writing"};
  std::mutex one_at_a_time;
  std::size_t done = 0;
  copies(batches, [&](std::size_t i, std::size_t copy) {
    const auto first = prompts.tokens.begin() + static_cast<std::ptrdiff_t>(i * together);
    const auto last = i + 1 == batches ? prompts.tokens.end() : first + together;
    token_batch some = generate(copies[copy], {first, last},
                                {.new_tokens = length,
                                 .how = {.temperature = 0.8, .top_p = 0.9, .seed = 1000 + i * together},
                                 .seed_step = 1,
                                 .stop = {},
                                 .tokens = words.size()});
    const std::lock_guard lock{one_at_a_time};
    std::ranges::move(some, more.begin() + static_cast<std::ptrdiff_t>(i * together));
    line(++done, batches);
  });
  texts.written.resize(texts.categories.size());
  for (std::size_t i = 0; i < all; ++i) {
    token_list text = prompts.tokens[i];
    text.insert(text.end(), more[i].begin(), more[i].end());
    texts.written[prompts.category[i]].push_back(std::move(text));
  }
}

}  // namespace isolate
